// Pastes an edited square back into its photo. The border, the interpolation (PIL's bicubic) and the
// rounding are those of alae_tf.images.warp.paste_back, which `alae align --paste_back` uses.

const FEATHER = 0.12;  // width of the border in which a pasted square fades in, in sides of the square

/**
 * Pastes a square into a photo, in place.
 * @param {HTMLCanvasElement} photo at any size
 * @param {{x: number, y: number, size: number, turn: number}} square see `drawSquare`
 * @param {Uint8ClampedArray} edited the square's pixels
 * @param {?Uint8ClampedArray} unedited its pixels before the edit: only the difference is added, and
 *     the rest of the photo stays as it is; null: the edited square replaces that part of the photo
 * @param {{resolution: number, channels: number}} about of the pixels
 */
export function pasteBack(photo, square, edited, unedited, about) {
  const length = square.size * Math.min(photo.width, photo.height), turn = square.turn * Math.PI / 180;
  const change = changeOf(edited, unedited, about, Math.max(1, Math.floor(about.resolution / length)));
  const { side } = change, across = Math.cos(turn), down = Math.sin(turn);
  const middleX = square.x * photo.width, middleY = square.y * photo.height;
  const reach = (Math.abs(across) + Math.abs(down)) * length / 2;
  const left = Math.max(0, Math.floor(middleX - reach)), right = Math.min(photo.width, Math.ceil(middleX + reach));
  const top = Math.max(0, Math.floor(middleY - reach)), bottom = Math.min(photo.height, Math.ceil(middleY + reach));
  if (right <= left || bottom <= top) return;
  const context = photo.getContext('2d');
  const image = context.getImageData(left, top, right - left, bottom - top), { data } = image;
  const values = new Float64Array(4);
  for (let y = top, i = 0; y < bottom; y++) {
    for (let x = left; x < right; x++, i += 4) {
      const dx = x + 0.5 - middleX, dy = y + 0.5 - middleY;
      const u = side / 2 + (dx * across + dy * down) * side / length;
      const v = side / 2 + (dy * across - dx * down) * side / length;
      if (u < 0 || u >= side || v < 0 || v >= side) continue;
      sample(change, u, v, values);
      const weight = Math.min(1, Math.max(0, values[3]));
      for (let c = 0; c < 3; c++) data[i + c] += weight * (values[c] - (unedited ? 0 : data[i + c]));
    }
  }
  context.putImageData(image, left, top);
}

/** What is pasted, and its weight, for each pixel: [side, side, 4], averaged over shrink × shrink. */
function changeOf(edited, unedited, { resolution, channels }, shrink) {
  const side = Math.ceil(resolution / shrink), values = new Float64Array(4 * side * side);
  const ramp = Float64Array.from({ length: side }, (_, i) => {
    const t = Math.min(1, Math.min(i + 0.5, side - 0.5 - i) / (FEATHER * side));
    return t * t * (3 - 2 * t);
  });
  const end = (i) => Math.min(resolution, (i + 1) * shrink);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const to = 4 * (y * side + x), count = (end(x) - x * shrink) * (end(y) - y * shrink);
      values[to + 3] = Math.min(ramp[x], ramp[y]);
      for (let fromY = y * shrink; fromY < end(y); fromY++) {
        for (let fromX = x * shrink; fromX < end(x); fromX++) {
          for (let c = 0; c < 3; c++) {
            const from = channels * (fromY * resolution + fromX) + (channels === 3 ? c : 0);
            values[to + c] += (edited[from] - (unedited ? unedited[from] : 0)) / count;
          }
        }
      }
    }
  }
  return { side, values };
}

/** Interpolates values [side, side, 4] at (u, v), in pixels; the edges are repeated. */
function sample({ side, values }, u, v, result) {
  const x = Math.floor(u - 0.5), y = Math.floor(v - 0.5);
  let red = 0, green = 0, blue = 0, weight = 0;
  for (let j = -1; j <= 2; j++) {
    const row = Math.min(side - 1, Math.max(0, y + j)) * side, down = cubic(v - 0.5 - y - j);
    for (let i = -1; i <= 2; i++) {
      const from = 4 * (row + Math.min(side - 1, Math.max(0, x + i))), share = down * cubic(u - 0.5 - x - i);
      red += share * values[from];
      green += share * values[from + 1];
      blue += share * values[from + 2];
      weight += share * values[from + 3];
    }
  }
  result[0] = red; result[1] = green; result[2] = blue; result[3] = weight;
}

/** The kernel of cubic convolution with a = −1, at a distance below 2. */
function cubic(distance) {
  const t = Math.abs(distance);
  return t < 1 ? 1 - t * t * (2 - t) : 4 - t * (8 - t * (5 - t));
}
