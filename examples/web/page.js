/** The page: a picture from a file or the camera, a square around a face, and the answer. */

import { decode, load, pixels } from "./model.js";

const part = (id) => document.getElementById(id);
const [canvas, video, answer] = [part("picture"), part("video"), part("answer")];
const context = canvas.getContext("2d");
let picture = null; // what is shown, as an ImageBitmap
let square = null; // around a face, in its pixels
let start = null; // where a drag began
let model = null;

function say(text) {
  answer.textContent = text;
  part("bars").replaceChildren();
}

function draw() {
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0);
  if (square === null) return;
  context.strokeStyle = "#ffcc33";
  context.lineWidth = Math.max(2, canvas.width / 150);
  context.strokeRect(square.x, square.y, square.width, square.height);
}

async function show(image) {
  stopCamera();
  picture = await createImageBitmap(image);
  square = null;
  [canvas.width, canvas.height] = [picture.width, picture.height];
  part("hint").hidden = false;
  draw();
  await attempt(recognise, "The model failed.");
}

function stopCamera() {
  video.srcObject?.getTracks().forEach((track) => track.stop());
  video.srcObject = null;
  [video.hidden, canvas.hidden, part("take").hidden, part("camera").hidden] = [true, false, true, false];
}

async function recognise() {
  const found = await model.predict(pixels(picture, square ?? undefined));
  say(found.uncertain ? `Uncertain: perhaps ${found.label}` : `${found.label}, ${percent(found.confidence)}`);
  part("bars").append(
    ...model.classes.map((name, place) => {
      const row = document.createElement("div");
      row.className = name === found.label ? "bar first" : "bar";
      const bar = document.createElement("progress");
      [bar.value, bar.ariaLabel] = [found.probabilities[place], name];
      const [before, after] = [document.createElement("span"), document.createElement("span")];
      [before.textContent, after.textContent] = [name, percent(found.probabilities[place])];
      row.append(before, bar, after);
      return row;
    }),
  );
}

const percent = (share) => `${(100 * share).toFixed(1)} %`;

/** Do something that may fail, and say so on the page. */
async function attempt(action, problem) {
  try {
    await action();
  } catch (error) {
    say(`${problem} ${error.message ?? ""}`);
  }
}

function place(event) {
  const shown = canvas.getBoundingClientRect();
  const scale = canvas.width / shown.width;
  return { x: (event.clientX - shown.left) * scale, y: (event.clientY - shown.top) * scale };
}

function squareTo(end) {
  const side = Math.round(Math.max(Math.abs(end.x - start.x), Math.abs(end.y - start.y)));
  const most = Math.min(side, canvas.width, canvas.height);
  const limit = (value, largest) => Math.round(Math.min(Math.max(value, 0), largest - most));
  const x = limit(end.x < start.x ? start.x - most : start.x, canvas.width);
  return { x, y: limit(end.y < start.y ? start.y - most : start.y, canvas.height), width: most, height: most };
}

part("file").addEventListener("change", ({ target }) =>
  attempt(async () => {
    const [file] = target.files;
    if (file !== undefined) await show(await decode(file));
    target.value = ""; // so that the same file can be chosen again
  }, "This is no picture that the browser can read."),
);

canvas.addEventListener("pointerdown", (event) => {
  if (picture === null || !event.isPrimary) return;
  canvas.setPointerCapture(event.pointerId);
  [start, square] = [place(event), null];
  draw();
});
canvas.addEventListener("pointermove", (event) => {
  if (start === null || !event.isPrimary) return;
  square = squareTo(place(event));
  draw();
});
canvas.addEventListener("pointercancel", () => (start = null));
canvas.addEventListener("pointerup", () => {
  if (start === null) return;
  start = null;
  if (square !== null && square.width < 16) square = null;
  draw();
  attempt(recognise, "The model failed.");
});

part("camera").addEventListener("click", () =>
  attempt(async () => {
    stopCamera();
    video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "user" } });
    await video.play();
    [video.hidden, canvas.hidden, part("take").hidden, part("camera").hidden] = [false, true, false, true];
  }, "The camera cannot be used."),
);
part("take").addEventListener("click", () =>
  attempt(async () => {
    await show(pixels(video));
  }, "The camera cannot be used."),
);

window.addEventListener("pagehide", stopCamera);

await attempt(async () => {
  model = await load("model");
  part("model").textContent = `Model ${model.name}`;
  [part("file").disabled, part("camera").disabled] = [false, false];
  say("Choose a picture of a face.");
}, "The model cannot be loaded.");
