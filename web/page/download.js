// @ts-check
/** Files that leave the page. */
import { fileName } from './words.js';

/** Let the browser keep a file where people find their downloads. @param {Blob} blob @param {string} name */
export function download(blob, name) {
  const link = document.createElement('a');
  const url = URL.createObjectURL(blob);
  const [, stem, ending] = /** @type {RegExpExecArray} */ (/^(.*?)((?:\.sealed|\.jsonl)?(?:\.gz)?)$/.exec(name));
  link.href = url;
  link.download = `${fileName(stem)}${ending}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
