// @ts-check
// What only a log with a history can do: no contender has it, so it is held against a fold of the same log from nothing.

import { PystoreRows } from './pystore.js';
import { batches, longConversation, rows } from './rows.js';

const LATE = 100;
const REACHING_BACK = 1000;
const MOMENTS = 8;

/** Wait until the store has rested: its segments are merged, its checkpoints kept. */
async function rested(/** @type {any} */ store) {
  let before = '';
  for (let same = 0; same < 30;) {
    const now = JSON.stringify((await store.stats()).bytes);
    same = now === before ? same + 1 : 0;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** A backup with the events of one replica alone. @param {Blob} file @param {string} replica */
async function feedOf(file, replica) {
  const [first, ...lines] = (await file.text()).split('\n').slice(0, -2);
  const header = JSON.parse(first);
  const mine = lines.filter((line) => line.startsWith(`{"replica":"${replica}"`));
  header.replicas = { [replica]: header.replicas[replica] };
  header.counts = { events: mine.length, by_type: {}, records: {} };
  const body = new TextEncoder().encode([JSON.stringify(header), ...mine, ''].join('\n'));
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', body));
  const sha256 = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return new Blob([body, `${JSON.stringify({ pystore: 'end', lines: mine.length + 1, sha256 })}\n`]);
}

async function timed(/** @type {() => Promise<any>} */ work) {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

/**
 * One log of `count` events: how long a late merge takes, a fold from nothing, an undo near the end, and opening moments all over it.
 * @param {number} count
 */
export async function history(count) {
  const name = `history-${Date.now()}`;
  const [mine, other] = [await PystoreRows.open(name), await PystoreRows.open(`${name}-other`)];
  const all = batches(rows(0, count - REACHING_BACK));
  for (const batch of all) await mine.append(mine.prepare(batch), 'relaxed');
  await other.imported(await mine.exported());
  await other.append(other.prepare(rows(21 * count, LATE)));
  const file = await feedOf(await other.exported(), other.store.info.replica);
  for (const batch of batches(longConversation(2 * count), 100)) await mine.append(mine.prepare(batch));
  await rested(mine.store);
  const merge = await timed(() => mine.imported(file));
  const [, , undone] = await mine.store.events({ limit: 3 });
  const undo = await timed(() => mine.store.undo(undone.id));
  await rested(mine.store); // or what is kept anew after both is timed with the first moments
  const at = [];
  for (let i = 1; i < MOMENTS; i++) {
    at.push(await timed(async () => (await mine.store.at(Math.round((count * i) / MOMENTS))).close()));
  }
  // Without its checkpoints the log is folded from nothing: an undo of its first event has to.
  const [first] = (await mine.store.events({ types: ['conversation.started'], limit: count })).slice(-1);
  await emptied(`pystore/${name}`);
  const rebuild = await timed(() => mine.store.undo(first.id));
  await mine.forget();
  await other.forget();
  return { merge, undo, rebuild, at };
}

/** Remove the checkpoints of a log. @param {string} database */
function emptied(database) {
  return new Promise((resolve, reject) => {
    const opening = indexedDB.open(database, 1);
    opening.onerror = () => reject(opening.error);
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('checkpoints', 'readwrite');
      transaction.objectStore('checkpoints').clear();
      transaction.oncomplete = () => {
        opening.result.close();
        resolve(undefined);
      };
    };
  });
}
