"""Appending with group commit: whatever arrives while a transaction is in flight goes into the next one, together.

The way of a group: each append is recorded and projected on its own, so that one which the view refuses costs only itself; then
all are stored in one commit; only after that is the savepoint released and anyone answered. While the commit is in flight the
view is ahead of what is durable: a query that comes then first takes the group back out of the view, and the group is projected
again when it is durable.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from pystore import codec, versions
from pystore.clock import stamps_from
from pystore.errors import ConflictError, CorruptError, OutcomeUnknownError, PyStoreError, QuotaError, ReadOnlyError, StorageError
from pystore.event import Draft, Head, Recorded
from pystore.log import MAX_TRIES, LogState
from pystore.ports import Durability
from pystore.projection import Projection
from pystore.records import Records, packed

MAX_GROUP_EVENTS = 5000
MAX_GROUP_BYTES = 16 << 20
"""A group is one segment, which is one value in the storage. One append that is larger is a group of its own."""


@dataclass(frozen=True, slots=True)
class Appended:
    """What an appended event got: its id, and its stamp."""

    id: str
    hlc: str


@dataclass(slots=True, eq=False)
class _Append:
    drafts: list[Draft]
    batch: str | None
    durability: Durability
    answer: asyncio.Future[list[Appended]]
    events: list[Recorded] = field(default_factory=list)
    refused: PyStoreError | None = None


class Appender:
    """Puts appends into commits."""

    def __init__(self, projection: Projection) -> None:
        self._projection = projection
        self._queue: deque[_Append] = deque()
        self._group: list[_Append] = []
        """Those whose commit is being made."""
        self._task: asyncio.Task[None] | None = None
        self._ahead: list[Recorded] = []
        """Events that the view shows and that are not durable yet."""
        self._taken_back: list[Recorded] = []
        """Events that are on their way to the medium and were taken back out of the view for a query."""

    async def append(self, drafts: list[Draft], batch: str | None, durability: Durability) -> list[Appended]:
        """See `Store.append`."""
        append = _Append(drafts, batch, durability, asyncio.get_running_loop().create_future())
        self._queue.append(append)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._drain())
        return await asyncio.shield(append.answer)

    async def known(self, batch: str | None) -> list[Appended] | None:
        """What a batch got that was stored already; None if there is none of that id.

        Raises ConflictError if its events went when the log was replaced: they are not stored into another log than they were meant for;
        and CorruptError if what is remembered of it is damaged: it was stored, and is not stored again.
        """
        storage = self._projection.log.storage
        if batch is None or (remembered := await storage.batch(batch)) is None:
            return None
        try:
            about = codec.decode(Records({batch: remembered})[batch])
        except CorruptError as error:
            raise CorruptError(
                "This was stored before, and nothing was added now. The record of it is damaged, so which events it became cannot be told.",
                record="batch", batch=batch,
            ) from error
        replica, first, last = about["replica"], about["first"], about["last"]
        here = LogState.from_json((await storage.meta())["head"])  # what this store knows may be older
        if here.feeds.get(replica, Head()).seq < last:
            raise ConflictError(
                "This was stored before, and is gone since a saved file took the place of everything. Add it again if it is still wanted."
            )
        return [Appended(f"{replica}:{seq}", hlc) for seq, hlc in enumerate(stamps_from(about["hlc"], last - first + 1), first)]

    async def settled(self) -> None:
        """Wait until everything appended before is answered."""
        if answers := [append.answer for append in (*self._group, *self._queue)]:
            await asyncio.wait(answers)

    async def idle(self) -> None:
        """Wait until nothing is queued or in flight."""
        while self._task is not None and not self._task.done():
            await asyncio.wait([self._task])

    def show_durable(self) -> None:
        """Let the view show what is durable and nothing else."""
        if self._ahead:
            self._projection.view.rollback("append")
            self._taken_back, self._ahead = self._ahead, []

    async def _drain(self) -> None:
        projection = self._projection
        while self._queue:
            async with projection.exclusive:
                self._group = group = self._next_group()
                try:
                    async with projection.platform.writing(projection.log.state.log):
                        await self._commit(group)
                except BaseException as error:
                    for append in group:
                        if not append.answer.done():
                            append.answer.set_exception(error if isinstance(error, PyStoreError) else _unknown(error))
                    if not isinstance(error, Exception):
                        raise
                finally:
                    self._group = []

    def _next_group(self) -> list[_Append]:
        group: list[_Append] = []
        batches: set[str | None] = set()
        events = size = 0
        while self._queue:
            append = self._queue[0]
            events += len(append.drafts)
            size += sum(len(draft.data_json) for draft in append.drafts)
            if group and (events > MAX_GROUP_EVENTS or size > MAX_GROUP_BYTES):
                break
            if append.batch is not None and append.batch in batches:
                break  # a repetition is answered from what its first is about to store
            batches.add(append.batch)
            group.append(self._queue.popleft())
        return group

    async def _commit(self, group: list[_Append]) -> None:
        projection = self._projection
        for _ in range(MAX_TRIES):
            if projection.read_only is not None:
                raise ReadOnlyError(f"Nothing can be written: {projection.read_only}")
            await projection.heal()
            state = self._project(group)
            try:
                group = await self._answer_refused(group)
                if not group:
                    return
                document = versions.written(projection.document, projection.schema, projection.platform.name)
                meta = {} if document == projection.document and projection.log.state.segment else {"versions": codec.encode(document)}
                events = [event for append in group for event in append.events]
                await projection.log.commit(events, state, _batches(group), meta, _strictest(group))
            except BaseException as error:
                self._take_back()
                if isinstance(error, QuotaError) and await projection.checkpoints.make_room():
                    continue
                if isinstance(error, PyStoreError) and not isinstance(error, (ConflictError, OutcomeUnknownError)):
                    raise  # nothing was stored
                if not isinstance(error, Exception):
                    raise
                # Another writer was first, or this commit was: the log itself tells.
                group = await self._find_out(group, state, error)
                if not group:
                    return
                continue
            before = projection.shown
            self._settle()
            projection.document = document
            touched: frozenset[str] | None = projection.view.take_touched()
            # Of all events that are there now: a mark may name one of its own group.
            if not projection.log.state.shows_the_same(before.marks) or before.erased != projection.log.state.erased:
                projection.shown = before  # until it is folded anew the view is behind
                await projection.refold_committed()
                touched = None
            _answer(group)
            projection.committed(touched)
            return
        raise ConflictError("Other tabs keep writing at the same time. Nothing was stored; try again.")

    async def _answer_refused(self, group: list[_Append]) -> list[_Append]:
        """Answer those that the view refused; the others."""
        for append in group:
            # A batch that was stored before breaks the view's constraints the second time: it is known, not refused.
            if append.refused is not None and not await self._answer_known(append):
                append.answer.set_exception(append.refused)
        return _unanswered(group)

    async def _find_out(self, group: list[_Append], state: LogState, error: Exception) -> list[_Append]:
        """Answer those of `group` that are in the log after all; the others, to be tried again.

        `state` is what their commit would have led to. Raises OutcomeUnknownError if it is not known whether they will be.
        """
        projection = self._projection
        try:
            await projection.catch_up()
            for append in group:
                await self._answer_known(append)
        except Exception as second:
            if isinstance(error, ConflictError):
                raise
            raise _unknown(error) from second
        if projection.log.state.feeds.get(state.writer) == state.feeds[state.writer]:
            _answer(_unanswered(group))
            projection.committed(frozenset())
        group = _unanswered(group)
        if group and not isinstance(error, ConflictError):
            raise _unknown(error)
        return group

    def _project(self, group: list[_Append]) -> LogState:
        """Record and project what of `group` the view takes; the log's state after it. `refused` is set on the rest."""
        projection = self._projection
        state = projection.log.state
        projection.view.savepoint("append")
        accepted: list[Recorded] = []
        for append in group:
            append.refused = None
            append.events = []
            try:
                events, state_then = projection.log.record(append.drafts, state)
                projection.projector.apply(events)
            except StorageError:
                projection.view.rollback("append")
                raise
            except PyStoreError as error:
                append.refused = error
                continue
            except BaseException:
                projection.view.rollback("append")
                raise
            append.events, state = events, state_then
            accepted += events
        self._ahead = accepted
        if not accepted:
            projection.view.rollback("append")
        return state

    def _take_back(self) -> None:
        self.show_durable()
        self._taken_back = []
        self._projection.view.take_touched()

    def _settle(self) -> None:
        view = self._projection.view
        if self._taken_back:
            self._projection.projector.fold(self._taken_back)
        else:
            view.release("append")
        self._ahead, self._taken_back = [], []
        self._projection.shown = self._projection.log.state

    async def _answer_known(self, append: _Append) -> bool:
        """Answer an append whose batch was stored already; whether it was."""
        try:
            known = await self.known(append.batch)
        except (ConflictError, CorruptError) as error:
            append.answer.set_exception(error)
            return True
        if known is not None:
            append.answer.set_result(known)
        return known is not None


def _batches(group: Sequence[_Append]) -> dict[str, bytes]:
    return packed({
        append.batch: codec.encode({
            "replica": append.events[0].replica, "first": append.events[0].seq, "last": append.events[-1].seq,
            "hlc": append.events[0].hlc,  # of the first: an append's stamps have no gap
        })
        for append in group
        if append.batch is not None
    })


def _answer(group: Sequence[_Append]) -> None:
    for append in group:
        append.answer.set_result([Appended(event.id, event.hlc) for event in append.events])


def _unanswered(group: Sequence[_Append]) -> list[_Append]:
    return [append for append in group if not append.answer.done()]


def _strictest(group: Sequence[_Append]) -> Durability:
    return "strict" if any(append.durability == "strict" for append in group) else "relaxed"


def _unknown(error: BaseException) -> OutcomeUnknownError:
    if isinstance(error, OutcomeUnknownError):
        return error
    unknown = OutcomeUnknownError("It is not known whether this was stored. Repeat it with the same batch id: it is stored once.")
    unknown.__cause__ = error
    return unknown
