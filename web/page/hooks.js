// @ts-check
/** How components get at the page's state and at the rows of live queries. */
import { createContext } from 'preact';
import { useContext, useEffect, useReducer, useRef, useState } from 'preact/hooks';

/** @typedef {import('./app.js').App} App */

export const AppContext = createContext(/** @type {App} */ (/** @type {unknown} */ (null)));

/** The page's state; the component is drawn again whenever it changed. */
export function useApp() {
  const app = useContext(AppContext);
  const [, redraw] = useReducer((/** @type {number} */ n) => n + 1, 0);
  useEffect(() => app.listen(() => redraw(0)), [app]);
  return app;
}

/**
 * `value` as it was when it last rested for `ms`, at first at once; or, if it does not rest, as it was at most twice as long ago.
 * @template Value @param {Value} value @param {number} ms @returns {Value}
 */
export function useLater(value, ms) {
  const [later, setLater] = useState(value);
  const since = useRef(0);
  useEffect(() => {
    if (value === later) {
      since.current = 0;
      return undefined;
    }
    since.current ||= Date.now();
    const rest = Math.min(ms, Math.max(0, since.current + 2 * ms - Date.now()));
    const timer = setTimeout(() => {
      since.current = 0;
      setLater(value);
    }, rest);
    return () => clearTimeout(timer);
  }, [value, later]);
  return later;
}

/**
 * The rows of a query, now and whenever they changed (of a past moment, once); undefined until they are known. An error is told and
 * gives no rows.
 * @template Row
 * @param {string} sql
 * @param {readonly (string | number | null)[]} parameters
 * @param {{ skip?: boolean, keepWhile?: string }} [options] `keepWhile`: as long as this is the same, old rows stay until there
 *   are new ones
 * @returns {Row[] | undefined}
 */
export function useRows(sql, parameters, { skip = false, keepWhile } = {}) {
  const app = useContext(AppContext);
  const { source } = app;
  const key = JSON.stringify([sql, parameters]);
  const [known, setKnown] = useState(/** @type {{ key: string, log: string | null, keepWhile?: string, rows: Row[] } | null} */ (null));
  useEffect(() => {
    if (source === null || skip) return undefined;
    const { log } = app;
    const known = (/** @type {any[]} */ rows) => setKnown({ key, log, keepWhile, rows });
    const failed = (/** @type {unknown} */ error) => app.fail(error);
    try {
      if ('watch' in source) return source.watch(sql, [...parameters], known, failed);
      let isStale = false;
      void source.query(sql, [...parameters]).then((rows) => isStale || known(rows), (error) => isStale || app.source !== source || failed(error));
      return () => { isStale = true; };
    } catch (error) {
      app.fail(error);
      return undefined;
    }
  }, [source, key, skip]);
  if (known === null || skip || known.log !== app.log) return undefined;
  return known.key === key || (keepWhile !== undefined && known.keepWhile === keepWhile) ? known.rows : undefined;
}
