// @ts-check
/** Bringing files in, and taking data away as files. */
import { html } from 'htm/preact';
import { useRef, useState } from 'preact/hooks';
import { newLogName } from './app.js';
import { useApp } from './hooks.js';
import { Dialog } from './dialogs.js';
import { download } from './download.js';
import { broughtIn } from './happened.js';
import { Icon } from './icons.js';
import { recall, remember } from './last_seen.js';
import { OpenDialog } from './protected.js';
import { repair } from './repairing.js';
import { PROGRAMS, count, day, grouped, moment, problem, size, stillMissing } from './words.js';

/** @typedef {import('./app.js').App} App */
/** @typedef {import('./types.js').Inspected} Inspected */
/** @typedef {import('./types.js').Imported} Imported */

export const ACCEPTED = '.zip,.json,.jsonl,.gz,.sealed,application/zip,application/json';
const LOG_NAME = /^[\w. -]{1,100}$/;
const MOST_TOLD = 50; // of what was not understood

/**
 * Take in files, whatever they are: a backup is shown first, an export is brought in.
 * @param {App} app
 * @param {readonly File[]} files
 */
export async function takeFiles(app, files) {
  for (const file of files) {
    const header = await backupHeader(file);
    if (header?.pystore === 'sealed-backup') app.show(() => html`<${OpenDialog} file=${file} />`);
    else await (header ? previewRestore(app, file, header) : importFile(app, file));
  }
}

/**
 * The first line of a backup, or null if the file is something else.
 * @param {File} file
 * @returns {Promise<{ pystore?: unknown, log?: unknown, name?: unknown } | null>}
 */
async function backupHeader(file) {
  try {
    const magic = new Uint8Array(await file.slice(0, 2).arrayBuffer());
    /** @type {ReadableStream<Uint8Array>} */
    let stream = file.slice(0, 256 << 10).stream();
    if (magic[0] === 0x1f && magic[1] === 0x8b) {
      stream = stream.pipeThrough(/** @type {ReadableWritablePair<Uint8Array, Uint8Array>} */ (/** @type {unknown} */ (new DecompressionStream('gzip'))));
    }
    const reader = stream.getReader();
    const decoder = new TextDecoder();
    let text = '';
    while (text.length < 256 << 10) {
      const { value, done } = await reader.read();
      text += decoder.decode(value, { stream: !done });
      if (done || text.includes('\n')) break;
    }
    void reader.cancel().catch(() => {});
    if (!/^\s*\{"pystore":/.test(text)) return null;
    try {
      return JSON.parse(text.split('\n', 1)[0] ?? '');
    } catch {
      return {}; // damaged: reading all of it will say how
    }
  } catch {
    return null; // the importer will say what is wrong with it
  }
}

// -- bringing in

/**
 * @param {App} app
 * @param {File} file
 */
async function importFile(app, file) {
  const isFirst = app.log === null;
  let before = ''; // the newest change before it
  try {
    const imported = await app.work(`Bringing in ${file.name}`, async (options) => {
      const store = isFirst ? await app.create('My assistant') : await app.ready();
      if (store === null) return null; // why is told already
      const [newest] = await store.events({ limit: 1 });
      before = newest?.order ?? '';
      return /** @type {Promise<Imported>} */ (store.importFile(file, options));
    });
    if (imported === null) return;
    if (isFirst && imported.events) await app.rename(imported.kind !== 'jsonl' && PROGRAMS[imported.kind] || 'My assistant');
    app.show(() => html`<${ImportReport} file=${file.name} imported=${imported} />`);
    if (imported.id === null) return;
    app.notice('news', `${broughtIn(imported.counts)} came in from ${file.name}.`, '', [undo(app, imported.id)]);
    void app.hasDataNow();
  } catch (error) {
    const isStopped = problem(error).code === 'CancelledError';
    const [stopped] = isStopped ? await app.attempt((store) => store.events({ types: ['$imported'], after: before, limit: 1 })) ?? [] : [];
    if (stopped) void app.hasDataNow();
    app.fail(error, stopped ? [undo(app, stopped.id)] : [{ label: 'Choose another file', act: () => chooseFiles(app) }]);
  }
}

/** Undo an import, all of it. @param {App} app @param {string} id */
function undo(app, id) {
  const act = () => app.attempt((store) => app.work('Undoing the import', () => store.undo(id), { canCancel: false }));
  return { label: 'Undo', act };
}

/** What came in, and what was not understood. @param {{ file: string, imported: Imported }} props */
function ImportReport({ file, imported }) {
  const app = useApp();
  const { counts, not_understood: unknown, events } = imported;
  const conversations = Number(counts.conversations ?? 0);
  const messages = Number(counts.messages ?? 0);
  const leftOut = Number(counts.not_understood ?? unknown.length);
  const first = typeof counts.first === 'string' ? counts.first : null;
  const last = typeof counts.last === 'string' ? counts.last : null;
  return html`
    <${Dialog} title=${events ? 'Your conversations are here' : 'Nothing new in this file'}>
      ${events
        ? html`<p>From <b dir="auto">${file}</b>${imported.kind !== 'jsonl' && PROGRAMS[imported.kind] ? `, an export of ${PROGRAMS[imported.kind]}` : ''}:</p>
          <dl class="figures">
            <div><dt>Conversations</dt><dd>${grouped(conversations)}</dd></div>
            <div><dt>Messages</dt><dd>${grouped(messages)}</dd></div>
            ${first && last && html`<div><dt>From</dt><dd>${day(first)}</dd></div><div><dt>To</dt><dd>${day(last)}</dd></div>`}
          </dl>`
        : html`<p>Everything in <b dir="auto">${file}</b> is here already. Nothing was added twice.</p>`}
      ${leftOut === 0
        ? html`<p class="good"><${Icon} name="check" />Everything in it was understood.</p>`
        : html`
          <p>${count(leftOut, 'thing')} in it ${leftOut === 1 ? 'was' : 'were'} not understood and left out. Keep the file: it is still in there.</p>
          <ul class="told" tabIndex="0" aria-label="Not understood">
            ${unknown.slice(0, MOST_TOLD).map(({ where, why }) => html`<li><span dir="auto">${where}</span>: ${why}</li>`)}
            ${leftOut > MOST_TOLD && html`<li>and ${grouped(leftOut - MOST_TOLD)} more</li>`}
          </ul>`}
      <footer><button type="button" class="button primary" onClick=${() => app.show(null)}>${events ? 'Read them' : 'Close'}</button></footer>
    <//>
  `;
}

/** Ask for files with the browser's own dialog. @param {App} app */
export function chooseFiles(app) {
  const input = document.createElement('input');
  input.type = 'file';
  input.multiple = true;
  input.accept = ACCEPTED;
  input.addEventListener('change', () => void takeFiles(app, [...input.files ?? []]));
  input.click();
}

// -- taking away

/** When the open assistant was last saved as a file, and how much it held. @param {App} app @returns {{ at: string, events: number } | null} */
export const lastFile = (app) => (app.log === null ? null : recall(`pystore/saved/${app.log}`));

/**
 * Save the open assistant as a file.
 * @param {App} app
 * @param {boolean} gzip
 * @param {string | null} [passphrase] that protects it
 */
export async function saveFile(app, gzip, passphrase = null) {
  await app.attempt(async (store) => {
    const { log, name } = app;
    const { events } = await store.stats();
    const blob = await app.work('Saving a file', (options) => store.save({ gzip, passphrase, ...options }));
    const kind = passphrase === null ? `.jsonl${gzip ? '.gz' : ''}` : '.sealed';
    download(blob, `${name} ${new Date().toISOString().slice(0, 10)}${kind}`);
    remember(`pystore/saved/${log}`, { at: new Date().toISOString(), events });
    app.changed();
  });
}

// -- checking

/** Check all that is stored, and say what came of it. @param {App} app */
export async function check(app) {
  await app.attempt(async (store) => {
    const { sound, events, problems } = await app.work('Checking everything', (options) => store.verify(options));
    if (sound) app.notice('news', `Everything is sound: ${count(events, 'change')} checked.`, '');
    else app.show(() => html`<${Unsound} problems=${problems} />`);
  });
}

/** @param {{ problems: { id: string | null, why: string }[] }} props */
function Unsound({ problems }) {
  const app = useApp();
  return html`
    <${Dialog} title="Something is damaged">
      <p class="bad"><${Icon} name="warn" />${count(problems.length, 'thing')} ${problems.length === 1 ? 'is' : 'are'} not as ${problems.length === 1 ? 'it was' : 'they were'} saved.
        Nothing was changed. What your backups have can be brought back; so can what a saved file has: restore it, and add what is missing.</p>
      <ul class="told" tabIndex="0" aria-label="What is damaged">
        ${problems.slice(0, MOST_TOLD).map(({ id, why }) => html`<li>${why}${id && html` <span class="small">(${id})</span>`}</li>`)}
        ${problems.length > MOST_TOLD && html`<li>and ${grouped(problems.length - MOST_TOLD)} more</li>`}
      </ul>
      <footer>
        <button type="button" class="button" onClick=${() => app.show(null)}>Close</button>
        <button type="button" class="button primary" onClick=${() => { app.show(null); void repair(app, app.log ?? ''); }}>Repair from backups</button>
      </footer>
    <//>
  `;
}

// -- restoring

/**
 * Show what a backup holds and what restoring it would do, to the assistant that it was saved from.
 * @param {App} app
 * @param {File} file
 * @param {{ log?: unknown, name?: unknown }} header what it says of itself; of a protected one nothing, before it was opened
 * @param {string | null} [passphrase] of a protected one
 */
export async function previewRestore(app, file, header, passphrase = null) {
  const log = typeof header.log === 'string' && LOG_NAME.test(header.log) ? header.log : null;
  const name = typeof header.name === 'string' && header.name ? header.name.slice(0, 200) : 'Restored';
  if (!app.logsKnown) await app.readLogs();
  const target = log ?? (header.log === undefined ? app.log : null) ?? newLogName(name);
  if (!app.logs.some((one) => one.log === target)) app.logs = [...app.logs, { log: target, name, events: 0 }];
  try {
    const inspected = await app.work(`Reading ${file.name}`, async (options) => {
      if (target !== app.log && await app.open(target) === null && app.lost === null) return null; // why is told already
      return app.reach((store) => /** @type {Promise<Inspected>} */ (store.inspect(file, { passphrase, ...options })));
    });
    if (inspected === null) return;
    if (header.log === undefined && inspected.log !== target) {
      await app.leaveEmpty();
      await previewRestore(app, file, inspected, passphrase);
    } else app.show(() => html`<${RestorePreview} file=${file} inspected=${inspected} passphrase=${passphrase} />`);
  } catch (error) {
    await app.leaveEmpty(); // before another try is offered, which would make it anew
    if (problem(error).code === 'PassphraseError') app.show(() => html`<${OpenDialog} file=${file} isWrong />`);
    else app.fail(error, [{ label: 'Choose another file', act: () => chooseFiles(app) }]);
  }
}

/** @param {number} changes how many are dated in the future */
const waits = (changes) => (changes ? `${count(changes, 'change')} dated in the future will appear at that time. Check the clock of this device.` : '');

/** @param {{ file: File, inspected: Inspected, passphrase: string | null }} props */
function RestorePreview({ file, inspected, passphrase }) {
  const app = useApp();
  const { here, problems, unfit } = inspected;
  const lost = app.lost?.details;
  const isLess = lost !== undefined && here.events + inspected.new < lost.events;
  const isEmpty = here.events === 0;
  const isDamaged = problems.length > 0;
  const isPart = isDamaged || unfit.length > 0;
  const [mode, setMode] = useState(/** @type {'merge' | 'replace'} */ ('merge'));
  const [typed, setTyped] = useState('');
  const replaces = mode === 'replace' && !isEmpty;
  const isReady = !replaces || typed.normalize().trim() === app.name.normalize().trim();
  const records = Object.entries(inspected.records).filter(([, n]) => n > 0 && !isDamaged);

  const restore = async (/** @type {Event} */ event) => {
    event.preventDefault();
    if (!isReady) return;
    app.show(null);
    const { hash } = location;
    try {
      const done = await app.recover((store) => app.work(`Restoring ${file.name}`, (options) => store.restore(file, { mode, salvage: isPart, passphrase, ...options })));
      await app.readLogs();
      app.readStats();
      app.goOnFrom(hash, 'conversations');
      const brought = replaces ? done.events : done.new;
      const missing = lost ? stillMissing(lost, replaces ? brought : here.events + brought, inspected.saved_at) : '';
      app.notice('news', brought ? `${count(brought, 'change')} restored from ${file.name}.` : 'Everything in that file was here already.', [missing, waits(done.waiting)].filter(Boolean).join(' '));
      void app.hasDataNow();
    } catch (error) {
      await app.leaveEmpty();
      app.fail(error);
    }
  };
  const cancel = () => {
    app.show(null);
    void app.leaveEmpty();
  };

  return html`
    <${Dialog} title="Restore this backup?" onClose=${cancel}>
      <form onSubmit=${restore}>
        <p><b dir="auto">${file.name}</b> (${size(file.size)}) was saved from <b dir="auto">${inspected.name}</b>${inspected.saved_at ? `, ${moment(inspected.saved_at)}` : ''}.</p>
        <dl class="figures">
          ${records.map(([kind, n]) => html`<div><dt>${RECORDS[kind] ?? kind}</dt><dd>${grouped(n)}</dd></div>`)}
          <div><dt>${isDamaged ? 'Changes that are whole' : 'Changes recorded'}</dt><dd>${grouped(inspected.events)}</dd></div>
          ${inspected.first && inspected.last && html`<div><dt>First change</dt><dd>${day(inspected.first)}</dd></div><div><dt>Last change</dt><dd>${day(inspected.last)}</dd></div>`}
        </dl>
        ${isDamaged
          ? html`
            <p class="bad"><${Icon} name="warn" />The file is damaged. Only the part that can be proven whole would be restored.</p>
            <ul class="told" tabIndex="0" aria-label="What is wrong with the file">
              ${problems.slice(0, MOST_TOLD).map((one) => html`<li>${one.line ? `Line ${grouped(one.line)}: ` : ''}${one.why}</li>`)}
            </ul>`
          : html`<p class="good"><${Icon} name="check" />The file is whole: every line was checked.</p>`}
        ${isLess && html`<p>${count(lost.events - here.events - inspected.new, 'change')} of the ${grouped(lost.events)} that were last seen here are not in it.</p>`}
        ${unfit.length > 0 && html`
          <p class="bad"><${Icon} name="warn" />It was saved by an older version of this page, and this one cannot show all of it. What it cannot show would be kept, for a version that can.</p>
          <ul class="told" tabIndex="0" aria-label="What cannot be shown">
            ${unfit.slice(0, MOST_TOLD).map(({ why }) => html`<li>${why}</li>`)}
            ${unfit.length > MOST_TOLD && html`<li>and ${grouped(unfit.length - MOST_TOLD)} more</li>`}
          </ul>`}
        ${isEmpty
          ? html`<p>It becomes the assistant <b dir="auto">${inspected.name}</b> here.</p>`
          : html`
            <fieldset>
              <legend>This assistant already holds ${count(here.events, 'change')} here.</legend>
              <label class="choice"><input type="radio" name="mode" checked=${mode === 'merge'} onChange=${() => setMode('merge')} />
                <span><b>Add what is missing</b><br />${inspected.new ? `${count(inspected.new, 'change')} come in, ${grouped(inspected.known)} are here already.` : 'All of it is here already: nothing would change.'} Nothing is removed.</span></label>
              <label class="choice"><input type="radio" name="mode" checked=${mode === 'replace'} onChange=${() => setMode('replace')} />
                <span><b>Replace everything here</b><br />What is here now goes, and only what the file holds stays. A backup of it is made first.</span></label>
            </fieldset>
            ${replaces && html`
              <label class="field"><span>To go on, type the name: <b dir="auto">${app.name}</b></span>
                <input type="text" value=${typed} dir="auto" autocomplete="off" spellcheck=${false}
                  onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setTyped(event.currentTarget.value)} /></label>
            `}`}
        <footer>
          <button type="button" class="button" onClick=${cancel}>Cancel</button>
          ${replaces && html`<button type="button" class="button" onClick=${() => saveFile(app, false)}>Save a file first</button>`}
          <button type="submit" class=${`button ${replaces ? 'danger' : 'primary'}`} disabled=${!isReady}>${isDamaged ? 'Restore the whole part' : isPart ? 'Restore what can be shown' : replaces ? 'Replace everything' : 'Restore'}</button>
        </footer>
      </form>
    <//>
  `;
}

/** @type {Record<string, string>} */
const RECORDS = { conversation: 'Conversations', message: 'Messages' };

// -- dropping

/** The props of an element onto which files can be dropped, and whether some hover over it. @param {App} app */
export function useDrop(app) {
  const [isOver, setOver] = useState(false);
  const depth = useRef(0);
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') ?? false;
  return {
    isOver,
    props: {
      onDragEnter: (/** @type {DragEvent} */ event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        depth.current += 1;
        setOver(true);
      },
      onDragOver: (/** @type {DragEvent} */ event) => hasFiles(event) && event.preventDefault(),
      onDragLeave: () => {
        depth.current = Math.max(0, depth.current - 1);
        if (depth.current === 0) setOver(false);
      },
      onDrop: (/** @type {DragEvent} */ event) => {
        if (!hasFiles(event)) return;
        event.preventDefault();
        depth.current = 0;
        setOver(false);
        void takeFiles(app, [...event.dataTransfer?.files ?? []]);
      },
    },
  };
}
