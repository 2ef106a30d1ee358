// @ts-check
// What is left of an append by pystore without Python: its own transaction, with as many bytes.

import { LogDatabase } from '/web/worker/indexeddb.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {'strict' | 'relaxed'} Durability */

const HEAD = new Uint8Array(420);
const REMEMBERED = new Uint8Array(90);
const encoder = new TextEncoder();

export class BareLog {
  number = 0;

  constructor(/** @type {LogDatabase} */ database) {
    this.database = database;
  }

  static async open(/** @type {string} */ name) {
    const database = new LogDatabase(name, { create: true });
    await database.open();
    return new BareLog(database);
  }

  async append(/** @type {Row[]} */ rows, /** @type {Durability} */ durability) {
    const number = ++this.number;
    const change = { add: [[number, number, rows.length]], delete: [], meta: ['head'], batches: [crypto.randomUUID()], durability };
    await this.database.commit(JSON.stringify(change), [encoder.encode(JSON.stringify(rows)), HEAD, REMEMBERED]);
  }

  async forget() {
    await this.database.destroy();
  }
}
