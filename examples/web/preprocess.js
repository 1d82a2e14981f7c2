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
  const result = Array.from({ length: channels }, () => new Uint8Array(width * height));
  for (let place = 0; place < width * height; place += 1) {
    const alpha = data[4 * place + 3];
    const [r, g, b] = [0, 1, 2].map((c) =>
      alpha === 255 ? data[4 * place + c] : Math.round((data[4 * place + c] * alpha + 128 * (255 - alpha)) / 255),
    );
    if (channels === 3) [r, g, b].forEach((value, c) => (result[c][place] = value));
    else result[0][place] = (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16;
  }
  return result;
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

/**
 * Resize a plane to a square.
 * @param {Uint8Array} plane
 * @param {number} width
 * @param {number} height
 * @param {number} size side of the square in pixels
 * @returns {Uint8Array} size * size, 0-255
 */
export function resize(plane, width, height, size) {
  let [source, columns] = [plane, width];
  if (width !== size) {
    source = new Uint8Array(size * height);
    weights(width, size).forEach(({ first, values }, x) => {
      for (let y = 0; y < height; y += 1) {
        source[y * size + x] = clip(values.reduce((sum, weight, i) => sum + weight * plane[y * width + first + i], 0));
      }
    });
    columns = size;
  }
  if (height === size) return source;
  const result = new Uint8Array(size * size);
  weights(height, size).forEach(({ first, values }, y) => {
    for (let x = 0; x < size; x += 1) {
      result[y * size + x] = clip(values.reduce((sum, weight, i) => sum + weight * source[(first + i) * columns + x], 0));
    }
  });
  return result;
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
