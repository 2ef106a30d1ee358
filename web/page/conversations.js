// @ts-check
/** The Conversations room: the list, search over everything, and the open conversation; now, or read-only at a past moment. */
import { html } from 'htm/preact';
import { useEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useApp, useRows } from './hooks.js';
import { Icon } from './icons.js';
import { FIRST_ROWS, FOUND_MESSAGES, FOUND_TITLES, LIST, MOST_MESSAGES, MOST_TITLES, TOTALS } from './queries.js';
import { Thread } from './thread.js';
import { VirtualList } from './virtual.js';
import { ROLES, count, dateGroup, grouped, precisely, when } from './words.js';

/** @typedef {import('./types.js').ConversationRow} ConversationRow */
/** @typedef {import('./types.js').MessageRow} MessageRow */

export function Conversations() {
  const app = useApp();
  const { id } = app.route;
  // A new conversation goes on in the same place once it has an id, so that whoever writes keeps the focus and what is typed.
  const begun = useRef({ id: /** @type {string | null} */ (null), turn: 0 });
  if (id === 'new' && begun.current.id !== null) begun.current = { id: null, turn: begun.current.turn + 1 };
  const place = id === 'new' || id === begun.current.id ? `new ${begun.current.turn}` : id;
  return html`
    <div class="conversations" data-pane=${id === null ? 'list' : 'detail'}>
      <${ListPane} />
      ${id === null
        ? html`<section class="detail" aria-label="Conversation"><p class="nothing">${app.route.at === null ? 'Choose a conversation, or start a new one.' : 'Choose a conversation.'}</p></section>`
        : html`<${Thread} key=${`${app.log}/${place}`} id=${id} onBegin=${(/** @type {string} */ one) => { begun.current.id = one; }} />`}
    </div>
  `;
}

function ListPane() {
  const app = useApp();
  const [typed, setTyped] = useState('');
  const [archived, setArchived] = useState(false);
  const search = useRef(/** @type {HTMLInputElement | null} */ (null));
  const isSearching = typed.trim() !== '';

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (event.key === 'Escape' && typed !== '') {
      event.preventDefault();
      setTyped('');
    } else if (event.key === 'ArrowDown' || (event.key === 'Enter' && isSearching)) {
      event.preventDefault();
      /** @type {HTMLElement | null} */ (document.querySelector('.list-pane .scroller li a'))?.[event.key === 'Enter' ? 'click' : 'focus']();
    }
  };

  return html`
    <section class="list-pane" aria-label="Conversations">
      <header class="list-head">
        <h1>${archived ? 'Archived' : 'Conversations'}</h1>
        ${app.route.at === null && html`<a class="button primary" href=${app.here('new')}><${Icon} name="plus" />New</a>`}
      </header>
      <div class="search" role="search">
        <${Icon} name="search" />
        <input ref=${search} id="search" type="search" value=${typed} placeholder="Search everything" aria-label="Search everything" title="Press / to search"
          autocomplete="off" spellcheck=${false} dir="auto" enterkeyhint="search"
          onInput=${(/** @type {{ currentTarget: HTMLInputElement }} */ event) => setTyped(event.currentTarget.value.replaceAll('\0', ''))} onKeyDown=${onKeyDown} />
      </div>
      ${isSearching
        ? html`<${Found} typed=${typed} />`
        : html`<${List} key=${`${app.log}/${archived}`} archived=${archived} setArchived=${setArchived} />`}
    </section>
  `;
}

/** @param {{ archived: boolean, setArchived: (archived: boolean) => void }} props */
function List({ archived, setArchived }) {
  const app = useApp();
  const [limit, setLimit] = useState(FIRST_ROWS);
  const rows = /** @type {ConversationRow[] | undefined} */ (useRows(LIST, [Number(archived), limit], { keepWhile: String(archived) }));
  const totals = /** @type {{ total: number, archived: number }[] | undefined} */ (useRows(TOTALS, []))?.[0];
  const isPast = app.route.at !== null;
  const seen = archived || isPast ? undefined : app.seen;
  const conversations = rows ?? seen?.conversations ?? [];
  const total = totals ? (archived ? totals.archived : totals.total - totals.archived) : seen?.total ?? conversations.length;
  const isKnown = rows !== undefined || seen !== undefined && seen !== null;

  useEffect(() => {
    if (rows && totals && !archived && !isPast) app.keepSeen({ total, conversations: rows.slice(0, 60), open: app.seen?.open ?? null });
  }, [rows, total]);

  const now = new Date();
  const groups = useMemo(() => {
    let before = '';
    return conversations.map(({ updated_at: at }) => {
      const group = dateGroup(at, now);
      const heading = group === before ? '' : group;
      before = group;
      return heading;
    });
  }, [conversations, now.toDateString()]);

  return html`
    ${isKnown && conversations.length === 0 ? html`<p class="nothing">${archived ? 'Nothing is archived.' : isPast ? 'There were no conversations yet.' : 'No conversations yet.'}</p>` : html`
      <${Links} label="Conversations" items=${conversations} total=${total}
        keyOf=${(/** @type {ConversationRow} */ row) => row.conversation_id}
        guess=${(/** @type {ConversationRow} */ _row, /** @type {number} */ i) => (groups[i] ? 92 : 60)}
        onEnd=${() => rows && rows.length === limit && setLimit(limit * 5)}
        onLast=${() => setLimit(Math.max(limit, total))}
        isOpen=${(/** @type {ConversationRow} */ row) => row.conversation_id === app.route.id}
        heading=${(/** @type {number} */ i) => groups[i]}
        href=${(/** @type {ConversationRow} */ row) => app.here(row.conversation_id)}
        content=${(/** @type {ConversationRow} */ row) => html`
          <span class="title" dir="auto">${row.title || 'Without a title'}</span>
          <span class="small"><span>${count(row.message_count, 'message')}</span><time dateTime=${row.updated_at} title=${precisely(row.updated_at)}>${when(row.updated_at, now)}</time></span>
        `} />
    `}
    <footer class="list-foot">
      <span>${isKnown && count(total, 'conversation')}</span>
      ${(archived || (totals?.archived ?? 0) > 0) && html`
        <button type="button" class="link" onClick=${() => setArchived(!archived)}>${archived ? 'Back to all' : `Archived (${grouped(totals?.archived ?? 0)})`}</button>
      `}
    </footer>
  `;
}

/**
 * @typedef {object} FoundRow a conversation or a message that was found
 * @property {string} conversation_id
 * @property {string} [message_id]
 * @property {string} [role]
 * @property {string} title
 * @property {string} [updated_at]
 * @property {string} [created_at]
 * @property {string} snippet
 */

/** @param {{ typed: string }} props */
function Found({ typed }) {
  const app = useApp();
  const titles = /** @type {FoundRow[] | undefined} */ (useRows(FOUND_TITLES, [typed], { keepWhile: 'search' }));
  const messages = /** @type {FoundRow[] | undefined} */ (useRows(FOUND_MESSAGES, [typed], { keepWhile: 'search' }));
  const found = useMemo(() => [...titles ?? [], ...messages ?? []], [titles, messages]);
  const isKnown = titles !== undefined && messages !== undefined;
  const now = new Date();
  const many = messages?.length === MOST_MESSAGES ? `The ${MOST_MESSAGES} best messages` : count(messages?.length ?? 0, 'message');

  return html`
    <${Links} label="Found" items=${found} className="found"
      keyOf=${(/** @type {FoundRow} */ row) => row.message_id ?? `title ${row.conversation_id}`}
      guess=${() => 84}
      isOpen=${(/** @type {FoundRow} */ row) => row.conversation_id === app.route.id && (row.message_id ?? null) === app.route.message}
      heading=${(/** @type {number} */ i) => (i === 0 && titles?.length ? 'Titles' : i === (titles?.length ?? 0) ? 'Messages' : '')}
      href=${(/** @type {FoundRow} */ row) => app.here(row.conversation_id, row.message_id ?? null)}
      content=${(/** @type {FoundRow} */ row) => row.message_id === undefined
        ? html`<span class="title" dir="auto"><${Marked} text=${row.snippet} /></span><span class="small"><span>Conversation</span><time dateTime=${row.updated_at}>${when(row.updated_at ?? '', now)}</time></span>`
        : html`<span class="title" dir="auto">${row.title || 'Without a title'}</span><span class="snippet" dir="auto"><${Marked} text=${row.snippet} /></span><span class="small"><span>${ROLES[row.role ?? ''] ?? row.role}</span><time dateTime=${row.created_at}>${when(row.created_at ?? '', now)}</time></span>`} />
    <div class="list-foot" role="status">
      ${!app.source ? 'Search answers as soon as your data is open.'
        : !isKnown ? 'Searching'
          : found.length === 0 ? 'Nothing found. Try fewer or shorter words.'
            : `${many}${titles?.length ? `, ${titles.length === MOST_TITLES ? `the ${MOST_TITLES} best titles` : count(titles.length, 'title')}` : ''}`}
    </div>
  `;
}

/**
 * A list of links through which one walks with the arrow keys, Home and End; typing goes to the search.
 * @template Row
 * @param {object} props
 * @param {string} props.label
 * @param {readonly Row[]} props.items
 * @param {number} [props.total]
 * @param {string} [props.className]
 * @param {(row: Row) => string} props.keyOf
 * @param {(row: Row, index: number) => number} props.guess
 * @param {() => void} [props.onEnd]
 * @param {() => void} [props.onLast] the last of `total` rows is wanted
 * @param {(row: Row) => boolean} props.isOpen
 * @param {(index: number) => string | undefined} props.heading
 * @param {(row: Row) => string} props.href
 * @param {(row: Row) => unknown} props.content
 */
function Links({ label, items, total, className, keyOf, guess, onEnd, onLast, isOpen, heading, href, content }) {
  const handle = useRef(/** @type {import('./virtual.js').ListHandle | null} */ (null));
  const [at, setAt] = useState(/** @type {number | null} */ (null));
  const open = items.findIndex(isOpen);
  const active = Math.min(at ?? Math.max(open, 0), items.length - 1);

  useEffect(() => {
    if (open >= 0) handle.current?.show(open);
  }, [open >= 0 && keyOf(/** @type {Row} */ (items[open]))]);

  const wantsLast = useRef(false);
  useEffect(() => {
    if (!wantsLast.current || items.length < (total ?? 0)) return;
    wantsLast.current = false;
    setAt(items.length - 1);
    handle.current?.focus(items.length - 1);
  }, [items]);

  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    wantsLast.current = event.key === 'End' && items.length < (total ?? 0);
    if (wantsLast.current) onLast?.();
    const page = 8;
    const to = { ArrowDown: active + 1, ArrowUp: active - 1, Home: 0, End: items.length - 1, PageDown: active + page, PageUp: active - page }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      if (to < 0 && event.key === 'ArrowUp') {
        document.getElementById('search')?.focus();
        return;
      }
      const next = Math.max(0, Math.min(items.length - 1, to));
      setAt(next);
      handle.current?.focus(next);
    } else if (event.key.length === 1 && event.key !== ' ' && event.key !== '/') {
      document.getElementById('search')?.focus(); // the key that was pressed goes there
    }
  };

  return html`
    <${VirtualList} label=${label} items=${items} total=${total} className=${`links ${className ?? ''}`} keyOf=${keyOf} guess=${guess}
      keep=${active} onEnd=${onEnd} onKeyDown=${onKeyDown} handle=${handle}
      row=${(/** @type {Row} */ row, /** @type {number} */ i) => html`
        ${heading(i) && html`<h2 class="group">${heading(i)}</h2>`}
        <a href=${href(row)} tabIndex=${i === active ? 0 : -1} aria-current=${isOpen(row) ? 'true' : undefined} onFocus=${() => setAt(i)}>${content(row)}</a>
      `} />
  `;
}

/**
 * A snippet, with what matched between the characters 2 and 3 marked. Text nodes only.
 * @param {{ text: string }} props
 */
function Marked({ text }) {
  const parts = text.split('\u0002').flatMap((part, i) => {
    if (i === 0) return [part];
    const [marked = '', ...rest] = part.split('\u0003');
    return [html`<mark>${marked}</mark>`, rest.join('')];
  });
  return html`${parts}`;
}
