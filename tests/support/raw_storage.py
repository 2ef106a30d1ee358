"""Every byte that a browser keeps for a page's origin: IndexedDB, the private file system, buckets, localStorage and caches, unpacked."""

from __future__ import annotations

import base64

from playwright.sync_api import Page

from pystore.errors import PyStoreError
from pystore.segment import unpack_bytes

_READ = """
async (folder) => {
  const found = [];
  const note = async (value) => {
    if (value instanceof Blob) return note(new Uint8Array(await value.arrayBuffer()));
    if (value instanceof ArrayBuffer) return note(new Uint8Array(value));
    if (value instanceof Uint8Array) {
      let text = '';
      for (let i = 0; i < value.length; i += 0x8000) text += String.fromCharCode(...value.subarray(i, i + 0x8000));
      found.push(btoa(text));
    } else if (Array.isArray(value)) {
      for (const one of value) await note(one);
    } else if (value !== null && typeof value === 'object' && value.constructor?.name !== 'FileSystemDirectoryHandle') {
      await note(Object.keys(value).join(' '));
      for (const one of Object.values(value)) await note(one);
    } else {
      await note(new TextEncoder().encode(String(value)));
    }
  };
  const settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const read = async ({ indexedDB, caches }, directory) => {
    for (const { name } of await indexedDB.databases()) {
      await note(name);
      const database = await settled(indexedDB.open(name));
      for (const store of database.objectStoreNames) {
        await note(await settled(database.transaction(store).objectStore(store).getAllKeys()));
        await note(await settled(database.transaction(store).objectStore(store).getAll()));
      }
      database.close();
    }
    const walk = async (directory, isTop) => {
      for await (const handle of directory.values()) {
        if (isTop && handle.name === folder) continue;
        await note(handle.name);
        if (handle.kind === 'directory') await walk(handle);
        else await note(await handle.getFile());
      }
    };
    if (directory) await walk(directory, true);
    for (const name of await caches.keys()) {
      await note(name);
      const cache = await caches.open(name);
      for (const request of await cache.keys()) {
        await note(request.url);
        await note(await (await cache.match(request)).blob());
      }
    }
  };
  await read(globalThis, await navigator.storage.getDirectory?.());
  for (const name of await navigator.storageBuckets?.keys() ?? []) {
    const bucket = await navigator.storageBuckets.open(name);
    await read(bucket, await bucket.getDirectory?.());
  }
  await note({ ...localStorage });
  await note({ ...sessionStorage });
  return found;
}
"""


def raw_storage(page: Page, *, but: str = "") -> bytes:
    """All of it with its names, and what is in it where it is packed; `but` a folder that stands for one of the user's own."""
    parts = [base64.b64decode(part) for part in page.evaluate(_READ, but)]
    for part in list(parts):
        try:
            parts.append(unpack_bytes(part))
        except PyStoreError:
            continue
    return b"\n".join(parts)
