// @ts-check
/** How numbers, times, sizes and errors are put into words. */

const number = new Intl.NumberFormat(undefined);
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: 'long' });
const dayMonth = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' });
const dayMonthYear = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' });
const monthYear = new Intl.DateTimeFormat(undefined, { month: 'long', year: 'numeric' });
const toMinute = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit' });
const toSecond = new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'long', year: 'numeric', hour: '2-digit', minute: '2-digit', second: '2-digit' });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'medium' });

const DAY = 86_400_000;

/** @param {number} n */
export const grouped = (n) => number.format(n);

/**
 * `count(1, 'message')` is "1 message", `count(1234, 'message')` "1,234 messages".
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export const count = (n, one, many = `${one}s`) => `${number.format(n)} ${n === 1 ? one : many}`;

/** @param {number} bytes */
export function size(bytes) {
  if (bytes < 1000) return count(bytes, 'byte');
  const units = ['kB', 'MB', 'GB', 'TB'];
  let unit = -1;
  let value = bytes;
  do {
    value /= 1000;
    unit += 1;
  } while (value >= 999.5 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : number.format(Math.round(value))} ${units[unit]}`;
}

/**
 * Whole days between two moments by the calendar on the wall.
 * @param {Date} then
 * @param {Date} now
 */
function daysAgo(then, now) {
  const midnight = (/** @type {Date} */ d) => Date.UTC(d.getFullYear(), d.getMonth(), d.getDate());
  return Math.round((midnight(now) - midnight(then)) / DAY);
}

/**
 * A moment, as short as it can be told: a time today, a weekday this week, else a date.
 * @param {string} iso
 * @param {Date} [now]
 */
export function when(iso, now = new Date()) {
  const then = new Date(iso);
  if (Number.isNaN(then.getTime())) return '';
  const days = daysAgo(then, now);
  if (days === 0) return clock.format(then);
  if (days === 1) return 'Yesterday';
  if (days > 1 && days < 7) return weekday.format(then);
  return (then.getFullYear() === now.getFullYear() ? dayMonth : dayMonthYear).format(then);
}

/** A day, with its year. @param {string} iso */
export const day = (iso) => dayMonthYear.format(new Date(iso));

/**
 * A moment of a message: the day too, unless it is today.
 * @param {string} iso
 * @param {Date} [now]
 */
export function moment(iso, now = new Date()) {
  const then = new Date(iso);
  if (Number.isNaN(then.getTime())) return '';
  return daysAgo(then, now) === 0 ? clock.format(then) : `${when(iso, now)}, ${clock.format(then)}`;
}

/** A moment with its day and year, to the minute; if it is today, to the second. @param {string} iso */
export const exactly = (iso, now = new Date()) => (daysAgo(new Date(iso), now) === 0 ? toSecond : toMinute).format(new Date(iso));

/** The whole of a moment, for a tooltip. @param {string} iso */
export function precisely(iso) {
  const then = new Date(iso);
  return Number.isNaN(then.getTime()) ? '' : full.format(then);
}

/**
 * The heading under which a list puts a moment.
 * @param {string} iso
 * @param {Date} now
 */
export function dateGroup(iso, now) {
  const then = new Date(iso);
  if (Number.isNaN(then.getTime())) return 'Without a date';
  const days = daysAgo(then, now);
  if (days < 0) return 'Later than today';
  if (days === 0) return 'Today';
  if (days === 1) return 'Yesterday';
  if (days < 7) return 'Last 7 days';
  if (days < 30) return 'Last 30 days';
  return monthYear.format(then);
}

/**
 * How long ago, in words that stay true for a while.
 * @param {string} iso
 * @param {Date} [now]
 */
export function ago(iso, now = new Date()) {
  const minutes = Math.floor((now.getTime() - new Date(iso).getTime()) / 60_000);
  if (minutes < 1) return 'just now';
  if (minutes < 60) return `${count(minutes, 'minute')} ago`;
  if (minutes < 48 * 60) return `${count(Math.floor(minutes / 60), 'hour')} ago`;
  return `${count(Math.floor(minutes / 1440), 'day')} ago`;
}

/** @type {Record<string, string>} who speaks, in words */
export const ROLES = { user: 'You', assistant: 'Assistant', system: 'Instructions', tool: 'Tool' };

/** @type {Record<string, string>} where things came from, in words */
export const PROGRAMS = { chatgpt: 'ChatGPT', claude: 'Claude', jsonl: 'a file' };

/** What a file name may hold. @param {string} name */
export const fileName = (name) => name.replace(/[^\p{L}\p{N} ._-]+/gu, '').trim().slice(0, 60) || 'assistant';

/**
 * What happened and what is safe, by the error's code. What to do is in the error's own message.
 * @type {Record<string, [what: string, safe: string]>}
 */
const BY_CODE = {
  StoreLostError: ['What was kept here is gone.', 'Choose what to do.'],
  TailLostError: ['The newest changes are gone.', 'Choose what to do.'],
  MigrationError: ['Your data could not be brought to this version.', 'Nothing was changed.'],
  QuotaError: ['There is no space left.', 'Everything saved before is safe.'],
  OutcomeUnknownError: ['It is not certain that this was saved.', 'Everything saved before is safe.'],
  ConflictError: ['Another window was writing at the same moment.', 'Nothing was changed.'],
  UnavailableError: ['This browser gives the page no room to save in.', 'Nothing was changed.'],
  CorruptError: ['Part of what was saved cannot be read.', 'Nothing was changed or thrown away.'],
  CorruptBackupError: ['This file is damaged.', 'Nothing here was changed.'],
  ForkError: ['This file and what is here contradict each other.', 'Nothing here was changed.'],
  FormatError: ['This file cannot be read here.', 'Nothing here was changed.'],
  NewerVersionError: ['This was made by a newer version of this page.', 'Nothing was changed.'],
  ReadOnlyError: ['Nothing can be written just now.', 'Everything saved before is safe.'],
  ValidationError: ['This could not be saved as it is.', 'Nothing else was changed.'],
  ConstraintError: ['This does not fit what is here.', 'Nothing was changed.'],
  ClockError: ['This file holds times that lie in the future.', 'Nothing here was changed.'],
  CancelledError: ['Stopped.', ''],
  ClosedError: ['Your data cannot be reached.', 'Nothing was changed.'],
};

/**
 * @typedef {object} Problem
 * @property {string} what what happened, and what is safe
 * @property {string} text what to do
 * @property {string} code
 */

/**
 * Put an error into words.
 * @param {unknown} error
 * @returns {Problem}
 */
export function problem(error) {
  const given = /** @type {{code?: unknown, name?: unknown, message?: unknown}} */ (error ?? {});
  const code = typeof given.code === 'string' ? given.code : String(given.name ?? 'Error');
  const [what, safe] = BY_CODE[code] ?? ['That did not work.', 'What was saved before is safe.'];
  return { what: `${what} ${safe}`.trim(), text: typeof given.message === 'string' ? given.message : String(error), code };
}

/**
 * What did not come back of an assistant that was lost.
 * @param {Record<string, any>} details of the loss @param {number} events how many are here now @param {string | null} since when what came back was saved
 */
export function stillMissing({ events: before, at }, events, since) {
  const gone = before - events;
  if (gone <= 0) return `That is all that was here on ${exactly(at)}.`;
  return `${count(gone, 'change')} ${gone === 1 ? 'is' : 'are'} still missing: what was made ${since ? `after it was saved, between ${exactly(since)} and` : 'before'} ${exactly(at)}.`;
}
