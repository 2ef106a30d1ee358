// @ts-check
/**
 * What a transaction on a log's database asks of IndexedDB, and how it ends.
 *
 * Requests are queued one from the answer of another, never after an `await`, which would let the browser end the transaction. What
 * they find is given on through callbacks; what is refused aborts the transaction as a whole.
 */

/** How long an aborted transaction may take to say so. */
const ABORT_TIMEOUT_MS = 5_000;
/** Values of `meta` that Python does not know of begin with `$`. `$database` tells one database from a later one of that name. */
export const OWN = '$';

/**
 * `head`, `batches` (ids) and `remembered` (a value for each id): what an append stores beside its lines. See `append`.
 * @typedef {{ number: number, first: number, events: number, bytes: number, body: Uint8Array,
 *   head?: Uint8Array, batches?: string[], remembered?: Uint8Array[] }} SegmentRecord
 */
/** What a `Change` and its bodies say. @typedef {{ added: SegmentRecord[], gone: number[], meta: Map<string, Uint8Array>, batches: Map<string, Uint8Array> }} Writing */
/** What is added: number, first and events of each segment. @typedef {[number, number, number][]} Added */
/**
 * @template T
 * @typedef {(tx: IDBTransaction, settle: (answer: T) => void, fail: (reason: DOMException) => void) => void} Queue
 */

/** @param {string} name @param {string} message */
export const problem = (name, message) => new DOMException(message, name);

/** Newer browsers have classes of their own for some, which Pyodide does not take for exceptions. @param {DOMException | null} error */
export const plain = (error) => problem(error?.name ?? 'UnknownError', error?.message ?? 'The browser does not say why.');

/**
 * Queue the requests of a transaction by `queue`; resolves to what it settled on when all of it is committed, and rejects, with nothing
 * changed, but for `TimeoutError`: then it is not known.
 * @template T
 * @param {IDBTransaction} tx @param {Queue<T>} queue @param {number} timeoutMs
 * @returns {Promise<T>}
 */
export function ended(tx, queue, timeoutMs) {
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
export function get(store, key, then) {
  const request = store.get(key);
  request.onsuccess = () => then(request.result);
}

/** @param {IDBTransaction} tx @param {(entries: [string, Uint8Array][]) => void} then */
export function allMeta(tx, then) {
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
export const rememberedIn = ({ batches = [], remembered = [] }, id) => remembered[batches.indexOf(id)];

/**
 * Nearly every change: one more segment, after all others, with the head of the log. A request costs as much as what it writes,
 * so this is one record, which bears head and batches as well; they are looked for in both places. `head` is that of the
 * newest segment if it has one. Fails with ConstraintError if the change is not of this kind, or is refused.
 * @param {IDBTransaction} tx @param {Writing} writing @param {(reason: DOMException) => void} fail
 */
export function append(tx, { added: [segment], meta, batches }, fail) {
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
export function rearrange(tx, { added, gone, meta, batches }, fail) {
  const segments = tx.objectStore('segments');
  const add = added.map(({ number, first, events }) => /** @type {Added[number]} */ ([number, first, events]));
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

/** @param {Added} add */
const byNumber = (add) => [...add].sort(([a], [b]) => a - b);

/** @param {Added} add */
const overlapAmong = (add) => byNumber(add).some(([, first], i, sorted) => i > 0 && first <= sorted[i - 1][0]);

/**
 * Fail if any number from `first` to `number` of what is to be added is taken by a segment that stays. To be queued before the
 * additions; nearly always there is no later segment, and one request finds that out.
 * @param {IDBObjectStore} segments @param {Added} add @param {(reason: DOMException) => void} fail
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
export function sumOfKeys(index, then) {
  let sum = 0;
  const request = index.openKeyCursor();
  request.onsuccess = () => {
    const cursor = request.result;
    if (!cursor) return then(sum);
    sum += /** @type {number} */ (cursor.key);
    cursor.continue();
  };
}
