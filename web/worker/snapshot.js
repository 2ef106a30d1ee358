// @ts-check
/**
 * A boot snapshot on its way: the pages of Python's memory that are not all zeros, and where they belong.
 *
 * `[number of runs] [first page, pages] * runs [pages ...]`, numbers of 32 bits. About half of the memory is zeros, and those that
 * nobody writes cost nothing.
 */

const PAGE_BYTES = 4096;

/** What `restore` needs. @param {Uint8Array} memory whole pages @returns {Uint8Array} */
export function pack(memory) {
  const words = new BigUint64Array(memory.buffer, memory.byteOffset, memory.byteLength / 8);
  const words_a_page = PAGE_BYTES / 8;
  /** @type {[number, number][]} */
  const runs = [];
  for (let page = 0; page < memory.length / PAGE_BYTES; page += 1) {
    if (words.subarray(page * words_a_page, (page + 1) * words_a_page).every((word) => word === 0n)) continue;
    const last = runs.at(-1);
    if (last && last[0] + last[1] === page) last[1] += 1;
    else runs.push([page, 1]);
  }
  const head = new Uint32Array([runs.length, ...runs.flat()]);
  const packed = new Uint8Array(head.byteLength + runs.reduce((sum, [, pages]) => sum + pages, 0) * PAGE_BYTES);
  packed.set(new Uint8Array(head.buffer));
  let at = head.byteLength;
  for (const [page, pages] of runs) {
    packed.set(memory.subarray(page * PAGE_BYTES, (page + pages) * PAGE_BYTES), at);
    at += pages * PAGE_BYTES;
  }
  return packed;
}

/** Make `memory` what it was when `packed` was made of it. Beyond `used` bytes it must be all zeros now. @param {Uint8Array} packed @param {Uint8Array} memory @param {number} used */
export function restore(packed, memory, used) {
  const [count] = new Uint32Array(packed.buffer, packed.byteOffset, 1);
  const runs = new Uint32Array(packed.buffer, packed.byteOffset + 4, 2 * count);
  let from = 4 + 8 * count;
  let at = 0;
  for (let i = 0; i < runs.length; i += 2) {
    const start = runs[i] * PAGE_BYTES;
    const size = runs[i + 1] * PAGE_BYTES;
    if (from + size > packed.length) throw new Error('the snapshot is cut off');
    memory.fill(0, at, Math.min(start, Math.max(used, at)));
    memory.set(packed.subarray(from, from + size), start);
    from += size;
    at = start + size;
  }
  if (from !== packed.length) throw new Error('the snapshot is too long');
  memory.fill(0, at, Math.max(used, at));
}
