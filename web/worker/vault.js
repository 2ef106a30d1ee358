// @ts-check
/**
 * The vault of a log: files in the origin private file system, which outlives what befalls IndexedDB. Where a browser has none that
 * a worker may write to: an IndexedDB database in a storage bucket of its own, else beside the logs.
 *
 * A file is written whole or not at all: the file system swaps a finished file in, and a transaction is one. Nothing waits for
 * ever. Errors are DOMExceptions; `pystore/browser/indexeddb.py` knows what each name means.
 */

import { hold } from './locks.js';

const FOLDER = 'pystore-vault';
const TIMEOUT_MS = 20_000;
const BYTES_PER_MS = 500;
/** A backup of a million changes takes less. */
const LOCK_PATIENCE_MS = 120_000;

/** @typedef {'opfs' | 'bucket' | 'indexeddb'} Kind */
/**
 * @typedef {object} Files what keeps files, by folder and name
 * @property {(folder: string, name: string) => Promise<Uint8Array | undefined>} read
 * @property {(folder: string, name: string, data: Uint8Array<ArrayBuffer>) => Promise<void>} write
 * @property {(folder: string) => Promise<[string, number][]>} sizes
 * @property {(folder: string, name: string) => Promise<void>} remove
 * @property {() => Promise<void>} destroy
 */

/** @param {string} name @param {string} message */
const problem = (name, message) => new DOMException(message, name);

/** Names of logs may hold what names of files may not. @param {string} log */
const folderOf = (log) => `log-${encodeURIComponent(log)}`;

/** What is noted of logs that were kept here, by log: see `pystore/witness.py`. @returns {Promise<Map<string, { name: string, events: number }>>} */
export async function readWitnesses() {
  const found = new Map();
  if (!canWriteFiles()) return found;
  const vaults = await (await navigator.storage.getDirectory().catch(absent))?.getDirectoryHandle(FOLDER).catch(absent);
  if (!vaults) return found;
  for await (const name of vaults.keys()) {
    if (!name.startsWith('log-')) continue;
    const log = decodeURIComponent(name.slice(4));
    const noted = await fileSystem(log).read('state', 'witness.json');
    if (noted) found.set(log, await witness(new TextDecoder().decode(noted)) ?? { name: log, events: NaN }); // that there was one is known
  }
  return found;
}

/** A witness, whose last value is the SHA-256 of the rest; null if it is damaged. @param {string} text */
async function witness(text) {
  const [, rest, said] = /^(.*),"sha256":"([0-9a-f]{64})"\}$/s.exec(text) ?? [];
  const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(`${rest}}`)));
  return said === Array.from(hash, (byte) => byte.toString(16).padStart(2, '0')).join('') ? JSON.parse(text) : null;
}

/** One handle on the vault of a log. */
export class Vault {
  /** @type {Kind} */ kind;
  #files;
  #log;
  #closed = false;

  /** @param {string} log @param {Kind} kind @param {Files} files */
  constructor(log, kind, files) {
    this.#log = log;
    this.kind = kind;
    this.#files = files;
  }

  /** @param {string} log @param {{ hasFileSystem?: boolean }} [options] */
  static async open(log, { hasFileSystem = canWriteFiles() } = {}) {
    if (hasFileSystem && await navigator.storage.getDirectory().catch(absent)) return new Vault(log, 'opfs', fileSystem(log));
    /** @type {any} */ const buckets = /** @type {any} */ (navigator).storageBuckets;
    /** @type {IDBFactory} */ const factory = (await buckets?.open(FOLDER).catch(absent))?.indexedDB ?? indexedDB;
    return new Vault(log, factory === indexedDB ? 'indexeddb' : 'bucket', database(log, factory));
  }

  /** @param {string} name @returns {Promise<Uint8Array | undefined>} */
  read(name) {
    return this.#call((files) => files.read(...parts(name)));
  }

  /** @param {string} name @param {Uint8Array<ArrayBuffer>} data */
  write(name, data) {
    return this.#call((files) => files.write(...parts(name), data), data.length);
  }

  /** @param {string} folder @returns {Promise<string>} JSON of `[[name, bytes], ...]` */
  async sizes(folder) {
    return JSON.stringify(await this.#call((files) => files.sizes(folder)));
  }

  /** @param {string} name */
  remove(name) {
    return this.#call((files) => files.remove(...parts(name)));
  }

  /** Hold the vault until the returned function is called. */
  async hold() {
    this.#check();
    return hold(`pystore/${this.#log}/vault`, { signal: AbortSignal.timeout(LOCK_PATIENCE_MS) }).catch(() => {
      throw problem('NotReadableError', 'Another window makes a backup and does not come to an end.');
    });
  }

  close() {
    this.#closed = true;
  }

  async destroy() {
    await this.#call((files) => files.destroy());
    this.#closed = true;
  }

  #check() {
    if (this.#closed) throw problem('InvalidStateError', 'The vault is closed.');
  }

  /** @param {(files: Files) => Promise<T>} work @param {number} [bytes] @returns {Promise<T>} @template T */
  async #call(work, bytes = 0) {
    this.#check();
    /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(problem('NotReadableError', 'The browser did not answer in time.')), TIMEOUT_MS + bytes / BYTES_PER_MS);
    });
    try {
      return await /** @type {Promise<T>} */ (Promise.race([work(this.#files), late]));
    } catch (error) {
      const { name, message } = /** @type {Error} */ (error);
      throw name === 'QuotaExceededError' || error instanceof DOMException ? problem(name, message) : problem('NotReadableError', `${name}: ${message}`);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** @param {string} name @returns {[string, string]} */
function parts(name) {
  const [folder, file] = name.split('/');
  return [folder, file];
}

/** What is not there is undefined; any other error is one. @param {Error} error @returns {undefined} */
function absent(error) {
  if (error.name !== 'NotFoundError' && error.name !== 'SecurityError' && error.name !== 'NotSupportedError') throw error;
}

// -- the origin private file system

const canWriteFiles = () => 'storage' in navigator && 'getDirectory' in navigator.storage && 'createWritable' in (globalThis.FileSystemFileHandle?.prototype ?? {});

/** @param {string} log @returns {Files} */
function fileSystem(log) {
  /** @param {boolean} create @param {string[]} path @returns {Promise<FileSystemDirectoryHandle | undefined>} */
  const directory = async (create, ...path) => {
    let at = await navigator.storage.getDirectory();
    for (const name of path) {
      const next = await (create ? at.getDirectoryHandle(name, { create }) : at.getDirectoryHandle(name).catch(absent));
      if (!next) return undefined;
      at = next;
    }
    return at;
  };
  const inVault = (/** @type {string} */ folder, create = false) => directory(create, FOLDER, folderOf(log), folder);
  return {
    async read(folder, name) {
      const handle = await (await inVault(folder))?.getFileHandle(name).catch(absent);
      return handle && new Uint8Array(await (await handle.getFile()).arrayBuffer());
    },
    async write(folder, name, data) {
      const at = /** @type {FileSystemDirectoryHandle} */ (await inVault(folder, true));
      const file = await (await at.getFileHandle(name, { create: true })).createWritable();
      try {
        await file.write(data);
      } catch (error) {
        await file.abort().catch(() => {}); // what was there before stays; why it failed is told
        throw error;
      }
      await file.close();
    },
    async sizes(folder) {
      const at = await inVault(folder);
      /** @type {[string, number][]} */ const found = [];
      if (at) {
        for await (const [name, handle] of at.entries()) {
          if (!(handle instanceof FileSystemFileHandle)) continue;
          const file = await handle.getFile().catch(absent);
          if (file) found.push([name, file.size]);
        }
      }
      return found;
    },
    async remove(folder, name) {
      await (await inVault(folder))?.removeEntry(name).catch(absent);
    },
    async destroy() {
      await (await directory(false, FOLDER))?.removeEntry(folderOf(log), { recursive: true }).catch(absent);
    },
  };
}

// -- a database

/** @param {string} log @param {IDBFactory} factory @returns {Files} */
function database(log, factory) {
  /** @param {IDBRequest<T>} request @returns {Promise<T>} @template T */
  const settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const name = `${FOLDER}/${log}`;
  /** @param {IDBTransactionMode} mode @param {(files: IDBObjectStore) => IDBRequest<T>} queue @returns {Promise<T>} @template T */
  const transact = async (mode, queue) => {
    const opening = factory.open(name, 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore('files');
    const opened = await settled(opening);
    try {
      const tx = opened.transaction('files', mode, { durability: 'strict' });
      const answer = settled(queue(tx.objectStore('files')));
      await new Promise((resolve, reject) => {
        tx.oncomplete = resolve;
        tx.onabort = () => reject(tx.error);
      });
      return await answer;
    } finally {
      opened.close();
    }
  };
  const range = (/** @type {string} */ folder) => IDBKeyRange.bound([folder], [folder, []]);
  return {
    read: (folder, file) => transact('readonly', (files) => files.get([folder, file])),
    write: (folder, file, data) => transact('readwrite', (files) => files.put(data, [folder, file])).then(() => {}),
    async sizes(folder) {
      const names = await transact('readonly', (files) => files.getAllKeys(range(folder)));
      const all = await transact('readonly', (files) => files.getAll(range(folder)));
      return names.map((key, i) => [/** @type {string[]} */ (key)[1], all[i].length]);
    },
    remove: (folder, file) => transact('readwrite', (files) => files.delete([folder, file])).then(() => {}),
    destroy: () => settled(factory.deleteDatabase(name)).then(() => {}),
  };
}
