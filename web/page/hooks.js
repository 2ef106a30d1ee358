// @ts-check
/** How components get at the page's state and at the rows of live queries. */
import { createContext } from 'preact';
import { useContext, useEffect, useReducer, useState } from 'preact/hooks';

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
 * The rows of a query, now and whenever they changed; undefined until they are known. An error is told and gives no rows.
 * @template Row
 * @param {string} sql
 * @param {readonly (string | number | null)[]} parameters
 * @param {{ skip?: boolean, keepWhile?: string }} [options] `keepWhile`: as long as this is the same, old rows stay until there
 *   are new ones
 * @returns {Row[] | undefined}
 */
export function useRows(sql, parameters, { skip = false, keepWhile } = {}) {
  const app = useContext(AppContext);
  const { store } = app;
  const key = JSON.stringify([sql, parameters]);
  const [known, setKnown] = useState(/** @type {{ key: string, log: string | null, keepWhile?: string, rows: Row[] } | null} */ (null));
  useEffect(() => {
    if (store === null || skip) return undefined;
    const { log } = app;
    try {
      return store.watch(sql, [...parameters], (rows) => setKnown({ key, log, keepWhile, rows: /** @type {Row[]} */ (rows) }), (error) => app.fail(error));
    } catch (error) {
      app.fail(error);
      return undefined;
    }
  }, [store, key, skip]);
  if (known === null || skip || known.log !== app.log) return undefined;
  return known.key === key || (keepWhile !== undefined && known.keepWhile === keepWhile) ? known.rows : undefined;
}
