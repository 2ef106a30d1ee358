// @ts-nocheck: its imports are paths of the test server
/** Boots Pyodide plainly, unpacks the wheels and the repository's Python, and runs pytest. Each message out is one report. */

import { loadPyodide } from '/pyodide/pyodide.mjs';
import { Host } from '/web/worker/host.js';
import { Vault } from '/web/worker/vault.js';

const report = (message) => self.postMessage(message);

/** Flip a bit in the middle of a part of a checkpoint, `about` or `image`. */
async function damageCheckpoint(log, name, part) {
  const request = indexedDB.open(`pystore/${log}`);
  const database = await settled(request);
  const record = await settled(database.transaction('checkpoints').objectStore('checkpoints').get(name));
  const damaged = new Uint8Array(await new Blob([record[part]]).arrayBuffer());
  damaged[damaged.length >> 1] ^= 1;
  await settled(database.transaction('checkpoints', 'readwrite').objectStore('checkpoints').put({ ...record, [part]: part === 'image' ? new Blob([damaged]) : damaged }));
  database.close();
}

async function damageMeta(log, name) {
  const database = await settled(indexedDB.open(`pystore/${log}`));
  const value = await settled(database.transaction('meta').objectStore('meta').get(name));
  value[value.length - 3] ^= 1;
  await settled(database.transaction('meta', 'readwrite').objectStore('meta').put(value, name));
  database.close();
}

const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

self.onmessage = async ({ data: { wheels, args, environment } }) => {
  try {
    const output = (line) => report({ kind: 'output', line });
    const pyodide = await loadPyodide({ indexURL: '/pyodide/', env: { HOME: '/home/pyodide', ...environment }, stdout: output, stderr: output });
    await pyodide.loadPackage(wheels.map((wheel) => `/wheels/${wheel}`), { checkIntegrity: false, messageCallback: () => {} });
    pyodide.unpackArchive(await (await fetch('/repository.zip')).arrayBuffer(), 'zip', { extractDir: '/repository' });
    self.pystore_host = new Host(true);
    pyodide.registerJsModule('suite', { args, damageCheckpoint, damageMeta, openDatabaseVault: (log) => Vault.open(log, { hasFileSystem: false }), report: (json) => report(JSON.parse(json)) });
    const status = await pyodide.runPythonAsync(`
import os, sys
os.chdir("/repository")
sys.path.insert(0, "/repository")
from tests.browser.pyodide_suite.run_suite import main
main()
`);
    report({ kind: 'end', status });
  } catch (error) {
    report({ kind: 'death', line: `${error}`.slice(-4000) });
  }
};
