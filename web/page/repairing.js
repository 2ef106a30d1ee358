// @ts-check
/** What one can do about damage: get back what backups have, and save what can be read. */
import { repairLog, saveDamaged } from '../pystore.js';
import { download } from './download.js';
import { count } from './words.js';

/** @typedef {import('./app.js').App} App */

/** What a notice of damage offers. @param {App} app @param {string} log @returns {import('./app.js').Notice['actions']} */
export const damageActions = (app, log) => [
  { label: 'Repair from backups', act: () => repair(app, log) },
  { label: 'Save what can be read', act: () => save(app, log) },
  { label: 'Try again', act: () => app.open(log) },
];

/** @param {App} app @param {string} log @param {boolean} [acceptLoss] */
export async function repair(app, log, acceptLoss = false) {
  try {
    const { repaired, lost } = await app.work('Repairing', () => repairLog(log, { acceptLoss }), { canCancel: false });
    await app.open(log);
    app.notice('news', repaired ? `${count(repaired, 'change')} came back from your backups.` : 'Everything is whole again.', lost.length ? `${count(lost.length, 'change')} could not be brought back.` : '');
  } catch (error) {
    const isMissing = Array.isArray(/** @type {any} */ (error).details?.missing);
    app.fail(error, [
      { label: 'Save what can be read', act: () => save(app, log) },
      ...isMissing ? [{ label: 'Go on without what is damaged', act: () => repair(app, log, true) }] : [],
      { label: 'Try again', act: () => app.open(log) },
    ]);
  }
}

/** @param {App} app @param {string} log */
async function save(app, log) {
  try {
    const blob = await app.work('Saving what can be read', () => saveDamaged(log), { canCancel: false });
    download(blob, `${app.name || log} (damaged) ${new Date().toISOString().slice(0, 10)}.jsonl`);
  } catch (error) {
    app.fail(error, [{ label: 'Try again', act: () => save(app, log) }]);
  }
}
