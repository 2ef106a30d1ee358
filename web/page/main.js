// @ts-check
/**
 * The page begins here: paint what was seen last, then open the store.
 *
 * Marks for the benchmark: `painted` when the first frame with the last known state was handed to the screen, `answered` when
 * Python has answered the first query.
 */
import { html, render } from 'htm/preact';
import { listLogs, openStore } from '../pystore.js';
import { App } from './app.js';
import { AppContext } from './hooks.js';
import { Shell } from './shell.js';
import { onUpdateAvailable } from './updates.js';

const app = new App();
const root = /** @type {HTMLElement} */ (document.getElementById('app'));
root.replaceChildren();
render(html`<${AppContext.Provider} value=${app}><${Shell} /><//>`, root);
if (document.visibilityState === 'hidden') performance.mark('painted');
else requestAnimationFrame(() => setTimeout(() => performance.mark('painted')));

void app.start();
onUpdateAvailable(() => {
  app.update = true;
  app.changed();
});

Object.defineProperty(window, 'pystore', { value: { openStore, listLogs, get store() { return app.store; } } });
