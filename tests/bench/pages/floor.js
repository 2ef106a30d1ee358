// @ts-check
// The messages of the workload, given to `floor.py` in a plain Pyodide.

import { PystoreRows } from './pystore.js';
import { rows } from './rows.js';

const events = new PystoreRows(null).prepare(rows(0, 1000));
const lines = events.filter(({ type }) => type === 'message.posted').map(({ data }) => JSON.stringify(data)).join('\n');
const worker = new Worker(new URL('floor_worker.js', import.meta.url), { type: 'module' });

/** Microseconds an event, by what is done. @type {Promise<Record<string, number>>} */
const measured = new Promise((resolve, reject) => {
  worker.onmessage = ({ data }) => resolve(JSON.parse(data));
  worker.onerror = (event) => reject(new Error(event.message));
});
worker.postMessage([new URLSearchParams(location.search).getAll('wheel'), lines]);
Object.assign(globalThis, { measured });
