// @ts-check
/** One conversation: its messages along one branch, and the composer. */
import { html } from 'htm/preact';
import { useEffect, useLayoutEffect, useMemo, useRef, useState } from 'preact/hooks';
import { useApp, useRows } from './hooks.js';
import { Branches } from './branches.js';
import { PromptDialog } from './dialogs.js';
import { Icon } from './icons.js';
import { recall, remember } from './last_seen.js';
import { CONVERSATION, MESSAGES } from './queries.js';
import { VirtualList } from './virtual.js';
import { PROGRAMS, ROLES, count, grouped, moment, precisely } from './words.js';

/** @typedef {import('./types.js').ConversationRow} ConversationRow */
/** @typedef {import('./types.js').MessageRow} MessageRow */
/** @typedef {import('./branches.js').Step} Step */

const MOST_SHOWN = 20_000; // characters of one message that are shown at first
const TITLE_LENGTH = 60;

/**
 * @param {object} props
 * @param {string} props.id of the conversation; `new` for one that is yet to be
 * @param {(id: string) => void} props.onBegin the new one is begun, under this id
 */
export function Thread({ id, onBegin }) {
  const app = useApp();
  const isNew = id === 'new';
  const found = /** @type {ConversationRow[] | undefined} */ (useRows(CONVERSATION, [id], { skip: isNew }));
  const rows = /** @type {MessageRow[] | undefined} */ (useRows(MESSAGES, [id], { skip: isNew }));
  // What is only seen, or not yet saved, is of now.
  const isPast = app.route.at !== null;
  const seen = !isPast && app.seen?.open?.conversation.conversation_id === id ? app.seen.open : null;
  const waiting = isPast ? [] : app.outbox.waiting.filter((one) => one.conversation === id);
  const sent = isPast ? [] : app.outbox.sent;
  const conversation = found?.[0] ?? (isPast ? undefined : seen?.conversation ?? app.seen?.conversations.find((one) => one.conversation_id === id));
  const title = conversation?.title ?? waiting.find((one) => one.title !== null)?.title ?? (isNew ? 'New conversation' : '');

  const [choices, setChoices] = useState(/** @type {ReadonlySet<string>} */ (new Set()));
  const { messages, ahead } = useMemo(() => {
    const saved = rows ?? seen?.messages ?? [];
    const known = new Set(saved.map((one) => one.message_id));
    const written = [...sent, ...waiting].filter((one) => one.conversation === id).map((one) => one.message);
    const unknown = written.filter((one) => !known.has(one.message_id));
    return { messages: [...saved, ...unknown], ahead: unknown.at(-1)?.message_id };
  }, [id, rows, seen, app.outbox.waiting, app.outbox.sent]);
  useEffect(() => {
    if (rows && !isPast) app.outbox.seen(rows);
  }, [rows, app.outbox.sent]);
  const unsaved = useMemo(() => new Set(waiting.map((one) => one.message.message_id)), [app.outbox.waiting]);
  const branches = useMemo(() => new Branches(messages), [messages]);
  const leaf = ahead ?? waiting.at(-1)?.message.message_id ?? conversation?.current_message_id ?? null;
  const steps = useMemo(() => branches.path(leaf, choices), [branches, leaf, choices]);
  const handle = useRef(/** @type {import('./virtual.js').ListHandle | null} */ (null));

  // A message that was asked for: take the branch it is on, then show it.
  const wanted = app.route.message;
  const shown = useRef(/** @type {string | null} */ (null));
  useLayoutEffect(() => {
    if (wanted === null || shown.current === wanted || !branches.byId.has(wanted)) return;
    const at = steps.findIndex(({ message }) => message.message_id === wanted);
    if (at < 0) setChoices(branches.choose(choices, wanted));
    else {
      shown.current = wanted;
      handle.current?.show(at, 'start');
    }
  }, [wanted, steps]);
  useEffect(() => {
    if (wanted === null) shown.current = null;
  }, [wanted]);

  useEffect(() => {
    if (!rows || !conversation || !app.seen || isPast) return;
    app.keepSeen({
      total: app.seen.total, conversations: app.seen.conversations,
      open: { conversation, messages: steps.map(({ message }) => message) },
    });
  }, [rows, steps, conversation]);

  const [edited, setEdited] = useState(/** @type {MessageRow | null} */ (null));
  /** @param {string} text */
  const send = (text) => {
    const parent = edited ? branches.parents.get(edited.message_id) ?? null : steps.at(-1)?.message.message_id ?? null;
    const conversationId = isNew ? crypto.randomUUID() : id;
    const messageId = crypto.randomUUID();
    const now = new Date().toISOString();
    const newTitle = isNew ? titleFrom(text) : null;
    app.outbox.add({
      conversation: conversationId, title: newTitle,
      message: { message_id: messageId, parent_id: parent, role: 'user', text, parts: null, model: null, created_at: now },
      events: [
        ...isNew ? [{ type: 'conversation.started', data: { conversation_id: conversationId, title: newTitle, created_at: now } }] : [],
        {
          type: 'message.posted',
          data: {
            message_id: messageId, conversation_id: conversationId, ...parent === null ? {} : { parent_id: parent },
            role: 'user', content: [{ type: 'text', text }], created_at: now,
          },
        },
      ],
    });
    setEdited(null);
    setChoices(edited ? new Set() : choices);
    if (isNew) {
      onBegin(conversationId);
      app.go('conversations', conversationId);
    } else requestAnimationFrame(() => handle.current?.show(steps.length, 'end'));
  };

  const isGone = found?.length === 0 && messages.length === 0;
  return html`
    <section class="detail thread" aria-label="Conversation">
      <header class="thread-head">
        <a class="icon-button back" href=${app.here()} aria-label="Back to the list"><${Icon} name="back" /></a>
        <div class="thread-title">
          <h1 dir="auto" title=${title}>${title || (isGone ? isPast ? 'Not there yet' : 'Not here' : 'Without a title')}</h1>
          ${conversation && html`<p class="small">${count(conversation.message_count, 'message')}${conversation.source ? `, from ${PROGRAMS[conversation.source.toLowerCase()] ?? conversation.source}` : ''}</p>`}
        </div>
        ${conversation && app.store && !isPast && html`<${ThreadActions} conversation=${conversation} />`}
      </header>
      ${isGone
        ? html`<p class="nothing">${isPast ? 'This conversation was not there yet.' : 'This conversation is not here. It may belong to another assistant.'}</p>`
        : html`
          <${VirtualList} className="messages" label="Messages" items=${steps} fromEnd=${wanted === null} scrollByKey handle=${handle}
            keyOf=${(/** @type {Step} */ step) => step.message.message_id}
            guess=${(/** @type {Step} */ { message }) => guessHeight(message.text)}
            row=${(/** @type {Step} */ step) => html`
              <${Message} step=${step} isWanted=${step.message.message_id === wanted} isUnsaved=${unsaved.has(step.message.message_id)}
                onChoose=${(/** @type {string} */ one) => setChoices(branches.choose(choices, one))} onEdit=${isPast ? null : setEdited} />
            `} />
          ${!isPast && html`<${Composer} key=${edited?.message_id ?? ''} id=${id} edited=${edited} onCancel=${() => setEdited(null)} onSend=${send} />`}
        `}
    </section>
  `;
}

/** @param {{ conversation: ConversationRow }} props */
function ThreadActions({ conversation }) {
  const app = useApp();
  const { conversation_id: id, archived } = conversation;
  const retitle = () => app.show(() => html`
    <${PromptDialog} title="Rename this conversation" label="Title" value=${conversation.title} action="Rename" max=${500}
      onDone=${(/** @type {string} */ title) => app.attempt((store) => store.append([{ type: 'conversation.retitled', data: { conversation_id: id, title } }]))} />
  `);
  const archive = () => app.attempt((store) => store.append([{ type: 'conversation.archived', data: { conversation_id: id, archived: !archived } }]));
  return html`
    <button type="button" class="icon-button" aria-label="Rename" title="Rename" onClick=${retitle}><${Icon} name="edit" /></button>
    <button type="button" class="icon-button" aria-label=${archived ? 'Take out of the archive' : 'Archive'} title=${archived ? 'Take out of the archive' : 'Archive'} onClick=${archive}>
      <${Icon} name=${archived ? 'up' : 'archive'} />
    </button>
  `;
}

/**
 * @param {{ step: Step, isWanted: boolean, isUnsaved: boolean, onChoose: (id: string) => void, onEdit: ((message: MessageRow) => void) | null }} props
 */
function Message({ step: { message, siblings }, isWanted, isUnsaved, onChoose, onEdit }) {
  const { message_id: id, role, text, model, created_at: at } = message;
  const [isWhole, setWhole] = useState(false);
  const others = useMemo(() => otherParts(message.parts), [message.parts]);
  const place = siblings.indexOf(id);
  return html`
    <article class="message ${role}" data-wanted=${isWanted} aria-label=${`${ROLES[role] ?? role}, ${moment(at)}`}>
      <header class="message-head">
        <span class="who">${ROLES[role] ?? role}</span>
        ${model && html`<span class="model">${model}</span>`}
        ${isUnsaved ? html`<span class="unsaved">waiting to be saved</span>` : html`<time dateTime=${at} title=${precisely(at)}>${moment(at)}</time>`}
        ${role === 'user' && !isUnsaved && onEdit && html`
          <button type="button" class="icon-button edit" aria-label="Write this message anew" title="Write this message anew" onClick=${() => onEdit(message)}><${Icon} name="edit" /></button>
        `}
      </header>
      <div class="text" dir="auto">${isWhole || text.length <= MOST_SHOWN ? text : text.slice(0, MOST_SHOWN)}</div>
      ${!isWhole && text.length > MOST_SHOWN && html`
        <button type="button" class="link" onClick=${() => setWhole(true)}>Show all ${grouped(text.length)} characters</button>
      `}
      ${others.map((kind) => html`<p class="part small">Not text: ${kind}</p>`)}
      ${siblings.length > 1 && html`
        <footer>
          <span class="versions" role="group" aria-label="Versions of this message">
            <button type="button" class="icon-button" aria-label="Version before" disabled=${place === 0} onClick=${() => onChoose(/** @type {string} */ (siblings[place - 1]))}><${Icon} name="back" /></button>
            <span>${place + 1} of ${siblings.length}</span>
            <button type="button" class="icon-button" aria-label="Version after" disabled=${place === siblings.length - 1} onClick=${() => onChoose(/** @type {string} */ (siblings[place + 1]))}><${Icon} name="next" /></button>
          </span>
        </footer>
      `}
    </article>
  `;
}

/** @param {{ id: string, edited: MessageRow | null, onCancel: () => void, onSend: (text: string) => void }} props */
function Composer({ id, edited, onCancel, onSend }) {
  const app = useApp();
  const key = `pystore/draft/${app.log}/${id}`;
  const [text, setText] = useState(() => edited?.text ?? String(recall(key) ?? ''));
  const input = useRef(/** @type {HTMLTextAreaElement | null} */ (null));
  const isReadOnly = app.status.state === 'read-only';

  useLayoutEffect(() => {
    const element = /** @type {HTMLTextAreaElement} */ (input.current);
    element.style.height = 'auto';
    element.style.height = `${Math.min(element.scrollHeight + 2, 240)}px`;
  }, [text]);
  useEffect(() => {
    if (edited || id === 'new') input.current?.focus();
  }, []);

  /** @param {string} next */
  const change = (next) => {
    setText(next);
    if (!edited) remember(key, next === '' ? null : next);
  };
  const send = () => {
    if (text.trim() === '' || isReadOnly) return;
    change('');
    onSend(text);
  };
  /** @param {KeyboardEvent} event */
  const onKeyDown = (event) => {
    if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === 'Escape' && edited) {
      event.stopPropagation();
      onCancel();
    }
  };
  return html`
    <form class="composer" onSubmit=${(/** @type {Event} */ event) => { event.preventDefault(); send(); }}>
      ${edited && html`<p class="small">You write this message anew. The old one stays, as another version. <button type="button" class="link" onClick=${onCancel}>Leave it as it is</button></p>`}
      <div class="composer-row">
        <textarea ref=${input} rows="1" dir="auto" aria-label="Message" value=${text} readOnly=${isReadOnly} enterkeyhint="send"
          placeholder=${isReadOnly ? 'Nothing can be written just now' : 'Write a message'}
          onInput=${(/** @type {{ currentTarget: HTMLTextAreaElement }} */ event) => change(event.currentTarget.value)} onKeyDown=${onKeyDown}></textarea>
        <button type="submit" class="button primary" aria-label="Send" title="Send (Enter)" disabled=${text.trim() === '' || isReadOnly}><${Icon} name="send" /></button>
      </div>
    </form>
  `;
}

/** A title from the first words of a first message. @param {string} text */
function titleFrom(text) {
  const line = text.trim().split('\n', 1)[0] ?? '';
  const letters = Array.from(line);
  if (letters.length <= TITLE_LENGTH) return line;
  const cut = letters.slice(0, TITLE_LENGTH).join('');
  return `${cut.includes(' ') ? cut.slice(0, cut.lastIndexOf(' ')) : cut}…`;
}

/** What stands beside text in a message's parts. @param {string | null} parts @returns {string[]} */
function otherParts(parts) {
  if (parts === null) return [];
  try {
    const list = /** @type {{ type?: unknown, kind?: unknown }[]} */ (JSON.parse(parts));
    return list.filter((part) => part.type !== 'text').map((part) => String(part.kind ?? part.type ?? 'something').replaceAll('_', ' '));
  } catch {
    return [];
  }
}

/** @param {string} text */
function guessHeight(text) {
  let lines = 0;
  for (const line of text.slice(0, MOST_SHOWN).split('\n')) lines += 1 + Math.floor(line.length / 75);
  return 80 + 24 * lines;
}
