// @ts-check
/**
 * How Python finds its packages: one archive of pure modules, and C extensions that are linked before Python starts.
 *
 * Shared by the boot and by the build, which makes the snapshot. A snapshot is nothing but Python's memory, and memory is full of
 * addresses. It may hold modules written in C because they are linked before Python's first instruction, in the same order, at the
 * same place of the function table: so every address in it means the same in any engine.
 *
 * @typedef {{ module: string, file: string, wasm: WebAssembly.Module }} Extension
 * @typedef {object} Layout   how the snapshot's Python was laid out
 * @property {number[]} header   what Pyodide says of the snapshot
 * @property {number} bytes   the size of its memory
 * @property {number} table   where in the function table the extensions begin
 * @property {[number, string][]} handles   by which it knows the extensions: address of the handle, file
 */

import { restore } from './snapshot.js';

const ARCHIVE = '/lib/site-packages.zip';
const STANDARD_LIBRARY = '/lib/python314.zip';
/** Entries of the function table that are left free for what an engine adds before the extensions. */
const SPARE_ENTRIES = 64;

/** @param {string} file */
export const extensionPath = (file) => `/ext/${file}`;

/**
 * Give Python its archive of modules. Both archives are of the same moment in every start, so that what a snapshot remembers of
 * their contents holds.
 *
 * @param {any} FS @param {Uint8Array} archive @returns {string} what has to stand in `sys.path`
 */
export function addArchive(FS, archive) {
  FS.writeFile(ARCHIVE, archive, { canOwn: true });
  for (const path of [ARCHIVE, STANDARD_LIBRARY]) FS.utime(path, 0, 0);
  return ARCHIVE;
}

/** Links what Python consists of. */
export class Linker {
  /** Where in the function table the extensions begin. */
  table = 0;
  /** CPython's shortcut for calling C functions of another signature, if this engine can have it: an entry of the table, or 0. */
  #trampoline = 0;
  /** How much of the memory is in use before Python starts. */
  #used = 0;
  /** @type {any} */ #api;
  /** @type {Promise<WebAssembly.Module>} */ #wasm;
  /** @type {Promise<Extension[]>} */ #extensions;
  /** @type {{ layout: Layout, packed: Promise<Uint8Array> } | undefined} */ #snapshot;

  /**
   * @param {Promise<WebAssembly.Module>} wasm Python itself
   * @param {Promise<Extension[]>} extensions
   * @param {{ layout: Layout, packed: Promise<Uint8Array> }} [snapshot] to restore
   */
  constructor(wasm, extensions, snapshot) {
    this.#wasm = wasm;
    this.#extensions = extensions;
    this.#snapshot = snapshot;
  }

  /**
   * Pyodide's loader, with Emscripten's factory changed so that it links all parts, and restores the snapshot. What the factory does
   * before it needs them is done while they are still on their way.
   *
   * @param {(options: object) => Promise<any>} loadPyodide @param {(settings: any) => Promise<any>} factory @param {object} options
   */
  async load(loadPyodide, factory, options) {
    const scope = /** @type {any} */ (globalThis);
    scope.WasmOffsetConverter = null; // tells the loader that somebody else instantiates: it does not fetch a second time
    /** @type {(error: unknown) => void} */ let fail;
    const failure = new Promise((_, reject) => { fail = reject; });
    try {
      const loading = loadPyodide({
        ...options,
        ...(this.#snapshot && { _loadSnapshot: new Uint8Array(this.#snapshot.layout.header) }), // its memory is restored below
        _snapshotDeserializer: (/** @type {string} */ name) => heldByPython(this.#api)[name],
        createPyodideModule: async (/** @type {any} */ settings) => {
          this.#api = settings.API;
          settings.instantiateWasm = (/** @type {any} */ imports, /** @type {any} */ done) => {
            // From here on the thread is busy: what has not arrived would have to wait for it.
            Promise.all([this.#wasm, this.#extensions, this.#snapshot?.packed]).then(([wasm, extensions]) => {
              settings.preRun.push((/** @type {any} */ Module) => this.#link(Module, extensions));
              done(instantiated(wasm, imports), wasm);
            }).catch(fail); // the factory waits for ever for what it is not given
            return {};
          };
          const Module = await factory(settings);
          if (this.#snapshot) restore(await this.#snapshot.packed, Module.HEAPU8, this.#used);
          return Module;
        },
      });
      const pyodide = await Promise.race([loading, failure]);
      if (this.#snapshot) pyodide._module.HEAPU32[trampolineAddress(pyodide._module) >>> 2] = this.#trampoline;
      return pyodide;
    } finally {
      delete scope.WasmOffsetConverter;
    }
  }

  /** @param {any} Module @param {Extension[]} extensions */
  #link(Module, extensions) {
    const { wasmTable, LDSO, HEAPU32 } = Module;
    const layout = this.#snapshot?.layout;
    this.#trampoline = HEAPU32[trampolineAddress(Module) >>> 2];
    this.table = layout?.table ?? wasmTable.length + SPARE_ENTRIES;
    wasmTable.grow(this.table - wasmTable.length);
    for (const { file, wasm } of extensions) {
      const path = extensionPath(file);
      const library = Module.newDSO(path, undefined, 'loading');
      library.refcount = Infinity;
      library.global = false;
      library.exports = Module.loadWebAssemblyModule(wasm, {}, path, {});
      for (const [handle] of layout?.handles.filter(([, name]) => name === file) ?? []) LDSO.loadedLibsByHandle[handle] = library;
    }
    this.#used = Module.HEAPU8.length;
    if (layout) Module.growMemory(layout.bytes);
  }

  /** Before a snapshot is made: take out of the memory what is this engine's own. @param {any} Module */
  static removeEngine(Module) {
    Module.HEAPU32[trampolineAddress(Module) >>> 2] = 0;
  }
}

/** @param {WebAssembly.Module} wasm @param {any} imports */
function instantiated(wasm, imports) {
  const error = Symbol('error'); // what Pyodide's functions return instead of throwing through WebAssembly
  imports.env.Jsv_GetError_import = () => error;
  imports.env.JsvError_Check = (/** @type {unknown} */ value) => value === error;
  return new WebAssembly.Instance(wasm, imports);
}

/** Objects of JavaScript that Python's modules (micropip) hold, by names under which a snapshot mentions them. @param {any} api */
function heldByPython(api) {
  const { public_api: pyodide, install, loadBinaryFile } = api;
  return /** @type {Record<string, unknown>} */ ({ pyodide, loadPackage: pyodide.loadPackage, install, loadBinaryFile });
}

/** The name of an object that Python holds, for a snapshot. @param {any} api @param {unknown} object */
export function nameInSnapshot(api, object) {
  const found = Object.entries(heldByPython(api)).find(([, known]) => known === object);
  if (!found) throw new Error(`a snapshot cannot hold this object of JavaScript: ${String(object).slice(0, 200)}`);
  return found[0];
}

/** @param {any} Module */
function trampolineAddress(Module) {
  return Module.__PyRuntime + Module.HEAPU32[Module.__PyEM_EMSCRIPTEN_TRAMPOLINE_OFFSET >>> 2];
}
