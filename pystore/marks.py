"""Which events are undone: a function of the set of `$undone`, `$redone` and `$imported` events alone, whatever order they came in.

The marks of a log are gone through from the newest to the oldest, in the log's order. A mark that a newer one has undone does
nothing. Of the others that name an event, the newest decides whether it is undone. A mark has no effect on what sorts after it.
So an undo can be undone, by anyone, and can be there before what it undoes has arrived.

A mark of a whole import names all that it brought in. Whoever makes one where the import has not arrived cannot know what that is:
such a mark says which of the events that it names would stand for more, and what they brought in is looked up wherever they are.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self

from pystore import codec
from pystore.event import REPLICA_PATTERN, Recorded

Order = tuple[str, str]
"""A place in the log's one total order: `(hlc, replica)`."""
UNDONE, REDONE, IMPORTED = "$undone", "$redone", "$imported"
SPAN_PATTERN = rf"^{REPLICA_PATTERN.pattern}:[1-9][0-9]{{0,14}}(-[1-9][0-9]{{0,14}})?$"
_SPAN = re.compile(SPAN_PATTERN)


class Span(NamedTuple):
    """Events of one replica, by number: `replica:first-last`, or `replica:seq` for one."""

    replica: str
    first: int
    last: int

    @classmethod
    def parse(cls, text: object) -> Self | None:
        """The span that `text` names; None if it names none."""
        if not isinstance(text, str) or _SPAN.fullmatch(text) is None:
            return None
        replica, numbers = text.split(":")
        first, _, last = numbers.partition("-")
        return cls(replica, int(first), int(last or first)) if int(last or first) >= int(first) else None

    def __str__(self) -> str:
        return f"{self.replica}:{self.first}" if self.first == self.last else f"{self.replica}:{self.first}-{self.last}"


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same events in as few spans as possible, sorted."""
    result: list[Span] = []
    for span in sorted(spans):
        if result and result[-1].replica == span.replica and span.first <= result[-1].last + 1:
            result[-1] = result[-1]._replace(last=max(result[-1].last, span.last))
        else:
            result.append(span)
    return result


class Mark(NamedTuple):
    """One `$undone` or `$redone` event: its place, its own number, what it names, and of which imports all that they brought in."""

    hlc: str
    replica: str
    seq: int
    undone: bool
    spans: tuple[Span, ...]
    imports: tuple[Span, ...] = ()

    @property
    def order(self) -> Order:
        """Its place in the log's order."""
        return (self.hlc, self.replica)

    @property
    def id(self) -> str:
        """Its event's id."""
        return f"{self.replica}:{self.seq}"


class Import(NamedTuple):
    """One `$imported` event: its place, its own number, and what it brought in."""

    hlc: str
    replica: str
    seq: int
    spans: tuple[Span, ...]


def mark_of(event: Recorded) -> Mark | None:
    """The mark that an event is; None if it is another event, was erased, or is of a version not known here."""
    if event.type not in (UNDONE, REDONE) or event.v != 1 or event.is_erased:
        return None
    spans, imports = joined(_named(event, "events")), sorted(set(_named(event, "imports")))
    return Mark(event.hlc, event.replica, event.seq, event.type == UNDONE, tuple(spans), tuple(imports))


def import_of(event: Recorded) -> Import | None:
    """The import that an event stands for; None as `mark_of`."""
    if event.type != IMPORTED or event.v != 1 or event.is_erased:
        return None
    return Import(event.hlc, event.replica, event.seq, tuple(joined(_named(event, "events"))))


def _named(event: Recorded, key: str) -> tuple[Span, ...]:
    """What an event names under `key`; it may come from a file, or from a newer version."""
    data = codec.decode(event.data_json)
    named = data.get(key) if isinstance(data, dict) else None
    return _parsed(named) if isinstance(named, list) else ()


AFTER_ALL = "~"
"""After every time stamp."""


class _Decision(NamedTuple):
    first: int
    last: int
    by: Mark


def _by_replica(marks: Iterable[Mark]) -> dict[str, list[Mark]]:
    by_replica: dict[str, list[Mark]] = {}
    for mark in marks:
        by_replica.setdefault(mark.replica, []).append(mark)
    return by_replica


class Marks:
    """All marks of a log, and what they come to, with all its imports, which some may name. Immutable."""

    def __init__(self, marks: Iterable[Mark] = (), imports: Iterable[Import] = ()) -> None:
        self.all: tuple[Mark, ...] = tuple(sorted(set(marks)))
        self.imports: Mapping[tuple[str, int], Import] = {(one.replica, one.seq): one for one in sorted(imports)}
        """By replica and number."""
        self._decisions: dict[str, list[_Decision]] = {}
        """By replica: what was decided of which numbers, rising, without overlap."""
        for mark in reversed(self.all):
            if not self.is_undone(mark.replica, mark.seq, mark.order):
                for span in self._named_by(mark):
                    self._decide(span, mark)

    def _named_by(self, mark: Mark) -> Iterator[Span]:
        """All that a mark names: of imports that sort before it, what they brought in as well."""
        yield from mark.spans
        for span in mark.imports:
            imported = self.imports.get((span.replica, span.first))
            if imported is not None and (imported.hlc, imported.replica) < mark.order:
                yield from imported.spans

    def _decide(self, span: Span, by: Mark, *, over: bool = False) -> None:
        """Let `by` decide of `span`: what nothing is decided of, or (`over`) all of it."""
        decisions = self._decisions.setdefault(span.replica, [])
        at = bisect_left(decisions, span.first, key=lambda decision: decision.last)
        end = bisect_right(decisions, span.last, lo=at, key=lambda decision: decision.first)
        there = decisions[at:end]
        if over:
            before = [one._replace(last=span.first - 1) for one in there[:1] if one.first < span.first]
            after = [one._replace(first=span.last + 1) for one in there[-1:] if one.last > span.last]
            decisions[at:end] = [*before, _Decision(span.first, span.last, by), *after]
            return
        filled: list[_Decision] = []
        free = span.first
        for decision in there:
            if free < decision.first:
                filled.append(_Decision(free, decision.first - 1, by))
            filled.append(decision)
            free = decision.last + 1
        if free <= span.last:
            filled.append(_Decision(free, span.last, by))
        decisions[at:end] = filled

    def _with_newer(self, new: Sequence[Mark]) -> Marks | None:
        """These and `new` ones, if that is only a matter of these: they come after all, in order, and name no mark."""
        seqs = {replica: sorted(mark.seq for mark in marks) for replica, marks in _by_replica((*self.all, *new)).items()}
        names_mark = any(
            bisect_left(of_replica, span.first) < bisect_right(of_replica, span.last)
            for mark in new for span in self._named_by(mark) if (of_replica := seqs.get(span.replica))
        )
        if names_mark or (self.all and new[0] <= self.all[-1]):
            return None
        both = Marks()
        both.all, both.imports = (*self.all, *new), self.imports
        both._decisions = {replica: list(decisions) for replica, decisions in self._decisions.items()}
        for mark in new:
            for span in self._named_by(mark):
                both._decide(span, mark, over=True)
        return both

    def __bool__(self) -> bool:
        return bool(self.all)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Marks) and self.all == other.all and self.imports == other.imports

    def __hash__(self) -> int:
        return hash(self.all)

    def and_those_of(self, events: Iterable[Recorded]) -> Marks:
        """These marks and imports, and those among `events`."""
        own = [event for event in events if event.type in (UNDONE, REDONE, IMPORTED)]
        new = sorted({mark for event in own if (mark := mark_of(event))})
        if imports := [imported for event in own if (imported := import_of(event))]:
            return Marks((*self.all, *new), (*self.imports.values(), *imports))
        return (self._with_newer(new) or Marks((*self.all, *new), self.imports.values())) if new else self

    def without(self, is_erased: Callable[[Span], bool]) -> Marks:
        """These, but for imports that were erased: nothing tells any more what they brought in."""
        kept = [one for one in self.imports.values() if not is_erased(Span(one.replica, one.seq, one.seq))]
        return self if len(kept) == len(self.imports) else Marks(self.all, kept)

    def until(self, moment: Order) -> Marks:
        """The marks up to `moment`, inclusive: what was undone then."""
        kept = [mark for mark in self.all if mark.order <= moment]
        return self if len(kept) == len(self.all) else Marks(kept, self.imports.values())

    def undone_by(self, replica: str, seq: int, order: Order) -> Mark | None:
        """The mark by which the event at `order` is undone; None if it is not."""
        decisions = self._decisions.get(replica)
        if not decisions:
            return None
        at = bisect_right(decisions, seq, key=lambda decision: decision.first) - 1
        if at < 0 or decisions[at].last < seq:
            return None
        by = decisions[at].by
        return by if by.undone and by.order > order else None

    def is_undone(self, replica: str, seq: int, order: Order) -> bool:
        """Whether the event at `order` is undone."""
        return bool(self._decisions) and self.undone_by(replica, seq, order) is not None

    def agree(self, other: Marks, feeds: Mapping[str, int], newest: Order) -> bool:
        """Whether both say the same of all events up to the numbers in `feeds`, none of which sorts after `newest`.

        May be False although they do, where different marks that are not newer than `newest` undo the same events.
        """
        if self == other:
            return True
        return all(
            self._verdicts(replica, last, newest) == other._verdicts(replica, last, newest) for replica, last in feeds.items()
        )

    def _verdicts(self, replica: str, last: int, newest: Order) -> list[tuple[int, Order | None]]:
        """What is said of the numbers 1 to `last`: each change of it, as `(from number, None or since when undone)`."""
        said: dict[int, Order | None] = {1: None}
        for first, end, by in self._decisions.get(replica, ()):
            if by.undone:
                # By which mark after `newest` makes no difference: each undoes all of them.
                said[first] = by.order if by.order <= newest else (AFTER_ALL, "")
                said[end + 1] = None
        changes: list[tuple[int, Order | None]] = []
        for at, verdict in said.items():
            if at <= last and (not changes or changes[-1][1] != verdict):
                changes.append((at, verdict))
        return changes

    def to_json(self) -> list[Any]:
        """As `from_json` takes them."""
        return [
            *([mark.hlc, mark.replica, mark.seq, mark.undone, _texts(mark.spans), *_texts(mark.imports)] for mark in self.all),
            *([one.hlc, one.replica, one.seq, None, _texts(one.spans)] for one in self.imports.values()),
        ]

    @classmethod
    def from_json(cls, value: Sequence[Any]) -> Marks:
        """The marks that `to_json` gave. Raises ValueError or TypeError for anything else."""
        marks, imports = [], []
        for hlc, replica, seq, undone, spans, *named in value:
            if undone is None:
                imports.append(Import(hlc, replica, seq, _parsed(spans)))
            else:
                marks.append(Mark(hlc, replica, seq, undone, _parsed(spans), _parsed(named)))
        return cls(marks, imports)


def _texts(spans: Iterable[Span]) -> list[str]:
    return [str(span) for span in spans]


def _parsed(texts: Iterable[object]) -> tuple[Span, ...]:
    return tuple(span for text in texts if (span := Span.parse(text)))

