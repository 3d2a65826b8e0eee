// Finds the faces in a photo, as alae_tf.images.faces does: MediaPipe's short-range detector finds
// them, and MediaPipe's mesh places 468 points on each. A face's square follows from its eyes and
// mouth, as in `alae align --crop=`. Points and squares are in pixels of the photo here.
import { Network } from './model.js';
import { drawSquare, sized } from './picture.js';

const SIDE = 128, MESH_SIDE = 192;  // of the networks' inputs
const LEAST_SCORE = 0.5;
const SURE = 0.75;  // score of a face that need not be looked for in the turned photo
const SAME = 0.3;  // boxes with this intersection over union, or more, show the same face
const ROOM = 1.5;  // the side of the mesh's input, in sides of the face's box
const PASSES = 5;  // at most, of the mesh, each on the square around the points of the previous one
const SETTLED = 0.01;  // passes end when the square moves less than this share of its side
const CLOSER = 128;  // least side of a part of the photo that is searched on its own

// Points of the mesh; left and right are those of the photo.
const LEFT_EYE = [33, 160, 158, 133, 153, 144], RIGHT_EYE = [362, 385, 387, 263, 373, 380];
const LEFT_CORNER = 33, RIGHT_CORNER = 263, MOUTH_LEFT = 61, MOUTH_RIGHT = 291;

/** The middles of the detector's anchors, as shares of its input's side. */
const ANCHORS = [[8, 2], [16, 6]].flatMap(([stride, count]) => {
  const along = Array.from({ length: SIDE / stride }, (_, i) => (i + 0.5) * stride / SIDE);
  return along.flatMap((y) => along.flatMap((x) => Array(count).fill([x, y])));
});

export class FaceFinder {
  /** Loads the two networks, from the folder of a model. */
  static async load(folder) {
    const finder = new FaceFinder();
    finder.detector = await Network.load(`${folder}/face_detector.tflite`);
    finder.mesh = await Network.load(`${folder}/face_mesh.tflite`);
    return finder;
  }

  /**
   * Finds the faces in a photo: first by a look at the whole photo, which is also turned to its
   * sides and upside down unless it surely shows an upright face; then by closer looks.
   * @param {HTMLCanvasElement} photo
   * @yields {number[][]} the mesh of a face, [x, y] each; of the faces of one look, the largest first
   */
  async *find(photo) {
    const { width, height } = photo, longer = Math.max(width, height);
    // The photo's square in n × n parts, and those between them.
    const parts = (n, angle = 0) => {
      const side = longer / n, squares = [];
      for (let i = 1; i < 2 * n; i++) {
        for (let j = 1; j < 2 * n; j++) {
          const x = (width - longer + j * side) / 2, y = (height - longer + i * side) / 2;
          if (x > 0 && x < width && y > 0 && y < height) squares.push({ x, y, side, angle });
        }
      }
      return n === 1 || side >= CLOSER ? squares : [];
    };
    const turned = [-90, 90, 180].flatMap((degrees) => parts(1, degrees * Math.PI / 180));
    const found = [];
    for (const n of [1, 2, 4]) {
      if (n === 4 && found.length) return;
      const boxes = await this.detect(photo, parts(n));
      if (n === 1 && boxes.every(({ score }) => score < SURE)) boxes.push(...await this.detect(photo, turned));
      for (const box of apart(boxes).sort((a, b) => b.square.side - a.square.side)) {
        if (found.some((face) => overlap(face, box.bounds) >= SAME)) continue;
        const mesh = await this.look(photo, box.square);
        if (!mesh || found.some((face) => overlap(face, boundsOf(mesh)) >= SAME)) continue;
        found.push(boundsOf(mesh));
        yield mesh;
      }
    }
  }

  /** The boxes of faces in squares of the photo: score, bounds, and the mesh's input square. */
  async detect(photo, squares) {
    const boxes = [];
    for (const square of squares) {
      const outputs = await this.detector.run(input(photo, square, SIDE, 2, -1), [1, SIDE, SIDE, 3]);
      const [scores, values] = outputs.sort((a, b) => a.length - b.length);
      ANCHORS.forEach(([x, y], i) => {
        const score = sigmoid(scores[i]);
        if (score < LEAST_SCORE) return;
        const at = (k) => toPhoto(square, x + values[16 * i + k] / SIDE, y + values[16 * i + k + 1] / SIDE);
        const middle = at(0), left = at(4), right = at(6);
        const side = Math.max(values[16 * i + 2], values[16 * i + 3]) / SIDE * square.side;
        boxes.push({
          score,
          bounds: [middle[0] - side / 2, middle[1] - side / 2, middle[0] + side / 2, middle[1] + side / 2],
          square: { x: middle[0], y: middle[1], side: side * ROOM, angle: angleOf(left, right) },
        });
      });
    }
    return boxes;
  }

  /** The mesh of the face in a square of the photo; null if there is none. */
  async look(photo, square) {
    for (let pass = 1; ; pass++) {
      const outputs = await this.mesh.run(input(photo, square, MESH_SIDE, 1, 0), [1, MESH_SIDE, MESH_SIDE, 3]);
      const [[logit], values] = outputs.sort((a, b) => a.length - b.length);
      if (sigmoid(logit) < LEAST_SCORE) return null;
      const points = Array.from({ length: values.length / 3 }, (_, i) =>
        toPhoto(square, values[3 * i] / MESH_SIDE, values[3 * i + 1] / MESH_SIDE));
      const next = around(points);
      const moved = Math.hypot(next.x - square.x, next.y - square.y) + Math.abs(next.side - square.side)
        + Math.abs(Math.sin(next.angle - square.angle)) * next.side / 2;
      if (pass === PASSES || moved < SETTLED * next.side) return points;
      square = next;
    }
  }
}

/**
 * The square around a face, as alae_tf.images.alignment.Crop.quad has it.
 * @param {number[][]} points the face's mesh
 * @param {{eyes: number, mouth: number, down: number}} crop see `Crop`
 * @param {HTMLCanvasElement} photo
 * @returns a square for `drawSquare`
 */
export function squareOf(points, crop, photo) {
  const left = mean(LEFT_EYE.map((i) => points[i])), right = mean(RIGHT_EYE.map((i) => points[i]));
  const eyes = mean([left, right]), mouth = mean([points[MOUTH_LEFT], points[MOUTH_RIGHT]]);
  const across = [right[0] - left[0], right[1] - left[1]], down = [mouth[0] - eyes[0], mouth[1] - eyes[1]];
  const side = Math.max(Math.hypot(...across) * crop.eyes, Math.hypot(...down) * crop.mouth);
  const angle = Math.atan2(across[1] - down[0], across[0] + down[1]);
  return shares({ x: eyes[0] + crop.down * down[0], y: eyes[1] + crop.down * down[1], side, angle }, photo);
}

/** A square as `drawSquare` takes it. */
function shares({ x, y, side, angle }, { width, height }) {
  return { x: x / width, y: y / height, size: side / Math.min(width, height), turn: angle * 180 / Math.PI };
}

/** A square of the photo as a network's input, from pixels in [0, 1]. */
function input(photo, square, side, scale, offset) {
  const canvas = sized(side, side);
  drawSquare(photo, shares(square, photo), canvas, false);
  const { data } = canvas.getContext('2d').getImageData(0, 0, side, side);
  const values = new Float32Array(3 * side * side);
  for (let from = 0, to = 0; to < values.length; from++) {
    if (from % 4 < 3) values[to++] = data[from] / 255 * scale + offset;
  }
  return values;
}

/** A point of a square, given as shares of its side, in the photo. */
function toPhoto({ x, y, side, angle }, u, v) {
  const across = Math.cos(angle) * side, down = Math.sin(angle) * side;
  return [x + (u - 0.5) * across - (v - 0.5) * down, y + (u - 0.5) * down + (v - 0.5) * across];
}

/** The mesh's input square around its points, upright as the eyes are. */
function around(points) {
  const angle = angleOf(points[LEFT_CORNER], points[RIGHT_CORNER]), cos = Math.cos(angle), sin = Math.sin(angle);
  const [left, top, right, bottom] = boundsOf(points.map(([x, y]) => [x * cos + y * sin, y * cos - x * sin]));
  const u = (left + right) / 2, v = (top + bottom) / 2;
  return { x: u * cos - v * sin, y: u * sin + v * cos, side: Math.max(right - left, bottom - top) * ROOM, angle };
}

/** The boxes with the highest score among overlapping ones. */
function apart(boxes) {
  const kept = [];
  for (const box of boxes.sort((a, b) => b.score - a.score)) {
    if (kept.every((other) => overlap(box.bounds, other.bounds) < SAME)) kept.push(box);
  }
  return kept;
}

/** Intersection over union of boxes: left, top, right, bottom. */
function overlap(a, b) {
  const area = ([left, top, right, bottom]) => Math.max(0, right - left) * Math.max(0, bottom - top);
  const shared = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  return shared / (area(a) + area(b) - shared);
}

function boundsOf(points) {
  const xs = points.map(([x]) => x), ys = points.map(([, y]) => y);
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function mean(points) {
  return [0, 1].map((i) => points.reduce((sum, point) => sum + point[i], 0) / points.length);
}

function angleOf(left, right) {
  return Math.atan2(right[1] - left[1], right[0] - left[0]);
}

function sigmoid(x) {
  return 1 / (1 + Math.exp(-x));
}
