// Descriptors of drawn pictures by the package @vladmandic/face-api itself → identity.json.
//
//   npm install @vladmandic/face-api@1.7.15 @tensorflow/tfjs@4.22.0
//   python -c 'from tests.helpers.drawn_faces import drawn_faces; drawn_faces().tofile("faces.raw")'
//   node tests/goldens/identity.cjs faces.raw tests/goldens/identity.json
//
// TensorFlow.js computes in JavaScript (backend cpu); the package names its native build, which is
// not needed.
const fs = require('node:fs');
const Module = require('node:module');
const path = require('node:path');

const here = Module.createRequire(path.join(process.cwd(), 'index.js'));
const resolve = Module._resolveFilename;
Module._resolveFilename = (name, ...rest) =>
  name === '@tensorflow/tfjs-node' ? here.resolve('@tensorflow/tfjs') : resolve(name, ...rest);

const SIDE = 150;

async function main(pictures, out) {
  const faceapi = here('@vladmandic/face-api/dist/face-api.node.js');
  const { tf } = faceapi;
  await tf.setBackend('cpu');
  await tf.ready();
  const folder = path.join(path.dirname(here.resolve('@vladmandic/face-api/package.json')), 'model');
  await faceapi.nets.faceRecognitionNet.loadFromDisk(folder);
  const pixels = new Uint8Array(fs.readFileSync(pictures));
  const size = SIDE * SIDE * 3;
  const descriptors = [];
  for (let start = 0; start < pixels.length; start += size) {
    const image = tf.tensor3d(pixels.slice(start, start + size), [SIDE, SIDE, 3], 'int32');
    const found = await faceapi.computeFaceDescriptor(image);
    descriptors.push(Array.from(found, (x) => Number(x.toFixed(6))));
  }
  fs.writeFileSync(out, JSON.stringify({ descriptors }));
}

main(...process.argv.slice(2));
