// @ts-check
/** Runs in a tab's own worker, where the browser has no SharedWorker or the page asked for it: one Python for each tab. */

import { Supervisor } from './supervisor.js';

const supervisor = new Supervisor({ alone: false, end: () => self.close() });
self.onmessage = ({ ports: [port] }) => supervisor.connect(port);
