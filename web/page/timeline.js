// @ts-check
/** The Timeline room: every change, newest first; when they were made; what was here at any moment, and the way back to it. */
import { html } from 'htm/preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useApp, useLater } from './hooks.js';
import { Conversations } from './conversations.js';
import { Dialog, TypedNameDialog } from './dialogs.js';
import { EventPages } from './event_pages.js';
import { broughtIn, kindOf, named, plainly, sentence } from './happened.js';
import { Icon } from './icons.js';
import { Plot } from './plot.js';
import { VirtualList } from './virtual.js';
import { count, dateGroup, exactly, grouped, moment, precisely } from './words.js';

/** @typedef {import('./app.js').App} App */
/** @typedef {import('../pystore.js').LoggedEvent} LoggedEvent */
/** @typedef {import('../pystore.js').Activity} Activity */

const BARS = 120;
const MOST_SHOWN = 4_000; // characters of one change
const DAY_MS = 86_400_000;
const SPANS = /** @type {const} */ ([['All of it', Infinity], ['The last year', 365 * DAY_MS], ['The last 30 days', 30 * DAY_MS], ['The last 24 hours', DAY_MS]]);
const NEVER_UNDONE = new Set(['$named', '$erased']);
const NEVER_ERASED = new Set(['$named', '$undone', '$redone', '$erased']);

export function Timeline() {
  const app = useApp();
  const { at, id } = app.route;
  const [kind, setKind] = useState('');
  if (at === null && id === 'conflicts') return html`<${Conflicts} />`;
  return html`
    <div class="timeline" data-past=${at !== null} data-pane=${id === null ? 'list' : 'detail'}>
      <${Moments} kind=${kind} />
      ${at === null ? html`<${Changes} key=${app.log} kind=${kind} setKind=${setKind} />` : html`<${Banner} /><${Conversations} key=${app.log} />`}
    </div>
  `;
}

// -- when

/** The plot of changes over time, on which a moment is chosen. @param {{ kind: string }} props */
function Moments({ kind }) {
  const app = useApp();
  const { at } = app.route;
  const [span, setSpan] = useState(/** @type {number} */ (Infinity));
  const activity = useActivity(span);
  const whole = useRef(0);
  if (activity && span === Infinity) whole.current = new Date(activity.until).getTime() - new Date(activity.since).getTime();
  const bars = useMemo(() => (activity ? summed(activity, kind) : []), [activity, kind]);
  // While one drags, the moment is ahead of the address, and that is ahead of what is open.
  const [dragged, setDragged] = useState(/** @type {{ moment: number | null } | null} */ (null));
  const settled = useLater(dragged, 150);
  useEffect(() => {
    if (settled === null) return;
    setDragged((latest) => (latest === settled ? null : latest));
    app.look(settled.moment === null ? null : new Date(settled.moment).toISOString());
  }, [settled]);
  const chosen = dragged ? dragged.moment : momentOf(app);
  const said = chosen === null ? 'Now' : exactly(new Date(chosen).toISOString());
  const spans = SPANS.filter(([, ms]) => ms === Infinity || ms === span || ms < whole.current);
  return html`
    <header class="timeline-head">
      <h1>Timeline</h1>
      <output class="chosen">${said}</output>
      ${spans.length > 1 && html`
        <label class="pick"><span class="hidden">Time shown</span>
          <select value=${String(span)} onChange=${(/** @type {{ currentTarget: HTMLSelectElement }} */ event) => setSpan(Number(event.currentTarget.value))}>
            ${spans.map(([name, ms]) => html`<option value=${String(ms)}>${name}</option>`)}
          </select>
        </label>
      `}
    </header>
    ${activity && bars.length > 0 && app.events !== 0
      ? html`<${Plot} activity=${activity} bars=${bars} moment=${chosen} said=${said} onMove=${(/** @type {number | null} */ next) => setDragged({ moment: next })} />`
      : html`<div class="plot"></div>`}
  `;
}

/** The moment that is looked at, in milliseconds; null for now. @param {App} app */
function momentOf({ route: { at }, past }) {
  if (at === null) return null;
  const time = new Date(at).getTime();
  // An event's id is no time: known once it is open.
  return /^\d{4}-/.test(at) && !Number.isNaN(time) ? time : past?.info.time ? new Date(past.info.time).getTime() : null;
}

/** How many changes there were when; asked again, but not for each that comes. @param {number} span @returns {Activity | null} */
function useActivity(span) {
  const { store, events, fail } = useApp();
  const [activity, setActivity] = useState(/** @type {Activity | null} */ (null));
  const due = useLater(events, 3_000) ?? events;
  useEffect(() => {
    if (store === null || due === null) return undefined;
    let isStale = false;
    const since = span === Infinity ? {} : { since: new Date(Date.now() - span).toISOString(), until: new Date().toISOString() };
    void store.activity({ buckets: BARS, ...since }).then((found) => isStale || setActivity(found), (error) => isStale || fail(error));
    return () => { isStale = true; };
  }, [store, due, span]);
  return activity;
}

/** @param {Activity} activity @param {string} kind '' for all */
function summed({ counts }, kind) {
  const chosen = kind === '' ? Object.values(counts) : [counts[kind] ?? []];
  return Array.from({ length: BARS }, (_, i) => chosen.reduce((sum, of) => sum + (of[i] ?? 0), 0));
}

// -- as of then

/** What one looks at, and the ways out. */
function Banner() {
  const app = useApp();
  const { past, events } = app;
  const at = momentOf(app);
  const isOpen = past !== null && past.at === app.route.at;
  return html`
    <div class="banner" role="status">
      <p>
        <b>Everything as of ${at === null ? 'then' : exactly(new Date(at).toISOString())}.</b>${' '}
        ${!isOpen ? 'Opening.' : events === null ? '' : `${grouped(past.info.events)} of ${count(events, 'change')} were made by then. It can be read, not changed.`}
      </p>
      <div class="deeds">
        <button type="button" class="button" disabled=${!isOpen} onClick=${() => app.show(() => html`<${GoBack} />`)}><${Icon} name="undo" />Go back to here</button>
        <button type="button" class="button primary" onClick=${() => app.look(null)}>Back to now</button>
      </div>
    </div>
  `;
}

const HOW_MUCH = 'SELECT (SELECT count(*) FROM conversation) AS Conversations, (SELECT count(*) FROM message) AS Messages';

/** Ask before everything after a moment is undone, and say how much that is. */
function GoBack() {
  const app = useApp();
  const { store, events } = app;
  const { past } = useRef({ past: app.past }).current; // the one that was looked at when asked
  const at = useRef(app.route.at).current;
  const then = exactly(useRef(new Date(momentOf(app) ?? Date.now()).toISOString()).current);
  const [figures, setFigures] = useState(/** @type {Record<string, number>[]} */ ([]));
  useEffect(() => {
    if (store && past) void Promise.all([store.query(HOW_MUCH), past.query(HOW_MUCH)]).then(([[now], [was]]) => setFigures([now, was]), (error) => app.fail(error));
  }, [events]);
  const later = Math.max(0, (events ?? 0) - (past?.info.events ?? 0));
  const [now, was] = figures;
  const goBack = () => {
    app.show(null);
    void app.attempt(async (open) => {
      const [back] = await app.work(`Going back to ${then}`, () => open.restoreTo(/** @type {string} */ (at)), { canCancel: false });
      app.look(null);
      if (back === undefined) app.notice('news', 'Nothing came after it: all is as it was.', '');
      else {
        app.notice('news', `All is as it was on ${then}.`, `${count(later, 'change')} ${later === 1 ? 'is' : 'are'} undone. This can be undone too, here or in the timeline.`, [
          { label: 'Undo this', act: () => app.attempt((same) => same.undo(back.id)) },
        ]);
      }
    });
  };
  return html`
    <${Dialog} title="Go back to here?">
      <p>Everything becomes as it was on <b>${then}</b>. ${later === 1 ? 'The one change' : `The ${grouped(later)} changes`} made since then ${later === 1 ? 'is' : 'are'} undone.</p>
      ${now && was && html`
        <table class="compared">
          <thead><tr><td></td><th scope="col">Now</th><th scope="col">Then</th></tr></thead>
          <tbody>${Object.keys(now).map((kind) => html`<tr><th scope="row">${kind}</th><td>${grouped(Number(now[kind]))}</td><td>${grouped(Number(was[kind]))}</td></tr>`)}</tbody>
        </table>
      `}
      <p>Nothing is deleted: what is undone stays in the timeline, and going back can be undone there.</p>
      <footer>
        <button type="button" class="button" onClick=${() => app.show(null)}>Cancel</button>
        <button type="button" class="button primary" onClick=${goBack}>Go back to here</button>
      </footer>
    <//>
  `;
}

// -- what happened

/** Every change, newest first, by kind and by text. @param {{ kind: string, setKind: (kind: string) => void }} props */
function Changes({ kind, setKind }) {
  const app = useApp();
  const [typed, setTyped] = useState('');
  const text = useLater(typed.trim(), 200);
  const pages = useEvents(kind, text);
  const kinds = Object.entries(app.stats?.by_type ?? {}).sort(([, a], [, b]) => b - a);
  const total = text !== '' ? (pages?.isWhole ? pages.rows.length : -1) : kind === '' ? app.events ?? -1 : app.stats?.by_type[kind] ?? -1;
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (event.key === 'Escape' && typed !== '') {
      event.preventDefault();
      setTyped('');
    } else if (event.key === 'ArrowDown') {
      event.preventDefault();
      /** @type {HTMLElement | null} */ (document.querySelector('.changes li button'))?.focus();
    }
  };
  return html`
    <div class="filters" role="search" aria-label="Changes">
      <label class="pick"><span class="hidden">Kind of change</span>
        <select value=${kind} onChange=${(/** @type {{ currentTarget: HTMLSelectElement }} */ event) => setKind(event.currentTarget.value)}>
          <option value="">Every kind${app.events === null ? '' : ` (${grouped(app.events)})`}</option>
          ${kinds.map(([type, n]) => html`<option value=${type}>${kindOf(type)} (${grouped(n)})</option>`)}
        </select>
      </label>
      <div class="search">
        <${Icon} name="search" />
        <input id="search" type="search" value=${typed} placeholder="Find" aria-label="Find in changes" autocomplete="off" spellcheck=${false} dir="auto"
          onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setTyped(event.currentTarget.value)} onKeyDown=${onKeyDown} />
      </div>
    </div>
    <${SetAside} />
    ${pages?.isKnown && pages.rows.length === 0
      ? html`<p class="nothing" role="status">${kind || text ? 'No change is like that.' : 'Nothing has happened yet.'}</p>`
      : html`<${List} pages=${pages} total=${total} />`}
  `;
}

/** The events that are asked for, loaded page by page, kept up with what comes. @param {string} kind @param {string} text @returns {EventPages | null} */
function useEvents(kind, text) {
  const app = useApp();
  const { store, events } = app;
  const [shown, setShown] = useState(/** @type {{ pages: EventPages } | null} */ (null));
  const pages = useMemo(() => store && new EventPages(store, { ...kind && { types: [kind] }, ...text && { text } }, (error) => {
    if (error !== null) app.fail(error);
    if (pages) setShown({ pages });
  }), [store, kind, text]);
  useEffect(() => () => pages?.end(), [pages]);
  useEffect(() => {
    if (events !== null) pages?.follow(events);
  }, [pages, events]);
  return shown?.pages ?? null; // what was asked for before stays until what is asked for now is there
}

/** What is kept and not shown: conflicts, and what waits for its time. */
function SetAside() {
  const app = useApp();
  const { store, events } = app;
  const conflicts = app.stats?.conflicts ?? 0;
  const [waiting, setWaiting] = useState(/** @type {{ until: string }[]} */ ([]));
  useEffect(() => {
    if (store === null) return undefined;
    let isStale = false;
    void store.waiting().then((found) => isStale || setWaiting(found), (error) => isStale || app.fail(error));
    return () => { isStale = true; };
  }, [store, events]);
  return html`
    ${conflicts > 0 && html`
      <p class="aside"><${Icon} name="warn" /><span>${count(conflicts, 'change')} could not be applied.${' '}<a href=${app.here('conflicts')}>See which, and why</a></span></p>
    `}
    ${waiting.length > 0 && html`
      <p class="aside"><${Icon} name="clock" /><span>${count(waiting.length, 'change')} from a clock that is ahead ${waiting.length === 1 ? 'waits until its time comes:' : 'wait until their time comes, the first:'} ${moment(String(waiting[0]?.until))}.</span></p>
    `}
  `;
}

/** @param {{ pages: EventPages | null, total: number }} props */
function List({ pages, total }) {
  const handle = useRef(/** @type {import('./virtual.js').ListHandle | null} */ (null));
  const [at, setAt] = useState(0);
  const [open, setOpen] = useState('');
  const rows = pages?.rows ?? [];
  const active = Math.max(0, Math.min(at, rows.length - 1));
  const now = new Date();
  const groups = useMemo(() => {
    let before = '';
    return rows.map(({ time }) => {
      const group = dateGroup(time, now);
      const heading = group === before ? '' : group;
      before = group;
      return heading;
    });
  }, [rows, now.toDateString()]);
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    const isOnRow = event.target instanceof Element && event.target.matches('.change');
    const to = { ArrowDown: active + 1, ArrowUp: active - 1, Home: 0, End: rows.length - 1, PageDown: active + 8, PageUp: active - 8 }[event.key];
    if (!isOnRow || to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (to < 0 && event.key === 'ArrowUp') document.getElementById('search')?.focus();
    else handle.current?.focus(Math.max(0, Math.min(rows.length - 1, to)));
  };
  return html`
    <${VirtualList} label="Changes" className="changes" items=${rows} total=${total} keep=${active} handle=${handle} onKeyDown=${onKeyDown}
      onEnd=${() => pages?.more()}
      keyOf=${(/** @type {LoggedEvent} */ row) => row.id}
      guess=${(/** @type {LoggedEvent} */ _row, /** @type {number} */ i) => (groups[i] ? 76 : 44)}
      row=${(/** @type {LoggedEvent} */ row, /** @type {number} */ i) => html`
        ${groups[i] && html`<h2 class="group">${groups[i]}</h2>`}
        <${Change} event=${row} pages=${pages} by=${row.undone_by === null ? undefined : pages?.marks.get(row.undone_by)} isOpen=${open === row.id} isActive=${i === active}
          onFocus=${() => setAt(i)} onToggle=${() => setOpen(open === row.id ? '' : row.id)} />
      `} />
  `;
}

/**
 * One change: a sentence, its marks, and, opened, all of it with what one can do.
 * @param {{ event: LoggedEvent, pages: EventPages, by: LoggedEvent | undefined, isOpen: boolean, isActive: boolean, onFocus: () => void, onToggle: () => void }} props
 */
function Change({ event, pages, by, isOpen, isActive, onFocus, onToggle }) {
  const { what, text } = useMemo(() => sentence(event, pages.rows), [event, pages.rows.length]);
  const others = by ? named(by.data.events) - 1 : 0;
  return html`
    <button type="button" class="change" data-undone=${event.undone} aria-expanded=${isOpen} tabIndex=${isActive ? 0 : -1} onFocus=${onFocus} onClick=${onToggle}>
      <span class="told-of" dir="auto"><b>${what}</b>${text && html`: <bdi>${text.slice(0, 300)}</bdi>`}</span>
      <time dateTime=${event.time}>${moment(event.time)}</time>
      ${event.undone && html`<span class="mark"><${Icon} name="undo" />Undone${by && ` ${moment(by.time)}`}${others > 0 && `, with ${count(others, 'other change')}`}</span>`}
      ${event.conflict !== null && html`<span class="mark bad"><${Icon} name="warn" />Could not be applied: ${plainly(event.conflict)}</span>`}
    </button>
    ${isOpen && html`<${Details} event=${event} text=${text} />`}
  `;
}

/** @param {{ event: LoggedEvent, text: string }} props */
function Details({ event, text }) {
  const app = useApp();
  const isHere = event.id.split(':')[0] === app.store?.info.replica;
  return html`
    <div class="details">
      ${text && html`<div class="text" dir="auto" tabIndex="0" role="group" aria-label="Text">${text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text}</div>`}
      <p class="small">${precisely(event.time)}, ${isHere ? 'in this browser' : 'elsewhere'}.</p>
      <div class="deeds">
        <button type="button" class="button" onClick=${() => app.look(event.id)}><${Icon} name="clock" />See everything as of then</button>
        ${!NEVER_UNDONE.has(event.type) && html`<${UndoButton} event=${event} />`}
        ${!NEVER_ERASED.has(event.type) && !event.erased && html`<${EraseButton} event=${event} text=${text} />`}
      </div>
    </div>
  `;
}

/** @param {{ event: LoggedEvent, text: string }} props */
function EraseButton({ event, text }) {
  const app = useApp();
  const all = event.type === '$imported';
  const erase = async () => {
    app.show(null);
    app.forgetShown(); // also now: if the page is closed meanwhile it is not shown at the next visit
    await app.attempt((store) => app.work('Erasing', () => store.erase(event.id), { canCancel: false }));
    app.forgetShown();
  };
  const told = html`
    <p>What ${all ? 'they say' : 'it says'} goes from this browser, its backups included, and from every other copy that this assistant is merged with from now on.
      Damaged backups go as a whole: they may hold it too. That it happened stays recorded.</p>
    <p>This cannot be undone. Files that you saved, and folders of yours with copies, are not touched.</p>
  `;
  const ask = () => app.show(() => all ? html`
    <${TypedNameDialog} title="Erase all that came in with this file?" name=${app.name} action="Erase all of it for good" onDone=${erase}>
      <p><b dir="auto">${text}</b>: ${broughtIn(event.data.counts)}.</p>
      ${told}
    <//>
  ` : html`
    <${Dialog} title="Erase this for good?">
      ${text && html`<p class="quoted" dir="auto">${text.slice(0, 200)}</p>`}
      ${told}
      <footer>
        <button type="button" class="button" onClick=${() => app.show(null)}>Cancel</button>
        <button type="button" class="button danger" onClick=${erase}>Erase it for good</button>
      </footer>
    <//>
  `);
  return html`<button type="button" class="button danger-quiet" disabled=${app.status.state === 'read-only'} onClick=${ask}>Erase${all ? ' all of it' : ''}</button>`;
}

/** @param {{ event: LoggedEvent }} props */
function UndoButton({ event: { id, type, undone } }) {
  const app = useApp();
  const [isBusy, setBusy] = useState(false);
  const act = async () => {
    setBusy(true);
    await app.attempt((store) => (undone ? store.redo(id) : store.undo(id)));
    setBusy(false);
  };
  const of = type === '$imported' ? ' all of it' : '';
  return html`
    <button type="button" class="button" aria-disabled=${isBusy || app.status.state === 'read-only'} onClick=${() => isBusy || act()}>
      <${Icon} name=${undone ? 'redo' : 'undo'} />${undone ? `Bring back${of}` : `Undo${of}`}
    </button>
  `;
}

// -- conflicts

/** What could not be applied, why, and what one can do. */
function Conflicts() {
  const app = useApp();
  const { store, events } = app;
  const [found, setFound] = useState(/** @type {Awaited<ReturnType<import('../pystore.js').Store['conflicts']>> | null} */ (null));
  useEffect(() => {
    if (store) void store.conflicts().then(setFound, (error) => app.fail(error));
  }, [store, events]);
  return html`
    <div class="timeline" data-pane="conflicts">
      <header class="timeline-head">
        <a class="icon-button" href=${app.here()} aria-label="Back to the timeline"><${Icon} name="back" /></a>
        <h1>Changes that could not be applied</h1>
      </header>
      <p class="explained">They came from elsewhere, or what they belong to was undone. Nothing is lost: they are kept, and saved with everything else, but not shown.
        Bring back what they belong to and they show by themselves; or undo them, and they are listed here no more.</p>
      ${found && found.length > 1 && html`<p class="explained"><${UndoAll} ids=${found.map(({ id }) => id)} /></p>`}
      ${found?.length === 0 && html`<p class="nothing" role="status">There are none.</p>`}
      <${VirtualList} label="Changes that could not be applied" className="changes" items=${found ?? []} scrollByKey
        keyOf=${(/** @type {LoggedEvent} */ row) => row.id} guess=${() => 140}
        row=${(/** @type {LoggedEvent & { reason: string }} */ row) => html`<${Conflict} event=${row} />`} />
    </div>
  `;
}

/** @param {{ ids: string[] }} props */
function UndoAll({ ids }) {
  const app = useApp();
  const act = () => app.attempt((store) => app.work('Undoing them', () => store.undo(ids), { canCancel: false }));
  return html`<button type="button" class="button" disabled=${app.status.state === 'read-only'} onClick=${act}><${Icon} name="undo" />Undo all ${grouped(ids.length)}</button>`;
}

/** @param {{ event: LoggedEvent & { reason: string } }} props */
function Conflict({ event }) {
  const app = useApp();
  const { what, text } = sentence(event);
  return html`
    <div class="conflict">
      <p class="told-of" dir="auto"><b>${what}</b>${text && html`: <bdi>${text.slice(0, 300)}</bdi>`}</p>
      <p class="bad"><${Icon} name="warn" />${plainly(event.reason)}</p>
      <p class="small">${precisely(event.time)}</p>
      <div class="deeds">
        <${UndoButton} event=${event} />
        <button type="button" class="button" onClick=${() => app.go('timeline', null, null, event.id)}><${Icon} name="clock" />See everything as of then</button>
      </div>
    </div>
  `;
}
