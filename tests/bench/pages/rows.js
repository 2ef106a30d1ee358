// @ts-check
// The rows of every contender: conversations of 20 messages, 30 words a message, the same on every run.

export const MESSAGES_PER_CONVERSATION = 20;
export const WORDS_PER_MESSAGE = 30;
const START_MS = Date.UTC(2025, 0, 1);

/**
 * @typedef {{conversation_id: string, title: string, created_at: string, updated_at: string, source: null, model: string}} Conversation
 * @typedef {{position: number, message_id: string, conversation_id: string, parent_id: string | null, role: string, text: string,
 *   parts: null, model: string | null, created_at: string}} Message
 * @typedef {{kind: 'conversation', row: Conversation} | {kind: 'message', row: Message}} Row
 */

/** A number in 0 <= x < 1 from a seed and an index: the same for the same two, whatever was asked before. */
function hashed(/** @type {number} */ seed, /** @type {number} */ index) {
  let x = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(index, 0x85ebca6b)) | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return ((x ^ (x >>> 15)) >>> 0) / 2 ** 32;
}

const SYLLABLES = ['ka', 'lo', 'mi', 'ren', 'tas', 'vor', 'el', 'un', 'so', 'pi', 'dra', 'ne', 'gol', 'fi', 'by', 'sha'];

/** 3,000 made-up words of two to four syllables; `word(0)` is the most frequent. */
const VOCABULARY = Array.from({ length: 3000 }, (_, index) => {
  const syllable = (/** @type {number} */ n) => SYLLABLES[(index >> (4 * n)) & 15];
  return syllable(0) + syllable(1) + syllable(2) + (index % 3 ? syllable(index % 4) : '');
});

/** A word that stands in about one message of a hundred. */
export const SEARCHED = VOCABULARY[1500];

function text(/** @type {number} */ seed) {
  const words = [];
  for (let i = 0; i < WORDS_PER_MESSAGE; i++) {
    // Squared, so that some words are frequent and most are rare, as in a language.
    words.push(VOCABULARY[Math.floor(VOCABULARY.length * hashed(seed, i) ** 2)]);
  }
  return words.join(' ') + '.';
}

/** 32 hex digits in the form of a UUID, as exports of assistants have them. */
function id(/** @type {number} */ seed) {
  const hex = (/** @type {number} */ n) => Math.floor(hashed(seed, n) * 2 ** 32).toString(16).padStart(8, '0');
  const all = hex(1001) + hex(1002) + hex(1003) + hex(1004);
  return `${all.slice(0, 8)}-${all.slice(8, 12)}-${all.slice(12, 16)}-${all.slice(16, 20)}-${all.slice(20)}`;
}

const time = (/** @type {number} */ index) => new Date(START_MS + index * 1000).toISOString();

/**
 * Row number `index` of the workload: the first of each 21 is a conversation, the others are its messages.
 * @returns {Row}
 */
function rowAt(/** @type {number} */ index) {
  const size = MESSAGES_PER_CONVERSATION + 1;
  const first = index - (index % size);
  const conversation_id = id(2 * first + 1);
  if (index === first) {
    const row = { conversation_id, title: text(first).slice(0, 40), created_at: time(index), updated_at: time(index), source: null, model: 'model-1' };
    return { kind: 'conversation', row };
  }
  return { kind: 'message', row: messageOf(conversation_id, index, index === first + 1 ? null : id(2 * index - 2)) };
}

/** @returns {Message} */
function messageOf(/** @type {string} */ conversation_id, /** @type {number} */ index, /** @type {string | null} */ parent_id) {
  const byUser = index % 2 === 1;
  return {
    position: index, message_id: id(2 * index), conversation_id, parent_id, role: byUser ? 'user' : 'assistant',
    text: text(index), parts: null, model: byUser ? null : 'model-1', created_at: time(index),
  };
}

/** `count` rows from number `from` on. @returns {Row[]} */
export function rows(/** @type {number} */ from, /** @type {number} */ count) {
  return Array.from({ length: count }, (_, i) => rowAt(from + i));
}

/** One conversation of many messages, for reading the newest 50 of it; after row number `from`. @returns {Row[]} */
export function longConversation(/** @type {number} */ from, messages = 1000) {
  const conversation_id = LONG_CONVERSATION;
  /** @type {Row[]} */
  const all = [{ kind: 'conversation', row: { conversation_id, title: 'A long one', created_at: time(from), updated_at: time(from), source: null, model: 'model-1' } }];
  for (let i = 1; i <= messages; i++) {
    all.push({ kind: 'message', row: messageOf(conversation_id, from + i, i === 1 ? null : id(2 * (from + i) - 2)) });
  }
  return all;
}

export const LONG_CONVERSATION = 'ffffffff-0000-4000-8000-000000000000';

/** `rows` in runs of `size`. @template T @returns {T[][]} */
export function batches(/** @type {T[]} */ all, size = 1000) {
  const runs = [];
  for (let at = 0; at < all.length; at += size) runs.push(all.slice(at, at + size));
  return runs;
}
