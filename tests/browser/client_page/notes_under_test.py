"""A small application for the tests of the client, in two versions: `schema`, and `deadly`, which cannot bear one word."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Field

from pystore.event import Event, Recorded
from pystore.schema import Schema
from pystore.view import View

DEADLY = "deadly"


def _notes(name: str, *, is_deadly: bool) -> Schema:
    schema = Schema(name, app=1, views=1)

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


schema = _notes("notes", is_deadly=False)
deadly = _notes("notes", is_deadly=True)
