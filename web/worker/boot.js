// @ts-check
/**
 * Starts Python: from a snapshot of a Python that has imported everything, made when the site was built, else plainly.
 *
 * A first visit takes the snapshot only over a quick connection: it is some megabytes that a plain start does not need.
 * A worker whose address says `?boot=plain` or `?boot=snapshot` starts in that way.
 */

import * as assets from './assets.js';
import { addArchive, extensionPath, Linker } from './python.js';

/** @typedef {'snapshot' | 'plain'} How */
/** @typedef {{ pyodide: any, how: How, reason: string, timings: Record<string, number> }} Booted `reason`: why plainly, if so */

const SILENCE_MS = 60_000;
const MAY_BE_FORBIDDEN = "the site may be served with a Content-Security-Policy that does not allow 'wasm-unsafe-eval'.";
/** The snapshot saves two seconds and more of work, and is 9 MB that a plain start does not need: worth it from 32 Mbit/s. */
const QUICK_BYTES_PER_MS = 4000;
const HOME = '/home/pyodide';

/**
 * Boot Python, ready to import the application's module. Rejects, with a message that ends the sentence "Python did not start:",
 * also when nothing has arrived for a minute, however slowly: in some browsers nothing else tells that WebAssembly may not run.
 *
 * @param {{ onProgress?: (message: string) => void, how?: How }} [options]
 * @returns {Promise<Booted>}
 */
export async function boot({ onProgress = () => {}, how } = {}) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
  /** @type {(error: Error) => void} */ let giveUp;
  const silent = new Promise((_, reject) => { giveUp = reject; });
  const wait = () => {
    clearTimeout(timer);
    timer = setTimeout(() => giveUp(new Error(`nothing happened for a minute. Reload the page; if that does not help: ${MAY_BE_FORBIDDEN}`)), SILENCE_MS);
  };
  const arrivals = new PerformanceObserver(wait);
  arrivals.observe({ type: 'resource' });
  wait();
  try {
    return await Promise.race([start(onProgress, how ?? wanted()), silent]);
  } catch (error) {
    throw error instanceof WebAssembly.CompileError ? new Error(`the browser refused it: ${MAY_BE_FORBIDDEN}`, { cause: error }) : error;
  } finally {
    arrivals.disconnect();
    clearTimeout(timer);
  }
}

/** What the worker's address asks for. @returns {How | undefined} */
function wanted() {
  const said = new URLSearchParams(location.search).get('boot');
  return said === 'plain' || said === 'snapshot' ? said : undefined;
}

/** @param {(message: string) => void} onProgress @param {How | undefined} how @returns {Promise<Booted>} */
async function start(onProgress, how) {
  onProgress('Loading Python');
  const parts = new Parts({ snapshot: how !== 'plain' });
  let reason = how ? (how === 'plain' ? 'asked for' : '') : await parts.reasonAgainstSnapshot();
  if (!reason) {
    try {
      return { pyodide: await parts.fromSnapshot(), how: 'snapshot', reason: '', timings: parts.timings };
    } catch (error) {
      reason = `the snapshot cannot be used: ${/** @type {Error} */ (error).message ?? error}`.slice(0, 300);
    }
  }
  console.warn(`pystore starts without its snapshot, which takes longer: ${reason}`);
  return { pyodide: await parts.plainly(onProgress), how: 'plain', reason, timings: parts.timings };
}

/** What Python is made of, all on its way from the first moment. */
class Parts {
  /** Milliseconds from the beginning to the end of each phase. @type {Record<string, number>} */ timings = {};
  #started = performance.now();
  #wasm = compiled(assets.wasm);
  #loader = assets.loader();
  #glue = assets.glue();
  #sitePackages = fetched(assets.sitePackages);
  #extensions = Promise.all(assets.extensions.map(async ({ url, ...named }) => ({ ...named, wasm: await compiled(url) })));
  /** @type {Promise<Response | undefined>} */ #snapshot;
  /** @type {Promise<Uint8Array | undefined>} */ #snapshotBytes;

  /** @param {{ snapshot: boolean }} wanted `snapshot`: it is begun to be read, if it is here already */
  constructor({ snapshot }) {
    this.#snapshot = snapshot ? kept(assets.snapshot.url) : Promise.resolve(undefined);
    this.#snapshotBytes = this.#snapshot.then(async (response) => response && new Uint8Array(await response.arrayBuffer()));
    const parts = [this.#wasm, this.#loader, this.#glue, this.#sitePackages, this.#extensions, this.#snapshotBytes];
    for (const part of parts) part.catch(() => {}); // reported where awaited
  }

  /** @param {string} phase */
  #note(phase) {
    this.timings[phase] = Math.round((performance.now() - this.#started) * 10) / 10;
  }

  /** Why a plain start is quicker today, or ''. */
  async reasonAgainstSnapshot() {
    if (await this.#snapshot) return '';
    await this.#extensions;
    const bytes = performance.getEntriesByType('resource').reduce((sum, entry) => sum + /** @type {PerformanceResourceTiming} */ (entry).encodedBodySize, 0);
    return bytes / (performance.now() - this.#started) < QUICK_BYTES_PER_MS ? 'it is not here yet, and the connection is slow' : '';
  }

  /** A Python as it was when the snapshot was made. */
  async fromSnapshot() {
    const { url, layout } = assets.snapshot;
    const packed = this.#snapshotBytes.then((here) => here ?? unpacked(url));
    packed.catch(() => {});
    const pyodide = await this.#load({ layout, packed });
    pyodide.pyimport('site_boot').renew(pyodide.toPy(environment()));
    await this.#addApplication(pyodide);
    this.#note('ready');
    return pyodide;
  }

  /** A Python that imports everything itself. @param {(message: string) => void} onProgress */
  async plainly(onProgress) {
    const pyodide = await this.#load();
    onProgress('Starting Python');
    const boot = pyodide.pyimport('site_boot');
    boot.find_extensions(pyodide.toPy(Object.fromEntries(assets.extensions.map(({ module, file }) => [module, extensionPath(file)]))));
    await this.#addApplication(pyodide);
    this.#note('ready');
    return pyodide;
  }

  /** @param {{ layout: import('./python.js').Layout, packed: Promise<Uint8Array> }} [snapshot] */
  async #load(snapshot) {
    const [{ loadPyodide }, { default: factory }] = await Promise.all([this.#loader, this.#glue]);
    this.#note('loaded');
    const pyodide = await new Linker(this.#wasm, this.#extensions, snapshot).load(loadPyodide, factory, {
      indexURL: new URL('.', assets.wasm).href,
      stdLibURL: assets.standardLibrary,
      lockFileContents: assets.lockFile,
      env: environment(),
    });
    const archive = addArchive(pyodide.FS, new Uint8Array(await (await this.#sitePackages).arrayBuffer()));
    if (!snapshot) pyodide.runPython(`import sys; sys.path.append('${archive}')`);
    this.#note('python');
    return pyodide;
  }

  /** What the application brings besides the site's own packages. @param {any} pyodide */
  async #addApplication(pyodide) {
    if (assets.wheels.length) await pyodide.pyimport('micropip').install.callKwargs(pyodide.toPy(assets.wheels), { deps: false });
  }
}

/** @param {string} url */
async function fetched(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response;
}

/**
 * A part of Python, compiled. What ran often is kept compiled by the browser, and is there at the next boot; but only for what comes
 * from the browser's own cache. So that is asked first, past the service worker, which has it if the browser dropped it.
 * @param {string} url
 */
async function compiled(url) {
  if (await kept(url)) {
    const response = await fetch(url, { cache: 'only-if-cached', mode: 'same-origin' }).catch(() => undefined);
    if (response?.ok) return WebAssembly.compileStreaming(response);
  }
  return WebAssembly.compileStreaming(fetched(url));
}

/** What the service worker keeps of the site. @param {string} url @returns {Promise<Response | undefined>} */
async function kept(url) {
  return globalThis.caches?.match(url, { ignoreVary: true });
}

/** The snapshot as it comes over the network: gzipped. @param {string} url @returns {Promise<Uint8Array>} */
async function unpacked(url) {
  const stream = (await fetched(url)).body?.pipeThrough(new DecompressionStream('gzip'));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The environment of this Python. */
function environment() {
  return { HOME, LANG: `${(navigator.languages[0] ?? 'en').replace('-', '_')}.UTF-8` };
}
