// The page: settings of the visitor, and what is drawn from them.
import * as codes from './codes.js';
import { Model, UserError } from './model.js';
import { pasteBack } from './paste.js';
import * as picture from './picture.js';

const $ = (id) => document.getElementById(id);
const ORDER = ['coarse', 'middle', 'fine'];
const FRAMES = 24;  // of an animation from one image to another
const PREVIEW = 512;  // longest side of the photo in which an edit is shown, in pixels

/** The choices of the visitor, which determine everything that is drawn. */
const state = {
  model: null,
  chosen: null,  // name and kind of the model
  again: null,  // encodes the image again, after a change of model
  file: null,  // the picture's file
  picture: null,  // a canvas, of which the model sees a square
  preview: null,  // a smaller copy of it
  square: { x: 0.5, y: 0.5, size: 1, turn: 0 },
  styles: null,  // of the code that is edited, from E or F
  caption: '',
  photo: null,  // the picture that the code comes from, if any: file, preview, square, and G(E(x))
  other: null,  // styles of B
  amounts: {},  // of movement, by name of direction
  mixed: new Set(),  // names of ranges of levels, taken from B
};

function say(text, wrong = false) {
  $('status').textContent = text;
  $('status').classList.toggle('wrong', wrong);
}

/** Runs an action; an error is shown as a message, and the page stays usable. */
async function attempt(work) {
  try {
    await work();
    if ($('status').classList.contains('wrong') && work !== drawNow) say('');
  } catch (error) {
    say(error instanceof UserError ? error.message : `This failed (${error.message ?? error}).`, true);
    if (!(error instanceof UserError)) console.error(error);
  }
}

/** Draws one image at a time; requests that arrive meanwhile are merged. */
let drawing = null, wanted = false, playing = 0;
function draw() {
  playing++;  // ends the animation
  if (drawing) { wanted = true; return drawing; }
  drawing = attempt(drawNow).finally(() => {
    drawing = null;
    if (wanted) { wanted = false; draw(); }
  });
  return drawing;
}

/** The styles, edited as the visitor chose. */
function edited() {
  const { about } = state.model;
  let styles = state.styles;
  if (state.other) {
    for (const name of state.mixed) styles = codes.mix(styles, state.other, about.ranges[name], about.latent);
  }
  for (const { name, vector } of about.directions) {
    if (state.amounts[name]) styles = codes.move(styles, vector, state.amounts[name]);
  }
  return styles;
}

async function drawNow() {
  if (!state.styles) return;
  const { photo } = state, begun = performance.now();
  const pixels = await show($('result'), edited());
  $('caption').textContent = state.caption;
  $('time').textContent = `${Math.round(performance.now() - begun)} ms for G, on this device's processor`;
  if (photo !== state.photo) return;  // a newer code will be drawn
  $('in-photo').hidden = !photo;
  if (!photo) return;
  picture.copy(photo.preview, $('photo'));
  paste($('photo'), photo, pixels, state.model.about);
}

async function show(canvas, styles) {
  const { model } = state;
  const pixels = await model.decode(styles);
  if (model === state.model) picture.show(canvas, pixels, model.about);  // not after a change of model
  return pixels;
}

/** Pastes an edit into a canvas of the photo, as the visitor chose. */
function paste(canvas, { square, unedited }, edited, about) {
  pasteBack(canvas, square, edited, $('paste').value === 'whole' ? null : unedited, about);
}

/** Downloads the photo, at its own size, with the edit. */
async function savePhoto() {
  const { model, photo } = state;
  say('Writing the photo …');
  const pixels = await model.decode(edited());
  const canvas = await picture.read(photo.file, Infinity);
  paste(canvas, photo, pixels, model.about);
  await picture.download(canvas, `${photo.file.name.replace(/\.[^.]*$/, '')}-edited.png`);
  say('');
}

/** Encodes pixels, and starts editing their code. `photo`, for pixels of a picture: see `state`. */
async function encode(pixels, photo = null) {
  const { model } = state, { about } = model, begun = performance.now();
  picture.show($('seen'), pixels, about);
  const styles = await model.encode(pixels);
  if (photo) photo.unedited = await model.decode(styles);
  if (model !== state.model) return;
  await begin(styles, 'G(E(x))', photo);
  const took = Math.round(performance.now() - begun);
  await draw();
  $('time').textContent = `${took} ms for E; ${$('time').textContent}`;
}

async function begin(styles, caption, photo = null) {
  Object.assign(state, { styles, caption, photo });
  if (!state.other) await keep();
}

/** Makes the drawn image B. */
async function keep() {
  state.other = edited();
  await show($('other'), state.other);
}

// An image: from a file, a camera, the clipboard, or drawn.

let taking = 0;
async function take(files) {
  const mine = ++taking;
  if (!state.model) throw new UserError('The model is still loading. Try again in a moment.');
  if (!files.length) throw new UserError('No image file was given.');
  const read = await picture.read(files[0]);
  if (mine !== taking) return;  // a later file was chosen
  Object.assign(state, { file: files[0], picture: read, preview: picture.within(read, PREVIEW), again: look });
  $('framed').hidden = false;
  say(files.length > 1 ? `${files.length} files: only the first is used.` : '');
  state.square = { x: 0.5, y: 0.5, size: 1, turn: 0 };
  for (const name of ['x', 'y', 'size', 'turn']) $(name).value = state.square[name];
  await look();
}

/** Shows the square of the picture, and encodes it. */
async function look() {
  if (!state.picture) return;
  const { file, preview } = state, square = { ...state.square };
  picture.drawSquare(state.picture, square, $('crop'));
  await encode(picture.pixelsOf(state.picture, square, state.model.about), { file, preview, square });
}

let looking = 0;
function lookSoon() {
  cancelAnimationFrame(looking);
  looking = requestAnimationFrame(() => attempt(look));
}

function listenToInput() {
  for (const id of ['file', 'camera']) {
    $(id).addEventListener('change', (event) => {
      const files = [...event.target.files];
      event.target.value = '';  // lets the visitor choose the same file again
      attempt(() => take(files));
    });
  }
  const drop = document.body;
  drop.addEventListener('dragover', (event) => { event.preventDefault(); $('drop').classList.add('over'); });
  drop.addEventListener('dragleave', () => $('drop').classList.remove('over'));
  drop.addEventListener('drop', (event) => {
    event.preventDefault();
    $('drop').classList.remove('over');
    attempt(() => take([...event.dataTransfer.files]));
  });
  document.addEventListener('paste', (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) attempt(() => take(files));
  });
  for (const name of ['x', 'y', 'size', 'turn']) {
    $(name).addEventListener('input', () => { state.square[name] = Number($(name).value); lookSoon(); });
  }
  dragged($('crop'), (dx, dy) => {
    if (!state.picture) return;
    const side = state.square.size * Math.min(state.picture.width, state.picture.height);
    const turn = state.square.turn * Math.PI / 180;
    const [x, y] = [dx * Math.cos(turn) - dy * Math.sin(turn), dx * Math.sin(turn) + dy * Math.cos(turn)];
    state.square.x = Math.min(1, Math.max(0, state.square.x - x * side / state.picture.width));
    state.square.y = Math.min(1, Math.max(0, state.square.y - y * side / state.picture.height));
    $('x').value = state.square.x;
    $('y').value = state.square.y;
    lookSoon();
  });
}

/** Encodes the drawing. */
async function readPad() {
  const { about } = state.model, pixels = about.channels === 1 && picture.digitOf($('draw'), about);
  if (pixels) await encode(pixels);
}

function listenToPen() {
  const pad = $('draw'), pen = pad.getContext('2d', { willReadFrequently: true });
  const clear = () => { pen.fillStyle = '#000'; pen.fillRect(0, 0, pad.width, pad.height); };
  Object.assign(pen, { lineWidth: 20, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
  clear();
  $('clear').addEventListener('click', clear);
  dragged(pad, (dx, dy, x, y) => {
    pen.beginPath();
    pen.moveTo((x - dx) * pad.width, (y - dy) * pad.height);
    pen.lineTo(x * pad.width, y * pad.height);
    pen.stroke();
  }, () => attempt(() => { state.again = readPad; return readPad(); }));
}

/** Calls moved(dx, dy, x, y), in shares of the canvas, while a pointer is down; then ended(). */
function dragged(canvas, moved, ended = () => {}) {
  let last = null;
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  canvas.addEventListener('pointerdown', (event) => {
    last = at(event);
    moved(0, 0, ...last);  // a click is a dot
    if (event.isTrusted) canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener('pointermove', (event) => {
    if (!last) return;
    const [x, y] = at(event);
    moved(x - last[0], y - last[1], x, y);
    last = [x, y];
  });
  for (const name of ['pointerup', 'pointercancel']) {
    canvas.addEventListener(name, () => { if (last) { last = null; ended(); } });
  }
}

// Editing.

/** Creates a slider for each direction and a checkbox for each range of levels. */
function layOut(about) {
  $('sliders').replaceChildren(...about.directions.map(({ name, span }) => {
    const label = document.createElement('label'), slider = document.createElement('input');
    Object.assign(slider, { type: 'range', min: -span, max: span, step: span / 50, value: 0, name });
    slider.addEventListener('input', () => { state.amounts[name] = Number(slider.value); draw(); });
    label.append(name, slider);
    return label;
  }));
  const ranges = ORDER.filter((name) => about.ranges[name]);
  $('mix').hidden = !ranges.length;
  $('mix').replaceChildren($('mix').firstElementChild, ...ranges.map((name) => {
    const label = document.createElement('label'), box = document.createElement('input');
    Object.assign(box, { type: 'checkbox', name });
    box.addEventListener('change', () => { state.mixed[box.checked ? 'add' : 'delete'](name); draw(); });
    label.append(box, ` ${name}`);
    return label;
  }));
  $('draw-box').hidden = about.channels !== 1;
}

function reset() {
  state.amounts = {};
  state.mixed.clear();
  for (const input of document.querySelectorAll('#sliders input')) input.value = 0;
  for (const input of document.querySelectorAll('#mix input')) input.checked = false;
  return draw();
}

async function another() {
  const { model } = state, { about } = model, psi = Number($('psi').value);
  const seed = Math.min(999999, Math.max(0, Math.trunc($('seed').value) || 0));
  $('psi-value').textContent = psi;
  const w = await model.map(codes.normal(about.latent, seed));
  if (model !== state.model) return;
  $('seen').width = $('seen').height = about.resolution;  // clears the image
  await begin(codes.truncate(codes.toStyles(w, about.styles), about.w_avg, psi, about.cutoff, about.latent), 'G(F(z))');
  await draw();
}

async function play() {
  if (!state.other) throw new UserError('Keep an image as B first.');
  const from = edited(), to = state.other, mine = ++playing;
  for (let i = 0; i <= 2 * FRAMES; i++) {
    await show($('result'), codes.lerp(from, to, 1 - Math.abs(1 - i / FRAMES)));
    await new Promise(requestAnimationFrame);
    if (mine !== playing) return;
  }
  await draw();
}

/** Loads the chosen model and draws an image of it; a later choice supersedes an earlier one. */
let opening = 0;
async function open() {
  const name = $('model').value, kind = $('kind').value, mine = ++opening;
  say(`Loading ${name} …`);
  document.body.setAttribute('aria-busy', 'true');
  try {
    const model = await Model.load(`./model/${encodeURIComponent(name)}`, kind);
    if (mine !== opening) { model.unload(); return; }
    state.model?.unload();
    Object.assign(state, { model, chosen: [name, kind], styles: null, photo: null, other: null, amounts: {} });
    state.mixed.clear();
    layOut(model.about);
    $('in-photo').hidden = true;
    document.querySelector('main').hidden = false;
    await another();
    await state.again?.();
    if (mine === opening) say('');
  } catch (error) {
    if (mine !== opening) return;
    if (state.chosen) [$('model').value, $('kind').value] = state.chosen;  // the model that is still loaded
    throw error;
  } finally {
    if (mine === opening) document.body.removeAttribute('aria-busy');
  }
}

async function start() {
  listenToInput();
  listenToPen();
  for (const id of ['model', 'kind']) $(id).addEventListener('change', () => attempt(open));
  $('save').addEventListener('click', () => attempt(() => picture.download(picture.enlarged($('result')), 'alae.png')));
  $('save-photo').addEventListener('click', () => attempt(savePhoto));
  $('paste').addEventListener('change', draw);
  $('keep').addEventListener('click', () => attempt(keep));
  $('play').addEventListener('click', () => attempt(play));
  $('reset').addEventListener('click', reset);
  $('random').addEventListener('click', () => { $('seed').value = (Math.trunc($('seed').value) + 1) % 1000000; attempt(another); });
  for (const id of ['seed', 'psi']) $(id).addEventListener('input', () => attempt(another));
  const answer = await fetch('./models.json');
  if (!answer.ok) throw new UserError('models.json is missing: serve the whole folder that the export wrote.');
  for (const name of await answer.json()) $('model').add(new Option(name));
  await open();
}

attempt(start);
window.alae = { state };  // for tests
