// @ts-check
/**
 * The JavaScript client: a store that lives in a worker, as a page sees it. Types: `pystore.d.ts`.
 *
 * Questions that change nothing are asked again of the next worker, once, when one dies. So is an append: it carries a batch id, by
 * which it is stored once. Any other change then raises OutcomeUnknownError.
 */

import { Backups, forgetMirror } from './backups.js';
import { Connection, Gone, canShare } from './connection.js';
import { listLogs as logs } from './worker/indexeddb.js';
import { PyStoreError, read } from './worker/protocol.js';

export { PyStoreError };

/** @typedef {import('./pystore.js').State} State */
/** @typedef {import('./pystore.js').Progress} Progress */
/** @typedef {import('./connection.js').Arrangement} Arrangement */
/** @typedef {ReturnType<Connection['link']>} Link */
/** Whether a question changes nothing (`read`), may be asked again because what it changes is changed once (`batch`), or may not. */
/** @typedef {'read' | 'batch' | 'once'} Kind */
/** @typedef {{ sql: string | null, parameters: string, listener: (rows: any[]) => void, failed: (error: Error) => void }} Watch */

/** @type {Map<Arrangement, Connection>} */
const connections = new Map();
let lastCall = 0;
let lastWatch = 0;
let lastPast = 0;

/** @param {Arrangement | undefined} worker */
function connectionFor(worker) {
  const asked = worker ?? new URLSearchParams(location.search).get('worker');
  const arrangement = asked === 'dedicated' || !canShare() ? 'dedicated' : 'shared';
  let connection = connections.get(arrangement);
  if (!connection) connections.set(arrangement, (connection = new Connection(arrangement)));
  return connection;
}

/**
 * Open a log, a new one if there is none of that name.
 * @param {string} log
 * @param {{ schema?: string, onProgress?: Progress, onState?: (state: State) => void, recover?: boolean, maxFutureMs?: number, worker?: Arrangement, hangMs?: number }} [options]
 */
export async function openStore(log, { schema = '', onProgress, onState, recover = false, maxFutureMs, worker, hangMs } = {}) {
  if (typeof log !== 'string' || !/^[\w. -]{1,100}$/u.test(log)) {
    throw new PyStoreError('ValidationError', 'The name of a log has 1 to 100 letters, digits, spaces or . _ -');
  }
  const connection = connectionFor(worker);
  if (hangMs) connection.hangMs = hangMs;
  connection.retry();
  const store = new Store(connection, log, schema, onProgress, { recover, max_future_ms: maxFutureMs });
  if (onState) store.onState(onState);
  try {
    await store.connected();
  } catch (error) {
    store.close();
    throw error;
  }
  store.backups.followMirror();
  return store;
}

/** Start the worker now, for a store that will be opened soon. @param {{ worker?: Arrangement }} [options] */
export function prepare({ worker } = {}) {
  connectionFor(worker).link();
}

/** Remove a log and everything made from it, for good. @param {string} log @param {{ worker?: Arrangement }} [options] */
export async function forgetLog(log, { worker } = {}) {
  await forgetMirror(log); // first: as long as the log is there, its removal can be repeated
  const link = connectionFor(worker).link();
  read(await link.answer(link.session.forget(log)).catch(unknown));
}

/** The logs that are kept here. */
export async function listLogs() {
  try {
    return await logs();
  } catch (error) {
    throw new PyStoreError('UnavailableError', `The browser does not tell what is kept here (${error}). What was saved is safe.`);
  }
}

/**
 * Make a damaged log whole again with what its backups have. Rejects with `CorruptError` if that is not all, and changes nothing;
 * with `acceptLoss` the log goes on without the rest (`lost`), when all that can be read (`unchained` events too) was put into the backup `kept`.
 * @param {string} log @param {{ schema?: string, acceptLoss?: boolean, worker?: Arrangement }} [options] @returns {Promise<{ events: number, repaired: number, lost: string[], unchained: string[], kept: string | null }>}
 */
export async function repairLog(log, { schema = '', acceptLoss = false, worker } = {}) {
  const link = connectionFor(worker).link();
  return read(await link.answer(link.session.repair(log, schema, acceptLoss)).catch(unknown));
}

/** All that can be read of a damaged log, as a file. @param {string} log @param {{ schema?: string, worker?: Arrangement }} [options] @returns {Promise<Blob>} */
export async function saveDamaged(log, { schema = '', worker } = {}) {
  const link = connectionFor(worker).link();
  const [answer, blob] = await link.answer(link.session.damagedFile(log, schema)).catch(unknown);
  read(answer);
  return /** @type {Blob} */ (blob).slice(0, undefined, 'application/jsonl');
}

/** One log, open. */
class Store {
  /** @type {string} */ log;
  /** What was known of the log when it was opened. @type {import('./pystore.js').Info} */
  info = { log: '', name: '', events: 0, replica: '', read_only: null, quarantined: [], behind: null, erased: '' };
  #connection;
  #schema;
  #onProgress;
  #options;
  /** @type {{ link: Link, isOpen: boolean, opening: Promise<void> } | undefined} */ #current;
  /** @type {Map<number, Watch>} */ #watches = new Map();
  /** @type {Set<import('./pystore.js').Past>} */ #pasts = new Set();
  /** @type {Map<number, Progress>} */ #progress = new Map();
  /** @type {Set<(state: State) => void>} */ #listeners = new Set();
  /** @type {State} */ #state = { state: 'booting', message: 'Starting.' };
  /** Why changes of other windows cannot be read. @type {string | null} */ #behind = null;
  /** Why nothing can be written. @type {string | null} */ #readOnly = null;
  #saving = 0;
  #closed = false;

  /** @param {Connection} connection @param {string} log @param {string} schema @param {Progress | undefined} onProgress
   * @param {{ recover: boolean, max_future_ms?: number }} options as Python takes them */
  constructor(connection, log, schema, onProgress, options) {
    this.#connection = connection;
    this.log = log;
    this.#schema = schema;
    this.#onProgress = onProgress;
    this.#options = options;
    this.backups = new Backups(log, { call: (verb, args, options) => this.#call(verb, args, options), file: (...asked) => this.#file(...asked) });
    connection.notices.add(this.#noticed);
    connection.losses.add(this.#lost);
  }

  // -- asking

  /** The rows of a read-only query, as objects. @param {string} sql @param {any[] | Record<string, any>} [parameters] @returns {Promise<any[]>} */
  async query(sql, parameters = []) {
    const encoded = jsonOf(parameters);
    return this.#ask(({ session }) => session.query(this.log, sql, encoded));
  }

  /**
   * Tell `listener` the rows of a query, now and whenever they changed, whoever changed them; until the returned function is called.
   * @param {string} sql @param {any[] | Record<string, any>} parameters @param {(rows: any[]) => void} listener
   * @param {(error: Error) => void} [failed] told if the query cannot be watched
   */
  watch(sql, parameters, listener, failed) {
    return this.#watch(sql, parameters, listener, failed);
  }

  /**
   * Tell `listener` how many events the log holds, now and whenever some came, whoever appended them; until the returned function
   * is called. @param {(events: number) => void} listener
   */
  watchEvents(listener) {
    return this.#watch(null, [], ([{ events }]) => listener(events));
  }

  /**
   * @param {string | null} sql @param {any[] | Record<string, any>} parameters @param {(rows: any[]) => void} listener
   * @param {(error: Error) => void} [failed]
   */
  #watch(sql, parameters, listener, failed = (error) => console.error(error)) {
    const watch = ++lastWatch;
    try {
      this.#watches.set(watch, { sql, parameters: jsonOf(parameters), listener, failed });
    } catch (error) {
      failed(/** @type {Error} */ (error));
      return () => {};
    }
    // While the log is being opened it waits: opening begins all watches.
    if (this.#current?.isOpen) this.#watchOn(this.#current.link, watch);
    return () => {
      if (this.#watches.delete(watch)) void this.#current?.link.session.unwatch(this.log, watch);
    };
  }

  /** Events, newest first. @param {{ before?: string, after?: string, types?: string[], text?: string, limit?: number }} [which] @returns {Promise<any[]>} */
  events(which = {}) {
    return this.#call('events', which);
  }

  /** How many events of each type there were, over time. @param {{ buckets?: number, since?: string, until?: string }} [which] @returns {Promise<any>} */
  activity(which = {}) {
    return this.#call('activity', which);
  }

  /** Events that could not be applied, with the reason. @returns {Promise<any[]>} */
  conflicts() {
    return this.#call('conflicts');
  }

  /** Events from too far in the future, which are kept until their time comes. @returns {Promise<any[]>} */
  waiting() {
    return this.#call('waiting');
  }

  /** Check everything that is stored, and the view. @param {{ onProgress?: Progress, signal?: AbortSignal }} [options] @returns {Promise<any>} */
  verify(options) {
    return this.#call('verify', {}, options);
  }

  /** @returns {Promise<any>} */
  stats() {
    return this.#call('stats');
  }

  /** @returns {Promise<any>} */
  versions() {
    return this.#call('versions');
  }

  /**
   * Bring data of an older version of the application to this one, as a whole or not at all; `dryRun`: only look.
   * @param {{ dryRun?: boolean, onProgress?: Progress, signal?: AbortSignal }} [options] @returns {Promise<any>}
   */
  async migrate({ dryRun = false, ...options } = {}) {
    try {
      return await this.#call('migrate', { dry_run: dryRun }, { kind: 'once', ...options });
    } finally {
      await this.#lookAgain();
    }
  }

  /**
   * Begin anew, empty, where data of an older version cannot be brought to this one. A backup of everything is made and checked before.
   * @returns {Promise<string | null>} the id of the backup
   */
  async startOver() {
    const backup = await this.#call('start_over', {}, { kind: 'once' });
    await this.#lookAgain();
    return backup;
  }

  /** Show whether the log may be written to now. */
  async #lookAgain() {
    const { read_only } = await this.stats();
    this.info = { ...this.info, read_only };
    this.#stands(this.#behind, read_only);
  }

  // -- changing

  /**
   * Append events, all or none. Resolves once they are as durable as asked for.
   * @param {{ type: string, data: object }[] | { type: string, data: object }} events
   * @param {{ batch?: string, durability?: 'strict' | 'relaxed' }} [options] repeating a call with the same `batch` stores it once
   * @returns {Promise<{ id: string, hlc: string }[]>}
   */
  async append(events, { batch = crypto.randomUUID(), durability = 'strict' } = {}) {
    const encoded = encode(Array.isArray(events) ? events : [events]);
    return this.#change(() => this.#ask(({ session }) => session.append(this.log, encoded, batch, durability), 'batch'));
  }

  /** On return everything appended before, relaxed or not, is durable. @returns {Promise<null>} */
  flush() {
    return this.#call('flush');
  }

  /** Give the log the name that people read. @param {string} name @returns {Promise<null>} */
  rename(name) {
    return this.#change(() => this.#call('rename', { name }, { kind: 'once' }));
  }

  // -- files

  /** The log as a backup file (JSONL), protected if there is a `passphrase`. @param {{ gzip?: boolean, passphrase?: string | null, onProgress?: Progress, signal?: AbortSignal }} [options] @returns {Promise<Blob>} */
  save({ gzip = false, passphrase = null, ...options } = {}) {
    const type = passphrase !== null ? 'application/octet-stream' : gzip ? 'application/gzip' : 'application/jsonl';
    return this.#file('save', { gzip, passphrase }, type, options);
  }

  /**
   * What a backup file holds and what restoring it would do; changes nothing.
   * @param {Blob} file @param {{ passphrase?: string | null, onProgress?: Progress, signal?: AbortSignal }} [options] @returns {Promise<any>}
   */
  inspect(file, { passphrase = null, ...options } = {}) {
    return this.#call('inspect', { passphrase }, { body: file, ...options });
  }

  /**
   * Bring in a backup file: all of it is checked before anything is changed.
   * @param {Blob} file @param {{ mode?: 'merge' | 'replace', salvage?: boolean, passphrase?: string | null, onProgress?: Progress, signal?: AbortSignal }} [options] @returns {Promise<any>}
   */
  restore(file, { mode = 'merge', salvage = false, passphrase = null, ...options } = {}) {
    return this.#change(() => this.#call('restore', { mode, salvage, passphrase }, { body: file, kind: 'once', ...options }));
  }

  /**
   * Bring in a file of another program. Stopped by `signal`, what had come in until then is kept.
   * @param {File | Blob} file @param {{ name?: string, onProgress?: Progress, signal?: AbortSignal }} [options] @returns {Promise<any>}
   */
  importFile(file, { name = file instanceof File ? file.name : '', ...options } = {}) {
    return this.#change(() => this.#call('import_file', { name }, { body: file, kind: 'once', ...options }));
  }

  // -- history

  /**
   * Show the log as if these events had not happened. An import stands for all it brought in.
   * @param {string | string[]} ids `replica:number`, or `replica:first-last` @param {{ batch?: string }} [options] as for `append`
   * @returns {Promise<{ id: string, hlc: string }[]>}
   */
  undo(ids, { batch = crypto.randomUUID() } = {}) {
    return this.#change(() => this.#call('undo', { ids: [ids].flat(), batch }, { kind: 'batch' }));
  }

  /** Take an `undo` back. @param {string | string[]} ids @param {{ batch?: string }} [options] @returns {Promise<{ id: string, hlc: string }[]>} */
  redo(ids, { batch = crypto.randomUUID() } = {}) {
    return this.#change(() => this.#call('redo', { ids: [ids].flat(), batch }, { kind: 'batch' }));
  }

  /**
   * Undo everything that came after a moment.
   * @param {string | number} moment a time (ISO 8601), the id or `order` of an event, or how many events ago
   * @returns {Promise<{ id: string, hlc: string }[]>} nothing, if nothing came after it
   */
  restoreTo(moment) {
    return this.#change(() => this.#call('restore_to', { moment }, { kind: 'once' }));
  }

  /** Everything as it was at a past moment, until it is closed; meanwhile the store goes on. @param {string | number} moment as for `restoreTo` */
  async at(moment) {
    const past = ++lastPast;
    /** @type {{ link: Link, info: Promise<any> } | undefined} */ let at;
    const opened = (/** @type {Link} */ link) => {
      // Another worker than before does not have it open.
      if (at?.link !== link) {
        const info = link.session.at(this.log, past, jsonOf(moment)).then(read);
        info.catch(() => { at = undefined; });
        at = { link, info };
      }
      return at.info;
    };
    const info = await this.#raw(opened, 'read');
    moment = info.order ?? moment; // exactly this one, however many events come meanwhile
    /** @type {import('./pystore.js').Past} */
    const result = {
      info,
      query: async (sql, parameters = []) => this.#ask(async (link) => {
        if (!this.#pasts.has(result)) throw new PyStoreError('ClosedError', 'This past moment is closed. Open it again.');
        await opened(link);
        return link.session.queryAt(this.log, past, sql, jsonOf(parameters));
      }),
      close: () => {
        if (this.#pasts.delete(result) && at && !at.link.gone) void at.link.session.closeAt(past);
      },
    };
    this.#pasts.add(result);
    return result;
  }

  /**
   * Remove the content of events for good, here and from every replica that merges; cannot be undone.
   * @param {string | string[]} ids as for `undo` @param {{ batch?: string }} [options] @returns {Promise<{ id: string, hlc: string }[]>}
   */
  erase(ids, { batch = crypto.randomUUID() } = {}) {
    return this.#change(() => this.#call('erase', { ids: [ids].flat(), batch }, { kind: 'batch' }));
  }

  // Then `sync`.

  // -- state and end

  /** Tell `listener` the state, now and whenever it changed; until the returned function is called. @param {(state: State) => void} listener */
  onState(listener) {
    this.#listeners.add(listener);
    listener(this.#state);
    return () => void this.#listeners.delete(listener);
  }

  /** Remove the log and everything made from it, for good, and close. */
  async forget() {
    await forgetMirror(this.log); // first: as long as the log is there, its removal can be repeated
    await this.#raw(({ session }) => session.forget(this.log), 'batch').then(read);
    this.close();
  }

  /** Let go. Repeated calls do nothing. */
  close() {
    if (this.#closed) return;
    for (const watch of this.#watches.keys()) void this.#current?.link.session.unwatch(this.log, watch);
    this.#watches.clear();
    for (const past of this.#pasts) past.close();
    this.backups.close();
    if (this.#current && !this.#current.link.gone) void this.#current.link.session.close(this.log);
    this.#closed = true;
    this.#connection.notices.delete(this.#noticed);
    this.#connection.losses.delete(this.#lost);
  }

  // -- the worker

  /** The worker of now, with the log open in it. @returns {Promise<Link>} */
  async connected() {
    while (true) {
      if (this.#closed) throw new PyStoreError('ClosedError', 'The store is closed. Open it again.');
      const link = this.#connection.link();
      if (this.#current?.link !== link) this.#current = { link, isOpen: false, opening: this.#open(link) };
      const current = this.#current;
      try {
        await current.opening;
        return link;
      } catch (error) {
        if (error instanceof Gone) continue;
        if (this.#current === current) this.#current = undefined; // the next question tries again
        this.#show('error', /** @type {Error} */ (error).message);
        throw error;
      }
    }
  }

  /** @param {Link} link */
  async #open(link) {
    this.info = await this.#long({ onProgress: this.#onProgress }, (call) => link.answer(link.session.open(this.log, this.#schema, JSON.stringify(this.#options), call)).then(read, rethrown));
    if (this.#current?.link !== link) throw new Gone();
    this.#current.isOpen = true;
    this.#options.recover = false; // what is lost from now on is another loss
    for (const watch of this.#watches.keys()) this.#watchOn(link, watch);
    this.#stands(this.info.behind, this.info.read_only);
    this.#show('ready', 'Ready.');
  }

  /** @param {Link} link @param {number} watch */
  #watchOn(link, watch) {
    const { sql, parameters, failed } = /** @type {Watch} */ (this.#watches.get(watch));
    link.answer(link.session.watch(this.log, watch, sql, parameters)).then(read, rethrown).catch((error) => {
      if (!(error instanceof Gone)) failed(error);
    });
  }

  /** @param {(link: Link) => PromiseLike<T>} question @param {Kind} kind @param {AbortSignal} [signal] @returns {Promise<T>} @template T */
  async #raw(question, kind, signal) {
    for (let attempt = 1; ; attempt++) {
      const link = await this.connected();
      if (signal?.aborted) throw new PyStoreError('CancelledError', 'It was stopped before it began. Nothing was changed.');
      try {
        return await link.answer(question(link));
      } catch (error) {
        if (kind !== 'once' && attempt === 1 && error instanceof Gone) continue;
        if (kind !== 'read' || !(error instanceof Gone)) return unknown(error);
        throw new PyStoreError('UnavailableError', 'The program stopped twice while it looked for this, and was not asked once more. Nothing was changed. Ask for less.');
      }
    }
  }

  /** @param {(link: Link) => PromiseLike<string>} question @param {Kind} [kind] @param {AbortSignal} [signal] @returns {Promise<any>} */
  async #ask(question, kind = 'read', signal) {
    return read(await this.#raw(question, kind, signal));
  }

  /** @param {string} verb @param {object} [args] @param {{ body?: Blob, onProgress?: Progress, signal?: AbortSignal, kind?: Kind }} [options] @returns {Promise<any>} */
  async #call(verb, args = {}, { body, kind, ...options } = {}) {
    const encoded = jsonOf(args);
    return this.#long(options, (call) => this.#ask(({ session }) => session.call(this.log, verb, encoded, body ?? null, call), kind, options.signal));
  }

  /** @param {string} verb @param {object} args @param {string} type @param {{ onProgress?: Progress, signal?: AbortSignal }} options @returns {Promise<Blob>} */
  #file(verb, args, type, options) {
    return this.#long(options, async (call) => {
      const [answer, blob] = await this.#raw(({ session }) => session.file(this.log, verb, jsonOf(args), call), 'read', options.signal);
      read(answer);
      return /** @type {Blob} */ (blob).slice(0, undefined, type);
    });
  }

  /**
   * Do something that may take long: it tells how far it is, and is stopped on a signal.
   * @param {{ onProgress?: Progress, signal?: AbortSignal }} options @param {(call: number) => Promise<T>} work @returns {Promise<T>} @template T
   */
  async #long({ onProgress, signal }, work) {
    const call = ++lastCall;
    if (onProgress) this.#progress.set(call, onProgress);
    const cancel = () => void this.#current?.link.session.cancel(call);
    signal?.addEventListener('abort', cancel);
    try {
      return await work(call);
    } finally {
      this.#progress.delete(call);
      signal?.removeEventListener('abort', cancel);
    }
  }

  /** @param {() => Promise<T>} work @returns {Promise<T>} @template T */
  async #change(work) {
    this.#saving++;
    this.#show('saving', 'Saving.');
    try {
      const answer = await work();
      if (--this.#saving === 0) this.#show('saved', 'Saved.');
      return answer;
    } catch (error) {
      this.#saving--;
      const { code, message } = /** @type {PyStoreError} */ (error);
      if (code === 'ReadOnlyError') this.#show('read-only', message);
      else if (NOT_SAVED.has(code)) this.#show('error', message);
      else if (this.#saving === 0) this.#show('saved', 'Saved.');
      throw error;
    }
  }

  /** @param {string | null} behind @param {string | null} readOnly */
  #stands(behind, readOnly) {
    this.#behind = behind;
    this.#readOnly = readOnly;
    if (['ready', 'saved', 'behind', 'read-only'].includes(this.#state.state)) this.#show('ready', 'Ready.');
  }

  /** @param {State['state']} state @param {string} message */
  #show(state, message) {
    if (state === 'ready' || state === 'saved') {
      if (this.#readOnly !== null) [state, message] = ['read-only', this.#readOnly];
      else if (this.#behind !== null) [state, message] = ['behind', this.#behind];
    }
    if (this.#state.state === state && this.#state.message === message) return;
    this.#state = { state, message };
    for (const listener of this.#listeners) listener(this.#state);
  }

  #noticed = (/** @type {import('./connection.js').Notice} */ notice) => {
    if (notice.kind === 'rows') this.#watches.get(notice.watch)?.listener(JSON.parse(notice.rows));
    else if (notice.kind === 'progress') this.#progress.get(notice.call)?.(notice.stage, notice.done, notice.total);
    else if (notice.kind === 'standing' && notice.log === this.log) this.#stands(notice.behind, notice.read_only);
    else if (notice.kind === 'boot' && this.#state.state === 'booting') this.#show('booting', notice.message);
  };

  #lost = (/** @type {string} */ message, /** @type {boolean} */ final) => {
    this.#show(final ? 'error' : 'restarting', message);
    // Not only whoever asks next: live queries go on by themselves.
    if (!final) this.connected().catch(() => {});
  };
}

/** Codes of errors that mean that something a person did may not have been kept. */
const NOT_SAVED = new Set(['QuotaError', 'OutcomeUnknownError', 'UnavailableError', 'StorageError', 'ClosedError', 'ConflictError', 'CorruptError', 'InternalError']);

const encoder = new TextEncoder();

/** @param {unknown} value */
function jsonOf(value) {
  try {
    return JSON.stringify(value) ?? 'null';
  } catch (error) {
    throw new PyStoreError('ValidationError', `This cannot be taken: it is not JSON (${/** @type {Error} */ (error).message}).`);
  }
}

/** Events as bytes, one a line. Throws PyStoreError for what JSON would lose. @param {object[]} events */
function encode(events) {
  const json = events.map(jsonOf).join('\n');
  if (json.includes('null')) refuseNotFinite(events);
  return encoder.encode(json);
}

/** JSON makes `null` of NaN and the infinities, silently. @param {any} value */
function refuseNotFinite(value) {
  if (typeof value === 'number' && !Number.isFinite(value)) throw new PyStoreError('ValidationError', `This cannot be taken: ${value} is not a JSON number.`);
  if (typeof value === 'object' && value !== null) for (const member of Object.values(value)) refuseNotFinite(member);
}

/** What is thrown when a change was asked for and went wrong outside of Python. @param {unknown} error @returns {never} */
function unknown(error) {
  if (!(error instanceof Gone)) return rethrown(error);
  throw new PyStoreError('OutcomeUnknownError', 'The program stopped in the middle of this: it may or may not have been done. What was saved before is safe.');
}

/** @param {unknown} error @returns {never} */
function rethrown(error) {
  if (error instanceof Gone || error instanceof PyStoreError) throw error;
  throw new PyStoreError('InternalError', `Something is wrong in the program itself: ${error}. What was saved is safe.`);
}
