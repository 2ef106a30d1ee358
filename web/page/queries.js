// @ts-check
/** What the page asks of the view. */

const COLUMNS = 'conversation_id, title, updated_at, message_count, source, archived, current_message_id';
export const LIST = `SELECT ${COLUMNS} FROM conversation WHERE archived = ? ORDER BY updated_at DESC, conversation_id LIMIT ?`;
export const TOTALS = 'SELECT count(*) AS total, coalesce(sum(archived), 0) AS archived FROM conversation';
export const FIRST_ROWS = 200;
/** How many of what was found are shown. */
export const MOST_TITLES = 5;
export const MOST_MESSAGES = 100;

export const FOUND_TITLES = `
  SELECT c.conversation_id, c.title, c.updated_at, snippet(conversation_search, 0, char(2), char(3), '…', 24) AS snippet
  FROM conversation_search JOIN conversation c ON c.rowid = conversation_search.rowid
  WHERE conversation_search MATCH match_terms(?) ORDER BY rank, c.updated_at DESC LIMIT ${MOST_TITLES}`;
export const FOUND_MESSAGES = `
  SELECT m.message_id, m.conversation_id, m.role, m.created_at, c.title,
    snippet(message_search, 0, char(2), char(3), '…', 20) AS snippet
  FROM message_search JOIN message m ON m.position = message_search.rowid JOIN conversation c USING (conversation_id)
  WHERE message_search MATCH match_terms(?) ORDER BY rank LIMIT ${MOST_MESSAGES}`;

export const CONVERSATION = `SELECT ${COLUMNS} FROM conversation WHERE conversation_id = ?`;
export const MESSAGES = `
  SELECT message_id, parent_id, role, text, parts, model, created_at FROM message WHERE conversation_id = ? ORDER BY created_at, position`;
