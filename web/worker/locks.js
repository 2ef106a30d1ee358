// @ts-check
/** Web Locks. Where there are none (an insecure page) nothing is held, and nothing can be waited for. */

/**
 * Hold the lock of that name until the returned function is called, or this page or worker is no more.
 * @param {string} name @param {LockOptions} [options] @returns {Promise<() => void>}
 */
export function hold(name, options = {}) {
  if (!navigator.locks) return Promise.resolve(() => {});
  return new Promise((resolve, reject) => {
    const held = () => new Promise((release) => resolve(() => release(undefined)));
    navigator.locks.request(name, options, held).catch(reject);
  });
}

/** Resolves when whoever holds the lock of that name has let go of it, never if `signal` comes first. @param {string} name @param {AbortSignal} [signal] */
export function outlive(name, signal) {
  return new Promise((resolve) => {
    navigator.locks?.request(name, { signal }, resolve).catch(() => {});
  });
}
