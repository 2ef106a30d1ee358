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

import { Vault, readWitnesses } from './vault.js';

const PREFIX = 'pystore/';
const OPEN_TIMEOUT_MS = 10_000;
const TRANSACTION_TIMEOUT_MS = 20_000;
const BYTES_PER_MS = 500;
/** How long an aborted transaction may take to say so. */
const ABORT_TIMEOUT_MS = 5_000;
const OPEN_TRIES = 3;
/** In parts of this size an image is read. */
const PART_BYTES = 8 << 20;
/** Values of `meta` that are this module's own begin with `$`. `$database` tells one database from a later one of that name. */
const OWN = '$';
/** What stands before each value that Python keeps: see `pystore/records.py`. */
const CHECKSUM_BYTES = 4;

/**
 * `head`, `batches` (ids) and `remembered` (a value for each id): what an append stores beside its lines. See `append`.
 * @typedef {{ number: number, first: number, events: number, bytes: number, body: Uint8Array,
 *   head?: Uint8Array, batches?: string[], remembered?: Uint8Array[] }} SegmentRecord
 */
/** What a `Change` and its bodies say. @typedef {{ added: SegmentRecord[], gone: number[], meta: Map<string, Uint8Array>, batches: Map<string, Uint8Array> }} Writing */
/** @typedef {{ name: string, about: Uint8Array, image: Blob, checksum: number, bytes: number }} CheckpointRecord */
/** The parts of the image come one after the other, undefined where one cannot be read. */
/** @typedef {{ about: Uint8Array, checksum: number, size: number, parts: Promise<ArrayBuffer | undefined>[] }} Checkpoint */
/** Python's bytes, not copied. @typedef {{ getBuffer(type: 'u8'): { data: Uint8Array<ArrayBuffer>, release(): void } }} PythonBytes */
/** @typedef {{ add: [number, number, number][], delete: number[], meta: string[], batches: string[], durability: 'strict' | 'relaxed' }} Change */
/**
 * @template T
 * @typedef {(tx: IDBTransaction, settle: (answer: T) => void, fail: (reason: DOMException) => void) => void} Queue
 */
/** @typedef {{ meta: [string, Uint8Array][], checkpoint: Checkpoint | undefined, name: string }} ReadAhead */

/** @param {string} name @param {string} message */
const problem = (name, message) => new DOMException(message, name);

/** Newer browsers have classes of their own for some, which Pyodide does not take for exceptions. @param {DOMException | null} error */
const plain = (error) => problem(error?.name ?? 'UnknownError', error?.message ?? 'The browser does not say why.');

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
      if (text(meta.get('forgotten')) === 'yes') {
        await remove(database);
        witnesses.delete(log);
        continue;
      }
      const head = meta.get('head');
      if (head === undefined) continue; // opened once and never written to
      const { name, events } = JSON.parse(text(head));
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

/** A value that Python keeps, as text. @param {Uint8Array | undefined} value */
const text = (value) => new TextDecoder().decode(value?.subarray(CHECKSUM_BYTES));

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

/**
 * @template T
 * @param {IDBTransaction} tx @param {Queue<T>} queue @param {number} timeoutMs
 * @returns {Promise<T>}
 */
function ended(tx, queue, timeoutMs) {
  return new Promise((resolve, reject) => {
    /** @type {T} */ let answer;
    /** @type {DOMException | undefined} */ let reason;
    let timer = setTimeout(() => {
      reason = problem('AbortError', 'The browser did not answer in time. Nothing was changed.');
      timer = setTimeout(() => reject(problem('TimeoutError', 'The browser did not answer in time.')), ABORT_TIMEOUT_MS);
      try {
        tx.abort();
      } catch {
        // It is being committed: what comes of it is not known yet.
      }
    }, timeoutMs);
    /** @param {DOMException} error */
    const fail = (error) => { reason = error; tx.abort(); };
    tx.oncomplete = () => { clearTimeout(timer); resolve(answer); };
    tx.onabort = () => {
      clearTimeout(timer);
      if (reason) reject(reason);
      else if (tx.error && tx.error.name !== 'AbortError') reject(plain(tx.error));
      // Without a reason it was the browser that closed the connection, at a point that is not known.
      else reject(problem('TimeoutError', 'The browser closed the connection in the middle.'));
    };
    try {
      queue(tx, (value) => { answer = value; }, fail);
    } catch (error) {
      fail(/** @type {DOMException} */ (error));
    }
  });
}


// -- requests

/** @template T @param {IDBObjectStore | IDBIndex} store @param {IDBValidKey} key @param {(value: T) => void} then */
function get(store, key, then) {
  const request = store.get(key);
  request.onsuccess = () => then(request.result);
}

/** @param {IDBTransaction} tx @param {(entries: [string, Uint8Array][]) => void} then */
function allMeta(tx, then) {
  const keys = tx.objectStore('meta').getAllKeys();
  const values = tx.objectStore('meta').getAll();
  newestSegment(tx, (cursor) => {
    const entries = /** @type {string[]} */ (keys.result).map((key, i) => /** @type {[string, Uint8Array]} */ ([key, values.result[i]]));
    const meta = new Map(entries.filter(([key]) => !key.startsWith(OWN)));
    const head = /** @type {SegmentRecord | undefined} */ (cursor?.value)?.head;
    if (head) meta.set('head', head);
    then([...meta]);
  });
}

/** @param {IDBTransaction} tx @param {(cursor: IDBCursorWithValue | null) => void} then */
function newestSegment(tx, then) {
  const request = tx.objectStore('segments').openCursor(null, 'prev');
  request.onsuccess = () => then(request.result);
}

/** @param {SegmentRecord} segment @param {string} id */
const rememberedIn = ({ batches = [], remembered = [] }, id) => remembered[batches.indexOf(id)];

/**
 * Nearly every change: one more segment, after all others, with the head of the log. A request costs as much as what it writes,
 * so this is one record, which bears head and batches as well; they are looked for in both places. `head` is that of the
 * newest segment if it has one. Fails with ConstraintError if the change is not of this kind, or is refused.
 * @param {IDBTransaction} tx @param {Writing} writing @param {(reason: DOMException) => void} fail
 */
function append(tx, { added: [segment], meta, batches }, fail) {
  const segments = tx.objectStore('segments');
  const ids = [...batches.keys()];
  const looks = [segments.getKey(IDBKeyRange.lowerBound(segment.first)), ...ids.map((id) => tx.objectStore('batches').getKey(id))];
  let open = looks.length;
  for (const look of looks) {
    look.onsuccess = () => {
      if (look.result !== undefined) fail(problem('ConstraintError', 'The number of a segment is taken, or a batch is known.'));
      else if (--open === 0) tx.commit();
    };
  }
  segments.add({ ...segment, head: meta.get('head'), batches: ids, remembered: [...batches.values()] });
  for (const [key, value] of meta) if (key !== 'head') tx.objectStore('meta').put(value, key);
}

/**
 * Any change. The head, and the batches of segments that go, are first put into stores of their own.
 * @param {IDBTransaction} tx @param {Writing} writing @param {(reason: DOMException) => void} fail
 */
function rearrange(tx, { added, gone, meta, batches }, fail) {
  const segments = tx.objectStore('segments');
  const add = added.map(({ number, first, events }) => /** @type {[number, number, number]} */ ([number, first, events]));
  if (overlapAmong(add)) return fail(problem('ConstraintError', 'Two segments to add have a number in common.'));
  newestSegment(tx, (cursor) => {
    if (cursor?.value.head) {
      const { head, ...segment } = /** @type {SegmentRecord} */ (cursor.value);
      tx.objectStore('meta').put(head, 'head');
      cursor.update(segment);
    }
    removeSegments(tx, gone, fail, () => {
      refuseTaken(segments, add, fail);
      for (const segment of added) segments.add(segment);
      for (const [key, value] of meta) tx.objectStore('meta').put(value, key);
      for (const [id, value] of batches) {
        get(segments.index('batches'), id, (known) => { if (known) fail(problem('ConstraintError', 'A batch is known.')); });
        tx.objectStore('batches').add(value, id);
      }
    });
  });
}

/**
 * Remove the segments of these numbers, but not their batches, and go on. Fails if one is not there.
 * @param {IDBTransaction} tx @param {number[]} gone @param {(reason: DOMException) => void} fail @param {() => void} then
 */
function removeSegments(tx, gone, fail, then) {
  if (gone.length === 0) return then();
  const segments = tx.objectStore('segments');
  const numbers = new Set(gone);
  const range = IDBKeyRange.bound(Math.min(...gone), Math.max(...gone));
  const there = segments.getAllKeys(range);
  const remembering = segments.index('batches').openCursor();
  remembering.onsuccess = () => {
    const cursor = remembering.result;
    if (cursor) {
      const id = /** @type {string} */ (cursor.key);
      if (numbers.has(/** @type {number} */ (cursor.primaryKey))) tx.objectStore('batches').put(rememberedIn(cursor.value, id), id);
      return cursor.continue();
    }
    const found = new Set(there.result);
    if (!gone.every((number) => found.has(number))) return fail(problem('ConstraintError', 'A segment to delete is no longer there.'));
    if (found.size === gone.length) segments.delete(range);
    else for (const number of gone) segments.delete(number);
    then();
  };
}

/** @param {Change['add']} add */
const byNumber = (add) => [...add].sort(([a], [b]) => a - b);

/** @param {Change['add']} add */
const overlapAmong = (add) => byNumber(add).some(([, first], i, sorted) => i > 0 && first <= sorted[i - 1][0]);

/**
 * Fail if any number from `first` to `number` of what is to be added is taken by a segment that stays. To be queued before the
 * additions; nearly always there is no later segment, and one request finds that out.
 * @param {IDBObjectStore} segments @param {Change['add']} add @param {(reason: DOMException) => void} fail
 */
function refuseTaken(segments, add, fail) {
  if (add.length === 0) return;
  const taken = () => fail(problem('ConstraintError', 'The number of a segment is taken.'));
  const sorted = byNumber(add);
  const added = new Set(add.map(([number]) => number));
  /** @param {number} from @param {boolean} open */
  const look = (from, open) => {
    const request = segments.getAll(IDBKeyRange.lowerBound(from, open), 1);
    request.onsuccess = () => {
      const [kept] = /** @type {SegmentRecord[]} */ (request.result);
      if (!kept) return;
      if (!added.has(kept.number) && add.some(([number, first]) => first <= kept.number && kept.first <= number)) return taken();
      if (kept.number < sorted[sorted.length - 1][0]) look(kept.number, true);
    };
  };
  look(sorted[0][1], false);
}

/** @param {IDBIndex} index @param {(sum: number) => void} then */
function sumOfKeys(index, then) {
  let sum = 0;
  const request = index.openKeyCursor();
  request.onsuccess = () => {
    const cursor = request.result;
    if (!cursor) return then(sum);
    sum += /** @type {number} */ (cursor.key);
    cursor.continue();
  };
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
