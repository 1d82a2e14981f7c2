/** A bundle in the browser: ONNX Runtime on WebAssembly, calibrated as the bundle's spec says. */

import * as ort from "./ort/ort.wasm.min.mjs";
import { toInput } from "./preprocess.js";

// Threads would need headers that a plain file server does not send.
ort.env.wasm.numThreads = 1;
ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;

/**
 * Load a bundle.
 * @param {string} folder address of a folder with spec.json and the files that it names
 * @param {"fp32" | "int8"} precision
 * @returns {Promise<{name: string, classes: string[], predict: (image: ImageData) => Promise<object>}>}
 */
export async function load(folder, precision = "fp32") {
  const spec = await (await fetched(`${folder}/spec.json`)).json();
  const { file, temperature, abstain_threshold: threshold } = spec.precisions[precision];
  const session = await ort.InferenceSession.create(await (await fetched(`${folder}/${file}`)).arrayBuffer());
  const { size, channels } = spec.input;

  async function predict(image) {
    const tensor = new ort.Tensor("float32", toInput(image, spec.input), [1, channels, size, size]);
    const logits = Array.from((await session.run({ image: tensor })).logits.data, (value) => value / temperature);
    const largest = Math.max(...logits);
    const powers = logits.map((value) => Math.exp(value - largest));
    const sum = powers.reduce((a, b) => a + b, 0);
    const probabilities = powers.map((value) => value / sum);
    const confidence = Math.max(...probabilities);
    const label = spec.classes[probabilities.indexOf(confidence)];
    return { label, confidence, uncertain: confidence < threshold, probabilities };
  }

  return { name: spec.name, classes: spec.classes, predict };
}

/**
 * The pixels of a picture.
 * @param {Blob} file
 * @returns {Promise<ImageData>} upright
 */
export async function decode(file) {
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  return pixels(await createImageBitmap(file, options));
}

/**
 * The pixels of a part of something that can be drawn, by default of all of it.
 * @param {CanvasImageSource} source
 * @param {{x: number, y: number, width: number, height: number}} [part]
 * @returns {ImageData}
 */
export function pixels(source, part) {
  const box = part ?? { x: 0, y: 0, width: source.videoWidth ?? source.width, height: source.videoHeight ?? source.height };
  const canvas = new OffscreenCanvas(box.width, box.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(source, box.x, box.y, box.width, box.height, 0, 0, box.width, box.height);
  return context.getImageData(0, 0, box.width, box.height);
}

async function fetched(address) {
  const response = await fetch(address);
  if (!response.ok) throw new Error(`${address} cannot be loaded (status ${response.status}).`);
  return response;
}
