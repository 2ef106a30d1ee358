// @ts-check
/**
 * A conversation is a tree: a message that was written anew, or answered again, has siblings under one parent.
 * Shown is one path through it.
 */

/** @typedef {import('./types.js').MessageRow} MessageRow */

/**
 * @typedef {object} Step one message of the shown path
 * @property {MessageRow} message
 * @property {string[]} siblings ids of all versions at this place, oldest first; itself included
 */

export class Branches {
  /** @param {readonly MessageRow[]} messages of one conversation, oldest first */
  constructor(messages) {
    /** @type {Map<string, MessageRow>} */
    this.byId = new Map(messages.map((message) => [message.message_id, message]));
    /** @type {Map<string | null, string[]>} */
    this.children = new Map();
    /** @type {Map<string, string | null>} */
    this.parents = new Map();
    /** @type {MessageRow | null} */
    let before = null;
    for (const message of messages) {
      const { message_id: id, parent_id: parent } = message;
      if (parent !== null) this.parents.set(id, this.byId.has(parent) ? parent : null);
      // Where no parents are named, each message follows the one before. After one that names its parent, another beginning begins.
      else this.parents.set(id, before?.parent_id === null ? before.message_id : null);
      before = message;
    }
    // What comes from outside can go in a circle, which would hide it: it is cut where it points forward.
    const place = new Map(messages.map((message, i) => [message.message_id, i]));
    for (const [id, parent] of this.parents) {
      if (parent === null || Number(place.get(parent)) < Number(place.get(id))) continue;
      for (const above of this.upFrom(parent)) if (above === id) this.parents.set(id, null);
    }
    for (const [id, parent] of this.parents) {
      const siblings = this.children.get(parent);
      if (siblings) siblings.push(id);
      else this.children.set(parent, [id]);
    }
  }

  /**
   * The message and those above it, nearest first.
   * @param {string | null} id
   * @returns {Generator<string>}
   */
  *upFrom(id) {
    const seen = new Set(); // a file from outside can hold a circle
    for (let at = id; at !== null && this.byId.has(at) && !seen.has(at); at = this.parents.get(at) ?? null) {
      seen.add(at);
      yield at;
    }
  }

  /**
   * The path through `leaf` and on to its newest descendant, and through what was chosen by hand (`choices`: the chosen message
   * at each place it stands).
   * @param {string | null} leaf
   * @param {ReadonlySet<string>} choices
   * @returns {Step[]}
   */
  path(leaf, choices) {
    const towards = new Set(this.upFrom(leaf));
    /** @type {Step[]} */
    const steps = [];
    /** @type {string | null} */
    let parent = null;
    const seen = new Set();
    for (;;) {
      /** @type {string[]} */
      const siblings = this.children.get(parent) ?? [];
      /** @type {string | undefined} */
      const id = siblings.find((one) => choices.has(one)) ?? siblings.find((one) => towards.has(one)) ?? siblings.at(-1);
      if (id === undefined || seen.has(id)) return steps;
      seen.add(id);
      steps.push({ message: /** @type {MessageRow} */ (this.byId.get(id)), siblings });
      parent = id;
    }
  }

  /**
   * `choices` changed so that the path goes through `id`.
   * @param {ReadonlySet<string>} choices
   * @param {string} id
   * @returns {Set<string>}
   */
  choose(choices, id) {
    const chosen = new Set(choices);
    for (const step of this.upFrom(id)) {
      for (const sibling of this.children.get(this.parents.get(step) ?? null) ?? []) chosen.delete(sibling);
      chosen.add(step);
    }
    return chosen;
  }
}
