"""A small application for the tests of the client: `schema`; `newer`, its next version; `later`, one that cannot take over old notes at
its first try; and `deadly`, which cannot bear one word.
"""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from pystore.event import Event, Recorded
from pystore.schema import Schema
from pystore.view import View

DEADLY = "deadly"


def _notes(name: str, *, is_deadly: bool = False, version: int = 1) -> Schema:
    schema = Schema(name, app=version, views=version)

    class NoteAdded(Event):
        note_id: str
        text: str
        number: float = 0
        more: dict[str, Any] = Field(default_factory=dict)

    schema.event("note.added")(NoteAdded)
    schema.table("CREATE TABLE note (note_id TEXT PRIMARY KEY, text TEXT NOT NULL CHECK (text <> ''))")

    def note_added(view: View, event: Recorded) -> None:
        if is_deadly and event.data.text == DEADLY:
            json.loads("[" * 100_000 + "]" * 100_000)  # no exception: the interpreter is gone
        view.execute("INSERT INTO note VALUES (?, ?)", (event.data.note_id, event.data.text))

    schema.on(NoteAdded)(note_added)
    return schema


schema = _notes("notes")
newer = _notes("notes", version=2)
deadly = _notes("notes", is_deadly=True)


def _later() -> Schema:
    later = Schema("notes", app=2, views=2)
    tries: list[str] = []

    class NoteAdded(Event):
        note_id: str
        title: str

    later.event("note.added", 2)(NoteAdded)
    later.table("CREATE TABLE note (note_id TEXT PRIMARY KEY, title TEXT NOT NULL)")

    @later.upcast("note.added", 1)
    def text_is_called_title(data: dict[str, Any]) -> dict[str, Any]:
        return {"note_id": data["note_id"], "title": data["text"]}

    @later.on(NoteAdded)
    def note_added(view: View, event: Recorded) -> None:
        view.execute("INSERT INTO note VALUES (?, ?)", (event.data.note_id, event.data.title))

    class Checks(dict[str, str]):
        """Checks that fail when they are looked at for the first time."""

        def items(self) -> Any:
            tries.append("")
            return {"the first try": "SELECT 1" if len(tries) == 1 else "SELECT 1 WHERE 0"}.items()

    later.checks = Checks()
    return later


later = _later()
