// @ts-check
/** The events of a log, newest first, loaded a page at a time, and kept up with what comes. */

/** @typedef {import('../pystore.js').LoggedEvent} LoggedEvent */

const PAGE = 200;
const MARKS = ['$undone', '$redone'];
/** Of changes that undid what is among the rows, how many of the newest are looked up if they are not among them. */
const MOST_MARKS = 1000;

export class EventPages {
  /** @type {LoggedEvent[]} */ rows = [];
  /** whether there are no more rows */ isWhole = false;
  /** whether the first page is there */ isKnown = false;
  /** changes that undid what is among the rows, by id @type {Map<string, LoggedEvent>} */ marks = new Map();
  /** how many events the log held, and the newest, when this was last in step */ #total = 0;
  #newest = '';
  /** @type {Promise<unknown>} */ #doing = Promise.resolve();
  #wantsMore = false;
  /** @type {number | null} */ #due = null;
  #isOver = false;

  /**
   * @param {import('../pystore.js').Store} store
   * @param {{ types?: string[], text?: string }} which
   * @param {(error: unknown) => void} told called after each change, and with an error
   */
  constructor(store, which, told) {
    this.store = store;
    this.which = which;
    this.told = told;
  }

  /** Load the next page, if there is one and it is not being loaded. */
  more() {
    if (this.#wantsMore || this.isWhole || !this.isKnown) return;
    this.#wantsMore = true;
    this.#next(async () => {
      this.#wantsMore = false;
      await this.#put([...this.rows, ...await this.#ask(PAGE, this.rows.at(-1)?.order)], this.rows.length + PAGE);
    });
  }

  /** The log holds so many events now: take in what came. @param {number} total */
  follow(total) {
    const isDue = this.#due !== null;
    this.#due = total;
    if (!isDue) this.#next(() => this.#takeIn());
  }

  /** Say nothing more. */
  end() {
    this.#isOver = true;
  }

  async #takeIn() {
    const total = /** @type {number} */ (this.#due);
    const more = total - this.#total;
    this.#due = null;
    this.#total = total;
    const { types, text } = this.which;
    if (this.isKnown && more > 0 && more <= PAGE && text === undefined) {
      const fresh = await this.store.events({ after: this.#newest, limit: more + 1 });
      // Else some came in before what is known, or changed what is shown of others.
      if (fresh.length === more && !fresh.some(({ type }) => MARKS.includes(type) || type === '$erased')) {
        this.#newest = /** @type {LoggedEvent} */ (fresh[0]).order;
        this.rows = [...fresh.filter(({ type }) => types?.includes(type) ?? true), ...this.rows];
        return;
      }
    }
    const wanted = Math.max(PAGE, this.rows.length);
    const [newest] = await this.store.events({ limit: 1 });
    this.#newest = newest?.order ?? '';
    await this.#put(await this.#ask(wanted), wanted);
    this.isKnown = true;
  }

  /** @param {number} limit @param {string} [before] */
  #ask(limit, before) {
    return this.store.events({ ...this.which, limit, ...before !== undefined && { before } });
  }

  /** @param {LoggedEvent[]} rows @param {number} wanted */
  async #put(rows, wanted) {
    const marks = new Map(rows.filter(({ type }) => MARKS.includes(type)).map((mark) => [mark.id, mark]));
    const unknown = rows.findLast(({ undone_by: by }) => by !== null && !marks.has(by) && !this.marks.has(by));
    // What undid it came after it.
    const found = unknown ? await this.store.events({ types: MARKS, after: unknown.order, limit: MOST_MARKS }) : [];
    for (const mark of found) marks.set(mark.id, mark);
    this.marks = new Map([...this.marks, ...marks]);
    this.rows = rows;
    this.isWhole = rows.length < wanted;
  }

  /** @param {() => Promise<void>} step */
  #next(step) {
    this.#doing = this.#doing.then(async () => {
      if (this.#isOver) return;
      let failure = null;
      await step().catch((error) => { failure = error; });
      if (!this.#isOver) this.told(failure);
    });
  }
}
