// The page: settings of the visitor, and what is drawn from them.
import * as codes from './codes.js';
import { dragged } from './drag.js';
import { FaceFinder, squareOf } from './faces.js';
import { Frames } from './frames.js';
import { Model, UserError } from './model.js';
import { pasteBack } from './paste.js';
import * as picture from './picture.js';

const $ = (id) => document.getElementById(id);
const ORDER = ['coarse', 'middle', 'fine'];
const PLAYED = 24;  // frames of an animation from one image to another
const PREVIEW = 768;  // longest side of the photo in which faces are found and an edit is shown, in pixels
const MIDDLE = { x: 0.5, y: 0.5, size: 1, turn: 0 };

/** The choices of the visitor, which determine everything that is drawn. */
const state = {
  model: null,
  chosen: null,  // name and kind of the model
  mode: '',  // where the image comes from: photo, draw or new
  file: null,  // the picture's file
  picture: null,  // a canvas, of which the model sees a square
  preview: null,  // a smaller copy of it
  squares: [],  // one for each face that was found, or one in the middle; none until faces were looked for
  at: 0,  // number of the square that the model sees
  styles: null,  // of the code that is edited, from E or F
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

/** Runs an action once at a time; requests that arrive meanwhile are merged. */
function merging(work) {
  let running = null, again = false;
  return function request() {
    again = Boolean(running);
    running ??= attempt(work).finally(() => {
      running = null;
      return again && request();
    });
    return running;
  };
}

let playing = 0;
const drawMerged = merging(drawNow), look = merging(lookNow);
function draw() {
  playing++;  // ends the animation
  return drawMerged();
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
  $('time').textContent = `${Math.round(performance.now() - begun)} ms for G`;
  if (!photo || photo !== state.photo) return;  // or a newer code will be drawn
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
  if (!photo) throw new UserError('The photo is still being read. Try again in a moment.');
  say('Writing the photo …');
  const pixels = await model.decode(edited());
  const canvas = await picture.read(photo.file, Infinity);
  paste(canvas, photo, pixels, model.about);
  await picture.download(canvas, `${photo.file.name.replace(/\.[^.]*$/, '')}-edited.png`);
  say('');
}

/** Encodes pixels, and starts editing their code. `photo`, for pixels of a picture: see `state`. */
async function encode(pixels, photo = null) {
  const { model, mode } = state, { about } = model, begun = performance.now();
  picture.show($('seen'), pixels, about);
  const styles = await model.encode(pixels);
  if (photo) photo.unedited = await model.decode(styles);
  if (model !== state.model || mode !== state.mode) return;
  await begin(styles, photo);
  const took = Math.round(performance.now() - begun);
  await draw();
  $('time').textContent = `${took} ms for E; ${$('time').textContent}`;
}

async function begin(styles, photo = null) {
  Object.assign(state, { styles, photo });
  if (!state.other) await keep();
}

/** Makes the drawn image B. */
async function keep() {
  state.other = edited();
  await show($('other'), state.other);
}

/** Shows where the image comes from: photo, draw or new. */
function setMode(mode) {
  state.mode = document.querySelector('main').dataset.mode = mode;
  for (const each of ['photo', 'draw', 'new']) $(`to-${each}`).setAttribute('aria-pressed', each === mode);
}

/** Makes the code that of the mode's image, if it has one. */
async function renew() {
  if (state.mode === 'photo') await (state.squares.length ? look() : state.picture && frame());
  else if (state.mode === 'draw') await readPad();
  else await another();
}

async function change(mode) {
  setMode(mode);
  await renew();
}

// A photo: from a file, a camera, or the clipboard.

let taking = 0;
async function take(files) {
  const mine = ++taking;
  if (!state.model) throw new UserError('The model is still loading. Try again in a moment.');
  if (!files.length) throw new UserError('No image file was given.');
  const read = await picture.read(files[0]);
  if (mine !== taking) return;  // a later file was chosen
  say(files.length > 1 ? `${files.length} files: only the first is used.` : '');
  Object.assign(state, { file: files[0], picture: read, preview: picture.within(read, PREVIEW), photo: null });
  picture.copy(state.preview, $('photo'));
  $('view').style.setProperty('--ratio', read.width / read.height);
  $('picture').hidden = false;
  arrange([], 0);
  setMode('photo');
  await frame();
}

/** Loads the networks that find faces; all models of faces have the same. */
let finder = null;
function loadFinder() {
  if (!finder) {
    finder = FaceFinder.load(state.model.folder);
    finder.catch(() => { finder = null; });
  }
  return finder;
}

/** Puts a square around each face of the photo, or one in the middle; the model sees the first. */
let searching = 0;
async function frame() {
  const mine = ++searching, { crop } = state.model.about, { preview } = state;
  $('found').textContent = '';
  if (!crop) return place([MIDDLE]);
  let found, count = 0;
  try {
    found = (await loadFinder()).find(preview);
  } catch (error) {
    await place([MIDDLE]);
    throw error;
  }
  if (mine !== searching) return;
  for await (const face of found) {
    if (mine !== searching) return;
    const square = squareOf(face, crop, preview);
    if (!count++) await place([square]);
    else arrange([...state.squares, square]);  // the visitor may have changed the others
    $('found').textContent = count > 1 ? `${count} faces: choose one.` : '';
  }
  if (count || mine !== searching) return;
  await place([MIDDLE]);
  $('found').textContent = 'No face found. Put the square around the face.';
}

/** Shows squares, and lets the model see the first. */
function place(squares) {
  arrange(squares, 0);
  return look();
}

function arrange(squares, at = state.at) {
  Object.assign(state, { squares, at });
  frames.show(squares, at, state.picture);
}

const frames = new Frames($('frames'), (at, square) => {
  arrange(state.squares.with(at, square), at);
  look();
});

/** Encodes the chosen square of the photo. */
async function lookNow() {
  if (state.mode !== 'photo' || !state.squares.length) return;
  const { file, preview } = state, square = { ...state.squares[state.at] };
  await encode(picture.pixelsOf(state.picture, square, state.model.about), { file, preview, square });
}

function listenToInput() {
  for (const id of ['file', 'camera']) {
    $(id).addEventListener('change', (event) => {
      const files = [...event.target.files];
      event.target.value = '';  // lets the visitor choose the same file again
      attempt(() => take(files));
    });
  }
  const over = (is) => document.body.classList.toggle('over', is);
  document.addEventListener('dragover', (event) => { event.preventDefault(); over(true); });
  document.addEventListener('dragleave', () => over(false));
  document.addEventListener('drop', (event) => {
    event.preventDefault();
    over(false);
    attempt(() => take([...event.dataTransfer.files]));
  });
  document.addEventListener('paste', (event) => {
    const files = [...event.clipboardData.files];
    if (files.length) attempt(() => take(files));
  });
  const steps = { smaller: [1 / 1.05, 0], larger: [1.05, 0], left: [1, -2], right: [1, 2] };
  for (const [id, step] of Object.entries(steps)) $(id).addEventListener('click', () => state.squares.length && frames.adjust(...step));
}

// A drawing.

/** Encodes the drawing. */
async function readPad() {
  const pixels = picture.digitOf($('draw'), state.model.about);
  if (pixels) await encode(pixels);
}

function listenToPen() {
  const pad = $('draw'), pen = pad.getContext('2d', { willReadFrequently: true });
  const clear = () => {
    pen.fillStyle = '#000';
    pen.fillRect(0, 0, pad.width, pad.height);
    $('hint').hidden = false;
  };
  Object.assign(pen, { lineWidth: 30, lineCap: 'round', lineJoin: 'round', strokeStyle: '#fff' });
  clear();
  $('clear').addEventListener('click', clear);
  let last = null;
  dragged(pad, (clientX, clientY) => {
    const box = pad.getBoundingClientRect();
    const at = [(clientX - box.left) / box.width * pad.width, (clientY - box.top) / box.height * pad.height];
    $('hint').hidden = true;
    pen.beginPath();
    pen.moveTo(...(last ?? at));  // a click is a dot
    pen.lineTo(...at);
    pen.stroke();
    last = at;
  }, () => {
    last = null;
    attempt(readPad);
  });
}

// Editing.

/** Says what a model is for. */
function introduce(about) {
  const kind = `Images at ${about.resolution} px, ${about.channels === 1 ? 'grey' : 'in colour'}.`;
  $('purpose').textContent = about.purpose || kind;
}

/** Creates a slider for each direction and a checkbox for each range of levels. */
function layOut(about) {
  $('sliders').replaceChildren(...about.directions.map(({ name, span }) => {
    const label = document.createElement('label'), slider = document.createElement('input');
    Object.assign(slider, { type: 'range', min: -span, max: span, step: span / 50, value: 0, name });
    slider.addEventListener('input', () => { state.amounts[name] = Number(slider.value); draw(); });
    label.append(Object.assign(document.createElement('span'), { textContent: name }), slider);
    return label;
  }));
  $('sliders').classList.toggle('many', about.directions.length > 6);
  const ranges = ORDER.filter((name) => about.ranges[name]);
  $('mix').hidden = !ranges.length;
  $('mix').replaceChildren('Take from B:', ...ranges.map((name) => {
    const label = document.createElement('label'), box = document.createElement('input');
    Object.assign(box, { type: 'checkbox', name });
    box.addEventListener('change', () => { state.mixed[box.checked ? 'add' : 'delete'](name); draw(); });
    label.append(box, name);
    return label;
  }));
  $('to-draw').hidden = about.channels !== 1;
}

function reset() {
  state.amounts = {};
  state.mixed.clear();
  for (const input of document.querySelectorAll('#sliders input')) input.value = 0;
  for (const input of document.querySelectorAll('#mix input')) input.checked = false;
  return draw();
}

/** The visitor's seed, from 0 to 999999. */
function seed() {
  return Math.min(999999, Math.max(0, Math.trunc($('seed').value) || 0));
}

/** Draws an image of F, for the seed and ψ of the visitor. */
async function another() {
  const { model } = state, { about } = model, psi = Number($('psi').value);
  $('psi-value').textContent = psi;
  const w = await model.map(codes.normal(about.latent, seed()));
  if (model !== state.model) return;
  $('seen').width = $('seen').height = about.resolution;  // clears the image
  await begin(codes.truncate(codes.toStyles(w, about.styles), about.w_avg, psi, about.cutoff, about.latent));
  await draw();
}

async function play() {
  if (!state.other) throw new UserError('Keep an image as B first.');
  const from = edited(), to = state.other, mine = ++playing;
  for (let i = 0; i <= 2 * PLAYED; i++) {
    await show($('result'), codes.lerp(from, to, 1 - Math.abs(1 - i / PLAYED)));
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
    const folder = `./model/${encodeURIComponent(name)}`;
    const model = await Model.load(folder, kind, (about) => mine === opening && introduce(about));
    if (mine !== opening) { model.unload(); return; }
    const same = state.chosen?.[0] === name;
    state.model?.unload();
    Object.assign(state, { model, chosen: [name, kind], styles: null, photo: null, other: null, amounts: {} });
    state.mixed.clear();
    if (!same) {
      searching++;
      if (state.picture) arrange([], 0);
    }
    if (model.about.crop) loadFinder().catch(() => {});  // reported when it is to find a face
    layOut(model.about);
    if (!state.mode || (state.mode === 'draw' && $('to-draw').hidden)) setMode($('to-draw').hidden ? 'new' : 'draw');
    document.querySelector('main').hidden = false;
    await another();
    await renew();
    if (mine === opening) say('');
  } catch (error) {
    if (mine !== opening) return;
    if (state.chosen) {  // the model that is still loaded
      [$('model').value, $('kind').value] = state.chosen;
      introduce(state.model.about);
    }
    throw error;
  } finally {
    if (mine === opening) document.body.removeAttribute('aria-busy');
  }
}

async function start() {
  listenToInput();
  listenToPen();
  for (const mode of ['photo', 'draw', 'new']) $(`to-${mode}`).addEventListener('click', () => attempt(() => change(mode)));
  for (const id of ['model', 'kind']) $(id).addEventListener('change', () => attempt(open));
  $('save').addEventListener('click', () => attempt(() => picture.download(picture.enlarged($('result')), 'alae.png')));
  $('save-photo').addEventListener('click', () => attempt(savePhoto));
  $('paste').addEventListener('change', draw);
  $('keep').addEventListener('click', () => attempt(keep));
  $('play').addEventListener('click', () => attempt(play));
  $('reset').addEventListener('click', reset);
  $('random').addEventListener('click', () => { $('seed').value = (seed() + 1) % 1000000; attempt(another); });
  for (const id of ['seed', 'psi']) $(id).addEventListener('input', () => attempt(another));
  const answer = await fetch('./models.json');
  if (!answer.ok) throw new UserError('models.json is missing: serve the whole folder that the export wrote.');
  for (const name of await answer.json()) $('model').add(new Option(name));
  await open();
}

attempt(start);
window.alae = { state, frames };  // for tests
