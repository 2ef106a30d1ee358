"""A backup whose sums are all right, made by somebody who means harm: each event is checked, whatever signs for it."""

import hashlib
from typing import Any

import pytest

from pystore import codec
from pystore.errors import CorruptBackupError
from pystore.event import Draft, Event, Head, parse_line, record
from pystore.memory import MemoryPlatform
from pystore.schema import Schema
from pystore.store import Store

schema = Schema("notes", app=1, views=1)


@schema.event("note.added")
class NoteAdded(Event):
    text: str


schema.table("CREATE TABLE note (text TEXT NOT NULL)")


@schema.on(NoteAdded)
def note_added(view, event):
    view.execute("INSERT INTO note VALUES (?)", (event.data.text,))


async def forged_backup(platform: MemoryPlatform, type_: str, data_json: bytes) -> bytes:
    """A backup of one good event and one with `data_json` for its data, with the chain, counts and checksum to match."""
    async with await Store.open(schema, "victim", platform=platform) as store:
        await store.append(NoteAdded(text="good"))
        saved = b"".join([chunk async for chunk in store.save()])
    header, *lines, footer = saved.splitlines()
    last = parse_line(lines[-1])
    (event,), head = record(
        [Draft(type_, 1, Event(), data_json)], [f"{last.hlc[:-4]}ffff"], last.replica, Head(last.seq, last.hash())
    )
    about = codec.decode(header)
    about["counts"]["events"] += 1
    about["counts"]["by_type"][type_] = about["counts"]["by_type"].get(type_, 0) + 1
    about["replicas"][last.replica] = {"seq": head.seq, "hash": head.hash.decode()}
    body = b"".join(line + b"\n" for line in (codec.encode(about), *lines, event.line))
    end = codec.decode(footer) | {"lines": body.count(b"\n"), "sha256": hashlib.sha256(body).hexdigest()}
    return body + codec.encode(end) + b"\n"


async def restored(backup: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]], str]:
    """Notes, events and name of a new store after restoring the backup, closing and opening again."""
    platform = MemoryPlatform()
    async with await Store.open(schema, "new", platform=platform) as store:
        await store.restore([backup], mode="merge")
    async with await Store.open(schema, "new", platform=platform) as store:
        assert b"".join([chunk async for chunk in store.save()]).count(b"\n") == 4
        return store.query("SELECT * FROM note"), await store.events(), store.log.state.name


async def test_the_forgery_itself_is_sound(platform: MemoryPlatform) -> None:
    notes, events, _ = await restored(await forged_backup(platform, "note.added", b'{"text":"forged"}'))
    assert [note["text"] for note in notes] == ["good", "forged"]
    assert len(events) == 2


@pytest.mark.parametrize(
    "data_json",
    [
        b'{"text":"forged"},"extra":{}',
        b'{"text":"forged"},"data":{}',
        b'{"text":"forged","text":"twice"}',
        b'{"text":"forged"',
        b'{"text":NaN}',
        b'{"text":"\\ud800"}',
        b'{"text":"\\u0000"}',
        b'{"text":1e999}',
        b'{"text":99999999999999999}',
        b'{"text":' + b"[" * 2000 + b"]" * 2000 + b"}",
        b'{"text":"' + b"x" * 300_000 + b'"}',
        b'{"text":"\xff"}',
    ],
    ids=lambda data_json: data_json[:30].decode(errors="replace"),
)
async def test_a_line_outside_the_input_profile_is_refused_and_changes_nothing(platform: MemoryPlatform, data_json: bytes) -> None:
    backup = await forged_backup(platform, "note.added", data_json)
    other = MemoryPlatform()
    async with await Store.open(schema, "new", platform=other) as store:
        await store.append(NoteAdded(text="mine"))
        with pytest.raises(CorruptBackupError, match="Line 3 ") as caught:
            await store.restore([backup], mode="merge")
        assert caught.value.details["line"] == 3
        assert store.query("SELECT * FROM note") == [{"text": "mine"}]
        assert len(await store.events()) == 1
        await store.restore([backup], mode="merge", salvage=True)
        assert [note["text"] for note in store.query("SELECT * FROM note ORDER BY text")] == ["good", "mine"]


@pytest.mark.parametrize(
    ("type_", "data_json"),
    [
        ("note.added", b'{"text":5}'),
        ("note.added", b"{}"),
        ("note.added", b'{"__proto__":{"text":"x"}}'),
        ("never.heard_of", b'{"text":"x"}'),
        ("$named", b'{"x":1}'),
        ("$named", b'{"name":7}'),
        ("$named", b'{"name":"' + b"n" * 5000 + b'"}'),
        ("$imported", b"{}"),
        ("$from_the_future", b'{"a":1}'),
    ],
    ids=lambda value: str(value[:30]),
)
async def test_an_event_that_no_model_takes_is_kept_and_stops_nothing(
    platform: MemoryPlatform, type_: str, data_json: bytes
) -> None:
    notes, events, name = await restored(await forged_backup(platform, type_, data_json))
    assert [note["text"] for note in notes] == ["good"]
    assert [event["type"] for event in events] == [type_, "note.added"]
    assert len(name) <= 200
