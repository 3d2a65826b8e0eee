// E, G and F of an exported model, run by LiteRT.js on the CPU.
import { loadAndCompile, loadLiteRt, Tensor } from '@litertjs/core';

let runtime;  // one for all models

/** What went wrong, in a sentence for the visitor. */
export class Told extends Error {}

export class Model {
  /**
   * Loads a model.
   * @param {string} folder with model.json and the .tflite files
   * @param {string} kind "" for float32, or what the names of the files end in
   */
  static async load(folder, kind) {
    if (typeof WebAssembly !== 'object') throw new Told('This browser has no WebAssembly, which the model needs.');
    try {
      runtime ??= loadLiteRt(import.meta.resolve('@litertjs/core/wasm/'));
      await runtime;
    } catch (error) {
      runtime = undefined;
      throw new Told(`The runtime does not load (${error.message ?? error}).`);
    }
    const model = new Model();
    model.about = await fetchOr(`${folder}/model.json`, (answer) => answer.json());
    model.networks = {};
    for (const name of ['encoder', 'decoder', 'mapping']) {
      const file = `${folder}/${name}${name === 'mapping' ? '' : kind}.tflite`;
      const bytes = await fetchOr(file, async (answer) => new Uint8Array(await answer.arrayBuffer()));
      try {
        model.networks[name] = await loadAndCompile(bytes, { accelerator: 'wasm' });
      } catch (error) {
        throw new Told(`${file} is no model that runs here (${String(error.message ?? error).slice(0, 120)}).`);
      }
    }
    return model;
  }

  /** Frees what the runtime holds. */
  unload() {
    Object.values(this.networks).forEach((network) => network.delete());
  }

  /** E: pixels (Uint8, one image) → w. */
  encode(pixels) {
    const { resolution, channels } = this.about;
    const images = Float32Array.from(pixels, (value) => value / 127.5 - 1);
    return this.run('encoder', images, [1, resolution, resolution, channels]);
  }

  /** G: styles → pixels (Uint8Clamped, one image), rounded to even as Keras' are. */
  async decode(styles) {
    const images = await this.run('decoder', styles, [1, this.about.styles, this.about.latent]);
    return Uint8ClampedArray.from(images, (value) => value * 127.5 + 127.5);
  }

  /** F: z → w. */
  map(z) {
    return this.run('mapping', z, [1, this.about.latent]);
  }

  async run(name, values, shape) {
    const input = new Tensor(values, shape);
    const outputs = await this.networks[name].run([input]);
    const result = Float32Array.from(await outputs[0].data());
    input.delete();
    outputs.forEach((output) => output.delete());
    return result;
  }
}

async function fetchOr(file, read) {
  let answer;
  try {
    answer = await fetch(file);
  } catch (error) {
    throw new Told(`${file} cannot be fetched (${error.message}).`);
  }
  if (!answer.ok) throw new Told(`${file} cannot be fetched (${answer.status}).`);
  try {
    return await read(answer);
  } catch (error) {
    throw new Told(`${file} is damaged (${error.message}).`);
  }
}
