// The squares over the photo: the visitor chooses one, moves, scales and turns it.
import { dragged } from './drag.js';

const STEP = 0.02;  // of a key, in sides of the square
const KEYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Frames {
  /**
   * @param {HTMLElement} box lies over the photo and has its size
   * @param {function(number, object): void} changed gets the number of the chosen square and the
   *     square itself (see `drawSquare`), whenever the visitor chooses or changes one
   */
  constructor(box, changed) {
    Object.assign(this, { box, changed, squares: [], chosen: 0 });
    box.addEventListener('click', (event) => {
      if (event.target !== box || !this.squares.length) return;
      const [x, y] = this.at(event.clientX, event.clientY);
      this.change({ x: x / this.width, y: y / this.height });
    });
  }

  /** Shows the squares of a photo; `chosen`: the number of the one that the model sees. */
  show(squares, chosen, { width, height }) {
    Object.assign(this, { squares, chosen, width, height });
    while (this.box.childElementCount > squares.length) this.box.lastChild.remove();
    while (this.box.childElementCount < squares.length) this.box.append(this.frame(this.box.childElementCount));
    [...this.box.children].forEach((frame, i) => {
      const { x, y, size, turn } = squares[i], count = squares.length;
      frame.setAttribute('aria-label', count > 1 ? `Face ${i + 1} of ${count}` : 'The square that the model sees');
      frame.style.left = `${100 * x}%`;
      frame.style.top = `${100 * y}%`;
      frame.style.width = `${100 * size * Math.min(width, height) / width}%`;
      frame.style.rotate = `${turn}deg`;
      frame.setAttribute('aria-pressed', i === chosen);
    });
  }

  frame(i) {
    const frame = document.createElement('button');
    frame.title = 'Drag, or use the arrow keys; with Shift, they scale and turn.';
    for (const name of ['nw', 'ne', 'se', 'sw', 'knob']) {
      frame.append(Object.assign(document.createElement('span'), { className: name }));
    }
    frame.addEventListener('click', () => {
      if (i !== this.chosen) this.choose(i);
    });
    frame.addEventListener('keydown', (event) => {
      const step = KEYS[event.key];
      if (!step || i !== this.chosen) return;
      event.preventDefault();
      if (event.shiftKey) this.adjust(1 - step[1] * STEP, step[0]);
      else this.move(step[0] * STEP * this.side, step[1] * STEP * this.side);
    });
    this.follow(frame, i);
    return frame;
  }

  /** Lets a pointer move a frame, scale it by a corner, or turn it by the knob. */
  follow(frame, i) {
    let handle, last;
    dragged(frame, (clientX, clientY) => {
      const [x, y] = this.at(clientX, clientY), square = this.squares[i];
      const dx = x - square.x * this.width, dy = y - square.y * this.height;
      if (handle === 'knob') this.change({ turn: Math.atan2(dx, -dy) * 180 / Math.PI });
      else if (handle) {
        const turn = square.turn * Math.PI / 180, cos = Math.cos(turn), sin = Math.sin(turn);
        const side = Math.abs(dx * cos + dy * sin) + Math.abs(dy * cos - dx * sin);
        this.change({ size: side / Math.min(this.width, this.height) });
      } else if (last) this.move(x - last[0], y - last[1]);
      last = [x, y];
    }, () => {}, (event) => {
      handle = event.target.className;
      last = null;
      return i === this.chosen;
    });
  }

  /** A position in the window, in pixels of the photo. */
  at(clientX, clientY) {
    const { left, top, width, height } = this.box.getBoundingClientRect();
    return [(clientX - left) / width * this.width, (clientY - top) / height * this.height];
  }

  /** The chosen square's side, in pixels of the photo. */
  get side() {
    return this.squares[this.chosen].size * Math.min(this.width, this.height);
  }

  choose(i) {
    this.changed(i, this.squares[i]);
  }

  move(dx, dy) {
    const { x, y } = this.squares[this.chosen];
    this.change({ x: x + dx / this.width, y: y + dy / this.height });
  }

  /** Scales the chosen square by a factor, and turns it by degrees. */
  adjust(factor, degrees) {
    const { size, turn } = this.squares[this.chosen];
    this.change({ size: size * factor, turn: turn + degrees });
  }

  change(change) {
    const { x, y, size, turn } = { ...this.squares[this.chosen], ...change };
    const within = (value, low, high) => Math.min(high, Math.max(low, value));
    this.changed(this.chosen, {
      x: within(x, 0, 1),
      y: within(y, 0, 1),
      size: within(size, 0.02, 2),
      turn: turn - 360 * Math.round(turn / 360),
    });
  }
}
