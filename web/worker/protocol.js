// @ts-check
/**
 * What page and worker say to each other. A page asks by calling a `Session` through Comlink. An answer is JSON text, made by
 * Python and read by the page, or an error: `!{"code", "message", "details"}`. What the worker says unasked comes as a `Notice`;
 * `standing` tells how a log stands now: why the changes of other windows cannot be read, and why nothing can be written, or null.
 */

/** @typedef {'died' | 'hung' | 'recycled' | 'failed'} Reason why a worker is gone; `failed`: it never worked, and no other is tried */
/**
 * @typedef {{ kind: 'boot', message: string }
 *   | { kind: 'progress', call: number, stage: string, done: number, total: number }
 *   | { kind: 'rows', watch: number, rows: string }
 *   | { kind: 'standing', log: string, behind: string | null, read_only: string | null }
 *   | { kind: 'gone', reason: Reason, message: string }} Notice
 */
/**
 * @typedef {object} Session
 * @property {(notices: MessagePort) => void} listen
 * @property {(life: string) => Promise<void>} attend the page holds the lock `<life>/page` while it lives, the worker `<life>/worker`
 * @property {() => void} ping
 * @property {(log: string, schema: string, options: string, call: number) => Promise<string>} open `options`: JSON
 * @property {(log: string, sql: string, parameters: string) => string | Promise<string>} query
 * @property {(log: string, watch: number, sql: string | null, parameters: string) => Promise<string>} watch without `sql`: how many events there are
 * @property {(log: string, watch: number) => void} unwatch
 * @property {(log: string, events: Uint8Array, batch: string, durability: string) => Promise<string>} append
 * @property {(log: string, verb: string, args: string, body: Blob | null, call: number) => Promise<string>} call
 * @property {(log: string, verb: string, args: string, call: number) => Promise<[string, Blob | null]>} file a call that is answered by a file
 * @property {(call: number) => void} cancel stop a `call` or `file`, if it can still be stopped
 * @property {(log: string, past: number, moment: string) => Promise<string>} at open a past moment, under a number of the page's
 * @property {(log: string, past: number, sql: string, parameters: string) => Promise<string>} queryAt
 * @property {(past: number) => void} closeAt
 * @property {(log: string) => void} close
 * @property {(log: string) => Promise<string>} forget
 * @property {(log: string, schema: string, acceptLoss: boolean) => Promise<string>} repair
 * @property {(log: string, schema: string) => Promise<[string, Blob | null]>} damagedFile
 * @property {() => void} pause
 * @property {() => void} leave
 */

/** An error of the store. `code` is the name of the Python class, `details` plain data for a program. */
export class PyStoreError extends Error {
  /** @param {string} code @param {string} message what happened, what is safe, what to do @param {Record<string, any>} [details] */
  constructor(code, message, details = {}) {
    super(message);
    this.name = 'PyStoreError';
    this.code = code;
    this.details = details;
  }
}

/** @param {string} code @param {string} message @param {Record<string, any>} [details] */
export const failure = (code, message, details = {}) => `!${JSON.stringify({ code, message, details })}`;

/** The value of an answer. Throws PyStoreError. @param {string} answer */
export function read(answer) {
  if (answer[0] !== '!') return JSON.parse(answer);
  const { code, message, details } = JSON.parse(answer.slice(1));
  throw new PyStoreError(code, message, details);
}
