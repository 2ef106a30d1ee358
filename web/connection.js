// @ts-check
/**
 * The page's way to the worker: which one it is, whether it still lives, and how to get to the next one.
 *
 * Workers come in generations. One that died, hangs, or wants to be replaced is never used again: the page that notices raises the
 * generation, which all tabs share, and every tab goes to the worker of that name. A worker left behind can do no harm: what
 * it still tries to write meets a taken number.
 */

import * as Comlink from 'comlink';
import { PyStoreError } from './worker/protocol.js';
import { hold, outlive } from './worker/locks.js';
import { scriptUrl } from './trusted.js';

/** @typedef {import('./worker/protocol.js').Notice} Notice */
/** @typedef {import('./worker/protocol.js').Reason} Reason */
/** @typedef {import('comlink').Remote<import('./worker/protocol.js').Session>} Session */
/** @typedef {'shared' | 'dedicated'} Arrangement */

const PING_EVERY_MS = 5_000;
/** A worker that has not answered for so long hangs. The longest work in one piece is a query that brings full text up to date. */
const HANG_MS = 30_000;
const MAX_FAILURES = 10;
const FAILURES_WITHIN_MS = 120_000;
const GENERATION = 'pystore-generation';

/** The worker went away while a question was open. */
export class Gone extends Error {}

/** One worker of one generation. */
class Link {
  /** @type {Session} */ session;
  gone = false;
  /** @type {() => void} */ #die = () => {};
  #abort = new AbortController();
  /** @type {number} */ #hangMs;
  /** @type {Set<(error: Error) => void>} */ #open = new Set();
  /** @type {(link: Link, reason: Reason, message: string) => void} */ #onGone;
  /** @type {() => void} */ #discard;
  /** @type {ReturnType<typeof setInterval>} */ #heartbeat;

  /**
   * @param {Arrangement} arrangement @param {string} name @param {number} hangMs
   * @param {(notice: Notice) => void} onNotice @param {(link: Link, reason: Reason, message: string) => void} onGone
   */
  constructor(arrangement, name, hangMs, onNotice, onGone) {
    this.#hangMs = hangMs;
    this.#onGone = onGone;
    let loaded = false;
    // Later errors of the worker are its supervisor's business.
    const failed = () => loaded || this.#fail('failed', 'A part of the program could not be loaded. Check the connection and reload the page.');
    /** @type {MessagePort} */ let port;
    if (arrangement === 'shared') {
      const worker = new SharedWorker(workerUrl(new URL('./worker/shared.js', import.meta.url)), { type: 'module', name });
      worker.onerror = failed;
      ({ port } = worker);
      this.#discard = () => port.close();
    } else {
      const worker = new Worker(workerUrl(new URL('./worker/dedicated.js', import.meta.url)), { type: 'module', name });
      worker.onerror = failed;
      const channel = new MessageChannel();
      port = channel.port1;
      worker.postMessage(null, [channel.port2]);
      this.#discard = () => worker.terminate();
    }
    this.session = Comlink.wrap(port);
    const notices = new MessageChannel();
    notices.port1.onmessage = ({ data }) => {
      if (data.kind === 'gone') this.#fail(data.reason, data.message);
      else onNotice(data);
    };
    void this.session.listen(Comlink.transfer(notices.port2, [notices.port2])).then(() => { loaded = true; });
    void this.#attend();
    this.#heartbeat = this.#watchOver();
  }

  /** The answer to what the session was asked. Throws Gone if the worker goes first. @param {PromiseLike<T>} asked @returns {Promise<T>} @template T */
  answer(asked) {
    return new Promise((resolve, reject) => {
      if (this.gone) return reject(new Gone());
      this.#open.add(reject);
      asked.then(
        (answer) => { this.#open.delete(reject); resolve(answer); },
        (error) => { this.#open.delete(reject); reject(error); },
      );
    });
  }

  /** Say farewell: the page goes, or wants another worker. */
  leave() {
    void this.session.leave();
    this.#over();
  }

  /** Page and worker each hold a lock for as long as they live, and wait for the other's. */
  async #attend() {
    const life = `pystore/life/${crypto.randomUUID()}`;
    this.#die = await hold(`${life}/page`);
    await this.session.attend(life);
    void outlive(`${life}/worker`, this.#abort.signal).then(() => this.#fail('died', 'The program was stopped and starts again.'));
  }

  #watchOver() {
    let answered = Date.now();
    let waiting = false;
    let beat = Date.now();
    return setInterval(() => {
      const now = Date.now();
      // The page itself slept, or was throttled: then it was not the worker that was silent.
      if (now - beat > 2 * PING_EVERY_MS) answered = now;
      beat = now;
      if (!waiting) {
        waiting = true;
        void this.session.ping().then(() => { waiting = false; answered = Date.now(); });
      } else if (now - answered > this.#hangMs) {
        this.#fail('hung', 'The program did not answer any more and starts again.');
      }
    }, PING_EVERY_MS);
  }

  /** @param {Reason} reason @param {string} message */
  #fail(reason, message) {
    if (this.gone) return;
    this.#over();
    this.#onGone(this, reason, message);
  }

  #over() {
    this.gone = true;
    clearInterval(this.#heartbeat);
    this.#abort.abort();
    this.#die();
    this.#discard();
    for (const reject of this.#open) reject(new Gone());
    this.#open.clear();
  }

}

/** What the stores of a page have in common. */
export class Connection {
  /** @type {Arrangement} */ arrangement;
  hangMs = HANG_MS;
  /** Told of what the worker says unasked. */ /** @type {Set<(notice: Notice) => void>} */ notices = new Set();
  /** Told when a worker is gone; another one is there for the asking unless `final`. */
  /** @type {Set<(message: string, final: boolean) => void>} */ losses = new Set();
  /** @type {Link | undefined} */ #link;
  /** @type {PyStoreError | undefined} */ #failure;
  /** @type {number[]} times of */ #failures = [];
  #generation = 0;
  #usedGeneration = 0;

  /** @param {Arrangement} arrangement */
  constructor(arrangement) {
    this.arrangement = arrangement;
    addEventListener('pagehide', () => {
      this.#link?.leave();
      this.#link = undefined;
    });
    addEventListener('pageshow', ({ persisted }) => {
      if (persisted) for (const lost of this.losses) lost('', false);
    });
    document.addEventListener('freeze', () => {
      if (this.arrangement === 'dedicated') void this.#link?.session.pause();
    });
  }

  /** The worker of now; a new one if there is none. Throws PyStoreError when workers keep failing. */
  link() {
    if (this.#failure) throw this.#failure;
    this.#link ??= new Link(this.arrangement, `pystore-${this.#currentGeneration()}`, this.hangMs, (notice) => {
      for (const listener of this.notices) listener(notice);
    }, (link, reason, message) => this.#lost(link, reason, message));
    return this.#link;
  }

  /** Let the next `link` try again after workers kept failing. */
  retry() {
    this.#failure = undefined;
    this.#failures = [];
  }

  /** @param {Link} link @param {Reason} reason @param {string} message */
  #lost(link, reason, message) {
    if (this.#link !== link) return;
    this.#link = undefined;
    this.#raiseGeneration();
    const now = Date.now();
    if (reason !== 'recycled') this.#failures = [...this.#failures.filter((time) => now - time < FAILURES_WITHIN_MS), now];
    const isLast = this.#failures.length >= MAX_FAILURES;
    const final = reason === 'failed' || isLast;
    if (isLast) message = 'The program stopped again and again, and was not started once more. What was saved is safe. Reload the page.';
    if (final) this.#failure = new PyStoreError('UnavailableError', message);
    for (const listener of this.losses) listener(message, final);
  }

  // All tabs agree on the generation through localStorage. Where that is refused, each counts for itself.

  #currentGeneration() {
    try {
      this.#generation = Math.max(this.#generation, Number(localStorage.getItem(GENERATION) ?? 0));
    } catch {
      // refused
    }
    this.#usedGeneration = this.#generation;
    return this.#generation;
  }

  #raiseGeneration() {
    this.#generation = Math.max(this.#generation, this.#usedGeneration + 1);
    try {
      if (Number(localStorage.getItem(GENERATION) ?? 0) < this.#generation) localStorage.setItem(GENERATION, String(this.#generation));
    } catch {
      // refused
    }
  }
}

/**
 * A worker's address. What the page is asked for the worker is: how to start (`?boot=plain`), after how many milliseconds it counts as
 * idle (`idle`), and from how many bytes on Python is begun afresh then (`heap`). @param {URL} url
 */
function workerUrl(url) {
  const asked = new URLSearchParams(location.search);
  for (const name of ['boot', 'idle', 'heap']) if (asked.has(name)) url.searchParams.set(name, asked.get(name) ?? '');
  return scriptUrl(url);
}

/** Whether this browser can share a worker between tabs. */
export const canShare = () => typeof SharedWorker !== 'undefined';
