// @ts-check
/**
 * What the page knows and can do, in one place: which assistant is open, its store, how the store is, the work going on, what
 * needs a decision. Components read it with `useApp()` (`hooks.js`) and call its methods.
 */
import { forgetLog, listLogs, openStore, prepare } from '../pystore.js';
import { Outbox } from './outbox.js';
import { currentLog, forgetSeen, forgetShown, keepLastSeen, lastSeen, recall, remember, setCurrentLog } from './last_seen.js';
import { damageActions } from './repairing.js';
import { link, readRoute } from './route.js';
import { count, problem } from './words.js';

/** @typedef {import('../pystore.js').Store} Store */
/** @typedef {import('../pystore.js').State} State */
/** @typedef {import('./types.js').LogRow} LogRow */
/** @typedef {import('./last_seen.js').LastSeen} LastSeen */
/** @typedef {import('../pystore.js').Past & { at: string }} Past */

/**
 * @typedef {object} Work something that takes long
 * @property {number} id
 * @property {string} title
 * @property {string} stage
 * @property {number} done
 * @property {number} total 0: not known
 * @property {boolean} isStopping
 * @property {() => void} [cancel] stops it, if it can be stopped
 *
 * @typedef {object} Notice something that needs a decision, or to be read
 * @property {number} id
 * @property {'error' | 'news'} kind
 * @property {string} what
 * @property {string} text
 * @property {{ label: string, act: () => unknown }[]} actions
 */

const LOGS = 'pystore/logs';
/** Errors that say that what was here is gone: what to do about it is asked where it would be shown. */
const LOST = new Set(['StoreLostError', 'TailLostError']);

export class App {
  constructor() {
    this.route = readRoute();
    /** @type {LogRow[]} all assistants; at first as they were known last */
    this.logs = recall(LOGS) ?? [];
    /** whether `logs` is what is there now */
    this.logsKnown = false;
    /** @type {string | null} the open assistant */
    this.log = this.route.log ?? currentLog();
    /** @type {Store | null} its store, once Python is there */
    this.store = null;
    /** @type {LastSeen | null} what was shown of it last */
    this.seen = lastSeen(this.log);
    /** @type {State} */
    this.status = { state: 'booting', message: '' };
    /** @type {{ stage: string, done: number, total: number } | null} how far opening is, if it takes long */
    this.opening = null;
    /** @type {Work[]} */
    this.works = [];
    /** @type {Notice[]} */
    this.notices = [];
    /** @type {(() => unknown) | null} renders the open dialog */
    this.dialog = null;
    /** @type {import('./types.js').Stats | null} */
    this.stats = null;
    /** @type {boolean | null} whether the browser promised to keep the data; null: it does not say */
    this.persisted = null;
    /** how many changes the open assistant holds, whoever made them; null until that is known */
    this.events = /** @type {number | null} */ (null);
    /** what of the open assistant is erased, as the store told last: see `Info.erased` */
    this.erased = '';
    /** @type {Past | null} the moment that is looked at, as soon as it is open */
    this.past = null;
    /** @type {import('../pystore.js').PyStoreError | null} what was lost of the open assistant, until it is decided what to do about it */
    this.lost = null;
    /** whether a new version of the page waits to be taken */
    this.update = false;
    this.outbox = new Outbox(this);

    this._ids = 0;
    /** @type {Set<() => void>} */
    this._listeners = new Set();
    this._opening = 0;
    /** @type {string | null} the assistant that was open before this one */
    this._before = null;
    this._statsDue = 0;
    this._isMoving = false;
    this._stopCounting = () => {};
    /** whether the open assistant holds anything */
    this.hasData = this.seen !== null && this.seen.total > 0;
  }

  // -- telling components

  /** @param {() => void} listener */
  listen(listener) {
    this._listeners.add(listener);
    return () => void this._listeners.delete(listener);
  }

  changed() {
    for (const listener of this._listeners) listener();
  }

  // -- where we are

  /** The name people gave the open assistant. */
  get name() {
    return this.logs.find(({ log }) => log === this.log)?.name ?? this.seen?.name ?? '';
  }

  /**
   * Go to a room of the open assistant.
   * @param {string} room
   * @param {string | null} [id]
   * @param {string | null} [message]
   * @param {string | null} [at]
   */
  go(room, id = null, message = null, at = null) {
    if (this.log === null) return;
    location.hash = link(this.log, room, id, message, at);
    void this.follow(); // now, not when the event comes: what is typed next belongs there
  }

  /**
   * Go to a room at the end of something that took its time, unless the person went elsewhere meanwhile.
   * @param {string} room @param {string} from the address when it began
   */
  goOnFrom(from, room) {
    if (location.hash === from) this.go(room);
  }

  /** The address of something in the room that is open, at the moment that is looked at. @param {string | null} [id] @param {string | null} [message] */
  here(id = null, message = null) {
    return link(this.log ?? '', this.route.room, id, message, this.route.at);
  }

  /** Look at a past moment, or (null) at now, in the room that is open. @param {string | null} at */
  look(at) {
    if (this.log === null || at === this.route.at) return;
    const address = link(this.log, this.route.room, at === null ? null : this.route.id, null, at);
    // Going from moment to moment is one step back.
    if (at !== null && this.route.at !== null) history.replaceState(null, '', address);
    else location.hash = address;
    void this.follow();
  }

  /** Where queries of this room go: to what is there now, or was at the moment that is looked at; null while that is not open. */
  get source() {
    return this.route.at === null ? this.store : this.past;
  }

  /** Open the moment that is looked at, and let go of the one before. One at a time: the address may be ahead, and is followed. */
  async _move() {
    if (this._isMoving) return;
    this._isMoving = true;
    const { store } = this;
    try {
      while (store !== null && this.store === store && (this.past?.at ?? null) !== this.route.at) {
        const { past, route: { at } } = this;
        const next = at === null ? null : await store.at(at);
        this.past = next && Object.assign(next, { at: /** @type {string} */ (at) });
        past?.close();
        this.changed();
      }
      this._isMoving = false;
    } catch (error) {
      this._isMoving = false;
      if (this.store !== store) return; // it is another assistant's now
      this.fail(error);
      this.look(null);
    }
  }

  /** Take over what the address says. */
  async follow() {
    this.route = readRoute();
    const { log } = this.route;
    if (log !== null && log !== this.log) {
      if (this.logs.some((one) => one.log === log)) await this.open(log);
      else if (this.log !== null) {
        // An address of an assistant that is not here, or no longer: nothing is made of it.
        history.replaceState(null, '', link(this.log, 'conversations'));
        this.route = readRoute();
      }
    }
    this.changed();
    void this._move();
  }

  // -- assistants

  /** Begin: open what was open, and learn which assistants there are. */
  async start() {
    window.addEventListener('hashchange', () => void this.follow());
    if (this.log !== null && this.logs.some(({ log }) => log === this.log)) void this.open(this.log);
    else this.log = null;
    await this.readLogs();
    if (this.log === null) {
      const wanted = this.route.log ?? currentLog();
      const log = this.logs.find((one) => one.log === wanted)?.log ?? this.logs[0]?.log;
      if (log !== undefined) await this.open(log);
      else prepare();
    }
    void this.readPersisted();
  }

  async readLogs() {
    try {
      this.logs = await listLogs();
      this.logsKnown = true;
      remember(LOGS, this.logs);
    } catch (error) {
      this.fail(error);
    }
    this.changed();
  }

  /** Open an assistant's store; show what was seen of it last until then. @param {string} log */
  async open(log) {
    const turn = ++this._opening;
    const before = this.store;
    this.store = null;
    this.lost = null;
    if (log !== this.log) this._before = this.log;
    this.log = log;
    this.seen = lastSeen(log);
    this.stats = null;
    this.past = null;
    this.events = null;
    this._stopCounting();
    this.status = { state: 'booting', message: '' };
    if (this.route.log !== log) {
      history.replaceState(null, '', link(log, this.route.log === null ? this.route.room : 'conversations', this.route.log === null ? this.route.id : null));
      this.route = readRoute();
    }
    setCurrentLog(log);
    this.changed();
    before?.close();
    try {
      const store = await openStore(log, {
        onState: (state) => turn === this._opening && this.setStatus(state),
        onProgress: (stage, done, total) => turn === this._opening && this.showOpening({ stage, done, total }),
      });
      if (turn !== this._opening) {
        store.close();
        return null;
      }
      this.store = store;
      this.erased = store.info.erased;
      if (this.seen !== null && this.seen.erased !== this.erased) this.forgetShown();
      const [row] = await store.query('SELECT EXISTS (SELECT 1 FROM conversation) AS any');
      performance.mark('answered');
      this.hasData = Boolean(row?.any);
      this._tellLoss(store.info.events);
      if (store.info.events === 0) this.forgetShown(); // what was here before was lost, or forgotten by a browser that then died
      this.changed();
      void this.outbox.send();
      this.readStats();
      this._stopCounting = store.watchEvents((events) => {
        this.events = events;
        this.readStats();
        this.changed();
      });
      void this._move();
      return store;
    } catch (error) {
      if (turn === this._opening) {
        this.setStatus({ state: 'error', message: problem(error).what });
        if (LOST.has(problem(error).code)) this.lost = /** @type {import('../pystore.js').PyStoreError} */ (error);
        else if (problem(error).code === 'CorruptError') this.fail(error, damageActions(this, log));
        else this.fail(error, [{ label: 'Try again', act: () => this.open(log) }]);
      }
      return null;
    }
  }

  /** Tell if what was here at the last visit is gone. @param {number} events */
  _tellLoss(events) {
    const before = this.seen?.events ?? 0;
    if (events > 0 || before === 0) return;
    this.notice(
      'error', 'What was kept here is gone: this browser has cleared it, or someone did.',
      `At your last visit there were ${count(before, 'change')} of ${this.name}. If you have a saved file, restore it.`,
      [{ label: 'Go to Data', act: () => this.go('data') }],
    );
  }

  /** Make an assistant and open it. @param {string} name */
  async create(name, log = newLogName(name)) {
    this.logs = [...this.logs, { log, name, events: 0 }];
    const store = await this.open(log);
    if (store === null) return null;
    this.go('conversations'); // now: later the person may be elsewhere already
    try {
      await store.rename(name);
      await this.readLogs();
    } catch (error) {
      this.fail(error);
    }
    return store;
  }

  /** @param {string} name */
  async rename(name) {
    await this.attempt(async (store) => {
      await store.rename(name);
      await this.readLogs();
    });
  }

  /** Remove the open assistant with everything in it. */
  async forget() {
    const { log } = this;
    if (log === null) return;
    this._opening++;
    const store = this.store;
    this.store = null;
    // First: as long as the log is there its removal can be repeated, and what is left of it does not make it anew.
    forgetSeen(log);
    remember(LOGS, this.logs.filter((one) => one.log !== log));
    try {
      if (store) await store.forget();
      else await forgetLog(log);
      forgetSeen(log); // another window may have kept what it showed meanwhile
      this.log = null;
      this.seen = null;
      await this.readLogs();
      const next = this.logs.find((one) => one.log === this._before) ?? this.logs.find((one) => one.log !== log);
      this.lost = null;
      if (next) location.hash = link(next.log, 'conversations');
      else {
        history.replaceState(null, '', location.pathname + location.search);
        this.route = readRoute();
        this.status = { state: 'booting', message: '' };
      }
    } catch (error) {
      this.fail(error, [{ label: 'Try again', act: () => this.open(log) }]);
    }
    this.changed();
  }

  /**
   * Remove the open assistant again if it was only made to look at a file: nothing was ever written to it, nothing is known of it, and it
   * has no backups.
   */
  async leaveEmpty() {
    const { log, store } = this;
    if (store === null || this.logs.some((one) => one.log === log && one.events !== 0)) return;
    const { events } = await store.stats();
    if (events === 0 && (await store.backups.list()).length === 0) await this.forget();
  }

  // -- how it is

  /** @param {State} status */
  setStatus(status) {
    const before = this.status.state;
    this.status = status;
    if (status.state !== 'booting') this.opening = null;
    // Whoever asked for something tells that it failed. If nobody did, it is told here.
    if (status.state === 'error' && before !== 'error') setTimeout(() => this._tellStopped(status));
    if (before === 'saving' && status.state !== 'saving') this.readStats();
    if (before === 'restarting' && status.state !== 'restarting') void this.outbox.send();
    this.changed();
  }

  /** @param {State} status */
  _tellStopped(status) {
    const { log } = this;
    if (this.status !== status || log === null || this.store === null || this.notices.some(({ kind }) => kind === 'error')) return;
    this.notice('error', 'Nothing can be saved just now. Everything saved before is safe.', status.message, [
      { label: 'Try again', act: () => this.open(log) },
    ]);
  }

  /** How far opening is. @param {App['opening']} opening */
  showOpening(opening) {
    if (this.status.state !== 'booting' && this.status.state !== 'restarting') return;
    this.opening = opening;
    this.changed();
  }

  /** Ask again how much there is, soon, and once for many changes. */
  readStats() {
    if (this._statsDue) return;
    this._statsDue = window.setTimeout(async () => {
      this._statsDue = 0;
      const { store } = this;
      if (store === null) return;
      try {
        const stats = await store.stats();
        if (this.store === store) {
          this.stats = stats;
          if (stats.erased !== this.erased) {
            this.erased = stats.erased; // perhaps by another window
            this.forgetShown();
          } else if (this.seen) this.keepSeen(this.seen);
        }
      } catch (error) {
        if (this.store === store) this.fail(error);
      }
      this.changed();
    }, 300);
  }

  async readPersisted() {
    this.persisted = (await navigator.storage?.persisted?.()) ?? null;
    this.changed();
  }

  /** Ask the browser to promise that it keeps the data. */
  async persist() {
    if (navigator.storage?.persist === undefined) return;
    this.persisted = await navigator.storage.persist();
    this.changed();
  }

  /** Called after the first data of one's own: now the promise is worth asking for. */
  async hasDataNow() {
    this.hasData = true;
    if (this.persisted === false && recall('pystore/asked-to-persist') === null) {
      remember('pystore/asked-to-persist', true);
      await this.persist();
    }
  }

  /** Keep what is shown now, for the next first paint. @param {Pick<LastSeen, 'total' | 'conversations' | 'open'>} shown */
  keepSeen(shown) {
    if (this.log === null || this.store === null) return;
    this.seen = { ...shown, name: this.name, events: this.stats?.events ?? 0, erased: this.erased };
    keepLastSeen(this.log, this.seen);
  }

  /** Forget what was shown before of the open assistant: something of it is erased. The room, and the moment, that is open shows anew what is left. */
  forgetShown() {
    if (this.log !== null) forgetShown(this.log);
    this.seen = null;
    this.past?.close();
    this.past = null;
    this.changed();
    void this._move();
  }

  // -- doing things

  /** The open assistant's store, waited for while it is being opened. @returns {Promise<Store>} */
  ready() {
    return new Promise((resolve, reject) => {
      const look = () => {
        if (this.store !== null) resolve(this.store);
        else if (this.log === null || this.status.state === 'error') reject(new Error(this.status.message || 'Choose an assistant first.'));
        else return;
        stop();
      };
      const stop = this.listen(look);
      look();
    });
  }

  /**
   * Do something with the open assistant's store; of one that was lost, with what is left of it: nothing begins unless `act` writes.
   * @template Result
   * @param {(store: Store) => Promise<Result>} act
   * @returns {Promise<Result>}
   */
  async reach(act) {
    if (this.lost === null || this.log === null) return act(await this.ready());
    const store = await openStore(this.log, { recover: true });
    try {
      return await act(store);
    } finally {
      store.close();
    }
  }

  /**
   * The same, and an assistant that was lost is open afterwards. If `act` fails it is as lost as before.
   * @template Result
   * @param {(store: Store) => Promise<Result>} act
   * @returns {Promise<Result>}
   */
  async recover(act) {
    const { lost, log } = this;
    const result = await this.reach(act);
    if (lost !== null && log !== null && this.lost === lost) await this.open(log);
    return result;
  }

  /**
   * Do something with the store; tell if it fails.
   * @template Result
   * @param {(store: Store) => Promise<Result>} act
   * @returns {Promise<Result | null>}
   */
  async attempt(act) {
    try {
      return await act(await this.ready());
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  /**
   * Do something long, showing how far it is. It can be cancelled, by the signal that `act` is given, unless `canCancel` is false.
   * @template Result
   * @param {string} title
   * @param {(options: { onProgress: (stage: string, done: number, total: number) => void, signal: AbortSignal }) => Promise<Result>} act
   * @param {{ canCancel?: boolean }} [options]
   * @returns {Promise<Result>}
   */
  async work(title, act, { canCancel = true } = {}) {
    const controller = new AbortController();
    const cancel = () => {
      controller.abort();
      put({ ...work, isStopping: true });
    };
    /** @type {Work} */
    let work = { id: ++this._ids, title, stage: '', done: 0, total: 0, isStopping: false, ...canCancel && { cancel } };
    const put = (/** @type {Work | null} */ next) => {
      this.works = [...this.works.filter(({ id }) => id !== work.id), ...(next ? [next] : [])];
      if (next) work = next;
      this.changed();
    };
    put(work);
    try {
      return await act({ onProgress: (stage, done, total) => put({ ...work, stage, done, total }), signal: controller.signal });
    } finally {
      put(null);
    }
  }

  /**
   * Tell what went wrong, until it is read.
   * @param {unknown} error
   * @param {Notice['actions']} [actions]
   */
  fail(error, actions = []) {
    const { what, text, code } = problem(error);
    this.notice(code === 'CancelledError' ? 'news' : 'error', what, text, actions);
  }

  /**
   * @param {Notice['kind']} kind
   * @param {string} what
   * @param {string} text
   * @param {Notice['actions']} [actions]
   */
  notice(kind, what, text, actions = []) {
    this.notices = [
      ...this.notices.filter((one) => one.what !== what || one.text !== text),
      { id: ++this._ids, kind, what, text, actions },
    ];
    this.changed();
  }

  /** @param {number} id */
  dismiss(id) {
    this.notices = this.notices.filter((notice) => notice.id !== id);
    this.changed();
  }

  /** @param {(() => unknown) | null} dialog */
  show(dialog) {
    this.dialog = dialog;
    this.changed();
  }
}

/**
 * A name for a new log: readable, and never one that was forgotten before.
 * @param {string} name
 */
export function newLogName(name) {
  const readable = name.normalize('NFKD').toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 30);
  const random = Array.from(crypto.getRandomValues(new Uint8Array(5)), (byte) => (byte % 32).toString(32)).join('');
  return `${readable || 'assistant'}-${random}`;
}
