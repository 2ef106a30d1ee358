// @ts-check
/** Small values that Python keeps by name, each behind a checksum: see `pystore/records.py`. */

const CHECKSUM_BYTES = 4;
const CRC_32 = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/**
 * A value as text. Throws a RangeError if it is not what was written, or stands under another name.
 * @param {string} name @param {Uint8Array} kept
 */
export function recorded(name, kept) {
  const value = kept.subarray(CHECKSUM_BYTES);
  let crc = ~0;
  for (const part of [new TextEncoder().encode(name), value]) {
    for (const byte of part) crc = /** @type {number} */ (CRC_32[(crc ^ byte) & 0xff]) ^ (crc >>> 8);
  }
  if (new DataView(kept.buffer, kept.byteOffset).getUint32(0) !== ~crc >>> 0) throw new RangeError(`The record ${name} is damaged.`);
  return new TextDecoder().decode(value);
}
