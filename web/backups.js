// @ts-check
/** The backups of a store, as a page asks for them, and the folder of the user's own into which they can be copied. */

import { hold } from './worker/locks.js';
import { PyStoreError } from './worker/protocol.js';

/** @typedef {import('./pystore.js').BackupSettings} BackupSettings */
/** @typedef {import('./pystore.js').Mirror} MirrorState */
/** @typedef {{ onProgress?: import('./pystore.js').Progress, signal?: AbortSignal }} Long */
/**
 * @typedef {object} Ask how the store asks the worker
 * @property {(verb: string, args?: object, options?: Long & { kind?: 'once' | 'batch' }) => Promise<any>} call
 * @property {(verb: string, args: object, type: string, options: Long) => Promise<Blob>} file
 */

const LOOK_EVERY_MS = 60_000;
const COPY_PATIENCE_MS = 60_000;
/** Of how many days the folder keeps a file. */
const MIRRORED_DAYS = 30;

export class Backups {
  #log;
  #ask;
  #mirror;

  /** @param {string} log @param {Ask} ask */
  constructor(log, ask) {
    this.#log = log;
    this.#ask = ask;
    this.#mirror = new Mirror(log, this);
  }

  /** All backups, newest first. @returns {Promise<any[]>} */
  list() {
    return this.#ask.call('backups_list');
  }

  /** Make one now. @param {string} [label] @returns {Promise<any>} */
  create(label = '') {
    return this.#ask.call('backups_create', { label }, { kind: 'once' });
  }

  /** Check one, or without an id all of them. @param {string | null} [id] @param {Long} [options] @returns {Promise<any>} */
  verify(id = null, options) {
    return this.#ask.call('backups_verify', { id }, options);
  }

  /**
   * Bring one in; all of it is checked before anything changes. With `salvage` also what was kept of a damaged log.
   * @param {string} id @param {'merge' | 'replace'} [mode] @param {{ salvage?: boolean } & Long} [options] @returns {Promise<any>}
   */
  restore(id, mode = 'merge', { salvage = false, ...options } = {}) {
    return this.#ask.call('backups_restore', { id, mode, salvage }, { kind: 'once', ...options });
  }

  /** One as a file (JSONL). @param {string} id @param {{ gzip?: boolean } & Long} [options] */
  file(id, { gzip = false, ...options } = {}) {
    return this.#ask.file('backups_file', { id, gzip }, gzip ? 'application/gzip' : 'application/jsonl', options);
  }

  /** @param {string} id @returns {Promise<null>} */
  remove(id) {
    return this.#ask.call('backups_remove', { id }, { kind: 'once' });
  }

  /** @returns {Promise<any>} */
  stats() {
    return this.#ask.call('backups_stats');
  }

  /** @param {Partial<BackupSettings>} settings @returns {Promise<BackupSettings>} */
  configure(settings) {
    return this.#ask.call('backups_configure', settings, { kind: 'batch' });
  }

  /** Let the clock make backups. @returns {Promise<null>} */
  start() {
    return this.#ask.call('backups_start', {}, { kind: 'batch' });
  }

  /** Let it make no more. @returns {Promise<null>} */
  stop() {
    return this.#ask.call('backups_stop', {}, { kind: 'batch' });
  }

  /** Copy backups into a folder, now and whenever there are new ones; `null`: no more. @param {FileSystemDirectoryHandle | null} directory */
  mirrorTo(directory) {
    return this.#mirror.to(directory);
  }

  /** Which folder backups are copied into, and how that goes. @returns {Promise<MirrorState | null>} */
  mirror() {
    return this.#mirror.state();
  }

  /** Go on copying as was chosen before, as long as the page is open. */
  followMirror() {
    this.#mirror.follow();
  }

  /** Let go. */
  close() {
    this.#mirror.close();
  }
}

/**
 * Copies the newest backup into a folder: one file a day, written over in the course of it, the newest thirty kept. The folder is
 * remembered in a database of the page's own. The browser may ask again whether the page may write to it: then nothing is
 * copied until the person says so.
 */
class Mirror {
  #log;
  #backups;
  /** @type {ReturnType<typeof setInterval> | undefined} */ #timer;
  /** @type {Promise<unknown>} */ #last = Promise.resolve();

  /** @param {string} log @param {Backups} backups */
  constructor(log, backups) {
    this.#log = log;
    this.#backups = backups;
  }

  /** @param {FileSystemDirectoryHandle | null} directory */
  async to(directory) {
    if (directory === null) {
      await forgetMirror(this.#log);
      return this.close();
    }
    await this.#copy({ directory, copied: null, at: null, error: null });
    this.#watch();
  }

  async state() {
    const kept = await recall(this.#log);
    if (!kept) return null;
    const { directory, copied, at, error } = kept;
    return { folder: directory.name, copied, at, error, allowed: await isAllowed(directory) };
  }

  follow() {
    void recall(this.#log).then((kept) => { if (kept) this.#watch(); }, (error) => console.error(error));
  }

  close() {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #watch() {
    this.#timer ??= setInterval(() => void this.#look(), LOOK_EVERY_MS);
    void this.#look();
  }

  /** Copy what is new, if the page may, and no other window does. */
  #look() {
    this.#last = this.#last.then(async () => {
      const release = await hold(`pystore/${this.#log}/mirror`, { signal: AbortSignal.timeout(1_000) }).catch(() => null);
      if (release === null) return;
      try {
        const kept = await recall(this.#log);
        if (!kept || !(await isAllowed(kept.directory))) return;
        await this.#copy(kept).catch(({ name, message }) => keep(this.#log, { ...kept, error: FAILURES[name] ?? message }));
      } finally {
        release();
      }
    }).catch((error) => console.error(error));
    return this.#last;
  }

  /** @param {Kept} kept */
  async #copy(kept) {
    const { directory } = kept;
    const newest = (await this.#backups.list()).find(({ damaged }) => damaged === null) ?? await this.#backups.create('For the folder');
    if (newest.id === kept.copied) return;
    const blob = await this.#backups.file(newest.id, { gzip: true });
    const name = `${this.#log}-${newest.time.slice(0, 10)}.jsonl.gz`;
    const file = await (await directory.getFileHandle(name, { create: true })).createWritable();
    await file.write(blob);
    await file.close();
    const written = await (await directory.getFileHandle(name)).getFile();
    if (await checksum(written) !== await checksum(blob)) throw new PyStoreError('StorageError', `${name} is not as it was written. Is the disk full, or damaged?`);
    await keep(this.#log, { directory, copied: newest.id, at: new Date().toISOString(), error: null });
    await this.#prune(directory);
  }

  /** @param {FileSystemDirectoryHandle} directory */
  async #prune(directory) {
    const ours = [];
    for await (const name of directory.keys()) if (isMirrored(this.#log, name)) ours.push(name);
    for (const name of ours.sort().slice(0, -MIRRORED_DAYS)) await directory.removeEntry(name);
  }
}

/** What the browser's errors say of a folder. @type {Record<string, string>} */
const FAILURES = {
  NotFoundError: 'The folder is not there. It was moved or removed, or its disk is not connected.',
  NotAllowedError: 'This page may not write there.',
  NoModificationAllowedError: 'Another program or window writes there.',
  QuotaExceededError: 'There is no space left there.',
};

/** @param {Blob} file */
const checksum = async (file) => `${new Uint8Array(await crypto.subtle.digest('SHA-256', await file.arrayBuffer()))}`;

/** @param {string} log @param {string} name of a file */
const isMirrored = (log, name) => name.startsWith(`${log}-`) && /^\d{4}-\d\d-\d\d\.jsonl\.gz$/.test(name.slice(log.length + 1));

/** @typedef {{ directory: FileSystemDirectoryHandle, copied: string | null, at: string | null, error: string | null }} Kept */

/** @param {FileSystemDirectoryHandle} directory */
async function isAllowed(directory) {
  /** @type {any} */ const asking = directory;
  return asking.queryPermission === undefined || (await asking.queryPermission({ mode: 'readwrite' })) === 'granted';
}

const DATABASE = 'pystore-mirrors';

/** @param {IDBTransactionMode} mode @param {(store: IDBObjectStore) => IDBRequest<T>} queue @returns {Promise<T>} @template T */
function transact(mode, queue) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(DATABASE, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('mirrors');
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const database = opening.result;
      const tx = database.transaction('mirrors', mode);
      const request = queue(tx.objectStore('mirrors'));
      tx.oncomplete = () => { database.close(); resolve(request.result); };
      tx.onabort = () => { database.close(); reject(tx.error); };
    };
  });
}

/** @param {string} log @returns {Promise<Kept | undefined>} */
const recall = (log) => transact('readonly', (store) => store.get(log));

/** @param {string} log @param {Kept} kept */
const keep = (log, kept) => transact('readwrite', (store) => store.put(kept, log));

/**
 * The newest file in the folder into which backups of a log were copied, if there is one that the page may read; asks the person.
 * @param {string} log @returns {Promise<File | null>}
 */
export async function newestMirrored(log) {
  const kept = await recall(log);
  if (!kept) return null;
  /** @type {any} */ const asking = kept.directory;
  if (!(await isAllowed(kept.directory)) && (await asking.requestPermission?.({ mode: 'readwrite' })) !== 'granted') return null;
  /** @type {string[]} */ const names = [];
  for await (const name of kept.directory.keys()) if (isMirrored(log, name)) names.push(name);
  const newest = names.sort().at(-1);
  return newest === undefined ? null : (await kept.directory.getFileHandle(newest)).getFile();
}

/** The folder into which backups of a log are copied. @param {string} log @returns {Promise<string | null>} */
export const mirrorFolder = async (log) => (await recall(log))?.directory.name ?? null;

/** Forget the folder of a log. The files in it are the user's. @param {string} log */
export async function forgetMirror(log) {
  // Whoever copies at this moment notes in the end that he did.
  const release = await hold(`pystore/${log}/mirror`, { signal: AbortSignal.timeout(COPY_PATIENCE_MS) }).catch(() => {
    throw new PyStoreError('UnavailableError', 'A backup is being copied into your folder. Nothing was changed; try again when that is done.');
  });
  try {
    await transact('readwrite', (store) => store.delete(log));
  } finally {
    release();
  }
}
