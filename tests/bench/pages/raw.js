// @ts-check
// IndexedDB by hand, as well as one can write it: every request of a transaction queued at once, answered on `complete`.

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {'strict' | 'relaxed'} Durability */

/** @template T @returns {Promise<T>} */
function result(/** @type {IDBRequest<T>} */ request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @returns {Promise<void>} */
function complete(/** @type {IDBTransaction} */ transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/** @returns {Promise<IDBDatabase>} */
function openDatabase(/** @type {string} */ name, /** @type {(db: IDBDatabase) => void} */ upgrade) {
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => upgrade(request.result);
  return result(request);
}

/** One record per row, in two object stores; `indexed`: with the index that the queries need. */
export class RawPerEvent {
  constructor(/** @type {IDBDatabase} */ db) {
    this.db = db;
  }

  static async open(/** @type {string} */ name, { indexed = true } = {}) {
    return new RawPerEvent(await openDatabase(name, (db) => {
      db.createObjectStore('conversation', { keyPath: 'conversation_id' });
      const message = db.createObjectStore('message', { keyPath: 'message_id' });
      if (indexed) message.createIndex('by_conversation', ['conversation_id', 'created_at']);
    }));
  }

  async append(/** @type {Row[]} */ rows, /** @type {Durability} */ durability = 'strict') {
    const transaction = this.db.transaction(['conversation', 'message'], 'readwrite', { durability });
    const stores = { conversation: transaction.objectStore('conversation'), message: transaction.objectStore('message') };
    for (const { kind, row } of rows) stores[kind].add(row);
    transaction.commit();
    await complete(transaction);
  }

  async newest50(/** @type {string} */ conversation) {
    const index = /** @type {any} */ (this.db.transaction('message').objectStore('message').index('by_conversation'));
    const query = IDBKeyRange.bound([conversation], [conversation, []]);
    // Newer than cursors, and quicker: one answer instead of fifty.
    const records = await result(index.getAllRecords({ query, count: 50, direction: 'prev' }));
    return records.map((/** @type {{value: any}} */ { value }) => value);
  }

  async countByConversation() {
    const messages = await result(this.db.transaction('message').objectStore('message').getAll());
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { conversation_id } of messages) counts.set(conversation_id, (counts.get(conversation_id) ?? 0) + 1);
    return counts;
  }

  /** There is no index of words: every text is looked at. */
  async search(/** @type {string} */ word) {
    const messages = await result(this.db.transaction('message').objectStore('message').getAll());
    return messages.filter(({ text }) => text.includes(word)).slice(0, 50);
  }

  async exported() {
    const transaction = this.db.transaction(['conversation', 'message']);
    const conversations = await result(transaction.objectStore('conversation').getAll());
    const messages = await result(transaction.objectStore('message').getAll());
    return linesOf(conversations, messages);
  }

  async imported(/** @type {Blob} */ file, /** @type {Durability} */ durability = 'strict') {
    await this.append(await rowsOf(file), durability);
  }

  async forget() {
    this.db.close();
    await result(indexedDB.deleteDatabase(this.db.name));
  }
}

/** One record per batch: what IndexedDB can do when it is asked little. Nothing can be looked up in it. */
export class RawPerBatch {
  constructor(/** @type {IDBDatabase} */ db) {
    this.db = db;
  }

  static async open(/** @type {string} */ name) {
    return new RawPerBatch(await openDatabase(name, (db) => db.createObjectStore('batch', { autoIncrement: true })));
  }

  async append(/** @type {Row[]} */ rows, /** @type {Durability} */ durability = 'strict') {
    const transaction = this.db.transaction('batch', 'readwrite', { durability });
    transaction.objectStore('batch').add(rows);
    transaction.commit();
    await complete(transaction);
  }

  async exported() {
    /** @type {Row[][]} */
    const batches = await result(this.db.transaction('batch').objectStore('batch').getAll());
    return new Blob(batches.map((rows) => rows.map((row) => JSON.stringify(row) + '\n').join('')));
  }

  async imported(/** @type {Blob} */ file, /** @type {Durability} */ durability = 'strict') {
    const rows = await rowsOf(file);
    const transaction = this.db.transaction('batch', 'readwrite', { durability });
    for (let at = 0; at < rows.length; at += 1000) transaction.objectStore('batch').add(rows.slice(at, at + 1000));
    transaction.commit();
    await complete(transaction);
  }

  async forget() {
    this.db.close();
    await result(indexedDB.deleteDatabase(this.db.name));
  }
}

/** The JSONL file of both tables. */
export function linesOf(/** @type {object[]} */ conversations, /** @type {object[]} */ messages) {
  return new Blob([
    conversations.map((row) => JSON.stringify({ kind: 'conversation', row }) + '\n').join(''),
    messages.map((row) => JSON.stringify({ kind: 'message', row }) + '\n').join(''),
  ]);
}

/** @returns {Promise<Row[]>} */
export async function rowsOf(/** @type {Blob} */ file) {
  const lines = (await file.text()).split('\n');
  lines.pop();
  return lines.map((line) => JSON.parse(line));
}
