// @ts-check
/**
 * The site kept for use without a network, and its new versions: announced, never taken without being asked.
 *
 * The service worker is registered when Python has answered, so that keeping the site does not slow the first visit down.
 */

import { scriptUrl } from '../trusted.js';

const LATEST_START_MS = 8_000;
const LOOK_EVERY_MS = 60 * 60 * 1000;

/** @type {ServiceWorkerRegistration | undefined} */
let registration;

/**
 * Keep the site, and call back once when a newer version of it is here and waits. Does nothing where the browser has no service
 * workers (a private window, or an address that is not secure).
 *
 * @param {() => void} callback
 */
export function onUpdateAvailable(callback) {
  if (!navigator.serviceWorker) return;
  let told = false;
  const look = () => {
    if (told || !registration?.waiting || !navigator.serviceWorker.controller) return;
    told = true;
    callback();
  };
  void afterFirstAnswer().then(async () => {
    registration = await navigator.serviceWorker.register(scriptUrl(new URL('./sw.js', document.baseURI)), { updateViaCache: 'none' });
    look();
    registration.addEventListener('updatefound', () => registration?.installing?.addEventListener('statechange', look));
    const again = () => void registration?.update().catch(() => {}); // no network: next time
    setInterval(again, LOOK_EVERY_MS);
  }).catch((error) => console.warn(`This site cannot be kept for use without a network: ${error.message}`));
}

/** Take the version that waits, and show it. What is stored stays; other tabs go on with their version until they are reloaded. */
export function takeUpdate() {
  navigator.serviceWorker.addEventListener('controllerchange', () => location.reload(), { once: true });
  registration?.waiting?.postMessage({ type: 'take-new-version' });
}

/** Python has answered the page's first question, or had time to. @returns {Promise<void>} */
function afterFirstAnswer() {
  return new Promise((resolve) => {
    setTimeout(resolve, LATEST_START_MS);
    new PerformanceObserver((list) => {
      if (list.getEntriesByName('answered').length) resolve();
    }).observe({ type: 'mark', buffered: true });
  });
}
