// @ts-check
// pystore as a page uses it: through the site's own client, in the site's own worker.

import { LONG_CONVERSATION } from './rows.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {'strict' | 'relaxed'} Durability */

/** Where the client stands in `dist/`: named by its content, so run.py tells. */
const CLIENT = new URLSearchParams(location.search).get('client') ?? '';

/** An event of each row, as the assistant records it. */
function eventOf(/** @type {Row} */ { kind, row }) {
  if (kind === 'conversation') {
    const { conversation_id, title, created_at, model } = row;
    return { type: 'conversation.started', data: { conversation_id, title, created_at, model } };
  }
  const { message_id, conversation_id, parent_id, role, text, model, created_at } = row;
  return { type: 'message.posted', data: { message_id, conversation_id, parent_id, role, content: [{ type: 'text', text }], model, created_at } };
}

export class PystoreRows {
  constructor(/** @type {any} */ store) {
    this.store = store;
  }

  static async open(/** @type {string} */ name) {
    const { openStore } = await import(CLIENT);
    return new PystoreRows(await openStore(name));
  }

  prepare(/** @type {Row[]} */ rows) {
    return rows.map(eventOf);
  }

  async append(/** @type {object[]} */ events, /** @type {Durability} */ durability = 'strict') {
    await this.store.append(events, { durability });
  }

  async newest50() {
    return this.store.query('SELECT * FROM message WHERE conversation_id = ? ORDER BY created_at DESC LIMIT 50', [LONG_CONVERSATION]);
  }

  async countByConversation() {
    return this.store.query('SELECT conversation_id, count(*) AS messages FROM message GROUP BY conversation_id');
  }

  async search(/** @type {string} */ word) {
    return this.store.query(
      "SELECT m.*, snippet(message_search, 0, char(2), char(3), '…', 16) AS snippet FROM message_search " +
        'JOIN message m ON m.position = message_search.rowid WHERE message_search MATCH match_terms(?) ORDER BY rank LIMIT 50',
      [word],
    );
  }

  async empty() {
    return this.store.query('SELECT 1');
  }

  async exported() {
    return this.store.save();
  }

  async imported(/** @type {Blob} */ file) {
    return this.store.restore(file, { mode: 'merge' });
  }

  async stats() {
    return this.store.stats();
  }

  async forget() {
    await this.store.forget();
  }
}
