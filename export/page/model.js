// E, G and F of an exported model, run by LiteRT.js on the CPU.
let runtime;  // a promise of LiteRT.js, shared by all models

/** An error whose message is for the visitor. */
export class UserError extends Error {}

async function loadRuntime() {
  const litert = await import('@litertjs/core');
  await litert.loadLiteRt(import.meta.resolve('@litertjs/core/wasm/'));
  return litert;
}

export class Model {
  /**
   * Loads a model.
   * @param {string} folder with model.json and the .tflite files
   * @param {string} kind suffix of the file names: "" for float32
   */
  static async load(folder, kind) {
    if (typeof WebAssembly !== 'object') throw new UserError('This browser has no WebAssembly, which the model needs.');
    try {
      runtime ??= loadRuntime();
      await runtime;
    } catch (error) {
      runtime = undefined;
      throw new UserError(`The runtime does not load (${error.message ?? error}).`);
    }
    const model = new Model();
    model.litert = await runtime;
    model.about = await fetchOr(`${folder}/model.json`, (answer) => answer.json());
    model.networks = {};
    model.last = Promise.resolve();
    try {
      for (const name of ['encoder', 'decoder', 'mapping']) {
        const file = `${folder}/${name}${name === 'mapping' ? '' : kind}.tflite`;
        const bytes = await fetchOr(file, async (answer) => new Uint8Array(await answer.arrayBuffer()));
        model.networks[name] = await model.litert.loadAndCompile(bytes, { accelerator: 'wasm' }).catch((error) => {
          throw new UserError(`${file} cannot be run in this browser (${String(error.message ?? error).slice(0, 120)}).`);
        });
      }
    } catch (error) {
      model.unload();
      throw error;
    }
    return model;
  }

  /** Frees the memory of the model, after its pending calls. */
  unload() {
    this.last = this.last.then(() => Object.values(this.networks).forEach((network) => network.delete()));
  }

  /** E: pixels (Uint8, one image) → styles, a code for each layer of G. */
  encode(pixels) {
    const { resolution, channels } = this.about;
    const images = Float32Array.from(pixels, (value) => value / 127.5 - 1);
    return this.run('encoder', images, [1, resolution, resolution, channels]);
  }

  /** G: styles → pixels (Uint8Clamped, one image), rounded to even like Keras'. */
  async decode(styles) {
    const images = await this.run('decoder', styles, [1, this.about.styles, this.about.latent]);
    return Uint8ClampedArray.from(images, (value) => value * 127.5 + 127.5);
  }

  /** F: z → w. */
  map(z) {
    return this.run('mapping', z, [1, this.about.latent]);
  }

  /** Queues a call, since the runtime handles one at a time. */
  run(name, values, shape) {
    const result = this.last.then(() => this.runNow(name, values, shape));
    this.last = result.catch(() => {});
    return result;
  }

  async runNow(name, values, shape) {
    const input = new this.litert.Tensor(values, shape);
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
    throw new UserError(`${file} cannot be fetched (${error.message}).`);
  }
  if (!answer.ok) throw new UserError(`${file} cannot be fetched (${answer.status}).`);
  try {
    return await read(answer);
  } catch (error) {
    throw new UserError(`${file} is damaged (${error.message}).`);
  }
}
