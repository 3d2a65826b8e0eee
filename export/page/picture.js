// Converts files and drawings to pixels, and pixels to canvases.
import { UserError } from './model.js';

const MOST_SIDE = 4096;  // of a picture that the model sees

/** Reads an image file into a canvas; shrinks it if a side is longer than `most`. */
export async function read(file, most = MOST_SIDE) {
  if (file.type && !file.type.startsWith('image/')) throw new UserError(`${file.name}: is not an image.`);
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: 'from-image' });
  } catch {
    throw new UserError(`${file.name}: cannot be read as an image.`);
  }
  const canvas = within(bitmap, most);
  bitmap.close();
  // A canvas over the browser's limit stays empty.
  if (!canvas.getContext('2d').getImageData(0, 0, 1, 1).data[3]) throw new UserError(`${file.name}: is too large for this browser.`);
  return canvas;
}

/** A copy of a picture, shrunk if a side is longer than `most`. */
export function within(picture, most) {
  const shrink = Math.min(1, most / Math.max(picture.width, picture.height));
  const canvas = sized(Math.max(1, Math.round(picture.width * shrink)), Math.max(1, Math.round(picture.height * shrink)));
  const context = canvas.getContext('2d');
  context.fillStyle = '#fff';  // transparent pixels become white, as in training
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/**
 * Draws a square of a picture, turned, so that it fills a canvas.
 * @param {{x: number, y: number, size: number, turn: number}} square its centre as shares of the
 *     picture's width and height, its side as a share of the shorter side, and degrees
 * @param {boolean} mirrored show the picture's mirror images outside its edges, instead of black
 */
export function drawSquare(picture, square, canvas, mirrored = true) {
  const context = canvas.getContext('2d'), { width, height } = picture;
  const side = square.size * Math.min(width, height), turn = square.turn * Math.PI / 180;
  const x = square.x * width, y = square.y * height;
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.fillStyle = '#000';
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingQuality = 'high';
  context.translate(canvas.width / 2, canvas.height / 2);
  context.scale(canvas.width / side, canvas.width / side);
  context.rotate(-turn);
  context.translate(-x, -y);
  const reach = mirrored ? (Math.abs(Math.cos(turn)) + Math.abs(Math.sin(turn))) * side / 2 : 0;
  const tiles = (middle, length) => {
    const first = Math.floor((middle - reach) / length), last = Math.ceil((middle + reach) / length) - 1;
    return mirrored ? Array.from({ length: last - first + 1 }, (_, i) => first + i) : [0];
  };
  for (const row of tiles(y, height)) {
    for (const column of tiles(x, width)) {
      context.save();
      context.translate((column + Math.abs(column % 2)) * width, (row + Math.abs(row % 2)) * height);
      context.scale(column % 2 ? -1 : 1, row % 2 ? -1 : 1);
      context.drawImage(picture, 0, 0);
      context.restore();
    }
  }
}

/** The pixels of a square for the model (Uint8), each averaged from finer ones. */
export function pixelsOf(picture, square, about) {
  const side = square.size * Math.min(picture.width, picture.height);
  const finer = Math.max(1, Math.min(16, Math.floor(side / about.resolution)));
  const canvas = sized(about.resolution * finer, about.resolution * finer);
  drawSquare(picture, square, canvas);
  return means(canvas, finer, about.channels);
}

/** Shrinks a canvas by averaging finer × finer pixels: Uint8, RGB or grey (luma). */
function means(canvas, finer, channels) {
  const { width } = canvas, side = width / finer;
  const fine = canvas.getContext('2d').getImageData(0, 0, width, width).data;
  const sums = new Float64Array(side * side * 3);
  for (let y = 0; y < width; y++) {
    for (let x = 0; x < width; x++) {
      const to = 3 * (Math.floor(y / finer) * side + Math.floor(x / finer)), from = 4 * (y * width + x);
      for (let c = 0; c < 3; c++) sums[to + c] += fine[from + c];
    }
  }
  const rgb = sums.map((sum) => sum / (finer * finer));
  if (channels === 3) return Uint8ClampedArray.from(rgb);
  return Uint8ClampedArray.from({ length: side * side }, (_, i) =>
    0.299 * rgb[3 * i] + 0.587 * rgb[3 * i + 1] + 0.114 * rgb[3 * i + 2]);
}

/**
 * Scales and centres a drawing like the digits of MNIST: in a box of 20 of 28 pixels, with the
 * centre of mass in the middle. Null if nothing is drawn.
 */
export function digitOf(drawing, about) {
  const { width, height } = drawing;
  const data = drawing.getContext('2d').getImageData(0, 0, width, height).data;
  let left = width, right = -1, top = height, bottom = -1, mass = 0, middleX = 0, middleY = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const ink = data[4 * (y * width + x)];
      if (ink < 64) continue;
      left = Math.min(left, x); right = Math.max(right, x);
      top = Math.min(top, y); bottom = Math.max(bottom, y);
      mass += ink; middleX += ink * x; middleY += ink * y;
    }
  }
  if (right < 0) return null;
  const finer = 8, canvas = sized(about.resolution * finer, about.resolution * finer);
  const context = canvas.getContext('2d');
  context.fillStyle = '#000';
  context.fillRect(0, 0, canvas.width, canvas.width);
  // As in training, a digit of 28 px gets a border of 2 px before it is resized.
  const scale = 20 * finer * (about.resolution === 28 ? 1 : about.resolution / 32) / Math.max(right - left + 1, bottom - top + 1);
  context.translate(canvas.width / 2, canvas.width / 2);
  context.scale(scale, scale);
  context.drawImage(drawing, -middleX / mass, -middleY / mass);
  return means(canvas, finer, about.channels);
}

/** Shows the pixels of an image on a canvas. */
export function show(canvas, pixels, about) {
  const { resolution, channels } = about;
  canvas.width = canvas.height = resolution;
  const image = new ImageData(resolution, resolution);
  for (let i = 0; i < resolution * resolution; i++) {
    for (let c = 0; c < 3; c++) image.data[4 * i + c] = pixels[channels * i + (channels === 3 ? c : 0)];
    image.data[4 * i + 3] = 255;
  }
  canvas.getContext('2d').putImageData(image, 0, 0);
}

/** Makes a canvas a copy of another. */
export function copy(from, canvas) {
  Object.assign(canvas, { width: from.width, height: from.height });
  canvas.getContext('2d', { willReadFrequently: true }).drawImage(from, 0, 0);
}

/** A canvas enlarged four times, by repeating pixels. */
export function enlarged(canvas) {
  const large = sized(canvas.width * 4, canvas.height * 4), context = large.getContext('2d');
  context.imageSmoothingEnabled = false;
  context.drawImage(canvas, 0, 0, large.width, large.height);
  return large;
}

/** Downloads a canvas as a PNG file. */
export async function download(canvas, name) {
  const file = await new Promise((done) => canvas.toBlob(done, 'image/png'));
  if (!file) throw new UserError(`${name}: is too large for this browser.`);
  const link = document.createElement('a');
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60000);  // when the browser has read it
}

/** A canvas in the processor's memory, since its pixels are read. */
export function sized(width, height) {
  const canvas = Object.assign(document.createElement('canvas'), { width, height });
  canvas.getContext('2d', { willReadFrequently: true });
  return canvas;
}
