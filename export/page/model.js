// E, G and F of an exported model, and other networks, run by LiteRT.js on the CPU.
let runtime;  // a promise of LiteRT.js, shared by all networks
let last = Promise.resolve();  // ends after all calls so far, since the runtime handles one at a time

/** An error whose message is for the visitor. */
export class UserError extends Error {}

async function loadRuntime() {
  const litert = await import('@litertjs/core');
  globalThis.Module = { printErr: console.debug };  // else it logs what it does as errors
  await litert.loadLiteRt(import.meta.resolve('@litertjs/core/wasm/'));
  return litert;
}

async function loaded() {
  if (typeof WebAssembly !== 'object') throw new UserError('This browser has no WebAssembly, which the model needs.');
  try {
    return await (runtime ??= loadRuntime());
  } catch (error) {
    runtime = undefined;
    throw new UserError(`The runtime does not load (${error.message ?? error}).`);
  }
}

/** A .tflite file with one input. */
export class Network {
  static async load(file) {
    const litert = await loaded(), network = new Network();
    const bytes = await fetchOr(file, async (answer) => new Uint8Array(await answer.arrayBuffer()));
    network.compiled = await litert.loadAndCompile(bytes, { accelerator: 'wasm' }).catch((error) => {
      throw new UserError(`${file} cannot be run in this browser (${String(error.message ?? error).slice(0, 120)}).`);
    });
    network.Tensor = litert.Tensor;
    return network;
  }

  /** The outputs (Float32Array each) for one input (Float32Array). */
  run(values, shape) {
    const result = last.then(async () => {
      const input = new this.Tensor(values, shape), results = [];
      for (const output of await this.compiled.run([input])) {
        results.push(Float32Array.from(await output.data()));
        output.delete();
      }
      input.delete();
      return results;
    });
    last = result.catch(() => {});
    return result;
  }

  /** Frees the memory, after pending calls. */
  unload() {
    last = last.then(() => this.compiled.delete());
  }
}

export class Model {
  /**
   * Loads a model.
   * @param {string} folder with model.json and the .tflite files
   * @param {string} kind suffix of the file names: "" for float32
   * @param {function} described called with model.json's contents, before the networks are loaded
   */
  static async load(folder, kind, described) {
    const model = Object.assign(new Model(), { folder, networks: {} });
    model.about = await fetchOr(`${folder}/model.json`, (answer) => answer.json());
    described(model.about);
    await loaded();
    try {
      for (const name of ['encoder', 'decoder', 'mapping']) {
        model.networks[name] = await Network.load(`${folder}/${name}${name === 'mapping' ? '' : kind}.tflite`);
      }
    } catch (error) {
      model.unload();
      throw error;
    }
    return model;
  }

  /** Frees the memory of the model, after its pending calls. */
  unload() {
    Object.values(this.networks).forEach((network) => network.unload());
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

  async run(name, values, shape) {
    return (await this.networks[name].run(values, shape))[0];
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
