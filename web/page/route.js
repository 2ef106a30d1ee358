// @ts-check
/** The address within the page: `#/LOG/ROOM/ID?message=ID&at=MOMENT`. */

/**
 * @typedef {object} Route
 * @property {string | null} log
 * @property {string} room
 * @property {string | null} id what of the room is open
 * @property {string | null} message a message to show
 * @property {string | null} at a past moment at which to look: a time, or an event's id
 */

/** @returns {Route} */
export function readRoute(hash = location.hash) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const parameters = new URLSearchParams(query ?? '');
  const [log = '', room = '', id = ''] = (path ?? '').split('/').map(decoded);
  return {
    log: log || null,
    room: room || 'conversations',
    id: id || null,
    message: parameters.get('message'),
    at: parameters.get('at'),
  };
}

/**
 * @param {string} log
 * @param {string} room
 * @param {string | null} [id]
 * @param {string | null} [message]
 * @param {string | null} [at]
 */
export function link(log, room, id = null, message = null, at = null) {
  const parts = [log, room, ...(id === null ? [] : [id])].map(encodeURIComponent);
  const parameters = String(new URLSearchParams({ ...message !== null && { message }, ...at !== null && { at } }));
  return `#/${parts.join('/')}${parameters && `?${parameters}`}`;
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
