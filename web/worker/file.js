// @ts-check
/** A file that comes in chunks, which are handed to the browser some together: it may keep them where it likes, and each time it is asked costs. */

const HANDED_BYTES = 8 << 20;

export class FileInChunks {
  /** @type {Blob[]} */ #handed = [];
  /** @type {Uint8Array<ArrayBuffer>[]} */ #held = [];
  #heldBytes = 0;

  /** @param {Uint8Array<ArrayBuffer>} chunk */
  add(chunk) {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
    if (this.#heldBytes >= HANDED_BYTES) this.#hand();
  }

  /** All that was added, in that order. */
  blob() {
    this.#hand();
    return new Blob(this.#handed);
  }

  #hand() {
    this.#handed.push(new Blob(this.#held));
    this.#held = [];
    this.#heldBytes = 0;
  }
}
