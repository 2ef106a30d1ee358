// @ts-check
/**
 * What was written and is not yet known to be saved. It waits in localStorage, each batch under a key and an id of its own, so that
 * closing the page loses nothing, and sending it twice (from two windows, or after a restart) stores it once.
 */
import { recallAll, remember } from './last_seen.js';

/** @typedef {import('./types.js').MessageRow} MessageRow */
/** @typedef {{ type: string, data: Record<string, unknown> }} NewEvent */
/** @typedef {{ batch: string, conversation: string, title: string | null, message: MessageRow, events: NewEvent[] }} Waiting */

const PREFIX = 'pystore/outbox/';
/** Errors after which the same batch may never be stored: it goes back to the person. */
const FINAL = new Set(['ValidationError', 'UnknownTypeError', 'ConstraintError', 'HandlerError', 'ReadOnlyError', 'NewerVersionError', 'ConflictError']);
/** Errors after which the store has to be opened again. */
const LOST = new Set(['ClosedError', 'UnavailableError', 'CorruptError']);

export class Outbox {
  /** @param {import('./app.js').App} app */
  constructor(app) {
    this.app = app;
    this._sending = false;
    /** @type {string | null} */
    this._log = null;
    /** @type {Waiting[]} */
    this._waiting = [];
    /** What was saved, but is not yet among the rows that are shown. @type {Waiting[]} */
    this.sent = [];
  }

  /** These rows are shown. @param {MessageRow[]} rows */
  seen(rows) {
    if (this.sent.length === 0) return;
    const known = new Set(rows.map(({ message_id: id }) => id));
    this.sent = this.sent.filter(({ message }) => !known.has(message.message_id));
  }

  /** What waits for the open assistant, oldest first. @returns {Waiting[]} */
  get waiting() {
    const { log } = this.app;
    if (this._log !== log) {
      this._log = log;
      this._waiting = log === null ? [] : recallAll(`${PREFIX}${log}/`).sort((a, b) => (a.message.created_at < b.message.created_at ? -1 : 1));
    }
    return this._waiting;
  }

  /** Add one, and send it as soon as that is possible. @param {Omit<Waiting, 'batch'>} one */
  add(one) {
    const waiting = { ...one, batch: crypto.randomUUID() };
    if (!remember(`${PREFIX}${this.app.log}/${waiting.batch}`, waiting)) {
      this.app.notice('news', 'Keep this window open until your message is saved.', 'The browser has no room to keep it meanwhile.');
    }
    this._waiting = [...this.waiting, waiting];
    this.app.changed();
    void this.send();
  }

  /** Forget one: it is saved, or not to be sent. @param {string} batch */
  drop(batch) {
    remember(`${PREFIX}${this._log}/${batch}`, null);
    this._waiting = this.waiting.filter((one) => one.batch !== batch);
    this.app.changed();
  }

  /** Send what waits, one after the other. What fails for now stays. */
  async send() {
    if (this._sending) return;
    this._sending = true;
    const { app } = this;
    try {
      for (let next = this.waiting[0]; next && app.store; next = this.waiting[0]) {
        const { store, log } = app;
        const { batch, events } = next;
        try {
          await store.append(events, { batch });
        } catch (error) {
          const code = /** @type {{ code?: string }} */ (error).code ?? '';
          const again = { label: 'Try again', act: () => (LOST.has(code) && log !== null ? app.open(log) : this.send()) };
          const discard = { label: 'Discard this message', act: () => { this.drop(batch); void this.send(); } };
          if (app.log === log) app.fail(error, FINAL.has(code) ? [discard, again] : [again]);
          return;
        }
        if (app.log !== log) continue;
        this.sent = [...this.sent, next];
        this.drop(batch);
        void app.hasDataNow();
      }
    } finally {
      this._sending = false;
    }
  }
}
