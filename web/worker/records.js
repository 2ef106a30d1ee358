// @ts-check
/** Small values that Python keeps by name, each behind a checksum: see `pystore/records.py`. */

const CHECKSUM_BYTES = 4;
const CRC_32 = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  return crc;
});

/** The CRC-32 of bytes, part after part. @param {Uint8Array[]} parts */
export function crc32(...parts) {
  let crc = ~0;
  for (const part of parts) {
    for (const byte of part) crc = /** @type {number} */ (CRC_32[(crc ^ byte) & 0xff]) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/**
 * A value as text. Throws a RangeError if it is not what was written, or stands under another name.
 * @param {string} name @param {Uint8Array} kept
 */
export function recorded(name, kept) {
  const value = kept.subarray(CHECKSUM_BYTES);
  const said = new DataView(kept.buffer, kept.byteOffset).getUint32(0);
  if (said !== crc32(new TextEncoder().encode(name), value)) throw new RangeError(`The record ${name} is damaged.`);
  return new TextDecoder().decode(value);
}
