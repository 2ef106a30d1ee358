// @ts-check
/**
 * Logs in IndexedDB: one database a log, whose transactions begin and end here.
 *
 * Rules that everything here serves:
 * - A transaction is one call from Python: all its requests are queued in one go, and the call is over when the transaction is
 *   (`complete`), never when a request was: on a full disk a request succeeds and the transaction aborts after it.
 * - The database's version stays 1 for ever, so no window can keep another from opening it.
 * - A connection may be lost at any time (data cleared, a window that was frozen, a browser fault). The next call opens a new
 *   one, and takes it only if it is of the same database: one that was removed is never made anew behind its log's back.
 * - Nothing waits for ever: each open and each transaction has a time-out.
 *
 * Errors are DOMExceptions; `pystore/browser/indexeddb.py` knows what each name means.
 */

import { recorded } from './records.js';
import { allMeta, append, ended, get, OWN, plain, problem, rearrange, rememberedIn, sumOfKeys } from './transactions.js';
import { Vault, readWitnesses } from './vault.js';

const PREFIX = 'pystore/';
const OPEN_TIMEOUT_MS = 10_000;
const TRANSACTION_TIMEOUT_MS = 20_000;
const BYTES_PER_MS = 500;
const OPEN_TRIES = 3;
/** In parts of this size an image is read. */
const PART_BYTES = 8 << 20;

/** @typedef {import('./transactions.js').SegmentRecord} SegmentRecord */
/** @typedef {import('./transactions.js').Writing} Writing */
/** @typedef {{ name: string, about: Uint8Array, image: Blob, checksum: number, bytes: number }} CheckpointRecord */
/** The parts of the image come one after the other, undefined where one cannot be read. */
/** @typedef {{ about: Uint8Array, checksum: number, size: number, parts: Promise<ArrayBuffer | undefined>[] }} Checkpoint */
/** Python's bytes, not copied. @typedef {{ getBuffer(type: 'u8'): { data: Uint8Array<ArrayBuffer>, release(): void } }} PythonBytes */
/** @typedef {{ add: [number, number, number][], delete: number[], meta: string[], batches: string[], durability: 'strict' | 'relaxed' }} Change */
/**
 * @template T
 * @typedef {import('./transactions.js').Queue<T>} Queue
 */
/** @typedef {{ meta: [string, Uint8Array][], checkpoint: Checkpoint | undefined, name: string }} ReadAhead */

/** @param {string} log */
const removed = (log) => problem('NotFoundError', `The log ${log} was removed.`);

/** The names of the logs kept here, sorted. @returns {Promise<string[]>} */
export async function logNames() {
  const databases = await factory().databases();
  return databases.flatMap(({ name }) => (name?.startsWith(PREFIX) ? [name.slice(PREFIX.length)] : [])).sort();
}

/**
 * What is kept here, told from each log's own record, without Python; also what was kept, of which only the vault is left. What was
 * being removed when that was cut short is removed.
 * @returns {Promise<{ log: string, name: string, events: number, lost?: boolean }[]>}
 */
export async function listLogs() {
  const found = [];
  const witnesses = await readWitnesses();
  for (const log of await logNames()) {
    const database = new LogDatabase(log);
    try {
      const meta = new Map(await database.meta());
      const forgotten = meta.get('forgotten');
      if (forgotten !== undefined && recorded('forgotten', forgotten) === 'yes') {
        await remove(database);
        witnesses.delete(log);
        continue;
      }
      const head = meta.get('head');
      if (head === undefined) continue; // opened once and never written to
      const { name, events } = JSON.parse(recorded('head', head));
      found.push({ log, name, events });
      witnesses.delete(log);
    } catch (error) {
      if (error instanceof DOMException && error.name === 'NotFoundError') continue;
      found.push({ log, name: log, events: NaN });
      witnesses.delete(log);
    } finally {
      database.close();
    }
  }
  return [...found, ...[...witnesses].map(([log, { name, events }]) => ({ log, name, events, lost: true }))];
}

/** Go on with the removing of a log, which was cut short: as `pystore/forgetting.py` does. @param {LogDatabase} database */
async function remove(database) {
  const vault = await Vault.open(database.log);
  const release = await vault.hold();
  try {
    await vault.destroy();
    await database.destroy();
  } finally {
    release();
  }
}

/** The database of one log. Connects when first used. */
export class LogDatabase {
  /** @type {string} */ log;
  /** Called with the number of the newest segment when another context of this origin has committed one, 0 if it failed to. */
  /** @type {(number: number) => void} */ onNews = () => {};
  /** @type {() => void} */ onClose = () => {};
  /** @type {Promise<IDBDatabase> | undefined} */ #connection;
  /** @type {string | undefined} */ #identity;
  /** @type {BroadcastChannel} */ #channel;
  /** @type {Promise<ReadAhead | undefined> | undefined} */ #readAhead;
  #mayCreate;
  #closed = false;

  /** @param {string} log @param {{ create?: boolean }} [options] */
  constructor(log, { create = false } = {}) {
    this.log = log;
    this.#mayCreate = create;
    this.#channel = new BroadcastChannel(PREFIX + log);
    this.#channel.onmessage = ({ data }) => this.onNews(data);
  }

  /** Make sure that the database can be used. */
  async open() {
    await this.#connected();
  }

  /**
   * Begin to read what an open will ask for: the meta values and the checkpoint whose name comes last, as of one moment. The next
   * `meta` and `loadCheckpoint` are answered from it.
   */
  readAhead() {
    /** @type {Promise<ReadAhead>} */
    const reading = this.#transact(['meta', 'segments', 'checkpoints'], 'readonly', (tx, settle) => {
      /** @type {[string, Uint8Array][]} */ let meta = [];
      allMeta(tx, (entries) => { meta = entries; });
      const last = tx.objectStore('checkpoints').openCursor(null, 'prev');
      last.onsuccess = () => settle({ meta, checkpoint: readCheckpoint(last.result?.value), name: last.result?.value.name });
    });
    this.#readAhead = reading.catch(() => undefined); // whoever asks then reads for himself, and gets the error
  }

  /** All meta values, as of one moment. @returns {Promise<[string, Uint8Array][]>} */
  async meta() {
    const ahead = await this.#readAhead;
    if (ahead) {
      const { meta } = ahead;
      this.#readAhead = Promise.resolve({ ...ahead, meta: [] });
      if (meta.length > 0) return meta;
    }
    return this.#transact(['meta', 'segments'], 'readonly', allMeta);
  }

  /**
   * Segments with a number above `after`, rising, until the bodies exceed `maxBytes`: `[[number, first, events], ...]` as JSON,
   * and the bodies.
   * @param {number} after @param {number} maxBytes
   * @returns {Promise<[string, Uint8Array[]]>}
   */
  segments(after, maxBytes) {
    const PAGE = 32;
    return this.#transact(['segments'], 'readonly', (tx, settle) => {
      /** @type {number[][]} */ const about = [];
      /** @type {Uint8Array[]} */ const bodies = [];
      let bytes = 0;
      /** @param {number} from */
      const more = (from) => {
        const request = tx.objectStore('segments').getAll(IDBKeyRange.lowerBound(from, true), PAGE);
        request.onsuccess = () => {
          for (const { number, first, events, body } of /** @type {SegmentRecord[]} */ (request.result)) {
            about.push([number, first, events]);
            bodies.push(body);
            bytes += body.length;
            if (bytes > maxBytes) break;
          }
          if (bytes > maxBytes || request.result.length < PAGE) settle([JSON.stringify(about), bodies]);
          else more(about[about.length - 1][0]);
        };
      };
      more(after);
    });
  }

  /**
   * Make the whole change, or none of it. `bodies` are the bytes of the segments to add, the meta values and the batches, in
   * the order in which `change` names them.
   * @param {string} change a `Change` as JSON @param {Uint8Array[]} bodies
   */
  async commit(change, bodies) {
    const { add, delete: gone, meta, batches, durability } = /** @type {Change} */ (JSON.parse(change));
    const bytes = bodies.reduce((sum, body) => sum + body.length, 0);
    let next = 0;
    /** @type {Writing} */
    const writing = {
      added: add.map(([number, first, events]) => ({ number, first, events, bytes: bodies[next].length, body: bodies[next++] })),
      gone,
      meta: new Map(meta.map((key) => [key, bodies[next++]])),
      batches: new Map(batches.map((id) => [id, bodies[next++]])),
    };
    /** @param {typeof append} write */
    const committed = (write) => this.#transact(['segments', 'meta', 'batches'], 'readwrite', (tx, _, fail) => write(tx, writing, fail), { durability, bytes });
    try {
      await (add.length === 1 && gone.length === 0 && writing.meta.has('head')
        ? committed(append).catch((error) => (error.name === 'ConstraintError' ? committed(rearrange) : Promise.reject(error)))
        : committed(rearrange));
    } catch (error) {
      // Another context is told that there is a second writer here, which does not get through.
      if (/** @type {DOMException} */ (error).name === 'ConstraintError') this.#channel.postMessage(0);
      throw error;
    }
    // After the answer, which would wait for it.
    if (add.length > 0) setTimeout(() => this.#closed || this.#channel.postMessage(add[add.length - 1][0]));
  }

  /** @param {string} id @returns {Promise<Uint8Array | undefined>} */
  batch(id) {
    return this.#transact(['segments', 'batches'], 'readonly', (tx, settle) => {
      get(tx.objectStore('batches'), id, settle);
      get(tx.objectStore('segments').index('batches'), id, (/** @type {SegmentRecord | undefined} */ segment) => {
        if (segment) settle(rememberedIn(segment, id));
      });
    });
  }

  /** On return all earlier commits are on the medium: a strict transaction is a barrier for the relaxed ones before it. */
  async flush() {
    // It has to write something: an empty transaction reaches no medium.
    await this.#transact(['meta'], 'readwrite', (tx) => { tx.objectStore('meta').put(Date.now(), '$flushed_at'); }, { durability: 'strict' });
  }

  /**
   * Keep an image under `name`, instead of one of that name. As a blob it is read back five times as fast as in pieces.
   * @param {string} name @param {Uint8Array} about @param {PythonBytes} bytes of the image; looked at before this returns
   * @param {number} checksum of both: Python's, which is quicker than any digest of the browser's
   */
  async saveCheckpoint(name, about, bytes, checksum) {
    const buffer = bytes.getBuffer('u8');
    const image = new Blob([buffer.data]);
    buffer.release();
    /** @type {CheckpointRecord} */ const record = { name, about, image, checksum, bytes: image.size + about.length };
    await this.#transact(['checkpoints'], 'readwrite', (tx) => { tx.objectStore('checkpoints').put(record); }, { bytes: record.bytes });
  }

  /**
   * The checkpoint of that name; undefined if there is none or it cannot be read.
   * @param {string} name @returns {Promise<Checkpoint | undefined>}
   */
  async loadCheckpoint(name) {
    const ahead = await this.#readAhead;
    this.#readAhead = undefined;
    if (ahead && ahead.name === name) return ahead.checkpoint;
    return readCheckpoint(await this.#transact(['checkpoints'], 'readonly', (tx, settle) => get(tx.objectStore('checkpoints'), name, settle)));
  }

  /** The name of every checkpoint, and what is said about it. @returns {Promise<[string, Uint8Array][]>} */
  checkpoints() {
    return this.#transact(['checkpoints'], 'readonly', (tx, settle) => {
      const request = tx.objectStore('checkpoints').getAll(); // images are blobs: they are not read
      request.onsuccess = () => settle(request.result.map(({ name, about }) => [name, about]));
    });
  }

  /** @param {string} name */
  async deleteCheckpoint(name) {
    await this.#transact(['checkpoints'], 'readwrite', (tx) => { tx.objectStore('checkpoints').delete(name); });
  }

  /** Bytes of segments, and of checkpoints. @returns {Promise<[number, number]>} */
  size() {
    return this.#transact(['segments', 'checkpoints'], 'readonly', (tx, settle) => {
      sumOfKeys(tx.objectStore('segments').index('bytes'), (log) => {
        sumOfKeys(tx.objectStore('checkpoints').index('bytes'), (checkpoints) => settle([log, checkpoints]));
      });
    });
  }

  /** A small value of the supervisor's own, JSON, that lives and goes with the log. @param {string} key @returns {Promise<any>} */
  note(key) {
    return this.#transact(['meta'], 'readonly', (tx, settle) => get(tx.objectStore('meta'), OWN + key, settle));
  }

  /** @param {string} key @param {any} value */
  async setNote(key, value) {
    await this.#transact(['meta'], 'readwrite', (tx) => { tx.objectStore('meta').put(value, OWN + key); }, { durability: 'strict' });
  }

  /** Let go of the connection until the next call: a frozen window must not hold one. */
  pause() {
    const connection = this.#connection;
    this.#connection = undefined;
    connection?.then((database) => database.close(), () => {});
  }

  /** Let go for good. Repeated calls do nothing. */
  close() {
    this.#closed = true;
    this.#channel.close();
    this.pause();
    this.onClose();
  }

  /** Remove the log's database, and close. Other connections to it give way. */
  async destroy() {
    if (this.#closed) throw problem('InvalidStateError', 'The storage is closed.');
    await this.#connected();
    this.close();
    await new Promise((resolve, reject) => {
      const request = factory().deleteDatabase(PREFIX + this.log);
      const timer = setTimeout(() => reject(problem('TimeoutError', 'Another window still uses this log. Close it; the log goes then.')), OPEN_TIMEOUT_MS);
      request.onsuccess = () => { clearTimeout(timer); resolve(undefined); };
      request.onerror = () => { clearTimeout(timer); reject(plain(request.error)); };
    });
  }

  // -- connection and transactions

  /** @returns {Promise<IDBDatabase>} */
  #connected() {
    if (this.#closed) return Promise.reject(problem('InvalidStateError', 'The storage is closed.'));
    if (!this.#connection) {
      const connection = this.#connect();
      connection.catch(() => { if (this.#connection === connection) this.#connection = undefined; });
      this.#connection = connection;
    }
    return this.#connection;
  }

  async #connect() {
    for (let attempt = 1; ; attempt++) {
      try {
        const database = await connect(this.log, this.#mayCreate);
        const forget = () => { this.#connection = undefined; };
        database.onclose = forget;
        database.onversionchange = () => { forget(); database.close(); };
        const identity = await identityOf(database);
        this.#identity ??= identity;
        this.#mayCreate = false;
        if (identity === this.#identity) return database;
        database.close();
        throw removed(this.log);
      } catch (error) {
        const name = error instanceof DOMException ? error.name : '';
        if (name === 'NotFoundError' || name === 'NotSupportedError' || attempt >= OPEN_TRIES) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50 * attempt));
      }
    }
  }

  /**
   * Queue the requests of a transaction by `queue`, and wait for its end. The answer is what `queue` settled on.
   * @template [T=void]
   * @param {string[]} stores @param {IDBTransactionMode} mode
   * @param {Queue<T>} queue
   * @param {{ durability?: 'strict' | 'relaxed', bytes?: number }} [options]
   * @returns {Promise<T>}
   */
  async #transact(stores, mode, queue, { durability = 'relaxed', bytes = 0 } = {}) {
    for (let attempt = 1; ; attempt++) {
      const database = await this.#connected();
      let tx;
      try {
        tx = database.transaction(stores, mode, { durability });
      } catch (error) {
        // The connection closed a moment ago. Nothing was begun, so a new one may be tried.
        if (!(error instanceof DOMException && error.name === 'InvalidStateError') || attempt >= OPEN_TRIES) throw error;
        this.#connection = undefined;
        continue;
      }
      return ended(tx, queue, TRANSACTION_TIMEOUT_MS + bytes / BYTES_PER_MS);
    }
  }
}

/** @param {CheckpointRecord | undefined} record @returns {Checkpoint | undefined} */
function readCheckpoint(record) {
  if (!record) return undefined;
  const { about, image, checksum } = record;
  /** @type {Checkpoint['parts']} */ const parts = [];
  for (let at = 0; at < image.size; at += PART_BYTES) {
    parts.push(image.slice(at, at + PART_BYTES).arrayBuffer().catch(() => undefined)); // the file behind the blob is gone: a checkpoint can be made again
  }
  return { about, checksum, size: image.size, parts };
}

// -- opening

/** @returns {IDBFactory} */
function factory() {
  if (!globalThis.isSecureContext) throw problem('SecurityError', 'The page was not loaded over https or from this machine.');
  if (!globalThis.indexedDB) throw problem('SecurityError', 'The browser gives no storage here.');
  return indexedDB;
}

/** @param {string} log @param {boolean} mayCreate @returns {Promise<IDBDatabase>} */
function connect(log, mayCreate) {
  return new Promise((resolve, reject) => {
    const request = factory().open(PREFIX + log, 1);
    let late = false;
    const timer = setTimeout(() => { late = true; reject(problem('NotReadableError', 'The browser did not open the storage in time.')); }, OPEN_TIMEOUT_MS);
    /** @type {DOMException | undefined} */ let reason;
    request.onupgradeneeded = () => {
      if (mayCreate && !late) return createStores(request.result);
      reason = removed(log);
      request.transaction?.abort();
    };
    request.onsuccess = () => {
      clearTimeout(timer);
      if (late) request.result.close();
      else resolve(request.result);
    };
    request.onerror = () => { clearTimeout(timer); reject(reason ?? problem('NotReadableError', `The browser could not open the storage: ${request.error?.message}`)); };
  });
}

/** @param {IDBDatabase} database */
function createStores(database) {
  const segments = database.createObjectStore('segments', { keyPath: 'number' });
  segments.createIndex('bytes', 'bytes');
  segments.createIndex('batches', 'batches', { multiEntry: true, unique: true });
  database.createObjectStore('batches');
  database.createObjectStore('checkpoints', { keyPath: 'name' }).createIndex('bytes', 'bytes');
  database.createObjectStore('meta').put(crypto.randomUUID(), '$database');
}

/** @param {IDBDatabase} database @returns {Promise<string>} */
function identityOf(database) {
  return ended(database.transaction(['meta'], 'readonly'), (tx, settle) => get(tx.objectStore('meta'), '$database', settle), TRANSACTION_TIMEOUT_MS);
}
