"""The store's own event types: their names begin with `$`, and no application can append or redefine them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from pystore import codec
from pystore.erasure import ERASED, NAMED
from pystore.event import Event, Recorded
from pystore.marks import IMPORTED, REDONE, SPAN_PATTERN, UNDONE
from pystore.schema import EventType, Handler

if TYPE_CHECKING:
    from pystore.view import View


class Named(Event):
    """The log was given a name that people read."""

    name: str = Field(min_length=1, max_length=200)


class Imported(Event):
    """A file of another program was brought in: what it was, what came of it, and which events (`replica:first-last`)."""

    name: str
    kind: str
    sha256: str
    counts: dict[str, Any]
    events: list[str]


Spans = Annotated[list[Annotated[str, Field(pattern=SPAN_PATTERN)]], Field(min_length=1)]


class Undone(Event):
    """Events were undone: `replica:seq`, or `replica:first-last` for many; with those of `imports` all they brought in. See `marks`."""

    events: Spans
    imports: list[Annotated[str, Field(pattern=SPAN_PATTERN)]] = Field(default=[], exclude_if=lambda named: not named)
    """Of `events` those that were not here then."""


class Redone(Undone):
    """Events that had been undone were brought back: named as by `Undone`."""


class Erased(Event):
    """The content of events was erased, for good and everywhere: `replica:seq`, or `replica:first-last`. See `erasure`."""

    events: Spans


def _imported(view: View, event: Recorded) -> None:
    data: Imported = event.data
    view.execute(
        "INSERT INTO pystore_import (event_id, time, name, kind, sha256, counts) VALUES (?, ?, ?, ?, ?, ?)",
        (event.id, event.time, data.name, data.kind, data.sha256, codec.encode(data.counts).decode()),
    )


class _OwnTypes:
    """The own types by name and by model. The log itself keeps names and marks, so these have no handlers."""

    def __init__(self, *types: tuple[str, type[Event], list[Handler]]) -> None:
        self.by_type = {name: EventType(name, 1, model, handlers) for name, model, handlers in types}
        self.by_model: dict[type[Event], EventType] = {declared.model: declared for declared in self.by_type.values()}


OWN_TYPES = _OwnTypes(
    (NAMED, Named, []), (IMPORTED, Imported, [_imported]), (UNDONE, Undone, []), (REDONE, Redone, []), (ERASED, Erased, [])
)
