// @ts-check
/**
 * Watches over Python from outside it: boots it, brings it the pages' questions, and ends the worker when Python is dead or has
 * grown too far. A worker is never repaired: the pages are told that it is gone and go to a new one.
 *
 * Python is dead when an error of WebAssembly or JavaScript ran through it (a stack that overflowed, no more memory): then no
 * answer may be trusted, and none is given. If it died while projecting an event that the log holds, the log's database
 * notes it; an event noted twice is kept out of the view from then on.
 */

import * as Comlink from 'comlink';
import { app } from './assets.js';
import { boot } from './boot.js';
import { FileInChunks } from './file.js';
import { Host } from './host.js';
import { LogDatabase } from './indexeddb.js';
import { hold, outlive } from './locks.js';

/** @typedef {import('./protocol.js').Notice} Notice */
/** @typedef {import('./protocol.js').Reason} Reason */
/** @typedef {import('./protocol.js').Session} Session */
/** @typedef {Record<string, { times: number, views: number }>} Deaths by id of the event that was being projected */
/** @typedef {{ log: string, users: number, views: number, deaths: Promise<Deaths>, timer?: ReturnType<typeof setTimeout> }} Use of a log, by all pages */

const asked = new URLSearchParams(location.search);

/** A log that no page uses any more is closed after this time: a page that reloads finds it open. */
const CLOSE_AFTER_MS = Number(asked.get('idle') ?? 30_000);
/** Python's memory never shrinks. A worker that is idle ends when it has grown beyond this and beyond twice what it began with. */
const RECYCLE_HEAP_BYTES = Number(asked.get('heap') ?? 1 << 30);
const RECYCLE_AFTER_IDLE_MS = Number(asked.get('idle') ?? 30_000);
/** So long a worker that is to end waits for its logs to be closed. */
const CLOSE_PATIENCE_MS = 10_000;
const DEATHS_TO_QUARANTINE = 2;

/** The functions of `pystore/browser/worker.py`. An async one gives a proxy that is awaited and then destroyed; `append` calls back. */
/**
 * @typedef {object} Python
 * @property {any} open_store @property {any} query @property {any} watch @property {any} watch_events @property {any} unwatch @property {any} append
 * @property {any} call @property {any} cancel @property {any} at @property {any} query_at @property {any} close_at
 * @property {any} catch_up @property {any} close @property {any} forget @property {any} repair @property {any} damaged_file @property {any} views_version
 */

export class Supervisor {
  /** @type {Set<Client>} */ clients = new Set();
  /** @type {Host} */ host;
  /** @type {Promise<Python>} */ python;
  /** Set when this worker is over: from then on nothing is answered. */
  gone = false;
  /** @type {Map<string, Use>} */ #logs = new Map();
  /** @type {any} */ #pyodide;
  #marker = 0;
  #booted = {};
  #calls = 0;
  #heapAtFirst = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #idle;
  /** @type {() => void} */ #end;

  /** @param {{ alone: boolean, end: () => void }} options `alone`: see `Host`; `end` ends the worker */
  constructor({ alone, end }) {
    this.#end = end;
    this.host = new Host(alone, (log) => void this.#catchUp(log));
    this.python = this.#boot();
    this.python.catch((error) => this.#leave('failed', `Python did not start: ${error.message}`));
  }

  /** Serve a page. @param {MessagePort} port */
  connect(port) {
    this.clients.add(new Client(this, port));
  }

  /** @param {(python: Python) => T | Promise<T>} ask @returns {Promise<T>} @template T */
  async ask(ask) {
    const python = await this.python.catch(() => forever);
    if (this.gone) return forever;
    clearTimeout(this.#idle);
    this.#calls++;
    try {
      return await ask(python);
    } catch (error) {
      if (this.gone) return forever;
      throw error;
    } finally {
      if (--this.#calls === 0) this.#whenIdle();
    }
  }

  /** A page begins to use a log. What is returned is for `open` and `release`. @param {string} log @returns {Use} */
  use(log) {
    let use = this.#logs.get(log);
    if (use) clearTimeout(use.timer);
    else this.#logs.set(log, (use = { log, users: 0, views: 0, deaths: this.host.readAhead(log).note('deaths').catch(() => ({})) }));
    use.users++;
    return use;
  }

  /** @param {Use} use @param {string} schema '' is the site's own @param {string} options JSON @param {(stage: string, done: number, total: number) => void} progress */
  async open(use, schema, options, progress) {
    schema ||= app;
    const opened = await this.ask(async (python) => {
      use.views ||= python.views_version(schema);
      const deaths = Object.entries(/** @type {Deaths} */ ((await use.deaths) ?? {}));
      const avoided = deaths.filter(([, { times }]) => times >= DEATHS_TO_QUARANTINE).map(([event, { views }]) => [event, views]);
      return awaited(python.open_store(use.log, schema, options, JSON.stringify(Object.fromEntries(avoided)), progress));
    });
    this.#heapAtFirst ||= this.heapBytes();
    return opened;
  }

  /** A page does not use the log any more. If none does, it is closed after a while. @param {Use} use @param {number} [afterMs] */
  release(use, afterMs = CLOSE_AFTER_MS) {
    // One that was forgotten may be another log by now.
    if (--use.users > 0 || this.#logs.get(use.log) !== use) return;
    use.timer = setTimeout(() => {
      this.#logs.delete(use.log);
      void this.ask((python) => awaited(python.close(use.log)));
    }, afterMs);
  }

  /** Remove a log for good. @param {string} log @returns {Promise<string>} */
  forget(log) {
    clearTimeout(this.#logs.get(log)?.timer);
    this.#logs.delete(log);
    return this.ask((python) => awaited(python.forget(log)));
  }

  /** Let go of a past moment. @param {{ log: string, key: number }} opened */
  closeAt({ log, key }) {
    void this.ask((python) => python.close_at(log, key));
  }

  /** What only JavaScript knows of the worker. */
  about() {
    return { worker: this.host.alone ? 'shared' : 'dedicated', heap_bytes: this.heapBytes(), boot: this.#booted };
  }

  heapBytes() {
    return this.#pyodide._module.HEAPU8.length;
  }

  // -- the life of Python

  /** @returns {Promise<Python>} */
  async #boot() {
    const { pyodide, ...booted } = await boot({ onProgress: (message) => this.#tell({ kind: 'boot', message }) });
    this.#pyodide = pyodide;
    this.#booted = booted;
    pyodide._api.on_fatal = (/** @type {unknown} */ error) => void this.#died(error);
    /** @type {any} */ (globalThis).pystore_host = this.host;
    const worker = pyodide.pyimport('pystore.browser.worker');
    worker.start();
    this.#marker = worker.marker.getBuffer('u8').data.byteOffset;
    // No data, whatever their keys, add anything to all objects. (Not frozen: Pyodide's proxies could not have constructors then.)
    Object.preventExtensions(Object.prototype);
    const { open_store, query, watch, watch_events, unwatch, append, call, cancel, at, query_at, close_at } = worker;
    const { catch_up, close, forget, repair, damaged_file, views_version } = worker;
    return {
      open_store, query, watch, watch_events, unwatch, append, call, cancel, at, query_at, close_at, catch_up, close, forget, repair, damaged_file, views_version,
    };
  }

  /** @param {unknown} error */
  async #died(error) {
    if (this.gone) return;
    this.gone = true;
    const suspect = this.#suspect();
    if (suspect) await Promise.race([this.#noteDeath(suspect), wait(2_000)]).catch(() => {});
    this.#leave('died', `The program stopped and starts again. (${error})`.slice(0, 300));
  }

  /** Tell the pages that this worker is over, and end it. @param {Reason} reason @param {string} message */
  #leave(reason, message) {
    this.gone = true;
    this.#tell({ kind: 'gone', reason, message });
    setTimeout(this.#end, 0);
  }

  /** @param {Notice} notice */
  #tell(notice) {
    for (const client of this.clients) client.tell(notice);
  }

  /** The event that was being projected, read where Python left it. */
  #suspect() {
    const bytes = this.#pyodide._module.HEAPU8.slice(this.#marker, this.#marker + 512);
    const [line, log] = [bytes.subarray(0, 64), bytes.subarray(64)].map((part) => new TextDecoder().decode(part).replace(/\0+$/, ''));
    const match = /^\{"replica":"(\w{16})","seq":(\d+),/.exec(line);
    return match && { log, event: `${match[1]}:${match[2]}` };
  }

  /** @param {{ log: string, event: string }} suspect */
  async #noteDeath({ log, event }) {
    const database = new LogDatabase(log);
    try {
      const views = this.#logs.get(log)?.views ?? 0;
      const deaths = /** @type {Deaths} */ ((await database.note('deaths')) ?? {});
      const times = deaths[event]?.views === views ? deaths[event].times + 1 : 1;
      await database.setNote('deaths', { ...deaths, [event]: { times, views } });
    } finally {
      database.close();
    }
  }

  /** Take in what another context has committed, and tell the pages how the log stands if that changed. @param {string} log */
  async #catchUp(log) {
    const told = await this.ask((python) => awaited(python.catch_up(log)));
    if (told) this.#tell({ kind: 'standing', log, ...JSON.parse(told) });
  }

  #whenIdle() {
    this.#idle = setTimeout(() => void this.#recycle(), RECYCLE_AFTER_IDLE_MS);
  }

  async #recycle() {
    if (this.gone || this.heapBytes() < Math.max(RECYCLE_HEAP_BYTES, 2 * this.#heapAtFirst)) return;
    const python = await this.python;
    this.gone = true; // what is asked from now on is asked again of the next worker
    try {
      await Promise.race([Promise.all([...this.#logs.keys()].map((log) => awaited(python.close(log)))), wait(CLOSE_PATIENCE_MS)]);
    } finally {
      this.#leave('recycled', 'The program starts afresh to give memory back.');
    }
  }
}

/** One page: the `Session` it calls, and the port on which it is told. @implements {Session} */
class Client {
  /** @type {MessagePort | undefined} */ #notices;
  /** What the page has opened, or is opening, as often as it did. @type {Use[]} */ #uses = [];
  // What the page numbers for itself, by its numbers; `key` is the number that Python knows.
  /** @type {Map<number, { log: string, key: number }>} */ #watches = new Map();
  /** @type {Map<number, { log: string, key: number }>} */ #pasts = new Map();
  /** @type {Map<number, number>} */ #calls = new Map();
  /** @type {Supervisor} */ #supervisor;
  static #nextKey = 1;

  /** @param {Supervisor} supervisor @param {MessagePort} port */
  constructor(supervisor, port) {
    this.#supervisor = supervisor;
    Comlink.expose(this, port);
  }

  /** @param {Notice} notice */
  tell(notice) {
    this.#notices?.postMessage(notice);
  }

  /** @param {MessagePort} notices */
  listen(notices) {
    this.#notices = notices;
  }

  /** @param {string} life */
  async attend(life) {
    await hold(`${life}/worker`);
    void outlive(`${life}/page`).then(() => this.leave());
  }

  ping() {}

  /** @param {string} log @param {string} schema @param {string} options @param {number} call */
  async open(log, schema, options, call) {
    const use = this.#supervisor.use(log);
    this.#uses.push(use);
    const opened = await this.#supervisor.open(use, schema, options, this.#progress(call));
    if (opened[0] === '!') this.#end(use, 0);
    return opened;
  }

  /** @param {string} log @param {string} sql @param {string} parameters @returns {Promise<string>} */
  query(log, sql, parameters) {
    return this.#supervisor.ask((python) => python.query(log, sql, parameters));
  }

  /** @param {string} log @param {number} watch @param {string | null} sql @param {string} parameters @returns {Promise<string>} */
  watch(log, watch, sql, parameters) {
    const key = Client.#nextKey++;
    this.#watches.set(watch, { log, key });
    const tell = (/** @type {string} */ rows) => this.tell({ kind: 'rows', watch, rows });
    return this.#supervisor.ask((python) => (sql === null ? python.watch_events(log, key, tell) : python.watch(log, key, sql, parameters, tell)));
  }

  /** @param {string} log @param {number} watch */
  unwatch(log, watch) {
    const key = this.#watches.get(watch)?.key;
    this.#watches.delete(watch);
    if (key !== undefined) void this.#supervisor.ask((python) => python.unwatch(log, key));
  }

  /** @param {string} log @param {Uint8Array} events @param {string} batch @param {string} durability @returns {Promise<string>} */
  append(log, events, batch, durability) {
    return this.#supervisor.ask((python) => new Promise((answer) => python.append(log, events, batch, durability, answer)));
  }

  /** @param {string} log @param {string} verb @param {string} args @param {Blob | null} body @param {number} call @returns {Promise<string>} */
  async call(log, verb, args, body, call) {
    const answer = await this.#call(log, verb, args, body, () => {}, call);
    return verb === 'stats' && answer[0] !== '!' ? JSON.stringify({ ...JSON.parse(answer), ...this.#supervisor.about() }) : answer;
  }

  /** A file: its chunks are handed to the browser as they come, and never together in Python. */
  /** @param {string} log @param {string} verb @param {string} args @param {number} call @returns {Promise<[string, Blob | null]>} */
  async file(log, verb, args, call) {
    const file = new FileInChunks();
    const answer = await this.#call(log, verb, args, null, (chunk) => file.add(chunk), call);
    return [answer, answer[0] === '!' ? null : file.blob()];
  }

  /**
   * @param {string} log @param {string} verb @param {string} args @param {Blob | null} body @param {(chunk: Uint8Array<ArrayBuffer>) => void} sink
   * @param {number} call @returns {Promise<string>}
   */
  async #call(log, verb, args, body, sink, call) {
    const key = Client.#nextKey++;
    this.#calls.set(call, key);
    try {
      return await this.#supervisor.ask((python) => awaited(python.call(log, verb, args, body, sink, this.#progress(call), key)));
    } finally {
      this.#calls.delete(call);
    }
  }

  /** @param {number} call */
  cancel(call) {
    const key = this.#calls.get(call);
    if (key !== undefined) void this.#supervisor.ask((python) => python.cancel(key));
  }

  /** @param {string} log @param {number} past @param {string} moment @returns {Promise<string>} */
  async at(log, past, moment) {
    const opened = { log, key: Client.#nextKey++ };
    this.#pasts.set(past, opened);
    const answer = await this.#supervisor.ask((python) => awaited(python.at(log, opened.key, moment)));
    if (this.#pasts.get(past) !== opened) this.#supervisor.closeAt(opened); // the page did not wait for it
    else if (answer[0] === '!') this.#pasts.delete(past);
    return answer;
  }

  /** @param {string} log @param {number} past @param {string} sql @param {string} parameters @returns {Promise<string>} */
  queryAt(log, past, sql, parameters) {
    return this.#supervisor.ask((python) => python.query_at(log, this.#pasts.get(past)?.key ?? 0, sql, parameters));
  }

  /** @param {number} past */
  closeAt(past) {
    const opened = this.#pasts.get(past);
    this.#pasts.delete(past);
    if (opened) this.#supervisor.closeAt(opened);
  }

  /** @param {string} log */
  close(log) {
    this.#end(this.#uses.find((use) => use.log === log));
  }

  /** @param {Use | undefined} use @param {number} [afterMs] */
  #end(use, afterMs) {
    if (!use || !this.#uses.includes(use)) return;
    this.#uses.splice(this.#uses.indexOf(use), 1);
    this.#supervisor.release(use, afterMs);
  }

  /** @param {string} log @returns {Promise<string>} */
  forget(log) {
    this.#uses = this.#uses.filter((use) => use.log !== log);
    return this.#supervisor.forget(log);
  }

  /** @param {string} log @param {string} schema @param {boolean} acceptLoss @returns {Promise<string>} */
  repair(log, schema, acceptLoss) {
    return this.#supervisor.ask((python) => awaited(python.repair(log, schema || app, acceptLoss)));
  }

  /** @param {string} log @param {string} schema @returns {Promise<[string, Blob | null]>} */
  async damagedFile(log, schema) {
    const file = new FileInChunks();
    const sink = (/** @type {Uint8Array<ArrayBuffer>} */ chunk) => file.add(chunk);
    const answer = await this.#supervisor.ask((python) => awaited(python.damaged_file(log, schema || app, sink)));
    return [answer, answer[0] === '!' ? null : file.blob()];
  }

  pause() {
    this.#supervisor.host.pause();
  }

  /** The page is gone, or says that it goes. */
  leave() {
    this.#supervisor.clients.delete(this);
    for (const [watch, { log }] of this.#watches) this.unwatch(log, watch);
    for (const past of this.#pasts.keys()) this.closeAt(past);
    for (const use of [...this.#uses]) this.#end(use);
  }

  /** @param {number} call */
  #progress(call) {
    return (/** @type {string} */ stage, /** @type {number} */ done, /** @type {number} */ total) => this.tell({ kind: 'progress', call, stage, done, total });
  }
}

/** @param {PromiseLike<T> & { destroy(): void }} coroutine a proxy of Python's @returns {Promise<T>} @template T */
async function awaited(coroutine) {
  try {
    return await coroutine;
  } finally {
    coroutine.destroy();
  }
}

/** @param {number} ms */
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** @type {Promise<never>} */
const forever = new Promise(() => {});
