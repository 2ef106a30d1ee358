"""The assistant's application with one more version, in which conversations are in folders: `schema`; `unfit` forgot the old ones.

It is also made a wheel of, for sites under test: so it imports nothing of the tests.
"""

from __future__ import annotations

from typing import Any

from pystore.assistant import schema as assistant
from pystore.assistant.conversations import ConversationStarted
from pystore.event import Event, Recorded
from pystore.schema import Schema
from pystore.view import View


class StartedInFolder(ConversationStarted):
    """A conversation began, in a folder."""

    folder: str


class FolderColoured(Event):
    """What an older version knows nothing of."""

    folder: str
    colour: str


def _make(folder: dict[str, str]) -> Schema:
    schema = Schema(assistant.name, app=assistant.app + 1, views=assistant.views + 1)
    schema.tables, schema.searches, schema.checks = [*assistant.tables], assistant.searches, assistant.checks
    schema.importers = assistant.importers
    schema.table("CREATE TABLE in_folder (conversation_id TEXT PRIMARY KEY REFERENCES conversation, folder TEXT NOT NULL)")
    schema.table("CREATE INDEX by_folder ON in_folder (folder)")
    schema.event("folder.coloured")(FolderColoured)
    for name, declared in assistant.types.items():
        is_changed = declared.model is ConversationStarted
        schema.event(name, declared.v + is_changed)(StartedInFolder if is_changed else declared.model)
        schema.types[name].handlers += declared.handlers

    @schema.upcast("conversation.started", 1)
    def in_folder(data: dict[str, Any]) -> dict[str, Any]:
        return {**data, **folder}

    @schema.on(StartedInFolder)
    def put(view: View, event: Recorded) -> None:
        view.execute("INSERT INTO in_folder VALUES (?, ?)", (event.data.conversation_id, event.data.folder))

    return schema


schema = _make({"folder": "Unsorted"})
unfit = _make({})
