// @ts-check
/** The Data room: how safe it is, what it takes, and everything one can do with all of it at once. */
import { html } from 'htm/preact';
import { useEffect, useState } from 'preact/hooks';
import { useApp } from './hooks.js';
import { BackupsCard, RECENT_DAYS, folderTrouble, notYet, useBackups } from './backups.js';
import { TypedNameDialog, PromptDialog } from './dialogs.js';
import { check, chooseFiles, lastFile, saveFile } from './files.js';
import { sentence } from './happened.js';
import { Icon } from './icons.js';
import { ProtectDialog } from './protected.js';
import { ReadOnly } from './read_only.js';
import { link } from './route.js';
import { ago, count, grouped, moment, precisely, size } from './words.js';

/** @typedef {import('./app.js').App} App */
/** @typedef {import('../pystore.js').LoggedEvent} LoggedEvent */
/** @typedef {import('./backups.js').Known} Known */

/** Below how safe it is. */
const SECTIONS = [Files, BackupsCard, Space, Recorded, Assistant, Versions];

export function Data() {
  const app = useApp();
  const [backups, lookAgain] = useBackups();
  useEffect(() => {
    app.readStats();
    void app.readPersisted();
  }, [app.store]);
  return html`
    <div class="data" tabIndex="0" role="region" aria-label="Data">
      <h1>Data</h1>
      <${Safety} backups=${backups} />
      <div class="cards">${SECTIONS.map((Section) => html`<${Section} backups=${backups} lookAgain=${lookAgain} />`)}</div>
    </div>
  `;
}

/**
 * How safe the data are, as one sentence and one colour.
 * @param {App} app @param {Known | undefined} backups
 * @returns {{ level: 'good' | 'fair' | 'poor', sentence: string, advice: string }}
 */
function safety(app, backups) {
  const file = lastFile(app);
  const events = app.stats?.events ?? app.seen?.events ?? 0;
  const since = file ? Math.max(0, events - file.events) : events;
  const days = file ? (Date.now() - new Date(file.at).getTime()) / 86_400_000 : Infinity;
  if (app.status.state === 'error') {
    return { level: 'poor', sentence: 'What you write now cannot be saved.', advice: app.status.message };
  }
  if (app.status.state === 'behind') {
    return { level: 'fair', sentence: 'What you write here is saved. What another window wrote does not show here.', advice: `${app.status.message} Reload this page; if that does not help, save a file.` };
  }
  const isEmpty = app.stats ? Object.keys(app.stats.by_type).every((type) => type === '$named') : events === 0;
  if (isEmpty) return { level: 'fair', sentence: 'There is nothing to lose yet.', advice: 'Once there is, this tells how safe it is.' };
  if (file && (since === 0 || days < RECENT_DAYS)) {
    const rest = since === 0 ? 'It holds everything.' : `${count(since, 'change')} came after it.`;
    return {
      level: 'good', sentence: `Kept in this browser, and in a file you saved ${ago(file.at)}.`,
      advice: `${rest} Keep the file where you would find it if this device were lost.`,
    };
  }
  const folder = backups?.mirror;
  if (folder) {
    const trouble = folderTrouble(folder, backups.list, events);
    if (trouble) return { level: 'fair', sentence: `Kept in this browser. Your folder “${folder.folder}” gets no new copies.`, advice: `${trouble} Or save a file.` };
    return {
      level: 'good', sentence: `Kept in this browser, and copied into your folder “${folder.folder}” ${ago(folder.at ?? '')}.`,
      advice: 'Let the folder be on another disk, or one that is itself backed up, to be safe if this device is lost.',
    };
  }
  const backup = backups?.list.find(({ damaged }) => damaged === null);
  const later = backup ? events - (backup.events ?? 0) : 0;
  const and = backup ? `, with a backup made ${ago(backup.time)}${later > 0 ? `, before the newest ${later === 1 ? 'change' : `${grouped(later)} changes`}` : ''}` : '';
  const copy = file ? `The file you saved ${ago(file.at)} misses ${count(since, 'change')}.` : 'There is no copy outside this browser.';
  return app.persisted
    ? { level: 'fair', sentence: `Kept in this browser, which promised not to clear it by itself${and}.`, advice: `${copy} Save a file to be safe if this device is lost.` }
    : { level: 'fair', sentence: `Kept in this browser only${and}; it may clear it when space runs short.`, advice: `${copy} Save a file.` };
}

/** @param {{ backups: Known | undefined }} props */
function Safety({ backups }) {
  const app = useApp();
  const { level, sentence, advice } = safety(app, backups);
  return html`
    <section class="card safety" data-level=${level} aria-labelledby="safety">
      <h2 id="safety">How safe is it</h2>
      <p class="sentence"><span class="light" aria-hidden="true"></span>${sentence}</p>
      <p>${advice}</p>
      ${app.persisted === false && app.hasData && html`
        <p><button type="button" class="button" onClick=${() => app.persist().then(() => {
          if (!app.persisted) app.notice('news', 'The browser did not promise it.', 'It decides by how you use this page: installing it, or a bookmark, can help. A saved file is safe in any case.');
        })}>Ask the browser to keep it</button></p>
      `}
    </section>
  `;
}

function Files() {
  const app = useApp();
  const isReady = app.store !== null;
  return html`
    <section class="card" aria-labelledby="files">
      <h2 id="files">Take it away, bring it in</h2>
      <div class="deeds">
        <button type="button" class="button primary" disabled=${!isReady} onClick=${() => saveFile(app, false)}><${Icon} name="down" />Save as a file</button>
        <button type="button" class="button" disabled=${!isReady} onClick=${() => saveFile(app, true)}><${Icon} name="down" />Save as a small file</button>
        <button type="button" class="button" disabled=${!isReady} onClick=${() => app.show(() => html`<${ProtectDialog} />`)}><${Icon} name="down" />Save a protected file</button>
        <button type="button" class="button" onClick=${() => chooseFiles(app)}><${Icon} name="up" />Restore or bring in</button>
        <button type="button" class="button" disabled=${!isReady} onClick=${() => check(app)}><${Icon} name="check" />Check everything</button>
      </div>
      <p class="small">A saved file holds everything of this assistant, as text that any program can read; the small one is compressed, the protected one opens only with a passphrase of yours. You can drop files anywhere on
        this page: a saved one, or an export of ChatGPT or Claude. You see what is in a saved file before anything changes.
        Checking reads all that is stored, and finds whatever is not as it was saved.</p>
    </section>
  `;
}

/** @type {Record<string, string>} */
const KINDS = { log: 'What you wrote and brought in', checkpoints: 'For opening quickly', vault: 'Backups', attachments: 'Attachments' };

/** @param {{ backups: Known | undefined }} props */
function Space({ backups }) {
  const app = useApp();
  const bytes = Object.entries({ ...app.stats?.bytes, vault: backups?.stats.bytes ?? 0 }).filter(([, n]) => n > 0);
  const whole = bytes.reduce((sum, [, n]) => sum + n, 0);
  const [{ usage = 0, quota = 0 }, setEstimate] = useState(/** @type {StorageEstimate} */ ({}));
  useEffect(() => {
    let isStale = false;
    void navigator.storage?.estimate?.().then((found) => isStale || setEstimate(found));
    return () => { isStale = true; };
  }, [app.stats, backups]);
  return html`
    <section class="card" aria-labelledby="space">
      <h2 id="space">Space used</h2>
      ${app.stats === null ? html`<p class="small">${notYet(app)}</p>` : html`
        <div class="bar" aria-hidden="true">
          ${bytes.map(([kind, n], i) => html`<span class=${`kind-${i}`} style=${{ flexGrow: String(n) }}></span>`)}
        </div>
        <dl class="figures">
          ${bytes.map(([kind, n], i) => html`<div><dt><span class=${`key kind-${i}`} aria-hidden="true"></span>${KINDS[kind] ?? kind}</dt><dd>${size(n)}</dd></div>`)}
          <div><dt>This assistant</dt><dd>${size(whole)}</dd></div>
          ${usage > whole && html`<div><dt>This page in all, with the program</dt><dd>${size(usage)}</dd></div>`}
        </dl>
        ${quota > 0 && html`
          <div class="bar quota" role="img" aria-label=${`${size(usage)} used of ${size(quota)}`}><span class="kind-0" style=${{ flexGrow: String(usage) }}></span><i style=${{ flexGrow: String(quota - usage) }}></i></div>
          <p class="small">${size(usage)} of ${size(quota)} that this browser allows this page are used.</p>
        `}
      `}
    </section>
  `;
}

function Recorded() {
  const app = useApp();
  const { store, stats } = app;
  const [events, setEvents] = useState(/** @type {LoggedEvent[]} */ ([]));
  useEffect(() => {
    if (store === null) return undefined;
    let isStale = false;
    void store.events({ limit: 8 }).then((rows) => isStale || setEvents(rows), (error) => isStale || app.fail(error));
    return () => { isStale = true; };
  }, [store, stats?.events]);
  return html`
    <section class="card" aria-labelledby="recorded">
      <h2 id="recorded">What is recorded</h2>
      ${!stats ? html`<p class="small">${notYet(app)}</p>` : html`
        <dl class="figures">
          ${Object.entries(stats.records).filter(([kind]) => RECORDS[kind]).map(([kind, n]) => html`<div><dt>${RECORDS[kind]}</dt><dd>${grouped(n)}</dd></div>`)}
          <div><dt>Changes in all</dt><dd>${grouped(stats.events)}</dd></div>
        </dl>
      `}
      ${events.length > 0 && html`
        <h3>Newest changes</h3>
        <ol class="events">
          ${events.map((event) => html`<li key=${event.id}><span dir="auto"><${Told} event=${event} /></span><time dateTime=${event.time} title=${precisely(event.time)}>${moment(event.time)}</time></li>`)}
        </ol>
        <p><a href=${link(app.log ?? '', 'timeline')}>All changes, and what was here at any moment</a></p>
      `}
    </section>
  `;
}

/** @type {Record<string, string>} */
const RECORDS = { conversation: 'Conversations', message: 'Messages' };

/** What happened, and the first words of it. @param {{ event: LoggedEvent }} props */
function Told({ event }) {
  const { what, text } = sentence(event);
  return html`${what}${text && html`: <bdi>${text.length > 80 ? `${text.slice(0, 80)}…` : text}</bdi>`}`;
}

function Assistant() {
  const app = useApp();
  const rename = () => app.show(() => html`
    <${PromptDialog} title="Rename this assistant" label="Name" value=${app.name} action="Rename" onDone=${(/** @type {string} */ name) => app.rename(name)} />
  `);
  const forget = () => app.show(() => html`<${ForgetDialog} />`);
  return html`
    <section class="card" aria-labelledby="assistant">
      <h2 id="assistant">This assistant</h2>
      <p>It is called <b dir="auto">${app.name}</b>.</p>
      <div class="deeds">
        <button type="button" class="button" disabled=${!app.store} onClick=${rename}><${Icon} name="edit" />Rename</button>
        <button type="button" class="button danger-quiet" disabled=${!app.store} onClick=${forget}>Forget this assistant</button>
      </div>
    </section>
  `;
}

/** Says all that would be gone, as it is known at that moment. */
function ForgetDialog() {
  const app = useApp();
  const [backups] = useBackups();
  return html`
    <${TypedNameDialog} title="Forget this assistant?" name=${app.name} action="Forget it for good" onDone=${() => app.forget()}>
      <p>Everything of <b dir="auto">${app.name}</b> is removed from this browser: ${stats(app)}, and ${backups ? count(backups.list.length, 'backup') : 'all backups'} of it. This
        cannot be undone.</p>
      <p>Files that you saved${backups?.mirror && html`, and the copies in your folder <b dir="auto">${backups.mirror.folder}</b>,`} are not touched. ${lastFile(app) ? `You saved one ${ago(lastFile(app)?.at ?? '')}.` : 'You have not saved one.'}
        ${' '}<button type="button" class="link" onClick=${() => saveFile(app, false)}>Save a file first</button></p>
    <//>
  `;
}

/** @param {App} app */
function stats(app) {
  const records = app.stats?.records ?? {};
  return `${count(records.conversation ?? 0, 'conversation')}, ${count(records.message ?? 0, 'message')}`;
}

function Versions() {
  const app = useApp();
  const { store } = app;
  const [versions, setVersions] = useState(/** @type {import('./types.js').Versions | null} */ (null));
  useEffect(() => {
    if (store === null) return undefined;
    let isStale = false;
    void store.versions().then((found) => isStale || setVersions(found), (error) => isStale || app.fail(error));
    return () => { isStale = true; };
  }, [store, app.status.state]);
  return html`
    <section class="card" aria-labelledby="versions">
      <h2 id="versions">Versions</h2>
      ${app.status.state === 'read-only' && store !== null && html`<${ReadOnly} />`}
      ${!versions && html`<p class="small">${notYet(app)}</p>`}
      <dl class="figures">
        ${versions && html`
          <div><dt>Your data</dt><dd>${versions.app.version}</dd></div>
          <div><dt>How it is shown</dt><dd>${versions.views.version}</dd></div>
        `}
        ${app.stats && html`<div><dt>Program</dt><dd>${app.stats.platform}</dd></div>`}
      </dl>
    </section>
  `;
}
