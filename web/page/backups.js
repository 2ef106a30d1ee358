// @ts-check
/** The backups of the open assistant: by layer on a line of time, as a list, and the folder they are copied into. */
import { html } from 'htm/preact';
import { useEffect, useState } from 'preact/hooks';
import { useApp } from './hooks.js';
import { Dialog, PromptDialog } from './dialogs.js';
import { download } from './download.js';
import { lastFile, saveFile, takeFiles } from './files.js';
import { Icon } from './icons.js';
import { recall, remember } from './last_seen.js';
import { ago, count, exactly, grouped, moment, precisely, size } from './words.js';

/** @typedef {import('./app.js').App} App */
/** @typedef {import('../pystore.js').Backup} Backup */
/** @typedef {import('../pystore.js').BackupStats} BackupStats */
/** @typedef {import('../pystore.js').Mirror} Mirror */
/** @typedef {{ list: Backup[], stats: BackupStats, mirror: Mirror | null }} Known */

/** A copy outside this browser that is as old is a good one still, whatever came after it. */
export const RECENT_DAYS = 7;

const REFRESH_MS = 30_000;
const FEW = 6;
const DAY_MS = 86_400_000;

/** @type {Record<string, string>} */
const LAYERS = {
  auto: 'Every few minutes', hourly: 'Hourly', daily: 'Daily', weekly: 'Weekly', manual: 'By hand',
  'before-restore': 'Before a restore', 'before-migration': 'Before an update', damaged: 'What could be read',
};

/** The marks of the line: how long ago, in words and milliseconds. @type {[string, number][]} */
const MARKS = [['now', 60_000], ['1 hour', 3_600_000], ['1 day', DAY_MS], ['1 week', 7 * DAY_MS], ['1 month', 30 * DAY_MS], ['1 year', 365 * DAY_MS]];

/**
 * What is known of the backups, and how to look again; undefined until it is known.
 * @returns {[Known | undefined, () => void]}
 */
export function useBackups() {
  const app = useApp();
  const { store } = app;
  const [known, setKnown] = useState(/** @type {any} */ (undefined));
  const [turn, setTurn] = useState(0);
  useEffect(() => {
    if (store === null) return undefined;
    let isStale = false;
    const look = async () => {
      try {
        const [list, stats, mirror] = await Promise.all([store.backups.list(), store.backups.stats(), store.backups.mirror()]);
        if (!isStale) setKnown({ store, list, stats, mirror });
      } catch (error) {
        if (!isStale) app.fail(error);
      }
    };
    void look();
    const timer = setInterval(look, REFRESH_MS);
    return () => {
      isStale = true;
      clearInterval(timer);
    };
  }, [store, turn]);
  return [known?.store === store ? known : undefined, () => setTurn((n) => n + 1)];
}

/** Why something is not known yet. @param {App} app */
export const notYet = ({ status }) => (status.state === 'error' ? 'Not known, as your data cannot be opened.' : 'Known as soon as your data is open.');

/**
 * Why the copies in the folder are not what they should be, and what to do; '' if they hold everything, or almost.
 * @param {Mirror} mirror @param {Backup[]} list @param {number} events how many there are now
 */
export function folderTrouble({ allowed, error, at, copied }, list, events) {
  if (!allowed) return 'The browser asks again whether this page may write there. Choose the folder again.';
  if (error !== null) return `The last copy failed: ${error} If that does not change, choose the folder again.`;
  const isWhole = list.find(({ id }) => id === copied)?.events === events;
  if (at === null || isWhole || Date.now() - new Date(at).getTime() < RECENT_DAYS * DAY_MS) return '';
  return `The last copy was made ${ago(at)}, and does not hold everything. See whether backups are made, and choose the folder again.`;
}

/** @param {{ backups: Known | undefined, lookAgain: () => void }} props */
export function BackupsCard({ backups: known, lookAgain }) {
  const app = useApp();
  const [isAll, setAll] = useState(false);
  /** @param {(store: import('../pystore.js').Store) => Promise<unknown>} act */
  const change = async (act) => {
    await app.attempt(act);
    lookAgain();
  };
  const create = () => app.show(() => html`
    <${PromptDialog} title="Back up now" label="What is it for?" action="Back up" hint="These words help you find it again." onDone=${(/** @type {string} */ label) => change((store) => store.backups.create(label))} />
  `);
  const verify = () => change(async (store) => {
    const { good, damaged } = await app.work('Checking all backups', (options) => store.backups.verify(null, options));
    const bad = Object.keys(damaged).length;
    if (bad === 0) app.notice('news', `All ${count(good.length, 'backup')} are good.`, '');
    else app.notice('error', `${count(bad, 'backup')} of ${grouped(good.length + bad)} ${bad === 1 ? 'is' : 'are'} damaged.`, 'They are marked below. The others are good; what was damaged is made anew with the next backup as far as the data are here.');
  });
  const { list = [], stats } = known ?? {};
  const events = app.stats?.events ?? app.seen?.events ?? 0;
  const later = Math.max(0, events - (list[0]?.events ?? events));
  const shown = isAll ? list : list.slice(0, FEW);
  return html`
    <section class="card" aria-labelledby="backups">
      <h2 id="backups">Backups</h2>
      ${!stats ? html`<p class="small">${notYet(app)}</p>` : html`
        <p>${list[0] ? html`The newest was made <b>${ago(list[0].time)}</b>${later > 0 && `; ${count(later, 'change')} came after it`}. ${count(stats.count, 'backup')}, ${size(stats.bytes)} in all.` : 'There is none yet: the first is made a few seconds after there is something to keep.'}
          ${' '}${stats.running ? `They are made by themselves every ${count(stats.every.auto, 'minute')} when something changed; some are kept for longer, so that there are older ones, too.` : 'They are not made by themselves: you stopped that.'}</p>
        ${stats.error && html`<p class="bad"><${Icon} name="warn" />The last one could not be made: ${stats.error}</p>`}
        ${stats.settings_lost && html`<p class="bad"><${Icon} name="warn" />What you had chosen about backups cannot be read any more. They are made as at first, and none goes until you choose again, below.</p>`}
        ${stats.where !== 'opfs' && html`<p class="bad"><${Icon} name="warn" />This browser can keep them only beside your data: what befalls the one may befall the other. Save files as well.</p>`}
        ${list.length > 0 && html`<${Line} list=${list} stats=${stats} />`}
        <div class="deeds">
          <button type="button" class="button primary" onClick=${create}><${Icon} name="plus" />Back up now</button>
          <button type="button" class="button" disabled=${!list.length} onClick=${verify}><${Icon} name="check" />Check all</button>
          <button type="button" class="button" onClick=${() => change((store) => (stats.running ? store.backups.stop() : store.backups.start()))}>${stats.running ? 'Stop making them' : 'Make them again'}</button>
        </div>
        ${list.length > 0 && html`
          <ul class="backups" role="list" aria-label="Backups">
            ${shown.map((backup) => html`<${Row} key=${backup.id} backup=${backup} onChange=${change} />`)}
          </ul>
          ${list.length > FEW && html`<p><button type="button" class="link" aria-expanded=${isAll} onClick=${() => setAll(!isAll)}>${isAll ? 'Show fewer' : `Show all ${grouped(list.length)}`}</button></p>`}
        `}
        <${Outside} stats=${stats} mirror=${known?.mirror ?? null} trouble=${known?.mirror ? folderTrouble(known.mirror, list, events) : ''} onChange=${change} />
      `}
    </section>
  `;
}

/**
 * Backups by layer on a line of time, the newest at the right; nearer times have more room.
 * @param {{ list: Backup[], stats: BackupStats }} props
 */
function Line({ list, stats }) {
  const layers = Object.keys(LAYERS).filter((layer) => list.some((one) => one.layer === layer));
  const oldest = Math.max(...list.map(({ time }) => Date.now() - new Date(time).getTime()), 2 * 3_600_000);
  const place = (/** @type {number} */ age) => `${100 * (1 - Math.log(Math.max(age, 60_000) / 60_000) / Math.log(oldest / 60_000))}%`;
  const takes = (/** @type {string} */ layer) => size(stats.layers[layer]?.size ?? 0); // the list may be newer
  const told = layers.map((layer) => `${LAYERS[layer]}: ${grouped(list.filter((one) => one.layer === layer).length)}, ${takes(layer)}`);
  return html`
    <div class="layers" role="img" aria-label=${`Backups by layer. ${told.join('; ')}`}>
      ${layers.map((layer) => html`
        <span class="layer-name">${LAYERS[layer]}</span>
        <span class="layer-size">${takes(layer)}</span>
        <span class="layer-line">${list.filter((one) => one.layer === layer).map((one) => html`
          <i class=${isGood(one) ? 'good' : 'bad'} style=${{ insetInlineStart: place(Date.now() - new Date(one.time).getTime()) }} title=${precisely(one.time)}></i>
        `)}</span>
      `)}
      <span class="layer-marks">${MARKS.filter(([, age]) => age <= oldest).map(([word, age]) => html`<i style=${{ insetInlineStart: place(age) }}>${word}</i>`)}</span>
    </div>
    <p class="small">Layers share what they have in common: together they take less than the sum.</p>
  `;
}

/** @param {Backup} backup */
const isGood = ({ damaged, verified }) => damaged === null && verified?.good !== false;

/** What was kept of a damaged log is not whole, and the best there is: what is in it can be looked at and brought back. @param {Backup} backup */
const isOfUse = (backup) => isGood(backup) || backup.layer === 'damaged';

/** @param {{ backup: Backup, onChange: (act: (store: import('../pystore.js').Store) => Promise<unknown>) => void }} props */
function Row({ backup, onChange }) {
  const app = useApp();
  const { id, time, layer, label, size: bytes, own, events, verified } = backup;
  const file = () => app.work('Reading the backup', (options) => app.ready().then((store) => store.backups.file(id, options)));
  const name = `Backup ${time.slice(0, 16).replace('T', ' ').replace(':', '.')}.jsonl`;
  const look = () => app.attempt(async () => takeFiles(app, [new File([await file()], name)]));
  const take = () => app.attempt(async () => download(await file(), `${app.name} ${name}`));
  const remove = () => app.show(() => html`
    <${Dialog} title="Remove this backup?">
      <p>The backup of ${exactly(time)}${label && html`, <b dir="auto">${label}</b>,`} goes, and ${size(own)} become free. It cannot be brought back. The other
        backups, and what is here now, stay.</p>
      <footer>
        <button type="button" class="button" onClick=${() => app.show(null)}>Cancel</button>
        <button type="button" class="button danger" onClick=${() => { app.show(null); onChange((store) => store.backups.remove(id)); }}>Remove it</button>
      </footer>
    <//>
  `);
  return html`
    <li>
      <div>
        <p><time dateTime=${time} title=${precisely(time)}>${moment(time)}</time> <span class="small">${LAYERS[layer] ?? layer}${label && html`: <span dir="auto">${label}</span>`}</span></p>
        <p class="small">${events === null ? '' : `${count(events, 'change')}, `}${size(bytes)}${own < bytes ? `, of which ${size(own)} its own` : ''}.
          ${' '}${isGood(backup) ? (verified ? `Checked ${ago(verified.at)}: good.` : 'Not checked yet.') : html`<span class="bad">${backup.damaged ?? verified?.why}</span>`}</p>
      </div>
      <div class="deeds">
        <button type="button" class="button" disabled=${!isOfUse(backup)} aria-label=${`Look at the backup of ${moment(time)}, and restore it`} onClick=${look}>Restore</button>
        <button type="button" class="icon-button" disabled=${!isOfUse(backup)} aria-label=${`Save the backup of ${moment(time)} as a file`} title="Save as a file" onClick=${take}><${Icon} name="down" /></button>
        <button type="button" class="icon-button" aria-label=${`Remove the backup of ${moment(time)}`} title="Remove" onClick=${remove}><${Icon} name="close" /></button>
      </div>
    </li>
  `;
}

/**
 * What leaves the browser: the folder, where the browser can write to one, and a reminder.
 * @param {{ stats: BackupStats, mirror: Mirror | null, trouble: string, onChange: (act: (store: import('../pystore.js').Store) => Promise<unknown>) => void }} props
 */
function Outside({ stats, mirror, trouble, onChange }) {
  /** @type {any} */ const picker = window;
  const choose = () => onChange(async (store) => {
    try {
      await store.backups.mirrorTo(await picker.showDirectoryPicker({ id: 'pystore', mode: 'readwrite' }));
    } catch (error) {
      if (/** @type {Error} */ (error).name !== 'AbortError') throw error; // the person changed their mind
    }
  });
  const remind = (/** @type {{ currentTarget: HTMLSelectElement }} */ { currentTarget: { value } }) => onChange((store) => store.backups.configure({ remind_days: Number(value) }));
  return html`
    <h3>Outside this browser</h3>
    ${'showDirectoryPicker' in window && (mirror === null ? html`
      <p>Backups can also be copied into a folder of yours by themselves, a file for each day: then they outlive this browser.</p>
      <div class="deeds"><button type="button" class="button" onClick=${choose}><${Icon} name="down" />Choose a folder</button></div>
    ` : html`
      <p>They are copied into the folder <b dir="auto">${mirror.folder}</b>${mirror.at ? `, last ${ago(mirror.at)}` : ''}.</p>
      ${trouble && html`<p class="bad"><${Icon} name="warn" />${trouble}</p>`}
      <div class="deeds">
        <button type="button" class="button" onClick=${choose}>Choose the folder again</button>
        <button type="button" class="button" onClick=${() => onChange((store) => store.backups.mirrorTo(null))}>Copy no more</button>
      </div>
    `)}
    <label class="line-field"><span>Remind me to save a file</span>
      <select value=${String(stats.remind_days)} onChange=${remind}>
        ${[...new Set([0, 7, 30, 90, stats.remind_days])].sort((a, b) => a - b).map((days) => html`<option value=${String(days)}>${days ? `after ${count(days, 'day')}` : 'never'}</option>`)}
      </select>
    </label>
  `;
}

/** Remind of a file, once a day, if the last one is older than people chose and no folder gets good copies. @param {App} app */
export async function remindOfFile(app) {
  const { store, log } = app;
  if (store === null || log === null || !app.hasData) return;
  const [{ remind_days: days, oldest }, list, mirror, { events }] = await Promise.all([
    store.backups.stats(), store.backups.list(), store.backups.mirror(), store.stats(),
  ]);
  const isCopied = mirror !== null && folderTrouble(mirror, list, events) === '';
  const since = lastFile(app)?.at ?? oldest;
  const key = `pystore/saved/${log}/reminded`;
  const before = recall(key) ?? 0;
  if (days === 0 || isCopied || since === null || Date.now() - new Date(since).getTime() < days * DAY_MS || Date.now() - before < DAY_MS) return;
  remember(key, Date.now());
  const file = lastFile(app);
  app.notice('news', file ? `Your last file is from ${ago(file.at)}.` : 'There is no copy outside this browser yet.', 'A file keeps everything safe if this browser or this device is lost.', [
    { label: 'Save a file', act: () => saveFile(app, true) },
  ]);
}
