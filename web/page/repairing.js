// @ts-check
/** What one can do about damage: get back what backups have, and save what can be read. */
import { html } from 'htm/preact';
import { repairLog, saveDamaged } from '../pystore.js';
import { TypedNameDialog } from './dialogs.js';
import { download } from './download.js';
import { useApp } from './hooks.js';
import { Icon } from './icons.js';
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
    const back = repaired ? `${count(repaired, 'change')} came back from your backups.` : '';
    if (lost.length) app.notice('news', `${count(lost.length, 'change')} could not be brought back.`, `${back} All else is here.`.trim());
    else app.notice('news', back || 'Everything is whole again.', '');
  } catch (error) {
    const isMissing = Array.isArray(/** @type {any} */ (error).details?.missing);
    app.fail(error, [
      { label: 'Save what can be read', act: () => save(app, log) },
      ...isMissing ? [{ label: 'Go on without what is damaged', act: () => app.show(() => html`<${GoOnWithout} log=${log} error=${error} />`) }] : [],
      { label: 'Try again', act: () => app.open(log) },
    ]);
  }
}

/** Ask before what is damaged is left behind; a file of all that can be read is saved first. @param {{ log: string, error: Error }} props */
function GoOnWithout({ log, error }) {
  const app = useApp();
  const name = app.logs.find((one) => one.log === log)?.name ?? log;
  const goOn = async () => {
    if (await save(app, log)) await repair(app, log, true);
  };
  return html`
    <${TypedNameDialog} title="Go on without what is damaged?" name=${name} action="Go on without it" onDone=${goOn}>
      <p class="bad"><${Icon} name="warn" />${error.message}</p>
      <p>Of each device's changes, those before the first damaged one stay. What it recorded after that one goes as well, readable or not: nothing proves that nothing
        in between is missing. This cannot be undone here.</p>
      <p>A file with everything that can be read is saved first. Keep it, and your backups: another one may turn up that has what is damaged here.</p>
    <//>
  `;
}

/** @param {App} app @param {string} log @returns {Promise<boolean>} whether it was saved; if not, why is told */
async function save(app, log) {
  try {
    const blob = await app.work('Saving what can be read', () => saveDamaged(log), { canCancel: false });
    download(blob, `${app.name || log} (damaged) ${new Date().toISOString().slice(0, 10)}.jsonl`);
    return true;
  } catch (error) {
    app.fail(error, [{ label: 'Try again', act: () => save(app, log) }]);
    return false;
  }
}
