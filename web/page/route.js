// @ts-check
/** The address within the page: `#/LOG/ROOM/ID?message=ID`. */

/**
 * @typedef {object} Route
 * @property {string | null} log
 * @property {string} room
 * @property {string | null} id what of the room is open
 * @property {string | null} message a message to show
 */

/** @returns {Route} */
export function readRoute(hash = location.hash) {
  const [path, query] = hash.replace(/^#\/?/, '').split('?');
  const [log = '', room = '', id = ''] = (path ?? '').split('/').map(decoded);
  return {
    log: log || null,
    room: room || 'conversations',
    id: id || null,
    message: new URLSearchParams(query ?? '').get('message'),
  };
}

/**
 * @param {string} log
 * @param {string} room
 * @param {string | null} [id]
 * @param {string | null} [message]
 */
export function link(log, room, id = null, message = null) {
  const parts = [log, room, ...(id === null ? [] : [id])].map(encodeURIComponent);
  return `#/${parts.join('/')}${message === null ? '' : `?${new URLSearchParams({ message })}`}`;
}

/** @param {string} part */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}
