// @ts-check
/** Making a file for a page of the chunks that Python gives. */

/** Handing so much over at once takes a third of what a call for each chunk does. */
const HANDED_BYTES = 8 << 20;

/** A file in the making. Its chunks are handed to the browser, which may keep them where it likes, some together. */
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
