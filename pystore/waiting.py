"""Events from too far in the future: kept beside the log, in its metadata, until the local clock has come near them.

Somebody's clock is wrong, or was. Such events do not move this log's clock and stand neither in its state nor in its view. But they are
known: a file that brings them again adds nothing, one that goes on after them waits behind them, and a save writes them like all
others. Each continues its replica's feed, as it is in the log or behind another one that waits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from pystore.clock import ms_of
from pystore.event import Head, Recorded
from pystore.segment import events_in, pack

KEY = "waiting"
"""Under which they are kept in the log's metadata."""
MAX_BYTES = 16 << 20
"""How much may wait, as lines: metadata are read as a whole."""


@dataclass(frozen=True)
class Waiting:
    """Events that wait, in the log's order."""

    events: tuple[Recorded, ...] = ()

    @classmethod
    def of(cls, events: Iterable[Recorded]) -> Waiting:
        """These events, in whatever order they come."""
        return cls(tuple(sorted(events, key=lambda event: event.order)))

    @classmethod
    def from_meta(cls, raw: bytes, feeds: Mapping[str, Head]) -> Waiting:
        """What `to_meta` gave, but for what stands in `feeds` by now. Raises CorruptError or FormatError."""
        return cls(tuple(event for event in events_in(raw) if event.seq > feeds.get(event.replica, Head()).seq)) if raw else _NOTHING

    def to_meta(self) -> bytes:
        """The events as they are kept in the log's metadata."""
        return self.body() if self.events else b""

    def body(self) -> bytes:
        """The events as the body of a segment."""
        return pack([event.line for event in self.events])

    @cached_property
    def feeds(self) -> dict[str, Head]:
        """Where the feeds end of those replicas that have events here."""
        ends = {event.replica: event for event in self.events}
        return {replica: Head(event.seq, event.hash()) for replica, event in ends.items()}

    @cached_property
    def size(self) -> int:
        """Bytes of the lines."""
        return sum(len(event.line) for event in self.events)

    def find(self, replica: str, seq: int) -> Recorded | None:
        """The event of that number, if it is here."""
        return next((event for event in self.events if event.replica == replica and event.seq == seq), None)

    def without(self, events: Iterable[Recorded]) -> Waiting:
        """What is left when `events` do not wait any more."""
        gone = {event.id for event in events}
        return Waiting(tuple(event for event in self.events if event.id not in gone))

    def due(self, feeds: Mapping[str, Head], horizon_ms: int) -> list[Recorded]:
        """Those, in order, that are dated before the horizon and continue `feeds`."""
        heads = dict(feeds)
        due = []
        for event in self.events:
            if not is_future(event, horizon_ms) and (event.seq - 1, event.prev) == heads.get(event.replica, Head()):
                heads[event.replica] = Head(event.seq, event.hash())
                due.append(event)
        return due


_NOTHING = Waiting()


def is_future(event: Recorded, horizon_ms: int) -> bool:
    """Whether the event is dated after the horizon: the local wall clock and as much as others' clocks may be ahead of it."""
    return ms_of(event.hlc) > horizon_ms
