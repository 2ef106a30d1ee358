// @ts-check
/** Data that cannot be written to: of a newer version of the application, or of an older one that could not be brought to this one. */
import { html } from 'htm/preact';
import { useApp } from './hooks.js';
import { TypedNameDialog } from './dialogs.js';
import { saveFile } from './files.js';
import { Icon } from './icons.js';
import { count } from './words.js';

/** @typedef {import('./app.js').App} App */

/** Why nothing can be written, and what one can do about it. */
export function ReadOnly() {
  const app = useApp();
  const startOver = () => app.show(() => html`
    <${TypedNameDialog} title="Start over?" name=${app.name} action="Start over, empty" onDone=${() => startOverNow(app)}>
      <p><b dir="auto">${app.name}</b> begins anew here, empty. Before that a backup of all that is here (${count(app.stats?.events ?? 0, 'change')}) is made and
        checked. It stays with the others below Backups: a later version of this page may be able to bring it back.</p>
      <p>To be safe save a file as well. ${' '}<button type="button" class="link" onClick=${() => saveFile(app, false)}>Save a file first</button></p>
    <//>
  `);
  return html`
    <p class="bad"><${Icon} name="warn" />${app.status.message}</p>
    <div class="deeds">
      <button type="button" class="button primary" onClick=${() => saveFile(app, true)}><${Icon} name="down" />Save a file</button>
      ${app.stats?.is_older && html`
        <button type="button" class="button" onClick=${() => tryAgain(app)}>Try again</button>
        <button type="button" class="button danger-quiet" onClick=${startOver}>Start over</button>
      `}
    </div>
  `;
}

/** Try once more to bring the data to this version. @param {App} app */
async function tryAgain(app) {
  await app.attempt(async (store) => {
    await app.work('Bringing your data to this version', ({ onProgress }) => store.migrate({ onProgress }), { canCancel: false });
    app.notice('news', 'Your data was brought to this version.', 'You can write again.');
  });
  app.readStats();
}

/** @param {App} app */
async function startOverNow(app) {
  await app.attempt(async (store) => {
    await app.work('Starting over', () => store.startOver(), { canCancel: false });
    app.forgetShown();
    app.notice('news', 'It is empty now.', 'All that was here is in the newest backup.');
  });
  app.readStats();
}
