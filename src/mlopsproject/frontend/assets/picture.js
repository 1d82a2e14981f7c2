// Shows a picture with its faces. Everything that comes from outside is set as an attribute or as text.
const TALLEST = 480; // pixels
const percent = (part, whole) => `${(100 * part) / whole}%`;

function place(element, [x, y, width, height], size) {
  element.style.left = percent(x, size[0]);
  element.style.top = percent(y, size[1]);
  element.style.width = percent(width, size[0]);
  element.style.height = percent(height, size[1]);
}

export default function ({ data, parentElement, setTriggerValue }) {
  const frame = parentElement.querySelector(".frame");
  const image = frame.querySelector("img");
  const layer = frame.querySelector(".layer");
  const missing = parentElement.querySelector(".missing");

  const draw = () => {
    // Boxes are in pixels of the picture as it was sent, which may be larger than what is shown.
    const size = data.size || [image.naturalWidth, image.naturalHeight];
    if (!size[0] || !size[1] || !image.naturalWidth) return;
    frame.hidden = false;
    missing.hidden = true;
    // Small faces are shown enlarged, or nothing could be seen of them; tall pictures still fit on a screen.
    const ratio = size[0] / size[1];
    const width = Math.min(Math.max(image.naturalWidth, 320 * Math.min(1, ratio)), TALLEST * ratio);
    image.style.width = `${width}px`;
    const parts = [];
    if (data.heat) {
      const heat = document.createElement("img");
      heat.className = "heat";
      heat.alt = "";
      heat.src = data.heat.source;
      place(heat, data.heat.box || [0, 0, ...size], size);
      parts.push(heat);
    }
    data.faces.forEach((face, index) => {
      const box = document.createElement("button");
      box.type = "button";
      box.className = face.chosen ? "face chosen" : "face";
      box.setAttribute("aria-label", face.name);
      place(box, face.box, size);
      if (data.faces.length > 1) {
        const tag = document.createElement("span");
        tag.textContent = String(index + 1);
        box.append(tag);
        box.onclick = () => { if (!face.chosen) setTriggerValue("face", index); };
      } else {
        box.disabled = true;
      }
      parts.push(box);
    });
    layer.replaceChildren(...parts);
  };

  image.onload = draw;
  image.onerror = () => {
    frame.hidden = true;
    missing.hidden = false;
    missing.textContent = data.missing;
  };
  image.alt = data.alt;
  image.referrerPolicy = "no-referrer";
  if (!data.source) image.onerror();
  else if (image.getAttribute("src") !== data.source) image.src = data.source;
  else if (image.complete) draw();
}
