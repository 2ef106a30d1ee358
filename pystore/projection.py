"""A log and the view that shows it, kept together: opening, catching up, folding anew, checkpoints.

Rules that everything here serves:
- The view shows exactly the log in the state `shown`. Where work was cut short and that is not the log's state, the view is made anew
  before anything else is done.
- Whoever changes either across an `await` holds `exclusive`.
- Long folds go on a copy, or anew, and the result is shown as a whole: a query sees one moment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from itertools import islice

from pystore import codec, versions
from pystore.clock import HybridClock
from pystore.errors import ClosedError, ConflictError, CorruptError, PyStoreError
from pystore.event import Head, Recorded
from pystore.live import LiveQueries
from pystore.log import EventLog, LogState
from pystore.ports import Checkpoint, LogStorage, Platform
from pystore.progress import Progress
from pystore.projector import BeforeEach, Projector
from pystore.schema import Schema
from pystore.segment import events_in_order
from pystore.versions import VersionDocument
from pystore.view import View

MAX_TRIES = 10
"""How often something is tried again because other writers were first."""
CHECKPOINT = "head"
"""The name of the checkpoint that an open begins with."""
CHECKPOINT_AFTER_EVENTS = 500
CHECKPOINT_AFTER_SHARE = 50
"""A checkpoint is due when the events since the last one exceed both numbers: the second is a share, 1/50 of the log."""
FOLD_SLICE = 500
"""Events folded before other work gets its turn: about 10 ms."""


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
        self.live = LiveQueries()
        self.document: VersionDocument = versions.new_document(schema, platform.name)
        self.exclusive = asyncio.Lock()
        """Held by whoever changes the log or the view across an `await`."""
        self.closed = False
        self._before_each = before_each
        self._quarantine = frozenset(quarantine)
        self._checkpointed = 0
        self._listeners: list[Callable[[], None]] = []
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
        event_log = await EventLog.open(storage, log, name, HybridClock(platform.now_ms))
        projection = cls(schema, event_log, platform, read_only=read_only, before_each=before_each, quarantine=quarantine)
        try:
            await projection._read_versions()
            while not await projection._load_view(on_progress):
                projection.log = await EventLog.open(storage, log, name, event_log.clock)
        except BaseException:
            projection.close()
            raise
        return projection

    def close(self) -> None:
        """Free the view. Repeated calls do nothing."""
        self.closed = True
        self.view.close()

    def check_open(self) -> None:
        """Raise ClosedError after `close`."""
        if self.closed:
            raise ClosedError("The store is closed. Open it again.")

    async def _read_versions(self) -> None:
        """Take note of the version document as it is stored now; another tab may be of a newer version."""
        raw = (await self.log.storage.meta()).get("versions")
        if raw is None:
            return
        document = versions.from_json(raw)
        self.read_only = self._opened_for or versions.read(document, self.schema).read_only
        self.document = document

    async def _load_view(self, on_progress: Progress | None) -> bool:
        """Bring view and log up to date from the checkpoint on; False if the log was replaced meanwhile."""
        stored = self.log.state
        checkpoint = await self.log.storage.load_checkpoint(CHECKPOINT)
        start = self._checkpoint_state(checkpoint, stored)
        if checkpoint is not None and start is not None:
            view = View(self.schema, checkpoint.image)
        else:
            start = LogState(stored.log, stored.epoch, stored.writer, stored.name)
            view = View(self.schema)
        self._checkpointed = start.events
        self.show(view, start)
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
        if late:
            await self.refold(on_progress)
        else:
            self.shown = state
        return True

    def _checkpoint_state(self, checkpoint: Checkpoint | None, stored: LogState) -> LogState | None:
        if checkpoint is None:
            return None
        try:
            about = codec.decode(checkpoint.about)
            state = LogState.from_json(codec.encode(about["state"]))
        except (ValueError, KeyError, TypeError, PyStoreError):
            return None  # made by another version: the view is regenerated
        is_of_this_log = state.epoch == stored.epoch and state.segment <= stored.segment
        # A development version's handlers change without its number.
        is_of_this_view = self.schema.views != 0 and about.get("view") == self._fingerprint()
        return state if is_of_this_log and is_of_this_view else None

    def _fingerprint(self) -> str:
        """What an image of the view depends on beside the events."""
        schema = self.schema
        searches = [repr(search) for search in schema.searches]
        parts = [schema.name, schema.app, schema.views, schema.tables, searches, sorted(self._quarantine)]
        return sha256(codec.encode(parts)).hexdigest()

    def projector_of(self, view: View) -> Projector:
        """What folds this store's events into `view`."""
        projector = Projector(self.schema, view, self._before_each)
        projector.quarantine = self._quarantine
        return projector

    def show(self, view: View, state: LogState) -> None:
        """Let `view`, which shows the log in `state`, be the view from now on."""
        self.view.close()
        self.view, self.shown = view, state
        self.projector = self.projector_of(view)
        view.take_touched()

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
        if events or self.log.state.epoch != before.epoch:
            await self._read_versions()
        if events is None or self.shown is not before or (events and events[0].order <= before.newest):
            await self.refold()
            self._tell(None)
        elif events:
            self._tell(await self._fold_on(events))
        else:
            self.shown = self.log.state
        return len(events) if events is not None else self.log.state.events

    async def refold(self, on_progress: Progress | None = None) -> None:
        """Make the view anew: a fold from nothing of exactly the log as it is known here. For one who holds `exclusive`."""
        while True:
            view = View(self.schema)
            try:
                state = self.log.state
                bodies = [segment.body for segment in await self.log.all_segments()]
                # Another writer may be ahead of what is known here.
                known = (event for event in events_in_order(bodies) if event.seq <= state.feeds.get(event.replica, Head()).seq)
                projector, done = self.projector_of(view), 0
                for events in _slices(known):
                    await self._fold(projector, events, done, state.events, on_progress)
                    done += len(events)
                if done == state.events:
                    self.show(view, state)
                    return
                if not await self.log.is_replaced():
                    raise CorruptError(  # noqa: TRY301
                        f"The log is not whole: {done:,} events are there of {state.events:,}. Restore it from a backup.",
                        events=done, expected=state.events,
                    )
            except BaseException:
                view.close()
                raise
            view.close()
            self.log = await EventLog.open(self.log.storage, state.log, state.name, self.log.clock)

    async def show_added(self, view: View | None, document: VersionDocument, on_progress: Progress | None) -> None:
        """Show what was added to the log: by `view`, if it was folded aside, else by a fold from nothing. For one who holds `exclusive`."""
        self.document = document
        self._checkpointed = 0
        if view is not None:
            self.show(view, self.log.state)
        else:
            await self.refold(on_progress)
        self.committed(None)

    async def _fold_on(self, events: list[Recorded]) -> frozenset[str] | None:
        """Fold `events` of the log, in order, that sort after all the view shows. The tables touched (None: any).

        Many are folded on a copy: nobody sees a part of them, and other work goes on meanwhile.
        """
        state = self.log.state
        if len(events) <= FOLD_SLICE:
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
        self, projector: Projector, events: list[Recorded], done: int, total: int, on_progress: Progress | None
    ) -> None:
        for start in range(0, len(events), FOLD_SLICE):
            part = events[start : start + FOLD_SLICE]
            projector.fold(part)
            if on_progress is not None:
                on_progress("project", done + start + len(part), total)
            await self.platform.breathe()

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
        """Merge small segments, bring full text up to date, save a checkpoint: each if it is due (`now`: due or not)."""
        if self.read_only is not None:
            return
        async with self.exclusive, self.platform.writing(self.log.state.log):
            await self.log.merge_segments()
        complete = False
        while not complete:
            async with self.exclusive:
                self.check_open()
                complete = self.view.index_searches(FOLD_SLICE)
            await self.platform.breathe()
        async with self.exclusive:
            state, view = self.shown, self.view
            since = state.events - self._checkpointed
            if not since or not (now or since > max(CHECKPOINT_AFTER_EVENTS, state.events // CHECKPOINT_AFTER_SHARE)):
                return
            image = view.image()
        about = codec.encode({"view": self._fingerprint(), "state": codec.decode(state.to_json())})
        await self.log.storage.save_checkpoint(CHECKPOINT, Checkpoint(about, image))
        self._checkpointed = state.events


class Aside:
    """A copy of a projection's view (an empty one for an empty `base`), ahead of it by events that are not in the log yet.

    It is given up at the first event that belongs before one in `base`: then only a fold from nothing is right.
    """

    def __init__(self, projection: Projection, base: LogState) -> None:
        self._view: View | None = View(projection.schema, projection.view.image() if base.events else None)
        self._projector = projection.projector_of(self._view)
        self._newest = base.newest

    def fold(self, events: list[Recorded]) -> None:
        """Fold `events`, which are in order."""
        if events[0].order <= self._newest:
            self.close()
        if self._view is not None:
            self._projector.fold(events)

    def take(self) -> View | None:
        """The view, which is the caller's from now on; None if it was given up."""
        view, self._view = self._view, None
        return view

    def close(self) -> None:
        """Free the view, unless it was taken."""
        if (view := self.take()) is not None:
            view.close()


def _slices(events: Iterable[Recorded]) -> Iterator[list[Recorded]]:
    iterator = iter(events)
    while slice_ := list(islice(iterator, FOLD_SLICE)):
        yield slice_
