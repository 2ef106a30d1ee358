// @ts-check
/** What happened, in words: a sentence for each event, whatever its type. */
import { PROGRAMS, count } from './words.js';

/** @typedef {import('../pystore.js').LoggedEvent} LoggedEvent */

/** An event as a sentence: what happened, and of what (a text that a person or a program wrote). @typedef {{ what: string, text: string }} Sentence */

/** @type {Record<string, string>} the kinds of events, in words */
const KINDS = {
  'conversation.started': 'Conversations started',
  'conversation.retitled': 'Conversations renamed',
  'conversation.archived': 'Archived or taken out',
  'message.posted': 'Messages',
  $named: 'Names given',
  $imported: 'Files brought in',
  $undone: 'Undone',
  $redone: 'Brought back',
  $erased: 'Erased for good',
};

/** A kind of events, in words; one that is not known here by its own name. @param {string} type */
export const kindOf = (type) => KINDS[type] ?? type;

/** @type {Record<string, string>} who speaks, as the subject of a sentence */
const SPEAKERS = { user: 'You wrote', assistant: 'The assistant wrote', system: 'Instructions', tool: 'A tool answered' };

/** @type {Record<string, (data: any) => Sentence>} */
const SENTENCES = {
  'conversation.started': ({ title, source }) => ({ what: source ? `Conversation from ${PROGRAMS[source] ?? source}` : 'Conversation started', text: title || 'without a title' }),
  'conversation.retitled': ({ title }) => ({ what: 'Conversation renamed', text: title }),
  'conversation.archived': ({ archived }) => ({ what: archived ? 'Conversation archived' : 'Conversation taken out of the archive', text: '' }),
  'message.posted': ({ role, content }) => ({ what: SPEAKERS[role] ?? `Message of ${role}`, text: textOf(content) }),
  $named: ({ name }) => ({ what: 'Assistant named', text: name }),
  $imported: ({ name, kind, counts }) => ({ what: `Imported ${broughtIn(counts)} from ${PROGRAMS[kind] ?? kind}`, text: name }),
  $undone: ({ events }) => ({ what: `Undone: ${count(named(events), 'change')}`, text: '' }),
  $redone: ({ events }) => ({ what: `Brought back: ${count(named(events), 'change')}`, text: '' }),
  $erased: ({ events }) => ({ what: `Erased for good: ${count(named(events), 'change')}`, text: '' }),
};

/**
 * What happened.
 * @param {LoggedEvent} event @param {LoggedEvent[]} [others] of which it may have undone one, or brought it back
 * @returns {Sentence}
 */
export function sentence({ type, data, erased }, others = []) {
  if (erased) return { what: `${kindOf(type)}: erased`, text: '' };
  try {
    const only = MARKS[type] && data.events.length === 1 && others.find(({ id }) => id === data.events[0]);
    if (only) {
      const { what, text } = sentence(only);
      return { what: /** @type {string} */ (MARKS[type]), text: text ? `${what}: ${text}` : what };
    }
    const { what, text } = (SENTENCES[type] ?? unknown)(data);
    return { what: SENTENCES[type] ? what : type, text: typeof text === 'string' ? text : '' };
  } catch {
    return { what: kindOf(type), text: '' }; // a version that is not known here
  }
}

/** Of a type that is not known here: whatever stands in it as text. @param {any} data @returns {Sentence} */
const unknown = (data) => ({ what: '', text: data?.title ?? data?.name ?? data?.text ?? '' });

/** @param {{ type?: unknown, kind?: unknown, text?: unknown }[]} content */
function textOf(content) {
  const texts = content.filter(({ type }) => type === 'text').map(({ text }) => String(text));
  return texts.length ? texts.join('\n') : content.map(({ kind }) => `(${String(kind).replaceAll('_', ' ')})`).join(' ');
}

/** How much an import brought. @param {Record<string, unknown> | undefined} counts */
export function broughtIn(counts) {
  const [conversations, messages] = [Number(counts?.conversations ?? 0), Number(counts?.messages ?? 0)];
  return conversations > 0 ? count(conversations, 'conversation') : count(messages, 'message');
}

/** @type {Record<string, string>} */
const MARKS = { $undone: 'Undone', $redone: 'Brought back' };

/** How many events are named by `replica:number` and `replica:first-last`. @param {string[]} spans */
export function named(spans) {
  let sum = 0;
  for (const span of spans) {
    const [first = 0, last = first] = span.slice(span.indexOf(':') + 1).split('-').map(Number);
    sum += last - first + 1;
  }
  return sum;
}

/** Why an event was set aside, for a person. @param {string} reason as the store gives it */
export function plainly(reason) {
  if (/UNIQUE/.test(reason)) return 'The same thing was here already.';
  if (/FOREIGN KEY|does not exist|no conversation|is not here/i.test(reason)) return 'It belongs to something that is not here, or was undone.';
  if (/stopped the program/.test(reason)) return 'It stopped the program twice and is left out.';
  return `It does not fit what was here. ${reason}`;
}
