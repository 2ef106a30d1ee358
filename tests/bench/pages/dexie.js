// @ts-check
// Dexie as its documentation has it: bulkAdd within one transaction, compound index for the queries.

// @ts-ignore: served from node_modules by the benchmark
import { Dexie } from '/npm/dexie/dist/modern/dexie.min.mjs';
import { linesOf, rowsOf } from './raw.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {'strict' | 'relaxed'} Durability */

const words = (/** @type {string} */ text) => [...new Set(text.toLowerCase().match(/\w+/g))];

/** `searchable`: with a multi-entry index of the words of each message, as Dexie's documentation advises for full text. */
export class DexieRows {
  constructor(/** @type {any} */ db, /** @type {boolean} */ searchable) {
    this.db = db;
    this.searchable = searchable;
  }

  static async open(/** @type {string} */ name, { searchable = false, durability = 'strict' } = {}) {
    const db = new Dexie(name, { chromeTransactionDurability: durability });
    db.version(1).stores({
      conversation: 'conversation_id',
      message: 'message_id, [conversation_id+created_at]' + (searchable ? ', *words' : ''),
    });
    await db.open();
    return new DexieRows(db, searchable);
  }

  async append(/** @type {Row[]} */ rows) {
    const { conversation, message } = this.db;
    /** @type {object[]} */
    const conversations = [];
    /** @type {object[]} */
    const messages = [];
    for (const { kind, row } of rows) {
      if (kind === 'conversation') conversations.push(row);
      else messages.push(this.searchable ? { ...row, words: words(row.text) } : row);
    }
    await this.db.transaction('rw', conversation, message, async () => {
      await Promise.all([conversation.bulkAdd(conversations), message.bulkAdd(messages)]);
    });
  }

  async newest50(/** @type {string} */ conversation) {
    return this.db.message
      .where('[conversation_id+created_at]').between([conversation, Dexie.minKey], [conversation, Dexie.maxKey])
      .reverse().limit(50).toArray();
  }

  async countByConversation() {
    /** @type {Map<string, number>} */
    const counts = new Map();
    for (const { conversation_id } of await this.db.message.toArray()) counts.set(conversation_id, (counts.get(conversation_id) ?? 0) + 1);
    return counts;
  }

  async search(/** @type {string} */ word) {
    if (this.searchable) return this.db.message.where('words').startsWith(word).limit(50).toArray();
    return this.db.message.filter((/** @type {{text: string}} */ { text }) => text.includes(word)).limit(50).toArray();
  }

  async exported() {
    return linesOf(await this.db.conversation.toArray(), await this.db.message.toArray());
  }

  async imported(/** @type {Blob} */ file) {
    await this.append(await rowsOf(file));
  }

  async forget() {
    const { name } = this.db;
    this.db.close();
    await new Promise((resolve) => (indexedDB.deleteDatabase(name).onsuccess = resolve));
  }
}
