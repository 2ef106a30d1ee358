"""The event log: the union of its replicas' feeds, kept as segments, continued by one writer.

Rules that everything here serves:
- What is committed is never changed; a commit is whole or did not happen.
- Segments are numbered 1, 2, 3 ... by `LogStorage.commit`, which refuses a taken number: of two writers one fails, catches up
  and tries again.
- `LogState` is a function of the events, but for `log`, `epoch`, `writer` and `erased`: it is saved with every commit and can be checked
  against them.
- A replica id is used only in unbroken continuation. Whoever cannot be sure of that takes a new one.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NamedTuple

from pystore import codec
from pystore.clock import ZERO, HybridClock
from pystore.erasure import ERASED, NAMED, Erasures, blanked
from pystore.errors import ConflictError, CorruptError, ForgottenError, FormatError, NewerVersionError, PyStoreError, ValidationError
from pystore.event import MAX_LINE_BYTES, Draft, Head, Recorded, check_feed, new_replica_id, parse_line, record
from pystore.marks import Marks, Order, Span
from pystore.ports import Commit, Durability, LogStorage, Segment
from pystore.records import Records
from pystore.segment import EMPTY, events_in, events_in_order, newest_first, pack, unpack_bytes
from pystore.waiting import KEY as WAITING
from pystore.waiting import Waiting

FORMAT = 1
ERASURES = "erased"
"""Under which the log's metadata tell what is erased ..."""
CARRIED_OUT = "erased_done"
"""... and which of these erasures were carried out everywhere, and are said by events of the log."""
FORGOTTEN = "forgotten"
"""Under which they tell that all of it is being removed."""
MAX_NAME = 200
"""Characters of a log's name."""
MAX_TRIES = 10
"""How often something is tried again because other writers were first."""
MERGE_FROM_SEGMENTS = 64
"""How many small segments are merged at once in the background."""
SEGMENT_EVENTS = 4096
"""How many events a merged segment holds: 64-130 kB compressed with ordinary messages, which IndexedDB likes best."""
SEGMENT_BYTES = 2 << 20
"""A merged segment ends here even with fewer events: one value in IndexedDB has a hard limit."""


class LogState(NamedTuple):
    """What is known of a log as a whole. `segment` is the number of its last segment, `named` the place of the event that named it.

    `marks` tell which events are undone. A name is not undone: another one is given. `erased` tells which events have no content, those
    included that waiting events name, that came without content, and that a log had which this one took the place of.
    """

    log: str
    epoch: str
    writer: str
    name: str
    feeds: Mapping[str, Head] = MappingProxyType({})
    counts: Mapping[str, int] = MappingProxyType({})
    newest: Order = (ZERO, "")
    named: Order = (ZERO, "")
    segment: int = 0
    marks: Marks = Marks()
    erased: Erasures = Erasures()

    @property
    def events(self) -> int:
        """How many events the log holds."""
        return sum(self.counts.values())

    def after(self, events: Sequence[Recorded], feeds: Mapping[str, Head], segment: int) -> LogState:
        """The state once `events`, which are in order and moved the feeds to `feeds`, are in the log as well."""
        counts = dict(self.counts)
        name, named, newest = self.name, self.named, self.newest
        for event in events:
            counts[event.type] = counts.get(event.type, 0) + 1
            if event.type == "$named" and event.order > named:
                name, named = name_in(event) or name, event.order
        if events:
            newest = max(newest, events[-1].order)
        marks, erased = self.marks.and_those_of(events), self.erased.and_those_of(events)
        state = self._replace(name=name, named=named, feeds=feeds, counts=counts, newest=newest, segment=segment, marks=marks)
        return state.without(erased)

    def without(self, erased: Erasures) -> LogState:
        """The state if these are the events that have no content."""
        return self._replace(erased=erased, marks=self.marks.without(erased.covers) if erased else self.marks)

    def knows(self, event: Recorded) -> bool:
        """Whether the event is among those that this is the state of."""
        return event.seq <= self.feeds.get(event.replica, _NO_HEAD).seq

    def is_undone(self, event: Recorded) -> bool:
        """Whether the event is undone. Names and erasures never are, whatever names them."""
        return event.type not in (NAMED, ERASED) and self.marks.is_undone(event.replica, event.seq, event.order)

    def shows_the_same(self, marks: Marks) -> bool:
        """Whether of all these events the same ones are undone if `marks` are what counts."""
        return self.marks.agree(marks, {replica: head.seq for replica, head in self.feeds.items()}, self.newest)

    def to_meta(self, before: LogState | None = None) -> dict[str, bytes]:
        """The state as it is kept in the log's metadata; marks and erasures only if they are others than `before`."""
        meta = {"head": self.to_json()}
        if before is None or before.marks is not self.marks:
            meta["marks"] = codec.encode(self.marks.to_json())
        if before is None or before.erased is not self.erased:
            meta[ERASURES] = self.erased.to_json()
        return meta

    @classmethod
    def from_meta(cls, meta: Mapping[str, bytes]) -> LogState | None:
        """The state that is kept in a log's metadata; None if the log was never written. Raises as `from_json`, or ForgottenError."""
        if FORGOTTEN in meta:
            raise ForgottenError("The log is being removed.")
        raw = meta.get("head")
        if raw is None:
            return None
        state = cls.from_json(raw)
        try:
            marks, erased = Marks.from_json(codec.decode(meta.get("marks", b"[]"))), Erasures.from_json(meta.get(ERASURES, b"[]"))
            return state._replace(marks=marks, erased=erased)
        except (ValueError, TypeError) as error:
            raise _damaged_record() from error

    def to_json(self) -> bytes:
        """The state but for its marks and erasures."""
        return codec.encode({
            "format": FORMAT, "log": self.log, "epoch": self.epoch, "writer": self.writer, "name": self.name, "segment": self.segment,
            "newest": list(self.newest), "named": list(self.named), "events": self.events, "counts": dict(self.counts),
            "replicas": {replica: {"seq": head.seq, "hash": head.hash.decode()} for replica, head in self.feeds.items()},
        })

    @classmethod
    def from_json(cls, raw: bytes) -> LogState:
        """The state of what `to_json` gave. Raises CorruptError, or NewerVersionError for a later format."""
        try:
            value = codec.decode(raw)
            if value["format"] > FORMAT:
                raise NewerVersionError("This log was written by a newer pystore, in a form this one does not know. Update pystore.")
            return cls(
                value["log"], value["epoch"], value["writer"], value["name"],
                {replica: Head(head["seq"], head["hash"].encode()) for replica, head in value["replicas"].items()},
                value["counts"], _order(value["newest"]), _order(value["named"]), value["segment"],
            )
        except PyStoreError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise _damaged_record() from error


def are_carried_out(meta: Records) -> bool:
    """Whether the erasures that a log's metadata tell of were carried out everywhere, and are said by its events."""
    try:
        return meta.get(ERASURES) == meta.get(CARRIED_OUT)
    except CorruptError:
        return False  # to carry them out once more does no harm


def _damaged_record() -> CorruptError:
    return CorruptError("The log's own record is damaged. Restore it from a backup.")


_NO_HEAD = Head()


def _order(value: Sequence[str]) -> tuple[str, str]:
    hlc, replica = value
    return hlc, replica


def name_in(event: Recorded) -> str | None:
    """The name that a `$named` event gives, if it gives one: it may come from a file, or from a newer version."""
    data = codec.decode(event.data_json)
    name = data.get("name") if isinstance(data, dict) else None
    return name if isinstance(name, str) and 0 < len(name) <= MAX_NAME else None


class EventLog:
    """One log over its storage. `state` is what this process knows; another writer may be ahead until `catch_up`."""

    def __init__(self, storage: LogStorage, state: LogState, clock: HybridClock, waiting: bytes = b"") -> None:
        self.storage = storage
        self.state = state
        self.clock = clock
        self._waiting_raw = waiting
        self._waiting: Waiting | None = None
        self._erased_there = state.erased
        clock.see(state.newest[0])

    @classmethod
    async def open(cls, storage: LogStorage, log: str, name: str, clock: HybridClock) -> EventLog:
        """The log in `storage`; a new one, not yet written anywhere, if there is none."""
        return cls.of(await storage.meta(), storage, log, name, clock)

    @classmethod
    def of(cls, meta: Records, storage: LogStorage, log: str, name: str, clock: HybridClock) -> EventLog:
        """The log in `storage`, of which `meta` was just read."""
        state = LogState.from_meta(meta) or LogState(log, new_epoch(), new_replica_id(), name)
        return cls(storage, state, clock, meta.unchecked(WAITING))

    @property
    def waiting(self) -> Waiting:
        """What waits beside the log. Raises CorruptError."""
        if self._waiting is None:
            try:
                self._waiting = Waiting.from_meta(self._waiting_raw, self.state.feeds)
            except FormatError as error:
                raise CorruptError("The record of events from the future is damaged. Restore the log from a backup.") from error
        return self._waiting

    def _note_waiting(self, raw: bytes) -> None:
        if raw != self._waiting_raw:
            self._waiting_raw, self._waiting = raw, None

    @property
    def whole(self) -> LogState:
        """The state that the log would be in if nothing waited."""
        waiting = self.waiting
        return self.state.after(waiting.events, {**self.state.feeds, **waiting.feeds}, self.state.segment)

    # -- appending

    def record(self, drafts: Sequence[Draft], state: LogState) -> tuple[list[Recorded], LogState]:
        """The events of `drafts` as they will stand after `state`, and the state then. Nothing is stored.

        Raises ValidationError for an event too large for a line.
        """
        writer = state.writer
        if writer in self.waiting.feeds:
            # Its feed goes on in what waits: recorded by this log before it was restored from an older state of itself.
            writer = new_replica_id()
            state = state._replace(writer=writer)
        events, head = record(drafts, self.clock.tick(len(drafts)), writer, state.feeds.get(writer, Head()))
        for event in events:
            if len(event.line) > MAX_LINE_BYTES:
                raise ValidationError(f"The event {event.type} was not taken: it is larger than one event may be.", type=event.type)
        return events, state.after(events, {**state.feeds, writer: head}, state.segment)

    async def commit(
        self, events: Sequence[Recorded], state: LogState, batches: Mapping[str, bytes], meta: Mapping[str, bytes], durability: Durability
    ) -> None:
        """Store `events`, which lead to `state`, as the next segment. Raises as `LogStorage.commit`; on ConflictError catch up."""
        number = self.state.segment + 1
        state = state._replace(segment=number)
        segment = Segment(number, number, len(events), pack([event.line for event in events], level=1))
        before = self.state if self.state.segment else None  # of a log that was never written nothing is kept
        await self.storage.commit(
            Commit(add=[segment], meta={**state.to_meta(before), **meta}, batches=batches, durability=durability)
        )
        self.state = state

    # -- reading

    async def tail(self, start: LogState) -> AsyncIterator[tuple[list[Recorded], LogState]]:
        """The events after `start`, a segment at a time, checked, each with the state after it.

        Raises CorruptError, naming the place, where a segment is missing, damaged, or does not continue its feeds.
        """
        state = start
        while True:
            segments = await self.storage.segments(state.segment)
            if not segments:
                return
            for segment in segments:
                if segment.first > state.segment + 1:
                    raise _missing(state.segment + 1)
                feeds = dict(state.feeds)
                try:
                    # A segment merged meanwhile may begin with what is known already.
                    events = [event for event in events_in(segment.body) if event.seq > feeds.get(event.replica, Head()).seq]
                    check_feed(events, feeds)
                except FormatError as error:
                    raise CorruptError(
                        f"A stored record is damaged: {error.message}", segment=segment.number, kind=error.code, **error.details
                    ) from error
                state = state.after(events, feeds, segment.number)
                yield events, state

    async def catch_up(self) -> list[Recorded] | None:
        """Events that others committed since, in order; the state is moved on. None if the log as a whole is another now: open it anew."""
        events: list[Recorded] = []
        state, damage = self.state, None
        try:
            async for newer, state_then in self.tail(state):
                events += newer
                state = state_then
        except CorruptError as error:
            damage = error
        if await self.is_replaced():
            return None
        if damage is not None:
            raise damage
        erased = state.erased.and_also(self._erased_there.spans)
        self.state = state if erased is state.erased else state.without(erased)
        self.clock.see(state.newest[0])
        return sorted(events, key=lambda event: event.order)

    async def is_replaced(self) -> bool:
        """Whether the storage holds another log than the one that `state` is of: replaced, begun by another, or removed.

        What waits there, and what is erased, is taken note of: so it is asked after the segments were read.
        """
        meta = await self.storage.meta()
        self._note_waiting(meta.unchecked(WAITING))
        stored = LogState.from_meta(meta)
        if stored is None:
            return self.state.segment > 0
        self._erased_there = stored.erased
        return stored.epoch != self.state.epoch

    async def all_segments(self, after: int = 0, *, whole: bool = True) -> list[Segment]:
        """Every segment with a number above `after`, bodies packed as they are stored: all events as of one moment, each once.

        Raises CorruptError if one is missing, unless they need not be `whole`.
        """
        segments: list[Segment] = []
        missing = after + 1
        while page := await self.storage.segments(after):
            for segment in page:
                # One that was merged, or put in place of all, after the page before was read.
                while segments and segments[-1].number >= segment.first:
                    segments.pop()
                expected = segments[-1].number + 1 if segments else missing
                if whole and segment.first > expected:
                    raise _missing(expected)
                segments.append(segment)
            after = segments[-1].number
        return segments

    async def newest_first(self, skip: int = 0) -> AsyncIterator[list[Recorded]]:
        """All events but the newest `skip`, newest first, in lists: each is unpacked when its turn comes."""
        segments = [segment for segment in await self.all_segments() if segment.events]
        for events in newest_first([segment.body for segment in segments], [segment.events for segment in segments], skip):
            yield events

    async def events_by_id(self, ids: Iterable[str]) -> dict[str, Recorded]:
        """The events with these ids, as far as they are there. The cost follows how far back they are.

        Raises CorruptError if one is not found, and records are damaged in which it may be.
        """
        wanted = {f'\n{{"replica":"{span.replica}","seq":{span.first},'.encode() for text in ids if (span := Span.parse(text))}
        found: dict[str, Recorded] = {}
        damage: CorruptError | None = None
        for segment in reversed(await self.all_segments(whole=False) if wanted else []):
            if not wanted:
                break
            try:
                blob = b"\n" + unpack_bytes(segment.body)
            except CorruptError as error:
                damage = error
                continue
            for begin in [begin for begin in wanted if begin in blob]:
                at = blob.index(begin) + 1
                event = parse_line(blob[at : blob.index(b"\n", at)])
                found[event.id] = event
                wanted.remove(begin)
        if wanted and damage is not None:
            raise damage
        return found

    # -- adding others' events

    async def add(
        self, segments: Sequence[bytes], state: LogState, events: Sequence[int], waiting: Waiting, *, instead: bool,
        meta: Mapping[str, bytes],
    ) -> None:
        """Store verified bodies, holding `events` each, that lead to `state`, and what waits beside the log then, in one commit.

        `instead` of all there is, or after it. Raises as `LogStorage.commit`.
        """
        number = self.state.segment
        if not segments:
            segments, events = [EMPTY], [0]  # the number that it takes tells other writers
        waits = waiting.to_meta()
        added = [Segment(number + i, number + i, count, body) for i, (body, count) in enumerate(zip(segments, events, strict=True), 1)]
        state = state._replace(segment=number + len(added))
        if instead:
            # What was written under the old writer may be known elsewhere and continue there.
            state = state._replace(epoch=new_epoch(), writer=new_replica_id())
            # Numbers go on, so that a reader of the old log notices; the first new segment stands for all before it.
            added[0] = replace(added[0], first=1)
        delete = [segment.number for segment in await self.all_segments()] if instead else []
        meta = {**state.to_meta(), "merged_upto": b"0", WAITING: waits, **({CARRIED_OUT: b""} if instead else {}), **meta}
        await self.storage.commit(Commit(add=added, delete=delete, meta=meta))
        self.state = state
        self._note_waiting(waits)
        self.clock.see(state.newest[0])

    # -- upkeep

    async def merge_segments(self) -> bool:
        """Merge small neighbouring segments into larger ones, in one commit that changes no event; whether there was enough to do."""
        meta = await self.storage.meta()
        merged_upto = int(meta.get("merged_upto", b"0"))
        small: list[Segment] = []
        after = merged_upto
        while page := await self.storage.segments(after):
            small += page
            after = page[-1].number
        if len(small) < MERGE_FROM_SEGMENTS:
            return False
        *full, rest = _groups(small)
        groups = [group for group in (*full, rest) if len(group) > 1]
        merged = {"merged_upto": str(full[-1][-1].number if full else merged_upto).encode()}
        try:
            await self._rewrite([_merged(group) for group in groups], [part for group in groups for part in group], meta, merged, "relaxed")
        except ConflictError:
            return False  # another tab did it
        return True

    async def _rewrite(
        self, add: Sequence[Segment], instead: Sequence[Segment], read: Mapping[str, bytes], meta: Mapping[str, bytes],
        durability: Durability = "strict",
    ) -> None:
        """Put segments in the place of others that hold the same events, if nobody else did so since the metadata were `read`.

        Raises ConflictError otherwise: a segment that keeps its number may have got another content.
        """
        turn = int(read.get("rewrites", b"0")) + 1
        await self.storage.commit(Commit(
            add=add, delete=[segment.number for segment in instead], meta={**meta, "rewrites": b"%d" % turn},
            batches={f"$rewrite-{turn}": b""}, durability=durability,
        ))

    async def blank_erased(self, breathe: Callable[[], Awaitable[None]]) -> Erasures:
        """Remove the content of erased events from all segments and from what waits, in one commit; the erasures that events here tell.

        Raises CorruptError if a record is damaged: after it was done in all others.
        """
        for _ in range(MAX_TRIES):
            meta = await self.storage.meta()
            erased, said = self.state.erased, Erasures()
            changed = []
            damage: PyStoreError | None = None
            for segment in await self.all_segments(whole=False):
                try:
                    events = events_in(segment.body)
                except CorruptError as error:
                    damage = error
                    continue
                rest = blanked(events, erased)
                said = said.and_told_by(rest)
                if rest is not events:
                    changed.append((segment, replace(segment, body=pack([event.line for event in rest]))))
                await breathe()
            about: dict[str, bytes] = {}
            try:
                waiting = Waiting.from_meta(meta.unchecked(WAITING), self.state.feeds)
                waits = blanked(waiting.events, erased)
                said = said.and_told_by(waits)
                if waits is not waiting.events:
                    about = {WAITING: Waiting(tuple(waits)).to_meta()}
            except (CorruptError, FormatError) as error:
                damage = error
            if changed or about:
                try:
                    await self._rewrite([new for _, new in changed], [old for old, _ in changed], meta, about)
                except ConflictError:
                    continue
                self._note_waiting(about.get(WAITING, self._waiting_raw))
            if damage is not None:
                raise CorruptError(damage.message, **damage.details)
            return said
        raise ConflictError("Other tabs keep writing at the same time. Try again.")


def _groups(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Neighbours that make one segment each; only the last group (perhaps empty) has room for more."""
    groups: list[list[Segment]] = [[]]
    events = size = 0
    for segment in segments:
        groups[-1].append(segment)
        events += segment.events
        size += len(segment.body)
        if events >= SEGMENT_EVENTS or size >= SEGMENT_BYTES:
            groups.append([])
            events = size = 0
    return groups


def _merged(group: Sequence[Segment]) -> Segment:
    events = list(events_in_order(part.body for part in group))
    return Segment(group[-1].number, group[0].first, len(events), pack([event.line for event in events]))


def _missing(number: int) -> CorruptError:
    return CorruptError(f"A stored record is missing (number {number}). Restore the log from a backup.", segment=number)


def new_epoch() -> str:
    """A random name for one life of a log, from its beginning or its replacement on."""
    return os.urandom(8).hex()
