"""From the worst that can happen to 100,000 events back to all of them, or to what there was then: each in less than a minute."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import BrowserContext

from tests.support.client_page import Client

EVENTS = 100_000
WITHIN_S = 60.0
STAGES = {"a month": ("weekly", 31 * 24 * 60), "a week": ("daily", 8 * 24 * 60), "a day": ("hourly", 25 * 60), "an hour": ("auto", 61)}
"""How long ago, in words and minutes, and the layer of the backup that is gone back to."""
APPEND = """
for (let done = 0; done < b; done += 5000) {
  await store.append(Array.from({ length: 5000 }, (_, i) => ({
    type: 'note.added',
    data: { note_id: `${a}/${done + i}`, text: `some words of note ${done + i}, as people write them, and then some more` },
  })));
}
"""
OPEN = """
const settled = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
  request.onblocked = () => reject(new Error('blocked'));
});
"""
DELETE_LOG = f"{OPEN} await settled(indexedDB.deleteDatabase('pystore/notes'));"


@contextmanager
def within_a_minute(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    seconds = time.monotonic() - began
    print(f"{what}: {seconds:.1f} s")
    assert seconds < WITHIN_S, what


class Device:
    """One browser profile: a window is opened, and closed while something happens to what is kept."""

    def __init__(self, context: BrowserContext, site: str) -> None:
        self.context = context
        self.site = site
        self.client = self.window()

    def window(self) -> Client:
        return Client.in_new_window(self.context, self.site, "dedicated")

    def at(self, minutes_ago: int) -> Client:
        """A new window whose clock is so far behind, with the log open in it."""
        self.client.page.close()
        self.client = self.window()
        self.client.put_clock_forward(-minutes_ago * 60_000)
        self.client.open()
        return self.client

    def meanwhile(self, script: str) -> None:
        """Close the window, do something to what is kept, and open another one."""
        self.client.page.close()
        other = self.window()
        other.run(script)
        other.page.close()
        self.client = self.window()

    def count(self) -> int:
        events: int = self.client.query("SELECT count(*) AS n FROM note")[0]["n"]
        return events


@pytest.mark.timeout(600)
def test_100_000_events_are_back_within_a_minute_whatever_happened(context: BrowserContext, client_site: str) -> None:
    device = Device(context, client_site)
    for stage, (layer, minutes) in STAGES.items():
        client = device.at(minutes)
        client.run("return store.backups.stop()")  # so that none is made in the midst of it
        client.run(APPEND, stage, EVENTS // len(STAGES))
        client = device.at(minutes)
        client.run("return store.backups.start()")
        client.wait("(await store.backups.list()).some(({ layer, events }) => layer === a && events === b)", layer, device.count())
    device.meanwhile("")
    device.client.open()
    device.client.run("""
        const root = await navigator.storage.getDirectory();
        await store.backups.mirrorTo(await root.getDirectoryHandle('mine', { create: true }));
        while (!(await store.stats()).bytes.checkpoints) await new Promise((resolve) => setTimeout(resolve, 100));
    """)

    for number, (stage, (layer, minutes)) in enumerate(STAGES.items(), 1):
        then = (datetime.now(UTC) - timedelta(minutes=minutes - 1)).isoformat()
        backup = next(one for one in device.client.run("return store.backups.list()") if one["layer"] == layer and one["time"] < then)
        with within_a_minute(f"going back {stage}"):
            device.client.run("return store.backups.restore(a, 'replace')", backup["id"])
        assert device.count() == number * EVENTS // len(STAGES)

    (made,) = device.client.append({"type": "note.added", "data": {"note_id": "last", "text": "deleted by accident"}})
    with within_a_minute("undoing an accidental deletion of everything"):
        device.client.run("const [mark] = await store.restoreTo(0 + (await store.stats()).events); await store.undo(mark.id)")
    assert device.count() == EVENTS + 1
    device.client.run("return store.undo(a)", made["id"])

    device.client.run("return store.backups.create('before the damage')")
    device.meanwhile(f"""{OPEN}
        const database = await settled(indexedDB.open('pystore/notes'));
        await settled(database.transaction('checkpoints', 'readwrite').objectStore('checkpoints').clear());
        const records = database.transaction('segments', 'readwrite').objectStore('segments');
        const cursor = await settled(records.openCursor());
        const {{ body }} = cursor.value;
        body[body.length >> 1] ^= 1;
        await settled(cursor.update({{ ...cursor.value, body }}));
        cursor.continue();
        await settled((await settled(cursor.request)).delete());
        database.close();
    """)
    with within_a_minute("a flipped bit in one record, and another one missing, no checkpoint left"):
        assert device.client.refused("client.openStore('notes', { schema: 'notes_under_test:schema' })")["code"] == "CorruptError"
        assert device.client.run("return client.repairLog('notes')")["lost"] == []
        device.client.open()
    assert device.count() == EVENTS

    device.client.run("while (!(await store.stats()).bytes.checkpoints) await new Promise((resolve) => setTimeout(resolve, 100))")
    device.meanwhile(f"""{OPEN}
        const database = await settled(indexedDB.open('pystore/notes'));
        const kept = await settled(database.transaction('checkpoints').objectStore('checkpoints').getAll());
        const damaged = await Promise.all(kept.map(async (record) => {{
          const image = new Uint8Array(await record.image.arrayBuffer());
          image[image.length >> 1] ^= 1;
          return {{ ...record, image: new Blob([image]) }};
        }}));
        const checkpoints = database.transaction('checkpoints', 'readwrite').objectStore('checkpoints');
        for (const record of damaged) checkpoints.put(record);
        await new Promise((resolve) => {{ checkpoints.transaction.oncomplete = resolve; }});
        database.close();
    """)
    with within_a_minute("all checkpoints damaged"):
        device.client.open()
    assert device.count() == EVENTS

    device.client.run("return store.backups.create('the newest')")
    device.meanwhile(DELETE_LOG)
    with within_a_minute("the database gone, restored from the vault"):
        lost = device.client.refused("client.openStore('notes', { schema: 'notes_under_test:schema' })")
        newest = lost["details"]["backups"][0]
        device.client.open(recover=True)
        device.client.run("return store.backups.restore(a)", newest["id"])
    assert newest["events"] >= lost["details"]["events"]  # so nothing is said to be lost
    assert device.count() == EVENTS

    device.meanwhile(f"""{DELETE_LOG}
        const vaults = await (await navigator.storage.getDirectory()).getDirectoryHandle('pystore-vault');
        await vaults.removeEntry('log-notes', {{ recursive: true }});
    """)
    with within_a_minute("database and vault gone, restored from the folder with copies"):
        device.client.open()
        device.client.run("""
            const folder = await (await navigator.storage.getDirectory()).getDirectoryHandle('mine');
            for await (const handle of folder.values()) await store.restore(await handle.getFile());
        """)
    assert device.count() >= EVENTS
