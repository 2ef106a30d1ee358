"""Which events are erased: all that any `$erased` event names, whatever order they came in, and for good.

An erased event keeps its envelope, so chains still verify; its salt and its data are gone, and without the salt its digest tells
nothing of them. Marks, erasures and names are not erased: they decide what the log as a whole is, on every replica alike.

A file may bring an erased event without the `$erased` that names it: that one is in a feed which the file does not have, waits for
its time, or was damaged. The line without content says it as well: whoever merges it erases the event. So what is erased is the
union of all that was ever said, in either way, and replicas that exchange their files come to the same in whatever order they do. The
other way, to take the content from who still has it, would converge too, and bring back what somebody removed for good.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Self

from pystore import codec
from pystore.event import Recorded, parse_line
from pystore.marks import REDONE, UNDONE, Span, joined

ERASED = "$erased"
NAMED = "$named"
NEVER_ERASED = (UNDONE, REDONE, ERASED, NAMED)


class Erasures:
    """Erased events, as spans. Immutable."""

    def __init__(self, spans: Iterable[Span] = ()) -> None:
        self.spans = tuple(joined(spans))
        self._by_replica: dict[str, list[Span]] = {}
        for span in self.spans:
            self._by_replica.setdefault(span.replica, []).append(span)

    def __bool__(self) -> bool:
        return bool(self.spans)

    @property
    def stamp(self) -> str:
        """A short text that is another one for other erasures: what was kept under one may hold what is gone under another."""
        return sha256(self.to_json()).hexdigest()[:16]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Erasures) and self.spans == other.spans

    def __hash__(self) -> int:
        return hash(self.spans)

    def and_those_of(self, events: Iterable[Recorded]) -> Erasures:
        """These, and those that `$erased` events among `events` name."""
        return self.and_also(span for event in events if event.type == ERASED for span in spans_in(event))

    def and_told_by(self, events: Iterable[Recorded]) -> Erasures:
        """These, those that `$erased` events among `events` name, and those of `events` that came without content."""
        return self.and_those_of(events).and_also(
            Span(event.replica, event.seq, event.seq) for event in events if event.is_erased and event.type not in NEVER_ERASED
        )

    def and_also(self, spans: Iterable[Span]) -> Erasures:
        """These, and those in `spans`: the same object if it is they."""
        new = [span for span in spans if not self.covers(span)]
        return Erasures((*self.spans, *new)) if new else self

    def covers(self, span: Span) -> bool:
        """Whether all events of a span are among these."""
        spans = self._by_replica.get(span.replica, ())
        at = bisect_right(spans, span.first, key=lambda one: one.first) - 1
        return at >= 0 and span.last <= spans[at].last

    def erases(self, event: Recorded) -> bool:
        """Whether the event is to have no content."""
        if event.replica not in self._by_replica or event.type in NEVER_ERASED:
            return False
        return self.covers(Span(event.replica, event.seq, event.seq))

    def agree(self, other: Erasures, feeds: Mapping[str, int]) -> bool:
        """Whether, of the events up to the numbers in `feeds`, all these are among the other's."""
        if self == other:
            return True
        parts = (span._replace(last=min(span.last, feeds.get(span.replica, 0))) for span in self.spans)
        return all(other.covers(part) for part in parts if part.first <= part.last)

    def to_json(self) -> bytes:
        """As `from_json` takes them."""
        return codec.encode([str(span) for span in self.spans])

    @classmethod
    def from_json(cls, raw: bytes) -> Self:
        """The erasures that `to_json` gave. Raises ValueError or TypeError for anything else."""
        value: Sequence[Any] = codec.decode(raw)
        return cls(span for text in value if (span := Span.parse(text)))


def spans_in(event: Recorded) -> list[Span]:
    """The spans that a `$erased` event names; it may come from a file, or from a newer version."""
    data = codec.decode(event.data_json)
    named = data.get("events") if isinstance(data, dict) else None
    return [span for text in named if (span := Span.parse(text))] if isinstance(named, list) else []


def blank(event: Recorded) -> Recorded:
    """The event without its content. Its hash is the same."""
    return event if event.is_erased else parse_line(event.hashed + b',"salt":null,"data":null}')


def blanked_lines(blob: bytes, erasures: Erasures) -> bytes:
    """Lines in one piece, each ended by a newline, those of events that `erasures` name without their content."""
    if not erasures:
        return blob
    return b"".join([event.line + b"\n" for event in blanked([parse_line(line) for line in blob.split(b"\n")[:-1]], erasures)])


def blanked(events: Sequence[Recorded], erasures: Erasures) -> Sequence[Recorded]:
    """The events, those that `erasures` name without their content: the same object if none of them has any."""
    if not any(erasures.erases(event) and not event.is_erased for event in events):
        return events
    return [blank(event) if erasures.erases(event) else event for event in events]
