// @ts-check
/** The one Trusted Types policy of the site: URLs of its own scripts, for workers. */

/** @type {{ createScriptURL(url: string): any } | undefined} */
const policy = /** @type {any} */ (globalThis).trustedTypes?.createPolicy('pystore', {
  /** @param {string} url */
  createScriptURL(url) {
    if (new URL(url, location.href).origin !== location.origin) throw new TypeError(`${url} is not a script of this site.`);
    return url;
  },
});

/** The URL of one of the site's scripts, as `Worker` and `register` want it. @param {URL | string} url @returns {string} */
export const scriptUrl = (url) => policy?.createScriptURL(String(url)) ?? String(url);
