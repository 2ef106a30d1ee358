// @ts-check
/**
 * What each room showed last, kept in localStorage, so that the page is painted before Python is there.
 *
 * It is a copy for the eye only: nothing is decided by it, everything in it is bounded, and it goes when its log is forgotten, or
 * something was erased since. It stands behind a checksum: what is not as it was kept is not shown.
 */
import { crc32 } from '../worker/records.js';

/** @typedef {import('./types.js').ConversationRow} ConversationRow */
/** @typedef {import('./types.js').MessageRow} MessageRow */

/**
 * @typedef {object} LastSeen
 * @property {string} name
 * @property {number} events how many events the log held
 * @property {string} erased what was erased then: `Info.erased` of the store
 * @property {number} total how many conversations there were
 * @property {ConversationRow[]} conversations the newest ones
 * @property {{ conversation: ConversationRow, messages: MessageRow[] } | null} open the conversation that was
 *   open, with the end of the branch that was shown
 */

const PREFIX = 'pystore/seen/';
const CURRENT = 'pystore/current';
const MOST_CHARACTERS = 100_000; // localStorage keeps UTF-16: 200 kB a log
const MOST_CONVERSATIONS = 60;
const MOST_MESSAGES = 40;

/** localStorage can be absent, full or forbidden: then there is nothing to show before Python, and that is all. */
const storage = (() => {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
})();

/** @param {string} key */
export function recall(key) {
  try {
    return JSON.parse(storage?.getItem(key) ?? 'null');
  } catch {
    return null;
  }
}

/**
 * @param {string} key
 * @param {unknown} value null removes it
 */
export const remember = (key, value) => put(key, value === null ? null : JSON.stringify(value));

/** @param {string} key @param {string | null} text null removes it */
function put(key, text) {
  try {
    if (text === null) storage?.removeItem(key);
    else storage?.setItem(key, text);
    return true;
  } catch {
    return false;
  }
}

/** Every value under a prefix. @param {string} prefix @returns {any[]} */
export function recallAll(prefix) {
  if (storage === null) return [];
  return Object.keys(storage).filter((key) => key.startsWith(prefix)).map(recall).filter((value) => value !== null);
}

/** The log that was open last. @returns {string | null} */
export function currentLog() {
  const log = recall(CURRENT);
  return typeof log === 'string' ? log : null;
}

/** @param {string | null} log */
export const setCurrentLog = (log) => remember(CURRENT, log);

/**
 * @param {string | null} log
 * @returns {LastSeen | null}
 */
export function lastSeen(log) {
  try {
    const [, sum, text = ''] = /^([0-9a-f]{8})(.*)$/s.exec((log !== null && storage?.getItem(PREFIX + log)) || '') ?? [];
    return sum === sumOf(text) ? JSON.parse(text) : null;
  } catch {
    return null;
  }
}

/** @param {string} text */
const sumOf = (text) => crc32(new TextEncoder().encode(text)).toString(16).padStart(8, '0');

/**
 * Keep what of `seen` fits the bound: the newest conversations, and the end of the open one.
 * @param {string} log
 * @param {LastSeen} seen
 */
export function keepLastSeen(log, seen) {
  let room = MOST_CHARACTERS - 500;
  const fits = (/** @type {unknown} */ row) => (room -= JSON.stringify(row).length + 1) >= 0;
  const conversations = [];
  for (const row of seen.conversations.slice(0, MOST_CONVERSATIONS)) {
    if (!fits(row)) break;
    conversations.push(row);
  }
  let open = null;
  if (seen.open && fits(seen.open.conversation)) {
    const { conversation, messages: all } = seen.open;
    /** @type {MessageRow[]} */
    const messages = [];
    for (let i = all.length - 1; i >= 0 && messages.length < MOST_MESSAGES && fits(all[i]); i--) {
      messages.unshift(/** @type {MessageRow} */ (all[i]));
    }
    if (messages.length) open = { conversation, messages };
  }
  const text = JSON.stringify({ ...seen, conversations, open });
  if (!put(PREFIX + log, sumOf(text) + text)) put(PREFIX + log, null);
}

/** Remove what was shown of a log. @param {string} log */
export const forgetShown = (log) => put(PREFIX + log, null);

/** Remove every trace of a log from localStorage: what was seen, drafts, what waited. @param {string} log */
export function forgetSeen(log) {
  if (currentLog() === log) setCurrentLog(null);
  if (storage === null) return;
  const mine = [PREFIX, 'pystore/draft/', 'pystore/outbox/', 'pystore/saved/'].map((prefix) => prefix + log);
  for (const key of Object.keys(storage)) {
    if (mine.some((start) => key === start || key.startsWith(`${start}/`))) storage.removeItem(key);
  }
}
