// @ts-nocheck: it is used by tests only
/** A page with nothing on it: tests call the client from outside. */

import * as client from './pystore.js';
import { LogDatabase, listLogs, logNames } from './worker/indexeddb.js';

window.client = client;
window.indexeddb = { LogDatabase, listLogs, logNames };

/** All states that a store went through, for tests to look back on. */
window.states = [];
window.open = async (log, options = {}) => {
  window.store = await client.openStore(log, { onState: (state) => window.states.push(state), ...options });
  return window.store.info;
};

/** What a rejected promise carries, as plain data. */
window.refused = async (promise) => {
  try {
    return { answer: (await promise) ?? null };
  } catch ({ name, code, message, details }) {
    return { name, code, message, details };
  }
};
document.documentElement.dataset.ready = 'yes';
