// @ts-check
/** What stands around every room: assistants, rooms, the state chip, notices, work going on, dialogs, dropping files. */
import { html } from 'htm/preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { useApp } from './hooks.js';
import { remindOfFile } from './backups.js';
import { Conversations } from './conversations.js';
import { Data } from './data.js';
import { PromptDialog } from './dialogs.js';
import { chooseFiles, useDrop } from './files.js';
import { Icon } from './icons.js';
import { Lost } from './lost.js';
import { link } from './route.js';
import { Timeline } from './timeline.js';
import { takeUpdate } from './updates.js';
import { count, grouped, size } from './words.js';

/** The rooms, in their order. Memories, Documents, Knowledge, Sync and Console take their places here. */
const ROOMS = /** @type {const} */ ([
  { room: 'conversations', name: 'Conversations', icon: 'chats', component: Conversations },
  { room: 'timeline', name: 'Timeline', icon: 'clock', component: Timeline },
  { room: 'data', name: 'Data', icon: 'data', component: Data },
]);

const REMIND_AFTER_MS = 10_000;

export function Shell() {
  const app = useApp();
  const drop = useDrop(app);
  useKeys();
  useReminder();
  const isFirstVisit = app.log === null && app.logs.length === 0;
  const { component: Room } = ROOMS.find(({ room }) => room === app.route.room) ?? ROOMS[0];
  useEffect(() => {
    document.title = app.name ? `${app.name} - pystore` : 'pystore';
  }, [app.name]);
  return html`
    <div class="app" data-detail=${app.route.id !== null} ...${drop.props}>
      ${app.status.state === 'booting' && app.log !== null && html`<div class="boot-line" aria-hidden="true"></div>`}
      ${isFirstVisit ? html`<main class="room"><${Notices} /><${Welcome} /></main>` : html`
        <header class="side">
          <${Assistants} />
          <nav class="rooms" aria-label="Rooms">
            <ul role="list">
              ${ROOMS.map(({ room, name, icon }) => html`
                <li><a href=${link(app.log ?? '', room)} title=${name} aria-current=${app.route.room === room ? 'page' : undefined}><${Icon} name=${icon} /><span>${name}</span></a></li>
              `)}
            </ul>
          </nav>
          <${StateChip} />
        </header>
        <main class="room"><${Notices} /><${app.lost ? Lost : Room} /></main>
      `}
      <${Works} />
      ${drop.isOver && html`<div class="dropping" aria-hidden="true"><p>Drop the file to look at it or bring it in</p></div>`}
      ${app.dialog?.()}
    </div>
  `;
}

/** The first visit: one sentence, two buttons, a place to drop a file. */
function Welcome() {
  const app = useApp();
  return html`
    <div class="welcome">
      <h1>A home for your conversations with assistants. They stay on this device, in this browser, and are yours to take away.</h1>
      <div class="dropzone">
        <p>Drop an export or a saved file here, or</p>
        <div class="deeds">
          <button type="button" class="button primary" onClick=${() => chooseFiles(app)}><${Icon} name="up" />Bring in my ChatGPT or Claude export</button>
          <button type="button" class="button" onClick=${() => app.create('My assistant')}>Start empty</button>
        </div>
      </div>
      <p class="small">Nothing is sent anywhere. No account is needed.</p>
    </div>
  `;
}

/** The open assistant, the others, and a new one. */
function Assistants() {
  const app = useApp();
  const [isOpen, setOpen] = useState(false);
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  useEffect(() => {
    if (!isOpen) return undefined;
    const closeOutside = (/** @type {Event} */ event) => {
      if (event.target instanceof Node && !box.current?.contains(event.target)) setOpen(false);
    };
    document.addEventListener('pointerdown', closeOutside);
    document.addEventListener('focusin', closeOutside);
    return () => {
      document.removeEventListener('pointerdown', closeOutside);
      document.removeEventListener('focusin', closeOutside);
    };
  }, [isOpen]);
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (!isOpen) return;
    const controls = /** @type {HTMLElement[]} */ ([...box.current?.querySelectorAll('.menu a, .menu button') ?? []]);
    const at = controls.indexOf(/** @type {HTMLElement} */ (document.activeElement));
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: controls.length - 1 }[event.key];
    if (event.key === 'Escape') {
      event.stopPropagation();
      setOpen(false);
      box.current?.querySelector('button')?.focus();
    } else if (to !== undefined) {
      event.preventDefault();
      controls[(to + controls.length) % controls.length]?.focus();
    }
  };
  const create = () => {
    setOpen(false);
    app.show(() => html`
      <${PromptDialog} title="A new assistant" label="Name" action="Create" hint="Each assistant keeps its own conversations, apart from the others." onDone=${(/** @type {string} */ name) => app.create(name)} />
    `);
  };
  const rename = () => {
    setOpen(false);
    app.show(() => html`
      <${PromptDialog} title="Rename this assistant" label="Name" value=${app.name} action="Rename" onDone=${(/** @type {string} */ name) => app.rename(name)} />
    `);
  };
  return html`
    <div class="assistants" ref=${box} onKeyDown=${onKeyDown}>
      <button type="button" class="switcher" aria-expanded=${isOpen} aria-controls="assistants-menu" title=${app.name} onClick=${() => setOpen(!isOpen)}>
        <span class="badge" aria-hidden="true">${Array.from(app.name)[0] ?? ''}</span>
        <span class="hidden">Assistant: </span><span class="name" dir="auto">${app.name || 'Assistant'}</span><${Icon} name="chevron" />
      </button>
      <div id="assistants-menu" class="menu" hidden=${!isOpen}>
        <ul role="list" aria-label="Assistants">
          ${app.logs.map(({ log, name }) => html`
            <li key=${log}><a href=${link(log, 'conversations')} aria-current=${log === app.log ? 'true' : undefined} onClick=${() => setOpen(false)}>
              <span dir="auto">${name}</span>${log === app.log && html`<${Icon} name="check" />`}
            </a></li>
          `)}
        </ul>
        <hr />
        <button type="button" onClick=${rename} disabled=${!app.store}><${Icon} name="edit" />Rename this one</button>
        <button type="button" onClick=${create}><${Icon} name="plus" />New assistant</button>
      </div>
    </div>
  `;
}

/** @type {Record<string, string>} */
const STATES = {
  booting: 'Opening', ready: 'Saved', saved: 'Saved', saving: 'Saving', behind: 'Behind', 'read-only': 'Read-only', error: 'Cannot save', restarting: 'Restarting',
};

/** How it is, always in sight; it leads to the Data room. */
function StateChip() {
  const app = useApp();
  const { state, message } = app.status;
  const waiting = app.outbox.waiting.length;
  const label = waiting && state !== 'error' && state !== 'read-only' ? (app.store ? 'Saving' : 'Opening') : STATES[state] ?? state;
  const bytes = Object.values(app.stats?.bytes ?? {}).reduce((sum, n) => sum + n, 0);
  const kept = app.persisted === null || !app.hasData ? '' : app.persisted ? ', which the browser keeps' : ', this browser may clear it';
  const detail = ['error', 'read-only', 'restarting', 'behind'].includes(state) ? message
    : app.opening && app.opening.total > 0 ? `${grouped(app.opening.done)} of ${grouped(app.opening.total)} changes read`
      : waiting && !app.store ? `${count(waiting, 'message')} to be saved`
        : app.stats ? `${size(bytes)} here${kept}` : '';
  return html`
    <a class=${`chip ${label === 'Saving' ? 'saving' : state}`} href=${link(app.log ?? '', 'data')} title=${message || 'How safe is it?'}>
      <span class="light" aria-hidden="true"></span>
      <span><span class="chip-label" role="status">${label}</span>${detail && html`<span class="chip-detail">${detail}</span>`}</span>
    </a>
  `;
}

/** What needs a decision, or to be read. It stays until it is dealt with. */
function Notices() {
  const app = useApp();
  const takeIt = () => {
    app.update = false;
    app.changed();
    void takeUpdate();
  };
  return html`
    <div class="notices">
      ${app.update && html`
        <div class="notice news" role="status">
          <p><b>A new version of this page is ready.</b> Taking it reloads the page; nothing you wrote is lost.</p>
          <div class="deeds">
            <button type="button" class="button" onClick=${takeIt}>Take it now</button>
            <button type="button" class="button" onClick=${() => { app.update = false; app.changed(); }}>At the next start</button>
          </div>
        </div>
      `}
      ${app.notices.map(({ id, kind, what, text, actions }) => html`
        <div key=${id} class=${`notice ${kind}`} role=${kind === 'error' ? 'alert' : 'status'}>
          <p><b>${what}</b> ${text}</p>
          <div class="deeds">
            ${actions.map(({ label, act }) => html`<button type="button" class="button" onClick=${() => { app.dismiss(id); act(); }}>${label}</button>`)}
            <button type="button" class="icon-button" aria-label="Close this notice" onClick=${() => app.dismiss(id)}><${Icon} name="close" /></button>
          </div>
        </div>
      `)}
    </div>
  `;
}

/** @type {Record<string, string>} stages, in words */
const STAGES = {
  import: 'saved', read: 'read', verify: 'checked', project: 'made readable', compare: 'compared', explain: 'looked through', save: 'written', restore: 'restored', index: 'made searchable',
};

/** Work going on: how far it is, in numbers. */
function Works() {
  const app = useApp();
  return html`
    <div class="works" role="status">
      ${app.works.map(({ id, title, stage, done, total, isStopping, cancel }) => html`
        <div key=${id} class="work">
          <p dir="auto">${title}</p>
          <progress aria-label=${title} ...${total > 0 ? { max: total, value: Math.min(done, total) } : {}}></progress>
          <div class="work-foot">
            <p class="small">${isStopping ? 'Stopping' : total > 0 ? `${grouped(done)} of ${grouped(total)} ${STAGES[stage] ?? ''}` : 'Beginning'}</p>
            ${cancel && html`<button type="button" class="button" aria-label=${`Cancel: ${title}`} disabled=${isStopping} onClick=${cancel}>Cancel</button>`}
          </div>
        </div>
      `)}
    </div>
  `;
}

/** Remind of a file, if it is time; a while after opening, which comes first. */
function useReminder() {
  const app = useApp();
  useEffect(() => {
    const timer = setTimeout(() => void remindOfFile(app).catch((error) => app.fail(error)), REMIND_AFTER_MS);
    return () => clearTimeout(timer);
  }, [app.store]);
}

/** The keys that work everywhere: / goes to the search, Escape leaves a text, then the conversation (on a small screen). */
function useKeys() {
  const app = useApp();
  useEffect(() => {
    const onKeyDown = (/** @type {KeyboardEvent} */ event) => {
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || document.querySelector('dialog[open]')) return;
      const target = /** @type {HTMLElement} */ (event.target);
      const isTyping = target.matches('input, textarea, select');
      if (event.key === '/' && !isTyping) {
        event.preventDefault();
        const search = document.getElementById('search');
        if (!search?.offsetParent) app.go('conversations');
        if (search?.offsetParent) search.focus();
        else requestAnimationFrame(() => requestAnimationFrame(() => document.getElementById('search')?.focus()));
      } else if (event.key === 'Escape') {
        if (isTyping) target.blur();
        else if (app.route.id !== null) {
          location.hash = app.here();
          requestAnimationFrame(() => /** @type {HTMLElement | null} */ (document.querySelector('.links li a[tabindex="0"]'))?.focus());
        }
      }
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, [app]);
}
