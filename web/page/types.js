// @ts-check
/**
 * What the page asks for, as the queries and the store give it.
 *
 * @typedef {object} ConversationRow
 * @property {string} conversation_id
 * @property {string} title
 * @property {string} updated_at
 * @property {number} message_count
 * @property {string | null} source
 * @property {number} archived
 * @property {string | null} current_message_id
 *
 * @typedef {'system' | 'user' | 'assistant' | 'tool'} Role
 *
 * @typedef {object} MessageRow
 * @property {string} message_id
 * @property {string | null} parent_id
 * @property {Role} role
 * @property {string} text
 * @property {string | null} parts
 * @property {string | null} model
 * @property {string} created_at
 *
 * @typedef {object} LogRow an assistant, as `listLogs()` tells it
 * @property {string} log
 * @property {string} name
 * @property {number} events
 * @property {boolean} [lost] whether only its backups are left
 *
 * @typedef {object} Stats
 * @property {number} events
 * @property {Record<string, number>} records how many rows each table has
 * @property {Record<string, number>} bytes by kind
 * @property {Record<string, number>} by_type how many events of each type there are
 * @property {number} conflicts how many events could not be applied
 * @property {string} platform the program and its version
 * @property {boolean} is_older whether it is of an older version that was not brought to this one
 * @property {string} erased another text whenever more is erased
 *
 * @typedef {{ app: { version: number }, views: { version: number } }} Versions
 *
 * @typedef {object} Imported what a file of another program brought
 * @property {string | null} id of the change that stands for all of it; null: nothing new
 * @property {string} kind
 * @property {number} events
 * @property {Record<string, number | string | null>} counts
 * @property {{ where: string, why: string }[]} not_understood
 *
 * @typedef {object} Inspected what a backup holds, and what restoring it would do
 * @property {string} log the assistant that it was saved from
 * @property {string} name
 * @property {string | null} saved_at
 * @property {number} events
 * @property {number} new
 * @property {number} known
 * @property {string | null} first
 * @property {string | null} last
 * @property {Record<string, number>} records
 * @property {{ line: number, why: string, kind?: string, id?: string }[]} problems
 * @property {{ id: string | null, why: string }[]} unfit what of a file of an older version cannot be shown by this one
 * @property {{ events: number, name: string }} here
 */
export {};
