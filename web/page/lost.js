// @ts-check
/** What was kept of an assistant is gone, or its newest part is: what can be done, the best first. Nothing is begun anew unasked. */
import { html } from 'htm/preact';
import { useEffect, useState } from 'preact/hooks';
import { mirrorFolder, newestMirrored } from '../backups.js';
import { useApp } from './hooks.js';
import { Dialog, TypedNameDialog } from './dialogs.js';
import { chooseFiles, takeFiles } from './files.js';
import { Icon } from './icons.js';
import { ago, count, exactly, problem, stillMissing } from './words.js';

/** @typedef {import('./app.js').App} App */
/** @typedef {import('../pystore.js').Backup} Backup */

export function Lost() {
  const app = useApp();
  const { details, code } = /** @type {import('../pystore.js').PyStoreError} */ (app.lost);
  const log = /** @type {string} */ (app.log);
  const isTail = code === 'TailLostError';
  const [folder, setFolder] = useState(/** @type {string | null} */ (null));
  useEffect(() => void mirrorFolder(log).then(setFolder, (error) => app.fail(error)), [log]);
  const [bad, setBad] = useState(/** @type {string[]} */ ([])); // found to be damaged, in spite of what was known of them
  /** @type {Backup | undefined} */
  const backup = details.backups?.find((/** @type {Backup} */ one) => one.damaged === null && one.verified?.good !== false && !bad.includes(one.id));

  const still = backup && Math.max(0, details.events - Math.max(details.here ?? 0, backup.events ?? 0));

  const bringBack = () => tried(app, async () => {
    const { id, time } = /** @type {Backup} */ (backup);
    const { hash } = location;
    const restoring = app.recover((store) => app.work('Bringing back the backup', (options) => store.backups.restore(id, 'merge', options)));
    const { new: events } = await restoring.catch((error) => {
      if (problem(error).code === 'CorruptBackupError') setBad([...bad, id]);
      throw error;
    });
    await app.readLogs();
    app.goOnFrom(hash, 'conversations');
    app.notice('news', `${count(events, 'change')} are back.`, stillMissing(details, (details.here ?? 0) + events, time));
  });
  const fromFolder = () => tried(app, async () => {
    const file = await newestMirrored(log);
    if (file === null) throw new Error('There is no file in that folder, or this page may not read it.');
    await takeFiles(app, [file]);
  });
  // What was lost is told until something is written: the name is.
  const begin = () => tried(app, async () => {
    await app.recover((store) => store.rename(details.name));
    await app.readLogs();
  });
  const goOn = () => app.show(() => isTail ? html`
    <${Dialog} title="Go on without them?">
      <p>What is left is opened. The newest ${count(missing(details), 'change')} stay in the backups that have them.</p>
      <footer>
        <button type="button" class="button" onClick=${() => app.show(null)}>Cancel</button>
        <button type="button" class="button danger" onClick=${() => { app.show(null); void begin(); }}>Go on without them</button>
      </footer>
    <//>
  ` : html`
    <${TypedNameDialog} title="Start over with nothing?" name=${details.name} action="Start over" onDone=${begin}>
      <p>The assistant <b dir="auto">${details.name}</b> begins anew, empty. Its backups stay, and can be restored later.</p>
    <//>
  `);
  return html`
    <div class="lost" role="region" aria-labelledby="lost">
      <h1 id="lost"><${Icon} name="warn" /><span>${isTail ? 'The newest changes of' : 'What was kept of'} <bdi>${details.name}</bdi> ${isTail ? 'are' : 'is'} gone</span></h1>
      <p>${isTail ? `${count(missing(details), 'change')} of ${count(details.events, 'change')} are missing.` : `There were ${count(details.events, 'change')}.`}
        ${' '}They were last seen here ${ago(details.at)}. This browser has cleared them, or someone did. Nothing was begun anew: choose what to do.</p>
      <ol>
        ${backup && html`<li>
          <p><b>Bring back the newest good backup</b><br />It was made ${ago(backup.time)} (${exactly(backup.time)}) and holds ${count(backup.events ?? 0, 'change')}.
            ${' '}${still ? `At most ${count(still, 'change')} made after it are not in it.` : 'Nothing that is known of is missing from it.'}</p>
          <button type="button" class="button primary" onClick=${bringBack}>Bring it back</button>
        </li>`}
        ${folder !== null && html`<li>
          <p><b>Take the newest file of your folder</b> <span dir="auto">${folder}</span></p>
          <button type="button" class="button" onClick=${fromFolder}>Look at it</button>
        </li>`}
        <li>
          <p><b>Restore a file that you saved</b></p>
          <button type="button" class="button" onClick=${() => chooseFiles(app)}><${Icon} name="up" />Choose a file</button>
        </li>
        <li>
          <p><b>${isTail ? 'Go on with what is left' : 'Start over with nothing'}</b></p>
          <button type="button" class="button danger-quiet" onClick=${goOn}>${isTail ? 'Go on without them' : 'Start over'}</button>
        </li>
      </ol>
    </div>
  `;
}

/** Do something, and tell if it fails. @param {App} app @param {() => Promise<unknown>} act */
const tried = (app, act) => act().catch((error) => app.fail(error));

/** @param {Record<string, any>} details */
const missing = ({ missing: spans }) => Object.values(/** @type {Record<string, [number, number]>} */ (spans)).reduce((sum, [first, last]) => sum + last - first + 1, 0);
