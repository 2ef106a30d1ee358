"""What comes into a log from outside: backup files, and events that have waited until their time came.

All of it is checked, and folded aside, before anything changes; then it is added in one commit, beside what is there or instead of it,
and shown as a whole. To begin a log anew is to replace all of it by nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from types import MappingProxyType
from typing import Any, Literal

from pystore import codec, migration, versions
from pystore.aside import Aside
from pystore.backup import restore as backup_restore
from pystore.backup.backups import Backups, safety_backup
from pystore.backup.lines import Source
from pystore.backup.restore import Verified
from pystore.backup.sealed import unsealed
from pystore.clock import iso_of_ms, ms_of
from pystore.errors import ConflictError, FormatError, NewerVersionError, ValidationError
from pystore.event import Head, Recorded
from pystore.log import LogState
from pystore.merging import Merge
from pystore.progress import Progress, to_the_end
from pystore.projection import FOLD_SLICE, Projection
from pystore.versions import VersionDocument
from pystore.waiting import Waiting


class Incoming:
    """The way into the log of an open store."""

    def __init__(self, projection: Projection, backups: Backups, max_future_ms: int) -> None:
        self._projection = projection
        self._backups = backups
        self._max_future_ms = max_future_ms

    # -- files

    async def inspect(self, source: Source, *, salvage: bool, passphrase: str | None, on_progress: Progress | None) -> Verified:
        """See `Store.inspect`."""
        log = self._projection.log
        return await self._verify(
            self._unsealed(source, passphrase), log.state, log.waiting, self._horizon_ms(), salvage=salvage, on_progress=on_progress
        )

    async def restore(
        self, source: Source, *, mode: Literal["merge", "replace"], salvage: bool, passphrase: str | None, on_progress: Progress | None
    ) -> Verified:
        """See `Store.restore`. What the file says to be erased is not carried out yet."""
        projection = self._projection
        if mode == "replace" and projection.log.state.events:
            await safety_backup(self._backups, "Before everything was replaced")
        async with projection.exclusive, projection.platform.writing(projection.log.state.log):
            await projection.catch_up()
            projection.check_writable()
            source, horizon_ms = self._unsealed(source, passphrase), self._horizon_ms()
            if mode == "merge":
                await self._admit(horizon_ms)
                base, waiting = projection.log.state, projection.log.waiting
            else:
                here = projection.log.state
                base, waiting = LogState(here.log, here.epoch, here.writer, here.log, erased=here.erased), Waiting()
            admitted = {} if mode == "merge" else projection.log.state.feeds
            # Folded aside while it is being read: queries go on seeing what is durable, and a refused file leaves no trace.
            with closing(Aside(projection, base)) as aside:
                verified = await self._verify(
                    source, base, waiting, horizon_ms, admitted=admitted, salvage=salvage, on_progress=on_progress, on_new=aside.fold
                )
                if mode == "replace" or verified.merge.has_news:
                    document = verified.header.versions if mode == "replace" else projection.document
                    adding = self._add(verified.merge, aside, document, instead=mode == "replace", on_progress=on_progress)
                    with suppress(asyncio.CancelledError):
                        await to_the_end(adding)
        return verified

    def _unsealed(self, source: Source, passphrase: str | None) -> Source:
        return unsealed(source, passphrase, self._projection.platform.cipher)

    async def _verify(
        self, source: Source, base: LogState, waiting: Waiting, horizon_ms: int, *, salvage: bool, on_progress: Progress | None,
        on_new: Callable[[list[Recorded]], None] | None = None, admitted: Mapping[str, Head] = MappingProxyType({}),
    ) -> Verified:
        """Check a file to its end, and that this application, in this version, can do with it."""
        projection, schema = self._projection, self._projection.schema
        trial = migration.Trial(projection, horizon_ms)
        verified = await backup_restore.verify(
            source, projection.log, base, waiting, horizon_ms=horizon_ms, admitted=admitted, salvage=salvage,
            breathe=projection.platform.breathe, on_progress=on_progress, on_new=on_new, on_all=trial.take,
        )
        if verified.header.application != schema.name:
            raise FormatError(
                f"This backup belongs to another application ({verified.header.application}), not to {schema.name}. "
                "Nothing was changed."
            )
        if newer := versions.read(verified.header.versions, schema).read_only:
            raise NewerVersionError(f"{newer} Update the application to restore this backup.")
        await trial.judge(verified)
        if verified.unfit and not salvage:
            raise migration.refused(verified.header, verified.unfit, schema)
        return verified

    # -- what waits

    def waiting(self) -> list[dict[str, Any]]:
        """See `Store.waiting`."""
        return [
            {"id": event.id, "time": event.time, "type": event.type, "until": iso_of_ms(ms_of(event.hlc) - self._max_future_ms)}
            for event in self._projection.log.waiting.events
        ]

    def is_any_due(self) -> bool:
        """Whether the time of an event that waits has come."""
        log = self._projection.log
        return bool(log.waiting.due(log.state.feeds, self._horizon_ms()))

    async def admit_due(self) -> None:
        """Let those events into the log that have waited and whose time has come. Raises as `Store.restore`."""
        projection = self._projection
        if projection.read_only is None and self.is_any_due():
            async with projection.exclusive, projection.platform.writing(projection.log.state.log):
                await projection.catch_up()
                await self._admit(self._horizon_ms())

    async def _admit(self, horizon_ms: int) -> None:
        """`admit_due`, for one who holds `exclusive` and has caught up."""
        projection = self._projection
        state, waiting = projection.log.state, projection.log.waiting
        due = waiting.due(state.feeds, horizon_ms)
        if not due:
            return
        with closing(Aside(projection, state)) as aside:
            merge = Merge(state, waiting.without(due), horizon_ms, aside.fold)
            for start in range(0, len(due), FOLD_SLICE):
                merge.admit(due[start : start + FOLD_SLICE])
                await projection.platform.breathe()
            merge.end()
            await self._add(merge, aside, projection.document, instead=False, on_progress=None)

    def _horizon_ms(self) -> int:
        """What is dated later has to wait."""
        return self._projection.platform.now_ms() + self._max_future_ms

    # -- into the log

    async def start_over(self) -> str | None:
        """See `Store.start_over`."""
        projection = self._projection
        if not projection.is_older:
            raise ValidationError("Only data of an older version, which cannot be brought to this one, are started over.")
        made = await migration.back_up(projection, self._backups)
        async with projection.exclusive, projection.platform.writing(projection.log.state.log):
            await projection.catch_up()
            here = projection.log.state
            if projection.log.whole.events and (made is None or not await migration.is_in(projection, self._backups, made)):
                raise ConflictError("Another window changed something at the same time. Nothing was changed here. Try again.")
            base = LogState(here.log, here.epoch, here.writer, here.name, erased=here.erased)
            merge = Merge(base, Waiting(), self._horizon_ms())
            with closing(Aside(projection, base)) as aside:
                await self._add(merge, aside, projection.document, instead=True, on_progress=None)
            projection.migration_failure = None
            await projection.read_versions()
        return made

    async def _add(self, merge: Merge, aside: Aside, document: VersionDocument, *, instead: bool, on_progress: Progress | None) -> None:
        """Add to the log what was folded aside, `instead` of all there is or after it, and show it. For one who holds `exclusive`."""
        projection = self._projection
        document = versions.written(document, projection.schema, projection.platform.name)
        meta = {"versions": codec.encode(document)}
        await projection.checkpoints.making_room(
            lambda: projection.log.add(merge.bodies, merge.state, merge.sizes, merge.waiting, instead=instead, meta=meta)
        )
        await projection.show_added(aside.take(), aside.erased, aside.earliest, document, on_progress)
