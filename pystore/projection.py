"""A log and the view that shows it, kept together: opening, catching up, folding anew, checkpoints.

Rules that everything here serves:
- The view shows exactly the log in the state `shown`. Where work was cut short and that is not the log's state, the view is made anew
  before anything else is done.
- Whoever changes either across an `await` holds `exclusive`.
- Long folds go on a copy, or anew, and the result is shown as a whole: a query sees one moment.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import closing
from hashlib import sha256
from typing import NamedTuple

from pystore import codec, versions
from pystore.checkpoints import NEAR_EVENTS, Checkpoints, Kept
from pystore.clock import HybridClock
from pystore.erasure import Erasures
from pystore.errors import ClosedError, ConflictError, CorruptError, ReadOnlyError
from pystore.event import Head, Recorded
from pystore.live import LiveQueries
from pystore.log import MAX_TRIES, EventLog, LogState
from pystore.marks import Marks, Order, Span, joined
from pystore.ports import Commit, LogStorage, Platform, Segment
from pystore.progress import Progress
from pystore.projector import BeforeEach, Projector
from pystore.records import Records
from pystore.schema import Schema
from pystore.segment import ends, events_of, has_later, runs_in_order, unpack_bytes
from pystore.versions import VersionDocument
from pystore.view import View

OLDER = "The data are of an older version of this application."
CHECKPOINT_AFTER_EVENTS = 500
CHECKPOINT_AFTER_SHARE = 50
"""A checkpoint is due when the events since the last one exceed both numbers: the second is a share, 1/50 of the log."""
CHECKPOINTS_OF_A_FOLD = 4
"""A long fold leaves a checkpoint after each such part of the log."""
FAR_EVENTS = 32_000
"""Checkpoints farther from each other than this, and than a third of the log, have others put between them."""
LATE_EVENTS = 1100
"""So far from the end a checkpoint is left for what comes a little late, unless there is one not much farther."""
FOLD_SLICE = 500
"""Events folded before other work gets its turn: about 10 ms."""


class Folded(NamedTuple):
    """A view that was made: the state of the log from which it was folded on, and the one it shows."""

    view: View
    start: LogState
    shown: LogState


class Projection:
    """The log in `storage`, new if there is none, and its view. Make it with `Projection.open`."""

    def __init__(
        self, schema: Schema, log: EventLog, platform: Platform, *, read_only: bool, before_each: BeforeEach | None,
        quarantine: Sequence[str],
    ) -> None:
        self.schema = schema
        self.log = log
        self.platform = platform
        self._opened_for = "It was opened for reading only." if read_only else None
        self.read_only: str | None = self._opened_for
        """Why nothing can be written, or None. That may change when another tab is of a newer version."""
        self.is_older = False
        """Whether the data are of an older version of the application. Then nothing is written before they are migrated."""
        self.migration_failure: str | None = None
        """Why that could not be done, if it was tried."""
        self.live = LiveQueries()
        self.document: VersionDocument = versions.new_document(schema, platform.name)
        self.exclusive = asyncio.Lock()
        """Held by whoever changes the log or the view across an `await`."""
        self.closed = False
        self.hidden: Exception | None = None
        """Why nothing is shown: something was erased, and the view could not be made anew without it. None otherwise."""
        self._before_each = before_each
        self._quarantine = frozenset(quarantine)
        self.checkpoints = Checkpoints(log.storage, self._fingerprint())
        self._checkpointed = self._filled = 0
        self.setback: Exception | None = None
        """Why the view could not be made anew after a commit, or a checkpoint be kept on the way, or None. It costs time only."""
        self._listeners: list[Callable[[], None]] = []
        self._noted: LogState | None = None
        self.view = View(schema)
        self.projector = self.projector_of(self.view)
        self.shown = log.state
        """The state of the log that the view shows. Another than the log's only if work was cut short: then the view is made anew."""

    @classmethod
    async def open(
        cls, schema: Schema, storage: LogStorage, log: str, name: str, platform: Platform, *, read_only: bool,
        before_each: BeforeEach | None, quarantine: Sequence[str], on_progress: Progress | None,
    ) -> Projection:
        """The log and its view, up to date with everything committed. Raises NewerVersionError, CorruptError, or another StorageError."""
        meta = await storage.meta()
        event_log = EventLog.of(meta, storage, log, name, HybridClock(platform.now_ms))
        projection = cls(schema, event_log, platform, read_only=read_only, before_each=before_each, quarantine=quarantine)
        try:
            projection._take_versions(meta)
            while not await projection._load_view(on_progress):
                projection.log = await EventLog.open(storage, log, name, event_log.clock)
        except BaseException:
            projection.close()
            raise
        return projection

    async def note_shown(self) -> None:
        """Note in the log's metadata what this version shows, for the next one: see `versions.Shown`. For one who holds `exclusive`."""
        state = self.log.state
        if self.read_only is None and self.shown is state and self._noted is not state and state.segment > 0:
            aside = [Span(replica, seq, seq) for replica, seq, _ in self.view.conflicts()]
            shown = versions.Shown(
                epoch=state.epoch, segment=state.segment, app=self.schema.app, records=self.view.counts(),
                conflicts=[str(span) for span in joined(aside)],
            )
            await self.log.storage.commit(Commit(meta=shown.to_meta(), durability="relaxed"))
            self._noted = state

    async def counted(self) -> tuple[dict[str, int], int]:
        """How many rows the tables have, and how many events are set aside. For one who holds `exclusive` and has caught up.

        Of data of an older version, what that one showed, if it is known: this one may not be able to show them.
        """
        if not self.is_older:
            return self.view.counts(), len(self.view.conflicts())
        noted, state = versions.Shown.from_meta(await self.log.storage.meta()), self.log.state
        if noted is None or not noted.is_of(state.epoch, state.segment):
            return {}, 0
        return noted.records, sum(span.last - span.first + 1 for text in noted.conflicts if (span := Span.parse(text)))

    def close(self) -> None:
        """Free the view. Repeated calls do nothing."""
        self.closed = True
        self.view.close()

    def check_open(self) -> None:
        """Raise ClosedError after `close`."""
        if self.closed:
            raise ClosedError("The store is closed. Open it again.")

    def check_writable(self) -> None:
        """Raise ClosedError after `close`, and ReadOnlyError if nothing can be written."""
        self.check_open()
        if self.read_only is not None:
            raise ReadOnlyError(f"Nothing can be written: {self.read_only}")

    async def read_versions(self) -> None:
        """Take note of the version document as it is stored now; another tab may be of a newer version."""
        self._take_versions(await self.log.storage.meta())

    def _take_versions(self, meta: Records) -> None:
        raw = meta.get(versions.VERSIONS)
        if raw is None:
            return
        document = versions.from_json(raw)
        reading = versions.read(document, self.schema)
        self.is_older = reading.is_older
        older = f"{OLDER} {self.migration_failure or 'Migrate them first.'}" if reading.is_older else None
        self.read_only = self._opened_for or reading.read_only or older
        self.document = document

    async def _load_view(self, on_progress: Progress | None) -> bool:
        """Bring view and log up to date from the newest checkpoint on; False if the log was replaced meanwhile."""
        stored = self.log.state
        view, kept = await self._begin(await self.checkpoints.usable(stored, stored.marks))
        start = kept.state.without(stored.erased) if kept else self._nothing()
        self._checkpointed = start.events
        self.show(view, start)
        self.projector.marks, self.projector.erased = stored.marks, stored.erased
        state, late, damage = start, False, None
        try:
            async for events, state_then in self.log.tail(start):
                late = late or bool(events and events[0].order <= state.newest)
                if not late:
                    await self._fold(self.projector, events, state.events, stored.events, on_progress)
                state = state_then
        except CorruptError as error:
            damage = error
        if await self.log.is_replaced():
            return False
        if damage is not None:
            raise damage
        if any(state.feeds.get(replica, Head()).seq < head.seq for replica, head in stored.feeds.items()):
            raise CorruptError(
                f"The log ends early: {state.events:,} events are there of {stored.events:,}. Restore it from a backup.",
                events=state.events, expected=stored.events,
            )
        self.log.state = state
        if late or not state.shows_the_same(stored.marks):
            await self.refold(on_progress=on_progress)
        else:
            self.shown = state
        return True

    async def _begin(self, candidates: Iterable[Kept]) -> tuple[View, Kept | None]:
        """A view from the first of `candidates` that can be loaded, and which that was; an empty one if none can."""
        for kept in candidates:
            image = await self.checkpoints.load(kept)
            if image is not None:
                return View(self.schema, image), kept
        return View(self.schema), None

    def _nothing(self) -> LogState:
        """The state of this log without any event."""
        log = self.log.state
        return LogState(log.log, log.epoch, log.writer, log.name, erased=log.erased)

    def _fingerprint(self) -> str:
        """What an image of the view depends on beside the events. A development version's handlers change without its number.

        Another pystore may give other reasons for a conflict.
        """
        schema = self.schema
        if schema.views == 0:
            return os.urandom(16).hex()
        searches = [repr(search) for search in schema.searches]
        parts = [versions.__version__, schema.name, schema.app, schema.views, schema.tables, searches, sorted(self._quarantine)]
        return sha256(codec.encode(parts)).hexdigest()

    def projector_of(self, view: View) -> Projector:
        """What folds this store's events into `view`."""
        projector = Projector(self.schema, view, self._before_each)
        projector.quarantine = self._quarantine
        projector.marks, projector.erased = self.log.state.marks, self.log.state.erased
        return projector

    def show(self, view: View, state: LogState) -> None:
        """Let `view`, which shows the log in `state`, be the view from now on."""
        self.view.close()
        self.view, self.shown, self.hidden = view, state, None
        self.projector = self.projector_of(view)
        view.take_touched()

    def erase_beforehand(self, erased: Erasures) -> None:
        """Let events be erased whenever they come into this log, which was never written."""
        self.shown = self.log.state = self.log.state._replace(erased=erased)
        self.projector.erased = erased

    # -- what others wrote

    async def catch_up(self) -> int:
        """Take in what another tab or process has committed to this log; how many events that were. For one who holds `exclusive`."""
        self.check_open()
        before = self.log.state
        events = await self.log.catch_up()
        if events is None:
            # Begun or replaced by another: nothing of what is known here holds.
            self.log = await EventLog.open(self.log.storage, before.log, before.name, self.log.clock)
            self._checkpointed = 0
        if self.log.state is not before:
            await self.read_versions()
        is_behind = self.shown is not before or not before.shows_the_same(self.log.state.marks) or before.erased != self.log.state.erased
        if events is None or is_behind or (events and events[0].order <= before.newest):
            await self.refold(events[0].order if events else None)
            self._tell(None)
        elif events:
            self._tell(await self._fold_on(events))
        else:
            self.shown = self.log.state
        return len(events) if events is not None else self.log.state.events

    async def refold(self, earliest: Order | None = None, on_progress: Progress | None = None) -> None:
        """Make the view anew, of exactly the log as it is known here. For one who holds `exclusive`.

        It is folded on from the newest checkpoint that is right, so the cost follows how far back the changes reach: to `earliest`,
        if that is known.
        """
        self.setback = None
        try:
            while (folded := await self.fold(self.log.state.marks, earliest=earliest, on_progress=on_progress)) is None:
                before = self.log.state
                self.log = await EventLog.open(self.log.storage, before.log, before.name, self.log.clock)
        except Exception as error:
            if self.shown.erased != self.log.state.erased:
                self.hidden = error
            raise
        self._checkpointed = folded.start.events
        self.show(folded.view, self.log.state)

    async def refold_committed(self, earliest: Order | None = None, on_progress: Progress | None = None) -> None:
        """`refold` after a commit, which stands whatever becomes of the view. If it fails, the view is behind until `heal`."""
        try:
            await self.refold(earliest, on_progress)
        except Exception as error:  # noqa: BLE001  # whatever it is, what was committed is not refused by it; `setback` tells
            self.setback = error

    async def heal(self) -> None:
        """If the view is behind the log, because work on it was cut short, make it anew. For one who holds `exclusive`."""
        if self.shown is not self.log.state:
            await self.refold()
            self._tell(None)

    async def fold(
        self, marks: Marks, until: Order | None = None, on_progress: Progress | None = None, *, earliest: Order | None = None,
        from_nothing: bool = False, gives_way: bool = False,
    ) -> Folded | None:
        """A new view of the events that are known here, up to `until` if given, but for those that `marks` undo.

        What was kept before events from `earliest` on came in is not begun with. `gives_way`: nobody waits for it, and no lock is held.
        None if the log was replaced meanwhile.
        """
        pause = self.platform.give_way if gives_way else self.platform.breathe
        while True:
            usable = [] if from_nothing else await self.checkpoints.usable(self.log.state, marks, until)
            view, kept = await self._begin(kept for kept in usable if earliest is None or kept.state.newest < earliest)
            start = kept.state.without(self.log.state.erased) if kept else self._nothing()
            try:
                shown = await self._fold_from(view, start, marks, until, on_progress, pause)
            except BaseException:
                view.close()
                raise
            if shown is not None:
                return Folded(view, start, shown)
            view.close()
            if kept is None:
                return None
            await self.checkpoints.drop(kept)

    async def fold_apart(self, bodies: Sequence[bytes], state: LogState) -> View:
        """A new view of events that are not the log's: all those in `bodies`, which lead to `state`."""
        view = View(self.schema)
        try:
            projector = self.projector_of(view)
            projector.marks, projector.erased = state.marks, state.erased
            for _, blob in runs_in_order(bodies):
                await self._fold(projector, events_of(blob), 0, state.events, None)
        except BaseException:
            view.close()
            raise
        return view

    async def _fold_from(
        self, view: View, start: LogState, marks: Marks, until: Order | None, on_progress: Progress | None,
        pause: Callable[[], Awaitable[None]],
    ) -> LogState | None:
        """Fold into `view`, which shows `start`, what comes after; the state that it shows then.

        None if something belongs before, or the log was replaced.
        """
        known = self.log.state
        segments = await self.log.all_segments(start.segment)
        if any([await self._lacks(start, segment) for segment in segments]):
            return None
        segments = [segment for segment in segments if segment.events and ends(segment.body)[1] > start.newest]
        left = {place: segment.first for place, segment in enumerate(segments)}
        projector = self.projector_of(view)
        projector.marks = marks
        shown, saved, is_whole = start, start.events, True
        for places, blob in runs_in_order([segment.body for segment in segments]):
            there = events_of(blob)
            # Another writer may be ahead of what is known here.
            events = [event for event in there if known.knows(event) and not start.knows(event)]
            if events and events[0].order <= start.newest:
                return None
            if until is not None and there[0].order > until:
                break
            if until is not None:
                events = [event for event in events if event.order <= until]
            await self._fold(projector, events, shown.events, known.events, on_progress, pause)
            if until is None or there[-1].order <= until:
                for place in places:
                    del left[place]
            is_whole = is_whole and known.knows(there[-1])
            last = {event.replica: event for event in events}
            feeds = {**shown.feeds, **{replica: Head(event.seq, event.hash()) for replica, event in last.items()}}
            shown = shown.after(events, feeds, min(left.values(), default=known.segment + 1) - 1)
            if until is None and is_whole and self._is_worth_keeping(saved, shown.events, known.events):
                self.setback = await self.checkpoints.keep(shown._replace(marks=marks), view.image())
                saved = shown.events
        if shown.events == known.events:
            return shown
        if (until is None and start.events) or await self.log.is_replaced():
            return None
        if until is not None:
            return shown  # how many there are up to a moment is not known
        raise CorruptError(
            f"The log is not whole: {shown.events:,} events are there of {known.events:,}. Restore it from a backup.",
            events=shown.events, expected=known.events,
        )

    async def _lacks(self, start: LogState, segment: Segment) -> bool:
        """Whether a segment that ends before `start` does has events that are not in it."""
        if not segment.events or ends(segment.body)[1] > start.newest:
            return False
        ends_at = {replica: start.feeds.get(replica, Head()).seq for replica in self.log.state.feeds}
        behind = {replica: seq for replica, seq in ends_at.items() if seq < self.log.state.feeds[replica].seq}
        is_lacking = has_later(unpack_bytes(segment.body), behind)
        await self.platform.breathe()
        return is_lacking

    def _is_worth_keeping(self, before: int, now: int, end: int) -> bool:
        """Whether a fold that has come to `now` events should leave a checkpoint, the last one being at `before`."""
        distance = max(end // CHECKPOINTS_OF_A_FOLD, 5 * NEAR_EVENTS)
        return self.read_only is None and now - before >= distance and end - now >= NEAR_EVENTS

    async def show_added(
        self, view: View | None, erased: Erasures, earliest: Order | None, document: VersionDocument, on_progress: Progress | None
    ) -> None:
        """Show what was added to the log, from `earliest` on. For one who holds `exclusive`.

        By `view`, which was folded aside without what is `erased`, if there is one and that is still right; else folded anew.
        """
        self.document = document
        self._checkpointed = 0
        if view is not None and erased == self.log.state.erased:
            self.show(view, self.log.state)
        else:
            if view is not None:
                view.close()
            await self.refold_committed(earliest, on_progress)
        self.committed(None)

    async def _fold_on(self, events: list[Recorded]) -> frozenset[str] | None:
        """Fold `events` of the log, in order, that sort after all the view shows. The tables touched (None: any).

        Many are folded on a copy: nobody sees a part of them, and other work goes on meanwhile.
        """
        state = self.log.state
        if len(events) <= FOLD_SLICE:
            self.projector.marks = state.marks
            self.projector.fold(events)
            self.shown = state
            return self.view.take_touched()
        view = View(self.schema, self.view.image())
        try:
            await self._fold(self.projector_of(view), events, state.events - len(events), state.events, None)
        except BaseException:
            view.close()
            raise
        self.show(view, state)
        return None

    async def _fold(
        self, projector: Projector, events: list[Recorded], done: int, total: int, on_progress: Progress | None,
        pause: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        for start in range(0, len(events), FOLD_SLICE):
            part = events[start : start + FOLD_SLICE]
            projector.fold(part)
            if on_progress is not None:
                on_progress("project", done + start + len(part), total)
            await (pause or self.platform.breathe)()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit of this store: the hint that other tabs get."""
        self._listeners.append(listener)

    def _tell(self, touched: frozenset[str] | None) -> None:
        self.live.changed(self.view, touched)

    def committed(self, touched: frozenset[str] | None) -> None:
        """Tell live queries and listeners of a commit that touched these tables (None: any)."""
        self._tell(touched)
        for listener in self._listeners:
            listener()

    async def all_bodies(self) -> list[bytes]:
        """The bodies of all segments, holding exactly what log and view show, which catch up if another writer is ahead.

        For one who holds `exclusive`. Raises ConflictError if others never stop writing.
        """
        for _ in range(MAX_TRIES):
            await self.catch_up()
            segments = await self.log.all_segments()
            if (segments[-1].number if segments else 0) == self.log.state.segment:
                return [segment.body for segment in segments]
        raise ConflictError("Other tabs keep writing at the same time. Try again.")

    # -- upkeep

    async def upkeep(self, *, now: bool = False) -> None:
        """Merge small segments, bring full text up to date, note what is shown, save a checkpoint: each if it is due (`now`: or not)."""
        if self.read_only is not None:
            return
        async with self.exclusive, self.platform.writing(self.log.state.log):
            await self.checkpoints.making_room(self.log.merge_segments)
        complete = False
        while not complete:
            async with self.exclusive:
                self.check_open()
                complete = self.view.index_searches(FOLD_SLICE)
            await self.platform.give_way()
        async with self.exclusive:
            self.check_open()
            await self.heal()
            await self.note_shown()
            state, view = self.shown, self.view
            since = state.events - self._checkpointed
            if not since or not (now or since > max(CHECKPOINT_AFTER_EVENTS, state.events // CHECKPOINT_AFTER_SHARE)):
                return
            image = view.image()
        await self.checkpoints.making_room(lambda: self.checkpoints.save(state, image))
        self.setback = None
        self._checkpointed = state.events
        await self._fill(state)

    async def _fill(self, state: LogState) -> None:
        """Where the log grew so fast that moments lie far from any checkpoint, fold it once more, aside: that leaves some."""
        events = state.events
        if events >= 1.5 * self._filled and await self.checkpoints.largest_gap() > max(FAR_EVENTS, events // 3):
            self._filled = events
            folded = await self.fold(state.marks, from_nothing=True, gives_way=True)
            if folded is not None:
                folded.view.close()
        ends = [kept.state.events for kept in await self.checkpoints.kept() if kept.state.events <= events - LATE_EVENTS]
        if events - max(ends, default=0) <= max(3 * LATE_EVENTS, 2 * events // CHECKPOINT_AFTER_SHARE):
            return
        async for (last, *_) in self.log.newest_first(LATE_EVENTS):
            folded = await self.fold(state.marks, last.order, gives_way=True)
            if folded is not None:
                with closing(folded.view):
                    await self.checkpoints.save(folded.shown._replace(marks=state.marks), folded.view.image())
            return
