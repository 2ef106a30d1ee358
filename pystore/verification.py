"""Whether what is stored is what was written: every event, what is known of them as a whole, and the view that shows them.

It goes on after damage, and names every event that it finds damaged or missing. All work is cut into slices, between which others
have their turn; appends and queries wait only while the view is copied. What is compared is the log as it was at that moment.
"""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import closing
from itertools import chain, islice, zip_longest
from typing import Any, NamedTuple

from pystore.backup.restore import check_json
from pystore.errors import ConflictError, CorruptError, PyStoreError
from pystore.event import NO_HASH, Head, Recorded, parse_line
from pystore.log import LogState, are_carried_out
from pystore.marks import Order, Span
from pystore.ports import LogStorage, Segment
from pystore.progress import Progress
from pystore.projection import Projection
from pystore.projector import Projector
from pystore.records import Records
from pystore.segment import ends, unpack_pieces
from pystore.view import View
from pystore.waiting import KEY as WAITING

SLICE_EVENTS = 100
"""Events that are looked at, or folded, before others have their turn ..."""
SLICE_BYTES = 256 << 10
"""... or fewer, if they are this long."""
PIECE_BYTES = 1 << 20
"""What is unpacked at once."""
PAGE_ROWS = 200
_NO_ROWS: list[dict[str, Any]] = []
MAX_PROBLEMS = 1000
"""So many are listed."""

_BEGIN = re.compile(rb'\{"replica":"([0-9a-z]{16})","seq":([1-9][0-9]{0,14}),')


async def verify(projection: Projection, on_progress: Progress | None = None) -> dict[str, Any]:
    """See `Store.verify`."""
    storage = projection.log.storage

    async def breathe() -> None:
        await projection.platform.breathe()
        projection.check_open()

    await _take_room(2 * projection.view.size(), breathe)  # for the copy, and for SQLite's own copy of that
    async with projection.exclusive:
        projection.check_open()
        damage = None
        try:
            await projection.catch_up()
        except CorruptError as error:
            damage = error
        state, meta = projection.shown, await storage.meta()
        image = projection.view.image()
    check = _Check(state, breathe, on_progress)
    differing: list[_Row] = []
    await breathe()  # a large image takes its time to be made, and to be taken over
    with closing(View(projection.schema, image)) as shown:
        del image
        await check.log(storage, meta)
        if damage is not None and not check.problems:
            check.report(damage.message, damage.details.get("id"))  # in what another writer added
        if check.is_whole and damage is None:
            with closing(View(projection.schema)) as folded:
                await check.fold(projection, folded)
                differing = await check.compare(shown, folded)
    if differing:
        with closing(View(projection.schema)) as folded:
            await check.explain(projection, folded, differing)
    return check.result()


async def _take_room(size: int, breathe: Callable[[], Awaitable[None]]) -> None:
    """Let so many bytes of memory be this process's own, and free, before they are needed in one piece.

    In a browser it takes several times as long to get memory that was never used as to copy a view into it.
    """
    room = []
    for _ in range(0, size, PIECE_BYTES):
        room.append(bytes(PIECE_BYTES))
        await breathe()


async def verify_log(storage: LogStorage, breathe: Callable[[], Awaitable[None]], on_progress: Progress | None = None) -> dict[str, Any]:
    """`verify` of a log that cannot be opened: without its view. Raises CorruptError if not even its own record can be read."""
    meta = await storage.meta()
    state = LogState.from_meta(meta)
    if state is None:
        raise CorruptError("The log's own record is missing. Restore it from a backup.")
    check = _Check(state, breathe, on_progress)
    await check.log(storage, meta)
    return check.result()


class _Part(NamedTuple):
    """A stored segment, and where its events begin and end in the log's order."""

    first: Order
    last: Order
    body: bytes


class _Row(NamedTuple):
    """A row in which two views differ: its table, the columns of its key, and what is wrong with it."""

    table: str
    key: dict[str, Any]
    why: str


class _Check:
    """One verification of the log in `state`."""

    def __init__(self, state: LogState, breathe: Callable[[], Awaitable[None]], on_progress: Progress | None) -> None:
        self.problems: list[dict[str, Any]] = []
        self._state = state
        self._breathe = breathe
        self._on_progress = on_progress
        self._damaged: set[str] = set()
        self._events = 0
        self._parts: list[_Part] = []
        self.is_whole = False
        """Whether nothing is wrong with any event of the log, whatever else there is."""

    def result(self) -> dict[str, Any]:
        """What was found."""
        return {"sound": not self.problems, "events": self._events, "problems": self.problems[:MAX_PROBLEMS]}

    def report(self, why: str, id_: str | None = None, **about: Any) -> None:
        """Note a problem; of each event one."""
        if id_ is None or id_ not in self._damaged:
            self.problems.append({"id": id_, "why": why, **about})
        if id_ is not None:
            self._damaged.add(id_)

    def is_damaged(self, id_: str) -> bool:
        """Whether a problem with that event is known."""
        return id_ in self._damaged

    def is_to_be_blank(self, event: Recorded) -> bool:
        """Whether it is known that the event was erased."""
        return self._state.erased.erases(event)

    def report_missing(self, replica: str, first: int, last: int) -> None:
        """Note that events are missing, but for those of which it is known why."""
        damaged = sorted(span.first for text in self._damaged if (span := Span.parse(text)) is not None and span.replica == replica)
        for end in [*(seq for seq in damaged if first <= seq <= last), last + 1]:
            if first < end:
                span = Span(replica, first, end - 1)
                self.report(f"Event {span} is missing." if first == end - 1 else f"Events {span} are missing.", str(span), kind="GapError")
            first = end + 1

    def _tell(self, stage: str, done: int, total: int) -> None:
        if self._on_progress is not None:
            self._on_progress(stage, done, total)

    # -- the log

    async def log(self, storage: LogStorage, meta: Records) -> None:
        """Check all that is stored of the log. `meta`: its metadata when it was in the state."""
        chains = _Chains(self)
        is_erased = are_carried_out(meta)
        found = LogState(self._state.log, self._state.epoch, self._state.writer, self._state.name)
        total = self._state.events
        wrong_ends: list[int] = []
        for segment in await self._segments(storage):
            parts: list[Order] = []
            lines, here, problems = 0, 0, len(self.problems)
            async for events, count in self._events_of(segment.body, f"record {segment.number}"):
                lines += count
                known = [event for event in events if self._state.knows(event)]
                for event in known:
                    if parts and event.order <= parts[-1]:
                        self.report(f"Event {event.id} stands in the wrong place.", event.id)
                    parts.append(event.order)
                    chains.take(event)
                    if is_erased and self._state.erased.erases(event) and not event.is_erased:
                        self.report(f"Event {event.id} has content, and should be erased.", event.id)
                found = found.after(sorted(known, key=lambda event: event.order), {}, 0)
                self._events += len(known)
                here += len(known)
                del parts[1:-1]
                self._tell("verify", self._events, total)
                await self._breathe()
            if lines != segment.events and len(self.problems) == problems:
                self.report(f"Record {segment.number} holds {lines:,} events where {segment.events:,} were written.")
            if parts:
                self._parts.append(_Part(parts[0], parts[-1], segment.body))
                if len(self.problems) == problems and here == lines and ends(segment.body) != (parts[0], parts[-1]):
                    wrong_ends.append(segment.number)
        chains.end(self._state.feeds)
        await self._check_replaced(storage, meta)
        self.is_whole = not self.problems
        if self.is_whole:
            # Where an event is wrong, that other records say otherwise is no news.
            for number in wrong_ends:
                self.report(f"Record {number} does not begin and end where it says.")
            self._compare_states(found._replace(feeds=chains.heads()), meta)
        if waiting := meta.unchecked(WAITING):
            async for events, _ in self._events_of(waiting, "the record of events from the future"):
                for event in events:
                    chains.take(event)
                self._events += len(events)
                await self._breathe()
            chains.end({})

    async def _segments(self, storage: LogStorage) -> list[Segment]:
        segments: list[Segment] = []
        after = 0
        is_damaged = is_skipping = False
        while after < self._state.segment:
            try:
                page = await (storage.segments(after, 0) if is_damaged else storage.segments(after))
            except CorruptError as error:
                if is_damaged:  # the first record after that one is no record
                    if not is_skipping:
                        self.report(f"A record after number {after} cannot be read: {error.message}")
                    is_skipping = True
                    after += 1
                is_damaged = True
                continue
            if not page:
                break
            is_skipping = False
            for segment in page:
                # One that was merged after the page before was read.
                while segments and segments[-1].number >= segment.first:
                    segments.pop()
                segments.append(segment)
            after = segments[-1].number
            await self._breathe()
        expected = 1
        for segment in segments:
            if segment.first > expected:
                self._report_missing_records(expected, segment.first - 1)
            expected = segment.number + 1
        if expected <= self._state.segment:
            self._report_missing_records(expected, self._state.segment)
        return segments

    def _report_missing_records(self, first: int, last: int) -> None:
        self.report(f"Record {first} is missing." if first == last else f"Records {first} to {last} are missing.")

    async def _check_replaced(self, storage: LogStorage, meta: Records) -> None:
        try:
            then, now = LogState.from_meta(meta), LogState.from_meta(await storage.meta())
        except CorruptError:
            return  # it is reported where it is compared
        if self._state.segment and (now is None or now.epoch != self._state.epoch):
            raise ConflictError("Everything was replaced while it was checked. Check it again.")
        if now is not None and then is not None and now.erased != then.erased:
            raise ConflictError("Something was erased while everything was checked. Check it again.")

    async def _events_of(self, body: bytes, place: str) -> AsyncIterator[tuple[list[Recorded], int]]:
        """The events of a body in slices, each with how many lines it is from: lines that are none are reported."""
        problems = len(self.problems)
        try:
            async for lines in self._lines_of(body):
                try:
                    check_json(lines)
                    yield [parse_line(line) for line in lines], len(lines)
                except PyStoreError:
                    yield [event for line in lines if (event := self._event_of(line, place)) is not None], len(lines)
        except CorruptError as error:
            if len(self.problems) == problems:
                self.report(f"In {place}: {error.message}")

    def _event_of(self, line: bytes, place: str) -> Recorded | None:
        try:
            check_json([line])
            return parse_line(line)
        except PyStoreError as error:
            begin = _BEGIN.match(line)
            id_ = f"{begin[1].decode()}:{begin[2].decode()}" if begin else None
            self.report(f"{f'Event {id_}' if id_ else f'A line of {place}'} cannot be read: {error.message}", id_, kind=error.code)
            return None

    async def _lines_of(self, body: bytes) -> AsyncIterator[list[bytes]]:
        """The lines of a body, a slice at a time. Raises CorruptError, after those that could be read."""
        rest = b""
        for piece in unpack_pieces(body, PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            for slice_ in _slices(lines):
                yield slice_
            await self._breathe()
        if rest:
            raise CorruptError("A stored record is damaged: its last line is not whole.")

    def _compare_states(self, found: LogState, meta: Records) -> None:
        """Compare what the events say with what was known of the log, and with what stands in its metadata."""
        known = [self._state]
        try:
            stored = LogState.from_meta(meta)
            if stored is not None and stored.segment == self._state.segment:  # not if another tab went on meanwhile
                known.append(stored)
        except PyStoreError as error:
            self.report(error.message)
        whats = {"erased events" for state in known if not all(map(state.erased.covers, found.erased.spans))} | {
            what for state in known for what, ours, theirs in (
                ("ends of its feeds", found.feeds, state.feeds), ("numbers of events", found.counts, state.counts),
                ("newest event", found.newest, state.newest), ("name", (found.named, found.name), (state.named, state.name)),
                ("undone events", found.marks.to_json(), state.marks.to_json()),
            ) if ours != theirs
        }
        for what in sorted(whats):
            self.report(f"The log's own record has other {what} than its events say.")

    # -- the view

    async def fold(self, projection: Projection, view: View) -> None:
        """Fold the log, which was found sound, into an empty view."""
        projector = self._projector_of(projection, view)
        done = 0
        async for events in self._in_order():
            projector.fold(events)
            done += len(events)
            self._tell("project", done, self._state.events)
            await self._breathe()

    def _projector_of(self, projection: Projection, view: View) -> Projector:
        projector = projection.projector_of(view)
        projector.marks, projector.erased = self._state.marks, self._state.erased
        return projector

    async def explain(self, projection: Projection, view: View, rows: Sequence[_Row]) -> None:
        """Report rows, each with the event that was the last to touch it: that shows when the log is folded into an empty view."""
        projector = self._projector_of(projection, view)
        last = view.note_touched((row.table, list(row.key.values())) for row in rows)
        done = 0
        async for events in self._in_order():
            for event in events:
                # Alone: what several ask for is sent to SQLite together.
                view.folding = event.id
                projector.fold([event])
            done += len(events)
            self._tell("explain", done, self._state.events)
            await self._breathe()
        for row, event_id in zip(rows, last(), strict=True):
            told = f"Event {event_id} was the last to touch it." if event_id is not None else "No event made it."
            said = ", ".join(f"{name} {part!r}" for name, part in row.key.items())
            self.problems.append({
                "id": event_id, "why": f"The row of {row.table} with {said} {row.why}. {told}", "table": row.table, "key": row.key,
            })

    async def _in_order(self) -> AsyncIterator[list[Recorded]]:
        group: list[bytes] = []
        end: Order = ("", "")
        for part in sorted(self._parts, key=lambda part: part.first):
            if group and part.first > end:
                async for events in self._merged(group):
                    yield events
                group = []
            group.append(part.body)
            end = max(end, part.last)
        if group:
            async for events in self._merged(group):
                yield events

    async def _merged(self, bodies: Sequence[bytes]) -> AsyncIterator[list[Recorded]]:
        """The events of bodies that overlap in order (usually it is one), a slice at a time."""
        if len(bodies) == 1:
            async for lines in self._lines_of(bodies[0]):
                yield [event for event in map(parse_line, lines) if self._state.knows(event)]
            return
        unpacked = [[line async for lines in self._lines_of(body) for line in lines] for body in bodies]
        ordered = heapq.merge(*(map(parse_line, lines) for lines in unpacked), key=lambda event: event.order)
        while events := list(islice(ordered, SLICE_EVENTS)):
            yield [event for event in events if self._state.knows(event)]

    async def compare(self, shown: View, folded: View) -> list[_Row]:
        """The rows in which the views differ, of each table as many as are listed."""
        differing: list[_Row] = []
        tables = [*shown.tables(), "pystore_conflict", "pystore_import"]
        total = sum(shown.counts().values())
        done = 0
        for table in tables:
            # Rows that one has and the other one does not, so far: few, unless there is much wrong.
            ours: Counter[tuple[Any, ...]] = Counter()
            theirs: Counter[tuple[Any, ...]] = Counter()
            names: list[str] = []
            with closing(shown.pages(table, PAGE_ROWS)) as our_pages, closing(folded.pages(table, PAGE_ROWS)) as their_pages:
                for one, other in zip_longest(our_pages, their_pages, fillvalue=_NO_ROWS):
                    if one != other:
                        names = list((one or other)[0])
                        _part(one, ours, theirs)
                        _part(other, theirs, ours)
                    done += len(one)
                    self._tell("compare", min(done, total), total)
                    await self._breathe()
            differing += await self._differing(table, shown.key_of(table), names, ours, theirs)
        return differing

    async def _differing(
        self, table: str, key: list[str], names: list[str], ours: Iterable[tuple[Any, ...]], theirs: Iterable[tuple[Any, ...]]
    ) -> list[_Row]:
        async def by_key(rows: Iterable[tuple[Any, ...]]) -> dict[tuple[Any, ...], dict[str, Any]]:
            found = {}
            for number, values in enumerate(rows, 1):
                row = dict(zip(names, values, strict=True))
                found[tuple(row[name] for name in key)] = row
                if number % PAGE_ROWS == 0:
                    await self._breathe()
            return found

        shown, right = await by_key(ours), await by_key(theirs)
        differing = []
        for value in islice(chain(shown, (value for value in right if value not in shown)), MAX_PROBLEMS):
            if value not in right:
                why = "is not what the events say: it should not be there"
            elif value not in shown:
                why = "is missing"
            else:
                wrong = [name for name in names if shown[value][name] != right[value][name]]
                why = f"is not what the events say: {', '.join(wrong)} should be otherwise"
            differing.append(_Row(table, dict(zip(key, value, strict=True)), why))
        return differing


def _part(rows: list[dict[str, Any]], mine: Counter[tuple[Any, ...]], others: Counter[tuple[Any, ...]]) -> None:
    """Take away from what only the other view has what this one has too; what is left of `rows` only this one has, so far."""
    for row in rows:
        values = tuple(row.values())
        if others[values] > 1:
            others[values] -= 1
        elif others.pop(values, 0) == 0:
            mine[values] += 1


class _At(NamedTuple):
    event: Recorded
    hash: bytes
    suspect: str | None
    """The event before, if this one names another: which of the two was altered is known when the next one comes."""
    is_confirmed: bool = False
    """Whether the log's own record names it."""


class _Chains:
    """Goes along the feeds, reports where they are not whole, and goes on behind that."""

    def __init__(self, check: _Check) -> None:
        self._check = check
        self._at: dict[str, _At] = {}

    def heads(self) -> dict[str, Head]:
        """Where the feeds end."""
        return {replica: Head(at.event.seq, at.hash) for replica, at in self._at.items()}

    def take(self, event: Recorded) -> None:
        """Look at the next event."""
        report, at = self._check.report, self._at.get(event.replica)
        seq, hash_ = (at.event.seq, at.hash) if at is not None else (0, NO_HASH)
        suspect = None
        if event.seq <= seq:
            report(f"Event {event.id} comes again.", event.id, kind="ChainError")
            return
        if event.seq > seq + 1:
            self._check.report_missing(event.replica, seq + 1, event.seq - 1)
            self._doubt(at)
        elif event.prev == hash_:
            if at is not None and at.suspect is not None:
                self._blame(at.suspect)
        elif at is None or at.is_confirmed:
            self._blame(event.id)
        elif at.suspect is not None:
            self._blame(at.event.id)
        else:
            suspect = at.event.id
        if not event.digest_holds():
            report(f"Event {event.id} was altered: its content does not match its digest.", event.id, kind="AlteredError")
        if event.is_erased and not self._check.is_to_be_blank(event):
            report(f"Event {event.id} has no content, and nothing says that it was erased.", event.id, kind="AlteredError")
        if at is not None and event.order <= at.event.order:
            report(f"Event {event.id} is dated before the one it follows.", event.id, kind="ChainError")
        self._at[event.replica] = _At(event, event.hash(), suspect)

    def end(self, feeds: Mapping[str, Head]) -> None:
        """The feeds should end here."""
        for replica, head in feeds.items():
            at = self._at.get(replica)
            if at is None or at.event.seq < head.seq:
                self._check.report_missing(replica, at.event.seq + 1 if at is not None else 1, head.seq)
                self._doubt(at)
            elif at.hash != head.hash:
                self._blame(at.event.id)
                self._at[replica] = at._replace(suspect=None)
            else:
                if at.suspect is not None:
                    self._blame(at.suspect)
                self._at[replica] = at._replace(suspect=None, is_confirmed=True)
        for replica, at in self._at.items():
            if replica not in feeds:
                self._doubt(at)

    def _doubt(self, at: _At | None) -> None:
        """Nothing undamaged names this event: if it breaks the chain, it, or the one before it, was altered."""
        if at is not None and at.suspect is not None and not self._check.is_damaged(at.suspect):
            id_ = at.event.id
            self._check.report(f"Event {id_} does not fit to the one before it: one of them was altered.", id_, kind="ChainError")

    def _blame(self, id_: str) -> None:
        self._check.report(f"Event {id_} was altered: it does not fit into its chain.", id_, kind="ChainError")


def _slices(lines: list[bytes]) -> Iterable[list[bytes]]:
    start = size = 0
    for end, line in enumerate(lines, 1):
        size += len(line)
        if end - start >= SLICE_EVENTS or size >= SLICE_BYTES:
            yield lines[start:end]
            start, size = end, 0
    if start < len(lines):
        yield lines[start:]

