// @ts-check
/** Runs in the SharedWorker: one Python for all tabs. */

import { Supervisor } from './supervisor.js';

const scope = /** @type {any} */ (self);
const supervisor = new Supervisor({ alone: true, end: () => scope.close() });
scope.onconnect = (/** @type {MessageEvent} */ { ports: [port] }) => supervisor.connect(port);
