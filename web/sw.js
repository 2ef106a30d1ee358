// @ts-check
/// <reference lib="webworker" />
/**
 * Keeps the site, so that it works without a network for ever after the first visit.
 *
 * The build puts a line before this file: `const SITE = {version, entries, assets}`. A version of the site is one cache.
 * Files in `assets/` bear their hash in the name: any cache may answer for them, so a tab that runs an old version goes on
 * finding its files. The entries (`index.html` ...) are answered from this worker's version, which changes only when the page
 * asks for the new one or when no tab is open any more.
 */

/** @type {ServiceWorkerGlobalScope & { SITE?: never }} */
const worker = /** @type {any} */ (self);
const FAMILY = `pystore-site ${worker.registration.scope} `;
const CACHE = FAMILY + SITE.version;
const START = new URL('./', worker.registration.scope).href;

worker.addEventListener('install', (event) => event.waitUntil(keepSite()));
worker.addEventListener('activate', (event) => event.waitUntil(forgetUnusedVersions()));

worker.addEventListener('message', (event) => {
  if (event.data?.type === 'take-new-version') void worker.skipWaiting();
});

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || !url.href.startsWith(START)) return;
  if (request.cache === 'only-if-cached') return; // the browser's own cache is meant
  if (request.mode === 'navigate') event.waitUntil(forgetUnusedVersions());
  event.respondWith(answer(url, request));
});

/** From the caches, else from the network. @param {URL} url @param {Request} request */
async function answer(url, request) {
  const path = pathOf(url.href);
  if (path.startsWith('assets/')) {
    const kept = await caches.match(START + path, { ignoreVary: true });
    // A worker takes its address from the response: one made anew has that of the request, with what it asks for (`?boot=`).
    return kept && url.search ? new Response(kept.body, kept) : (kept ?? fetch(request));
  }
  const entry = path === 'index.html' ? '' : path;
  return (await (await caches.open(CACHE)).match(START + entry, { ignoreVary: true })) ?? fetch(request);
}

/** Fetch the whole site into this version's cache. Rejects, and the version is not taken, unless every file is what it should be. */
async function keepSite() {
  const cache = await caches.open(CACHE);
  const entries = Object.entries(SITE.entries).map(([name, hash]) => ({ url: START + (name === 'index.html' ? '' : name), hash, init: { cache: 'reload' } }));
  const assets = SITE.assets.map((name) => ({ url: START + name, hash: /([0-9a-f]{16})[./]/.exec(name)?.[1] ?? '', init: {} }));
  const waiting = [...entries, ...assets];
  const keepNext = async () => {
    for (let next = waiting.pop(); next; next = waiting.pop()) await keep(cache, next.url, next.hash, /** @type {RequestInit} */ (next.init));
  };
  await Promise.all([keepNext(), keepNext(), keepNext(), keepNext()]);
}

/** @param {Cache} cache @param {string} url @param {string} hash @param {RequestInit} init */
async function keep(cache, url, hash, init) {
  if (await cache.match(url)) return;
  const known = url.startsWith(`${START}assets/`) ? await caches.match(url, { ignoreVary: true }) : undefined;
  if (known) return cache.put(url, known);
  const response = await fetch(url, init);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  const bytes = await response.clone().arrayBuffer();
  const found = [...new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
  if (!found.startsWith(hash)) throw new Error(`${url}: not the file that its name promises`);
  if (url === START + SITE.snapshot) return cache.put(url, unzipped(bytes));
  // A navigation may not be answered with a response that was redirected on its way here.
  return cache.put(url, response.redirected ? new Response(bytes, { headers: response.headers }) : response);
}

/** The boot snapshot is kept as the boot wants it, so that it is unzipped once. @param {ArrayBuffer} bytes */
function unzipped(bytes) {
  return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')));
}

/** Remove other versions of this site, if no tab or worker is open that may be running one. */
async function forgetUnusedVersions() {
  const running = await worker.clients.matchAll({ type: 'all', includeUncontrolled: true });
  if (running.some(mayNeedAnotherVersion)) return;
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(FAMILY) && name !== CACHE).map((name) => caches.delete(name)));
}

/** A worker of this version tells it by its address; a tab does not. @param {Client} client */
function mayNeedAnotherVersion({ type, url }) {
  return url.startsWith(START) && (type === 'window' || !SITE.assets.includes(pathOf(url)));
}

/** Where in the site an address is. @param {string} url */
function pathOf(url) {
  return url.slice(START.length).replace(/[?#].*$/, '');
}
