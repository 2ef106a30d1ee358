// @ts-check
/** What Python finds of the browser: `js.pystore_host`. */

import { LogDatabase, logNames } from './indexeddb.js';
import { hold } from './locks.js';
import { Vault } from './vault.js';

/** How long after another context last wrote to a log, or tried, one reckons with its next. */
const CROWDED_MS = 60_000;
/** A write lock not given within this time is taken: its holder is frozen, or long at work and safe without it. */
const LOCK_PATIENCE_MS = 10_000;

export class Host {
  /** @type {Map<string, LogDatabase>} */ #readAhead = new Map();
  /** @type {Set<LogDatabase>} */ #open = new Set();
  /** @type {(() => void)[]} */ #turns = [];
  #turn = new MessageChannel();
  /** @type {Map<string, number>} when another context last wrote, or tried */ #news = new Map();

  /**
   * @param {boolean} alone whether this is the only Python of its site's version, so that writers meet inside it
   * @param {(log: string) => void} [onNews] called when another context has committed to a log that is open here
   */
  constructor(alone, onNews = () => {}) {
    this.alone = alone;
    this.onNews = onNews;
    this.#turn.port1.onmessage = () => this.#turns.shift()?.();
  }

  /** Begin to read what `openLog` will be asked for, before Python can ask. @param {string} log */
  readAhead(log) {
    const database = new LogDatabase(log, { create: true });
    database.readAhead();
    this.#readAhead.set(log, database);
    return database;
  }

  /** @param {string} log */
  async openLog(log) {
    const database = this.#readAhead.get(log) ?? new LogDatabase(log, { create: true });
    this.#readAhead.delete(log);
    database.onNews = (number) => {
      this.#news.set(log, Date.now());
      if (number > 0) this.onNews(log);
    };
    database.onClose = () => this.#open.delete(database);
    await database.open();
    this.#open.add(database);
    return database;
  }

  /** Let go of all connections until they are used again. */
  pause() {
    for (const database of this.#open) database.pause();
  }

  /** @param {string} log */
  openVault(log) {
    return Vault.open(log);
  }

  logNames() {
    return logNames();
  }

  /**
   * The bytes of a part of a file. They are on their way from now on, whether or not anybody waits for them.
   * @param {Blob} file @param {number} start @param {number} end @returns {Promise<ArrayBuffer>}
   */
  part(file, start, end) {
    const reading = file.slice(start, end).arrayBuffer();
    reading.catch(() => {}); // reported where it is awaited
    return reading;
  }

  /** Resolves after other tasks of this thread, such as messages of pages, had their turn. @returns {Promise<void>} */
  turn() {
    return new Promise((resolve) => {
      this.#turns.push(resolve);
      this.#turn.port2.postMessage(null);
    });
  }

  /** Whether writers in other contexts must be reckoned with, so that it pays to wait for them. @param {string} log */
  isCrowded(log) {
    return !this.alone || Date.now() - (this.#news.get(log) ?? 0) < CROWDED_MS;
  }

  /** Wait for the lock of that name; what is returned gives it back. @param {string} name @returns {Promise<() => void>} */
  async lock(name) {
    const granted = hold(name, { signal: AbortSignal.timeout(LOCK_PATIENCE_MS) });
    return granted.catch(() => hold(name, { steal: true }));
  }
}
