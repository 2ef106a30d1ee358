"""A small application for tests of the core, with all that a view can have, and what the tests ask of a store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable
from typing import Any

from pystore import codec
from pystore.backup.save import header_for, jsonl
from pystore.event import Event, Recorded, parse_line
from pystore.marks import Marks
from pystore.projector import Projector
from pystore.schema import Schema
from pystore.segment import events_in
from pystore.store import Store
from pystore.view import View


class NoteAdded(Event):
    note_id: str
    text: str
    folder: str | None = None


class NoteEdited(Event):
    note_id: str
    text: str


class NoteRemoved(Event):
    note_id: str


class FolderMade(Event):
    folder: str


def make_schema(name: str = "notes", *, app: int = 1, views: int = 1) -> Schema:
    """The application. Its handlers insert, update, delete, read, keep a derived count, and refuse what does not fit."""
    schema = Schema(name, app=app, views=views)
    schema.table("CREATE TABLE folder (folder TEXT PRIMARY KEY, notes INTEGER NOT NULL DEFAULT 0)")
    schema.table("""
        CREATE TABLE note (
            position INTEGER PRIMARY KEY, note_id TEXT NOT NULL UNIQUE, text TEXT NOT NULL CHECK (text <> 'refused'),
            folder TEXT REFERENCES folder, changed_at TEXT NOT NULL, by TEXT NOT NULL
        )
    """)
    schema.search("note_search", "note", "text")
    schema.event("note.added")(NoteAdded)
    schema.event("note.edited")(NoteEdited)
    schema.event("note.removed")(NoteRemoved)
    schema.event("folder.made")(FolderMade)
    count = "UPDATE folder SET notes = (SELECT count(*) FROM note WHERE note.folder = folder.folder) WHERE folder = ?"

    @schema.on(NoteAdded)
    def added(view: View, event: Recorded) -> None:
        note = event.data
        view.execute(
            "INSERT INTO note (note_id, text, folder, changed_at, by) VALUES (?, ?, ?, ?, ?)",
            (note.note_id, note.text, note.folder, event.time, event.id),
        )
        if note.folder is not None:
            view.execute_once(count, note.folder)

    @schema.on(NoteEdited)
    def edited(view: View, event: Recorded) -> None:
        if not view.select("SELECT 1 FROM note WHERE note_id = ?", (event.data.note_id,)):
            raise LookupError(event.data.note_id)
        view.execute(
            "UPDATE note SET text = ?, changed_at = ?, by = ? WHERE note_id = ?",
            (event.data.text, event.time, event.id, event.data.note_id),
        )

    @schema.on(NoteRemoved)
    def removed(view: View, event: Recorded) -> None:
        folders = view.select("SELECT folder FROM note WHERE note_id = ?", (event.data.note_id,))
        view.execute("DELETE FROM note WHERE note_id = ?", (event.data.note_id,))
        for (folder,) in folders:
            if folder is not None:
                view.execute_once(count, folder)

    @schema.on(FolderMade)
    def made(view: View, event: Recorded) -> None:
        view.execute("INSERT INTO folder (folder) VALUES (?)", (event.data.folder,))

    return schema


SCHEMA = make_schema()


def note(note_id: object, text: str = "text", folder: str | None = None) -> NoteAdded:
    """A note."""
    return NoteAdded(note_id=str(note_id), text=text, folder=folder)


def json_lines(*events: Event) -> bytes:
    """Events as `Store.append_json` takes them."""
    names = {declared.model: name for name, declared in SCHEMA.types.items()}
    return b"".join(codec.encode({"type": names[type(event)], "data": event.model_dump()}) + b"\n" for event in events)


TABLES = ("folder", "note", "pystore_conflict", "pystore_import")
WORDS = ("text", "one", "two", "thr*")


def rows(view: View) -> dict[str, list[dict[str, Any]]]:
    """All that a view shows, row for row, and what full-text searches find."""
    shown = {table: view.read(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}
    for word in WORDS:
        shown[f"search {word}"] = view.read("SELECT rowid FROM note_search WHERE note_search MATCH ? ORDER BY rowid", (word,))
    return shown


def shown(store: Store) -> dict[str, list[dict[str, Any]]]:
    """All that queries of a store see."""
    store.query("SELECT 1")  # takes out what is not durable
    return rows(store.view)


async def stored_events(store: Store) -> list[Recorded]:
    """What stands in the storage, in the log's order."""
    found: list[Recorded] = []
    after = 0
    while page := await store.log.storage.segments(after):
        for segment in page:
            found += events_in(segment.body)
        after = page[-1].number
    return sorted(found, key=lambda event: event.order)


async def folded(store: Store, until: tuple[str, str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """What a view shows that was folded from nothing, an event at a time; of the events up to `until`, if given."""
    view = View(store.schema)
    try:
        projector = Projector(store.schema, view)
        events = [event for event in await stored_events(store) if until is None or event.order <= until]
        projector.marks = Marks().and_those_of(events)
        for event in events:
            projector.fold([event])
        return rows(view)
    finally:
        view.close()


async def saved(store: Store, *, gzip: bool = False) -> bytes:
    """The store as a backup file."""
    return b"".join([chunk async for chunk in store.save(gzip=gzip)])


async def a_part(store: Store, replicas: Collection[str]) -> bytes:
    """A backup with the feeds of these replicas only, and what waits of them."""
    stored = [*await stored_events(store), *store.log.waiting.events]
    events = sorted((event for event in stored if event.replica in replicas), key=lambda event: event.order)
    state = store.log.whole
    feeds = {replica: head for replica, head in state.feeds.items() if replica in replicas}
    counts: dict[str, int] = {}
    for event in events:
        counts[event.type] = counts.get(event.type, 0) + 1
    header = header_for(
        state._replace(feeds=feeds, counts=counts), store.schema.name, store.platform.now_ms(), "test", store.projection.document, {}
    )
    lines = [event.line + b"\n" for event in events]
    return b"".join([chunk async for chunk in jsonl(header, lines, store.platform.breathe, None)])


def event_lines(file: bytes) -> list[bytes]:
    """The lines of a backup between header and footer."""
    return file.split(b"\n")[1:-2]


async def lines_of(store: Store) -> list[bytes]:
    """The event lines of a store, as it saves them."""
    return event_lines(await saved(store))


async def chunks(data: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    """A file as it comes in from outside."""
    for start in range(0, len(data), size):
        yield data[start : start + size]


def check_chains(lines: Iterable[bytes]) -> None:
    """Every replica's events are numbered 1, 2, 3 ... and each names the one before."""
    heads: dict[str, tuple[int, bytes]] = {}
    for line in lines:
        event = parse_line(line)
        seq, hash_ = heads.get(event.replica, (0, b"A" * 43))
        assert event.seq == seq + 1
        assert event.prev == hash_
        assert event.digest_holds()
        heads[event.replica] = (event.seq, event.hash())


def notes_of(store: Store) -> list[str]:
    """The ids of the notes that are shown."""
    return [row["note_id"] for row in store.query("SELECT note_id FROM note ORDER BY note_id")]


async def add(store: Store, *ids: object) -> list[str]:
    """Append notes; the ids of the events."""
    return [one.id for one in await store.append([note(id_) for id_ in ids])]


async def equal_to_a_fold(store: Store) -> None:
    """The store shows what a fold of its events from nothing does."""
    assert shown(store) == await folded(store)
