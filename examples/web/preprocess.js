/**
 * From pixels to the network's input, exactly as `mlopsproject.core.preprocess` does it with Pillow: mid-gray behind
 * transparency, ITU-R 601 gray, then a bilinear resize that is antialiased when it makes smaller.
 */

/** Bits behind the point in the weights of Pillow's 8-bit resampling (libImaging/Resample.c). */
const PRECISION = 2 ** 22;

/**
 * Gray or RGB planes of RGBA pixels.
 * @param {ImageData} image
 * @param {number} channels 1 or 3
 * @returns {Uint8Array[]} each width * height, 0-255
 */
export function planes({ data, width, height }, channels) {
  const count = width * height;
  const result = Array.from({ length: channels }, () => new Uint8Array(count));
  for (let place = 0; place < count; place += 1) {
    const alpha = data[4 * place + 3];
    let [r, g, b] = [data[4 * place], data[4 * place + 1], data[4 * place + 2]];
    if (alpha !== 255) [r, g, b] = [blend(r, alpha), blend(g, alpha), blend(b, alpha)];
    if (channels === 3) [result[0][place], result[1][place], result[2][place]] = [r, g, b];
    else result[0][place] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
  }
  return result;
}

/** A value over mid-gray. */
function blend(value, alpha) {
  return Math.round((value * alpha + 128 * (255 - alpha)) / 255);
}

/** The pixels that each output pixel is made of, and their weights. */
function weights(from, to) {
  const scale = from / to;
  const support = Math.max(scale, 1);
  return Array.from({ length: to }, (_, place) => {
    const center = (place + 0.5) * scale;
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const last = Math.min(Math.trunc(center + support + 0.5), from);
    const values = [];
    for (let x = first; x < last; x += 1) values.push(Math.max(0, 1 - Math.abs((x - center + 0.5) / support)));
    const sum = values.reduce((a, b) => a + b, 0);
    return { first, values: values.map((value) => Math.trunc(0.5 + (value / sum) * PRECISION)) };
  });
}

function clip(sum) {
  return Math.min(255, Math.max(0, Math.floor((sum + PRECISION / 2) / PRECISION)));
}

/** Each row of a plane resized from `from` to `to` pixels. */
function resizeRows(plane, from, to) {
  if (from === to) return plane;
  const rows = plane.length / from;
  const result = new Uint8Array(to * rows);
  weights(from, to).forEach(({ first, values }, x) => {
    for (let y = 0; y < rows; y += 1) {
      let sum = 0;
      for (let i = 0; i < values.length; i += 1) sum += values[i] * plane[y * from + first + i];
      result[y * to + x] = clip(sum);
    }
  });
  return result;
}

/** Each column of a plane of `width` pixels resized from `from` to `to` pixels. */
function resizeColumns(plane, width, from, to) {
  if (from === to) return plane;
  const result = new Uint8Array(width * to);
  weights(from, to).forEach(({ first, values }, y) => {
    for (let x = 0; x < width; x += 1) {
      let sum = 0;
      for (let i = 0; i < values.length; i += 1) sum += values[i] * plane[(first + i) * width + x];
      result[y * width + x] = clip(sum);
    }
  });
  return result;
}

/**
 * Resize a plane to a square. What is rounded in between depends on the direction that comes first: Pillow 13 begins
 * with the columns where they lose more than twice as many pixels as the rows.
 * @param {Uint8Array} plane
 * @param {number} width
 * @param {number} height
 * @param {number} size side of the square in pixels
 * @returns {Uint8Array} size * size, 0-255
 */
export function resize(plane, width, height, size) {
  if (height > size && height - size > 2 * (width - size)) {
    return resizeRows(resizeColumns(plane, width, height, size), width, size);
  }
  return resizeColumns(resizeRows(plane, width, size), size, height, size);
}

/**
 * The network's input.
 * @param {ImageData} image
 * @param {{size: number, channels: number, resize_filter: string, mean: number[], std: number[]}} input of spec.json
 * @returns {Float32Array} channels * size * size
 */
export function toInput(image, input) {
  if (input.resize_filter !== "bilinear") throw new Error(`This page resizes bilinearly, the model ${input.resize_filter}.`);
  const { size, channels, mean, std } = input;
  const result = new Float32Array(channels * size * size);
  planes(image, channels).forEach((plane, c) => {
    resize(plane, image.width, image.height, size).forEach((value, place) => {
      result[c * size * size + place] = (value / 255 - mean[c]) / std[c];
    });
  });
  return result;
}
