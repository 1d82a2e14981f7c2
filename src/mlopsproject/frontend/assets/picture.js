// Shows a picture with its faces. Everything that comes from outside is set as an attribute or as text.
const TALLEST = 480; // pixels
const SMALL = 160; // pixels of a face as shown, below which its heat map is shown enlarged as well
const percent = (part, whole) => `${(100 * part) / whole}%`;

function place(element, [x, y, width, height], size) {
  element.style.left = percent(x, size[0]);
  element.style.top = percent(y, size[1]);
  element.style.width = percent(width, size[0]);
  element.style.height = percent(height, size[1]);
}

function picture(className, source, box, size, alt = "") {
  const image = document.createElement("img");
  image.className = className;
  image.alt = alt;
  image.src = source;
  place(image, box, size);
  return image;
}

// The face under the heat map, to fill a square: box is the part of the picture that the map lies over.
function closeUp(source, alt, heat, [x, y, width, height], size) {
  return [
    picture("enlarged", source, [-x, -y, ...size], [width, height], alt),
    picture("heat", heat.source, [0, 0, 1, 1], [1, 1]),
  ];
}

function legend(heat) {
  const scale = document.createElement("span");
  scale.className = "scale";
  scale.style.background = `linear-gradient(to right, ${heat.against.colour}, transparent, ${heat.for.colour})`;
  const [against, speaksFor] = [heat.against, heat.for].map((end) => {
    const words = document.createElement("span");
    words.textContent = end.words;
    return words;
  });
  return [against, scale, speaksFor];
}

function faceBox(face, size, choose) {
  const box = document.createElement("button");
  box.type = "button";
  box.className = face.chosen ? "face chosen" : "face";
  box.setAttribute("aria-label", face.name);
  place(box, face.box, size);
  if (choose) box.onclick = choose;
  else box.disabled = true;
  return box;
}

// A click on the tag is a click on the face; screen readers have the face's name and need no number.
function numberTag(number, face, choose) {
  const tag = document.createElement("span");
  tag.className = face.chosen ? "tag chosen" : "tag";
  tag.setAttribute("aria-hidden", "true");
  tag.textContent = String(number);
  tag.onclick = choose;
  return tag;
}

// What depends on how large the picture is shown: sizes of frames and digits, and then where the tags have room.
function fit(frame, faces, boxes, tags, size) {
  const shown = [frame.clientWidth, frame.clientHeight];
  if (!shown[0] || !shown[1] || !faces.length) return;
  const scale = shown[0] / size[0];
  const places = faces.map((face) => face.box.map((value) => value * scale));
  // Digits grow with the picture, but not beyond half of the median face.
  const sides = places.map((box) => Math.min(box[2], box[3])).sort((one, other) => one - other);
  const digits = Math.min(0.032 * Math.sqrt(shown[0] * shown[1]), 0.5 * sides[sides.length >> 1], 18);
  frame.style.setProperty("--tag", `${Math.max(digits, 11)}px`);
  boxes.forEach((box, index) => {
    const line = Math.min(Math.max(0.05 * Math.min(places[index][2], places[index][3]), 1.5), 3);
    box.style.borderWidth = `${line}px`;
  });
  const spots = placeTags(tags.length ? places : [], tags.map((tag) => [tag.offsetWidth, tag.offsetHeight]), shown);
  tags.forEach((tag, index) => {
    tag.style.left = `${spots[index][0]}px`;
    tag.style.top = `${spots[index][1]}px`;
  });
  frame.style.marginTop = `${-Math.min(0, ...spots.map((spot) => spot[1]))}px`;
}

export default function ({ data, parentElement, setTriggerValue }) {
  const frame = parentElement.querySelector(".frame");
  const image = frame.querySelector("img");
  const missing = parentElement.querySelector(".missing");
  const key = parentElement.querySelector(".legend");
  const close = parentElement.querySelector(".close-up");

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
    const part = data.heat?.box || [0, 0, ...size];
    frame.querySelector(".layer").replaceChildren(...(data.heat ? [picture("heat", data.heat.source, part, size)] : []));
    close.replaceChildren(...(data.heat ? closeUp(data.source, data.enlarged, data.heat, part, size) : []));
    key.hidden = !data.heat;
    key.replaceChildren(...(data.heat ? legend(data.heat) : []));
    const several = data.faces.length > 1;
    const chooser = (face, index) => () => { if (!face.chosen) setTriggerValue("face", index); };
    const boxes = data.faces.map((face, index) => faceBox(face, size, several ? chooser(face, index) : null));
    const tags = several ? data.faces.map((face, index) => numberTag(index + 1, face, chooser(face, index))) : [];
    frame.querySelector(".faces").replaceChildren(...boxes, ...tags);
    frame.sizes?.disconnect();
    frame.sizes = new ResizeObserver(() => {
      fit(frame, data.faces, boxes, tags, size);
      close.hidden = !data.heat || (part[2] * frame.clientWidth) / size[0] >= SMALL;
    });
    frame.sizes.observe(frame);
  };

  image.onload = draw;
  image.onerror = () => {
    frame.hidden = true;
    key.hidden = close.hidden = true;
    missing.hidden = false;
    missing.textContent = data.missing;
  };
  image.alt = data.alt;
  image.referrerPolicy = "no-referrer";
  if (!data.source) image.onerror();
  else if (image.getAttribute("src") !== data.source) image.src = data.source;
  else if (image.complete) draw();
  return () => frame.sizes?.disconnect();
}
