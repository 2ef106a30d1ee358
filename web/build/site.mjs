/**
 * Puts the static site together. The modules that a page or a worker begins with are bundled with what they import, because a
 * file costs a millisecond or two of every visit; what several of them import is a file of its own, so that it exists once. Every file but
 * the entries is named by the hash of its content, and every mention of it is rewritten, leaves first; so any file can be cached for
 * ever, and any change changes exactly the names that depend on it.
 *
 * node site.mjs OUT PARTS APP PAGE [WHEEL...]    (absolute paths)
 *   PARTS  the folder that python_parts.mjs filled
 *   APP    module:attribute of the schema
 *   PAGE   the folder with index.html
 */
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { init, parse } from 'es-module-lexer';
import { build } from 'esbuild';

const [out, parts, app, page, ...wheels] = process.argv.slice(2);
const web = fileURLToPath(new URL('..', import.meta.url));
const require = createRequire(import.meta.url);
const pyodide = dirname(require.resolve('pyodide/package.json'));
const building = `${out}.building`;
const bundles = `${out}.bundles`;
const headers = JSON.parse(readFileSync(new URL('headers.json', import.meta.url), 'utf8'));
/** What a page of one's own imports by a name that stays. */
const CLIENT = ['pystore.js', 'page/updates.js'].map((name) => join(web, name));
const WORKERS = ['shared.js', 'dedicated.js'].map((name) => join(web, 'worker', name));
const CSP = headers['Content-Security-Policy'];

/** Bytes of a digest in a name: enough to find damage; nobody gains by a collision, since all comes from this origin. @param {string | Uint8Array} content */
const hashOf = (content) => createHash('sha256').update(content).digest('hex').slice(0, 16);

/** What was emitted, by its source. @type {Map<string, string>} */
const emitted = new Map();
/** Sources being worked on, to find circles. @type {Set<string>} */
const open = new Set();
/** What each emitted module imports before it runs, as emitted names. @type {Map<string, string[]>} */
const staticImports = new Map();

/** Write a file under its hashed name and answer its path in the site. @param {string} name @param {string | Uint8Array} content */
function emit(name, content) {
  const extension = extname(name);
  const path = `assets/${basename(name, extension)}.${hashOf(content)}${extension}`;
  writeFileSync(join(building, path), content);
  return path;
}

/** A wheel keeps its name, which says what it is; its folder bears the hash. @param {string} file */
function emitWheel(file) {
  const content = readFileSync(file);
  const path = `assets/${hashOf(content)}/${basename(file)}`;
  mkdirSync(dirname(join(building, path)), { recursive: true });
  writeFileSync(join(building, path), content);
  return path;
}

/** How one file in `assets/` names another. @param {string} path */
const beside = (path) => `./${relative('assets', path)}`;

/** The bundle of each module that something begins with. @type {Map<string, string>} */
const bundled = new Map();

/** Bundle modules with all that they import. What several of them import is a part of its own. @param {string} folder @param {string[]} modules */
async function bundle(folder, modules) {
  const begins = [...new Set(modules)];
  const outdir = join(bundles, folder);
  await build({
    entryPoints: begins.map((file, i) => ({ in: file, out: `${i}/${basename(file, extname(file))}` })),
    absWorkingDir: join(web, '..'), outdir, bundle: true, splitting: true, chunkNames: 'part-[hash]', format: 'esm', target: 'es2024',
    charset: 'utf8', legalComments: 'none', logLevel: 'warning',
    plugins: [{
      name: 'located',
      setup({ onResolve }) {
        onResolve({ filter: /./ }, ({ path, importer, kind }) => {
          if (kind === 'entry-point') return { path };
          const file = path.startsWith('node:') ? path : locate(path, importer);
          return file === path || file === ASSETS ? { path, external: true } : { path: file };
        });
      },
    }],
  });
  for (const [i, file] of begins.entries()) bundled.set(file, join(outdir, String(i), `${basename(file, extname(file))}.js`));
}

/** The modules that pages begin with. */
function pageScripts() {
  return htmlFiles().flatMap((file) => [...readFileSync(file, 'utf8').matchAll(/\bsrc="(\.\/[^"]+\.m?js)"/g)].map(([, mention]) => locate(mention, file)));
}

/** The file that a specifier means. Bare ones are npm packages, in their form for browsers. @param {string} specifier @param {string} from */
function locate(specifier, from) {
  if (specifier.startsWith('.')) {
    if (basename(specifier) === basename(ASSETS)) return ASSETS;
    const places = [dirname(from), web, join(web, 'page')].map((folder) => resolve(folder, specifier));
    return places.find((file) => existsSync(file)) ?? places[0];
  }
  const [scope, second, ...deeper] = specifier.split('/');
  const [name, rest] = scope.startsWith('@') ? [`${scope}/${second}`, deeper] : [scope, [second, ...deeper].filter(Boolean)];
  const folder = join(web, '..', 'node_modules', name);
  const described = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const target = importTarget(described.exports?.[['.', ...rest].join('/')]) ?? (rest.length ? rest.join('/') : (described.module ?? described.main));
  return join(folder, target);
}

/** The ES module among the conditions of a package's export. @param {any} entry @returns {string | undefined} */
function importTarget(entry) {
  if (typeof entry === 'string' || !entry) return entry || undefined;
  return importTarget(entry.browser) ?? importTarget(entry.import) ?? importTarget(entry.module) ?? importTarget(entry.default);
}

/** The emitted path of any source file, with all that it mentions. @param {string} file @returns {string} */
function pathOf(file) {
  file = bundled.get(file) ?? file;
  const known = emitted.get(file);
  if (known) return known;
  if (open.has(file)) throw new Error(`modules import each other in a circle: ${[...open, file].map((each) => relative(web, each)).join(' -> ')}`);
  open.add(file);
  const path = file === ASSETS ? emit(ASSETS, assetsModule()) : /\.m?js$/.test(file) ? emitModule(file) : emit(file, readFileSync(file));
  open.delete(file);
  emitted.set(file, path);
  return path;
}

/** A module, with its specifiers and its `new URL('...', import.meta.url)` rewritten. @param {string} file */
function emitModule(file) {
  const source = String(withoutSourceMap(file, readFileSync(file)));
  const [imports] = parse(source, file);
  /** @type {string[]} */
  const needed = [];
  let text = '';
  let at = 0;
  /** @param {number} start @param {number} end @param {string} replacement */
  const replace = (start, end, replacement) => {
    text += source.slice(at, start) + replacement;
    at = end;
  };
  for (const { type, specifier, start, end } of imports) {
    if (type === 'import-meta') {
      const mention = /new URL\(\s*(['"])(\.[^'"]+)\1,\s*$/.exec(source.slice(0, start));
      if (mention) replace(mention.index, start, `new URL('${beside(pathOf(locate(mention[2], file)))}', `);
    } else if (specifier && !specifier.startsWith('node:')) {
      const path = pathOf(locate(specifier, file));
      if (type === 'static') needed.push(path);
      replace(start, end, type === 'static' ? beside(path) : `'${beside(path)}'`);
    }
  }
  const path = emit(file.replace(/\.mjs$/, '.js').replace(/\bpart-\w+\.js$/, 'part.js'), text + source.slice(at));
  staticImports.set(path, needed);
  return path;
}

const ASSETS = join(web, 'worker', 'assets.js');

/** The module that tells the boot what is where. */
function assetsModule() {
  const { extensions, layout } = JSON.parse(readFileSync(join(parts, 'parts.json'), 'utf8'));
  const lock = JSON.parse(readFileSync(join(pyodide, 'pyodide-lock.json'), 'utf8'));
  /** @param {string} path */
  const url = (path) => `new URL('${beside(path)}', import.meta.url).href`;
  const libraries = extensions.map((/** @type {any} */ { module, file }) => {
    const path = emit(file.replace(/\.so$/, '.wasm'), readFileSync(join(parts, file)));
    return `{ module: '${module}', file: '${file}', url: ${url(path)} }`;
  });
  const snapshot = emit('snapshot.bin', readFileSync(join(parts, 'snapshot.bin')));
  return [
    `export const app = ${JSON.stringify(app)};`,
    `export const wheels = [${wheels.map((file) => url(emitWheel(file))).join(', ')}];`,
    `export const loader = () => import('${beside(emitPyodide('pyodide.mjs'))}');`,
    `export const glue = () => import('${beside(emitPyodide('pyodide.asm.mjs'))}');`,
    `export const wasm = ${url(emitPyodide('pyodide.asm.wasm'))};`,
    `export const standardLibrary = ${url(emitPyodide('python_stdlib.zip'))};`,
    `export const sitePackages = ${url(emit('site-packages.zip', readFileSync(join(parts, 'site-packages.zip'))))};`,
    `export const extensions = [${libraries.join(', ')}];`,
    `export const snapshot = { url: ${url(snapshot)}, layout: ${JSON.stringify(layout)} };`,
    `export const lockFile = ${JSON.stringify({ info: lock.info, packages: {} })};`,
    '',
  ].join('\n');
}

/** A file of Pyodide as it is; what it would look for by its old name, the boot hands to it. @param {string} name */
function emitPyodide(name) {
  return emit(name.replace(/\.mjs$/, '.js'), withoutSourceMap(name, readFileSync(join(pyodide, name))));
}

/** A module without the mention of a source map that is not in the site. @param {string} name @param {Buffer} content */
function withoutSourceMap(name, content) {
  return /\.m?js$/.test(name) ? content.toString().replace(/\n?\/\/# sourceMappingURL=.*\s*$/, '\n') : content;
}

/** The page's files that are addresses of the site. */
const htmlFiles = () => readdirSync(page).filter((each) => each.endsWith('.html')).map((name) => join(page, name));

/** A page: the files it mentions, the modules it needs announced at once, the policy. @param {string} file */
function emitPage(file) {
  let html = readFileSync(file, 'utf8');
  /** @type {Set<string>} */
  const announced = new Set();
  html = html.replace(/\b(href|src)="(\.\/[^"]+)"/g, (whole, attribute, mention) => {
    if (mention === './manifest.webmanifest') return whole;
    const path = pathOf(locate(mention, file));
    for (const each of allStaticImports(path)) announced.add(each);
    return `${attribute}="./${path}"`;
  });
  html = html.replace(/\s*<meta http-equiv="Content-Security-Policy"[^>]*>/i, '');
  const head = [`<meta http-equiv="Content-Security-Policy" content="${CSP}">`, ...[...announced].map((path) => `<link rel="modulepreload" href="./${path}">`)];
  html = html.replace(/<meta charset="utf-8">/i, (whole) => `${whole}\n${head.join('\n')}`);
  if (!html.includes(CSP)) throw new Error(`${file}: no <meta charset="utf-8"> to put the Content-Security-Policy after`);
  writeFileSync(join(building, relative(page, file)), html);
}

/** What a module imports before it runs, at any depth. @param {string} path @returns {string[]} */
function allStaticImports(path) {
  return (staticImports.get(path) ?? []).flatMap((each) => [each, ...allStaticImports(each)]);
}

/** The web app manifest, with its icons. */
function emitManifest() {
  const file = locate('./manifest.webmanifest', join(page, 'index.html'));
  const manifest = JSON.parse(readFileSync(file, 'utf8'));
  for (const icon of manifest.icons) icon.src = `./${pathOf(join(dirname(file), icon.src))}`;
  writeFileSync(join(building, 'manifest.webmanifest'), `${JSON.stringify(manifest, null, 2)}\n`);
}

/** All files of a folder, as paths in it. @param {string} folder */
const filesIn = (folder) => /** @type {string[]} */ (readdirSync(folder, { recursive: true })).filter((name) => statSync(join(folder, name)).isFile()).sort();

/** The service worker, told what the site consists of. */
function emitServiceWorker() {
  const files = filesIn(building);
  const entries = files.filter((name) => !name.startsWith('assets/'));
  const version = hashOf(files.map((name) => `${name} ${hashOf(readFileSync(join(building, name)))}`).join('\n') + readFileSync(join(web, 'sw.js'), 'utf8'));
  const site = {
    version,
    entries: Object.fromEntries(entries.map((name) => [name, hashOf(readFileSync(join(building, name)))])),
    assets: files.filter((name) => name.startsWith('assets/')),
    snapshot: files.find((name) => name.startsWith('assets/snapshot.') && name.endsWith('.bin')),
  };
  writeFileSync(join(building, 'sw.js'), `const SITE = ${JSON.stringify(site)};\n${readFileSync(join(web, 'sw.js'), 'utf8')}`);
}

/** The headers for hosts that read them from a file of this name; a header may say more than a page's own policy. */
function headersFile() {
  const all = Object.entries({ ...headers, 'Content-Security-Policy': `${CSP}; frame-ancestors 'none'` });
  return ['/*', ...all.map(([name, value]) => `  ${name}: ${value}`), '/assets/*', '  Cache-Control: public, max-age=31536000, immutable', ''].join('\n');
}

await init;
for (const folder of [building, bundles]) rmSync(folder, { recursive: true, force: true });
mkdirSync(join(building, 'assets'), { recursive: true });
await bundle('page', [...pageScripts(), ...CLIENT]);
await bundle('worker', WORKERS);
for (const file of htmlFiles()) emitPage(file);
emitManifest();
for (const module of CLIENT) {
  writeFileSync(join(building, basename(module)), `export * from './${pathOf(module)}';\n`);
}
emitServiceWorker();
writeFileSync(join(building, '_headers'), headersFile());
rmSync(bundles, { recursive: true });
rmSync(out, { recursive: true, force: true });
renameSync(building, out);
