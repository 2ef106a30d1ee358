"""Every byte that a browser keeps for a page's origin: IndexedDB, the private file system, localStorage and caches, unpacked."""

from __future__ import annotations

import base64

from playwright.sync_api import Page

from pystore.errors import PyStoreError
from pystore.segment import unpack_bytes

_READ = """
async () => {
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
    } else if (value !== null && typeof value === 'object' && !(value instanceof FileSystemHandle)) {
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
  for (const { name } of await indexedDB.databases()) {
    const database = await settled(indexedDB.open(name));
    for (const store of database.objectStoreNames) {
      await note(await settled(database.transaction(store).objectStore(store).getAllKeys()));
      await note(await settled(database.transaction(store).objectStore(store).getAll()));
    }
    database.close();
  }
  const walk = async (directory) => {
    for await (const handle of directory.values()) {
      if (handle.kind === 'directory') await walk(handle);
      else await note(await handle.getFile());
    }
  };
  await walk(await navigator.storage.getDirectory());
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      await note(request.url);
      await note(await (await cache.match(request)).blob());
    }
  }
  await note({ ...localStorage });
  await note({ ...sessionStorage });
  return found;
}
"""


def raw_storage(page: Page) -> bytes:
    """All of it, and what is in it where it is packed."""
    parts = [base64.b64decode(part) for part in page.evaluate(_READ)]
    for part in list(parts):
        try:
            parts.append(unpack_bytes(part))
        except PyStoreError:
            continue
    return b"\n".join(parts)
