// @ts-check
// What is measured, the same for every contender. Each function times one round; the rounds are run.py's, which takes the medians.

import { batches, LONG_CONVERSATION, longConversation, rows, SEARCHED } from './rows.js';

/** @typedef {import('./rows.js').Row} Row */
/**
 * What a contender can do. `prepare` turns rows into what it appends, before the clock starts.
 * @typedef {object} Contender
 * @property {(rows: Row[]) => any} [prepare]
 * @property {(prepared: any, durability?: 'strict' | 'relaxed') => Promise<any>} append
 * @property {(conversation: string) => Promise<ArrayLike<any>>} newest50
 * @property {() => Promise<any>} countByConversation
 * @property {(word: string) => Promise<ArrayLike<any>>} search
 * @property {() => Promise<Blob>} exported
 * @property {(file: Blob) => Promise<any>} imported
 * @property {() => Promise<any>} [empty]  a call that does nothing, there and back
 * @property {() => Promise<any>} forget
 */

/** How each is opened; a contender that cannot answer a question is not asked it. @type {Record<string, (name: string) => Promise<any>>} */
const OPEN = {
  'pystore': async (name) => (await import('./pystore.js')).PystoreRows.open(name),
  'raw': async (name) => (await import('./raw.js')).RawPerEvent.open(name),
  'raw in a worker': async (name) => (await import('./raw_worker.js')).RawInWorker.open(name),
  'pystore without Python': async (name) => (await import('./raw_worker.js')).RawInWorker.open(name, 'bare'),
  'raw unindexed': async (name) => (await import('./raw.js')).RawPerEvent.open(name, { indexed: false }),
  'raw per batch': async (name) => (await import('./raw.js')).RawPerBatch.open(name),
  'dexie': async (name) => (await import('./dexie.js')).DexieRows.open(name),
  'dexie words': async (name) => (await import('./dexie.js')).DexieRows.open(name, { searchable: true }),
  'dexie relaxed': async (name) => (await import('./dexie.js')).DexieRows.open(name, { durability: 'relaxed' }),
};

let opened = 0;

async function open(/** @type {string} */ contender, /** @type {string} */ name = `bench-${Date.now()}-${opened++}`) {
  /** @type {Contender} */
  const made = await OPEN[contender](name);
  const prepare = made.prepare?.bind(made) ?? ((/** @type {Row[]} */ all) => all);
  return { made, prepare };
}

async function timed(/** @type {() => Promise<any>} */ work) {
  const start = performance.now();
  const value = await work();
  return { ms: performance.now() - start, value };
}

/** The stores kept open between calls, by contender: filled with `count` rows and one long conversation. */
/** @type {Map<string, Contender>} */
const filled = new Map();

export const bench = {
  /** `count` rows appended in batches of 1,000 to an empty store; then one search, which brings a full-text index up to date. */
  async bulk(/** @type {string} */ contender, /** @type {number} */ count, /** @type {'strict' | 'relaxed'} */ durability, /** @type {boolean} */ searched) {
    const { made, prepare } = await open(contender);
    const prepared = batches(rows(0, count)).map(prepare);
    const { ms } = await timed(async () => {
      for (const batch of prepared) await made.append(batch, durability);
    });
    let total = ms;
    if (searched) {
      const search = await timed(() => made.search(SEARCHED));
      // Among few rows the word may not occur.
      if (count >= 1000 && search.value.length === 0) throw new Error(`${contender} found nothing.`);
      total += search.ms;
    }
    await made.forget();
    return { ms, withSearch: total };
  },

  /** `count` appends of one message each, one after the other, to a conversation of 500; the time of each. */
  async singles(/** @type {string} */ contender, /** @type {number} */ count, /** @type {'strict' | 'relaxed'} */ durability) {
    const { made, prepare } = await open(contender);
    const warmUp = 20;
    const all = longConversation(0, 500 + warmUp + count);
    await made.append(prepare(all.slice(0, 501)), durability);
    const times = [];
    for (const row of all.slice(501)) {
      const one = prepare([row]);
      times.push((await timed(() => made.append(one, durability))).ms);
    }
    await made.forget();
    return times.slice(warmUp);
  },

  /** Open a store and leave it open, with `count` rows and one long conversation in it. */
  async fill(/** @type {string} */ contender, /** @type {number} */ count) {
    const { made, prepare } = await open(contender);
    for (const batch of batches([...rows(0, count), ...longConversation(count)])) await made.append(prepare(batch), 'relaxed');
    filled.set(contender, made);
  },

  /** Each query `times` times on the filled store, in milliseconds. */
  async queries(/** @type {string} */ contender, /** @type {number} */ times) {
    const made = /** @type {Contender} */ (filled.get(contender));
    /** @type {Record<string, () => Promise<any>>} */
    const all = {
      newest50: () => made.newest50(LONG_CONVERSATION),
      countByConversation: () => made.countByConversation(),
      search: () => made.search(SEARCHED),
    };
    if (made.empty) all.empty = made.empty.bind(made);
    /** @type {Record<string, number[]>} */
    const found = {};
    for (const [name, query] of Object.entries(all)) {
      const first = await query();
      if (name === 'newest50' && first.length !== 50) throw new Error(`${contender}: ${first.length} rows instead of 50.`);
      if (name === 'search' && first.length === 0) throw new Error(`${contender} found nothing.`);
      found[name] = [];
      for (let i = 0; i < times; i++) found[name].push((await timed(query)).ms);
    }
    return found;
  },

  /** Save the filled store as a file; its size, too. */
  async exported(/** @type {string} */ contender) {
    const { ms, value } = await timed(() => /** @type {Contender} */ (filled.get(contender)).exported());
    saved.set(contender, value);
    return { ms, bytes: value.size };
  },

  /** Bring what `exported` saved into an empty store. */
  async imported(/** @type {string} */ contender) {
    const { made } = await open(contender);
    const file = /** @type {Blob} */ (saved.get(contender));
    const { ms } = await timed(() => made.imported(file));
    const search = await timed(() => made.search?.(SEARCHED));
    await made.forget();
    return { ms, withSearch: ms + search.ms };
  },

  /** What a log with a history can do, on one of `count` events. */
  async history(/** @type {string} */ _contender, /** @type {number} */ count) {
    return (await import('./history.js')).history(count);
  },

  async forgetFilled(/** @type {string} */ contender) {
    await filled.get(contender)?.forget();
    filled.delete(contender);
    saved.delete(contender);
  },
};

/** @type {Map<string, Blob>} */
const saved = new Map();

Object.assign(globalThis, { bench });
