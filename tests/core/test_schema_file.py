"""What a schema declares, as a file: it shows what changed without its version."""

from __future__ import annotations

import pytest

from pystore import Event, Schema
from pystore.schema_file import described, not_raised


class Added(Event):
    note_id: str


class Longer(Added):
    text: str


def made(*, app: int = 1, views: int = 1, model: type[Event] = Added, v: int = 1, more: str = "") -> Schema:
    schema = Schema("notes", app=app, views=views)
    schema.event("note.added", v=v)(model)
    schema.table(f"CREATE TABLE note (note_id TEXT PRIMARY KEY, text TEXT {more})")
    schema.table("CREATE INDEX note_text ON note (text)")
    schema.search("note_search", "note", "text")
    return schema


def test_a_description_holds_what_the_application_declares_and_nothing_of_pystores_own() -> None:
    found = described(made())
    assert (found["schema"], found["app"], found["views"]) == ("notes", 1, 1)
    assert found["events"]["note.added"]["v"] == 1
    assert found["events"]["note.added"]["data"]["required"] == ["note_id"]
    assert list(found["tables"]) == ["note"]
    assert found["indexes"] == {"note_text": "CREATE INDEX note_text ON note (text)"}
    assert found["searches"]["note_search"]["columns"] == ["text"]
    assert not_raised(found, described(made())) == {}


@pytest.mark.parametrize(("changed", "expected"), [
    (made(model=Longer), {"app": ["events.note.added"]}),
    (made(v=2), {"app": ["events.note.added"]}),
    (made(more="NOT NULL"), {"views": ["tables.note"]}),
    (made(model=Longer, app=2), {}),
    (made(more="NOT NULL", views=2), {}),
    (made(model=Longer, more="NOT NULL", app=2), {"views": ["tables.note"]}),
])
def test_what_changed_without_its_version_is_named(changed: Schema, expected: dict[str, list[str]]) -> None:
    assert not_raised(described(made()), described(changed)) == expected
