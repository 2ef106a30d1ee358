// @ts-check
// The floor of an append: the transaction of `raw.js`, or that of pystore, made in a worker for the page, with nothing else done there.

import { RawPerEvent } from './raw.js';

/** @typedef {import('./rows.js').Row} Row */
/** @typedef {'strict' | 'relaxed'} Durability */

/** The page's side. */
export class RawInWorker {
  /** @type {(() => void)[]} */ waiting = [];
  worker = new Worker(import.meta.url, { type: 'module' });

  static async open(/** @type {string} */ name, /** @type {'raw' | 'bare'} */ which = 'raw') {
    const made = new RawInWorker();
    made.worker.onmessage = () => made.waiting.shift()?.();
    await made.ask('open', name, which);
    return made;
  }

  /** @returns {Promise<void>} */
  ask(/** @type {any[]} */ ...message) {
    this.worker.postMessage(message);
    return new Promise((resolve) => this.waiting.push(resolve));
  }

  append(/** @type {Row[]} */ rows, /** @type {Durability} */ durability = 'strict') {
    return this.ask('append', rows, durability);
  }

  async forget() {
    await this.ask('forget');
    this.worker.terminate();
  }
}

if (!('document' in globalThis)) {
  /** @type {any} */ let made;
  onmessage = async ({ data: [method, ...given] }) => {
    if (method === 'open') made = given[1] === 'raw' ? await RawPerEvent.open(given[0]) : await (await import('./bare.js')).BareLog.open(given[0]);
    else await made[method](...given);
    postMessage(null);
  };
}
