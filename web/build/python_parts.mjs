/**
 * Makes what the site's Python starts from, with the very Pyodide that the site ships:
 *
 *   site-packages.zip   every pure module, compiled, stored without compression, for zipimport
 *   <extension>.so      the C extensions of the wheels, one file each
 *   snapshot.bin        the memory of a Python that has imported everything already, gzipped
 *   parts.json          which module each extension is, and what else must be known to load the snapshot
 *
 * The same inputs give the same bytes: clock and randomness are fixed while this runs.
 *
 * node python_parts.mjs OUT WHEELS ROOT MODULE...    (the modules to preload)
 */
import nodeCrypto from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { loadPyodide } from 'pyodide';
import createPyodideModule from 'pyodide/pyodide.asm.mjs';
import { addArchive, extensionPath, Linker, nameInSnapshot } from '../worker/python.js';
import { pack } from '../worker/snapshot.js';

const [out, wheels, root, ...modules] = process.argv.slice(2);
const ENVIRONMENT = { PYTHONHASHSEED: '0', TZ: 'UTC', LANG: 'C.UTF-8' };

fixClockAndRandomness();
mkdirSync(out, { recursive: true });
const { archive, extensions } = await compile();
writeFileSync(join(out, 'site-packages.zip'), archive);
for (const { file, bytes } of extensions) writeFileSync(join(out, file), bytes);
const { packed, layout } = await snapshot();
writeFileSync(join(out, 'snapshot.bin'), gzipSync(packed, { level: 6 }));
writeFileSync(join(out, 'parts.json'), JSON.stringify({ extensions: extensions.map(({ module, file }) => ({ module, file })), layout }));

/** Nothing that differs from run to run may get into what is made. */
function fixClockAndRandomness() {
  const moment = Date.UTC(2026, 0, 1);
  Date.now = () => moment;
  globalThis.Date = new Proxy(Date, { construct: (target, args) => Reflect.construct(target, args.length ? args : [moment]) });
  performance.now = () => 0;
  let state = 1;
  nodeCrypto.randomFillSync = (/** @type {any} */ array) => {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let i = 0; i < bytes.length; i += 1) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      bytes[i] = state >>> 16;
    }
    return array;
  };
}

/**
 * All pure modules of the wheels and of pystore in one archive, and the extensions apart.
 *
 * @returns {Promise<{ archive: Uint8Array, extensions: { module: string, file: string, bytes: Uint8Array<ArrayBuffer> }[] }>}
 */
async function compile() {
  const pyodide = await loadPyodide({ env: { ...ENVIRONMENT } });
  for (const wheel of readdirSync(wheels).filter((name) => name.endsWith('.whl')).sort()) {
    pyodide.unpackArchive(new Uint8Array(readFileSync(join(wheels, wheel))), 'wheel', { extractDir: '/packages' });
  }
  copyPython(pyodide.FS, join(root, 'pystore'), '/packages/pystore');
  pyodide.FS.writeFile('/packages/site_boot.py', readFileSync(join(root, 'web/build/site_boot.py')));
  const [made, libraries] = pyodide.runPython(readFileSync(new URL('compile_packages.py', import.meta.url), 'utf8')).toJs();
  const named = /** @type {[string, string][]} */ (libraries);
  return { archive: made, extensions: named.map(([module, path]) => ({ module, file: `${module}.so`, bytes: pyodide.FS.readFile(path) })) };
}

/** Copy the Python files of a folder into Pyodide's file system. @param {any} FS @param {string} from @param {string} to */
function copyPython(FS, from, to) {
  for (const entry of /** @type {string[]} */ (readdirSync(from, { recursive: true })).sort()) {
    const path = join(from, entry);
    if (!entry.endsWith('.py') || !statSync(path).isFile()) continue;
    const target = `${to}/${relative(from, path)}`;
    FS.mkdirTree(target.slice(0, target.lastIndexOf('/')));
    FS.writeFile(target, readFileSync(path));
  }
}

/** Where a file of Pyodide is. @param {string} name */
function pyodideFile(name) {
  return fileURLToPath(import.meta.resolve(`pyodide/${name}`));
}

/** The memory of a Python after all imports, packed, and its layout. */
async function snapshot() {
  const compiled = await Promise.all(extensions.map(async ({ module, file, bytes }) => ({ module, file, wasm: await WebAssembly.compile(bytes) })));
  const wasm = await WebAssembly.compile(readFileSync(pyodideFile('pyodide.asm.wasm')));
  const linker = new Linker(Promise.resolve(wasm), Promise.resolve(compiled));
  const lockFileContents = { info: JSON.parse(readFileSync(pyodideFile('pyodide-lock.json'), 'utf8')).info, packages: {} };
  const pyodide = await linker.load(loadPyodide, createPyodideModule, { env: { ...ENVIRONMENT }, lockFileContents, _makeSnapshot: true });
  const path = addArchive(pyodide.FS, archive);
  const paths = Object.fromEntries(extensions.map(({ module, file }) => [module, extensionPath(file)]));
  pyodide.runPython(`
    import sys
    sys.path.append(${JSON.stringify(path)})
    import site_boot
    site_boot.find_extensions(${JSON.stringify(paths)})
    site_boot.preload(${JSON.stringify(modules)})
  `);
  const known = /** @type {[string, { name: string }][]} */ (Object.entries(pyodide._module.LDSO.loadedLibsByHandle));
  const handles = known.filter(([, { name }]) => name.startsWith('/ext')).map(([handle, { name }]) => [Number(handle), basename(name)]);
  Linker.removeEngine(pyodide._module);
  const made = pyodide.makeMemorySnapshot({ serializer: (/** @type {unknown} */ object) => nameInSnapshot(pyodide._api, object) });
  const [, headerBytes] = new Uint32Array(made.buffer, made.byteOffset, 2);
  const memory = made.subarray(headerBytes);
  return { packed: pack(memory), layout: { header: [...made.subarray(0, headerBytes)], bytes: memory.length, table: linker.table, handles } };
}
