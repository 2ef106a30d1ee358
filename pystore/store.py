"""The store: the one door to a log, its view, and everything that is done with them."""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal, Self

from pystore import erasing, forgetting, history, import_run, migration, verification, versions
from pystore.appender import Appended, Appender
from pystore.backup.backups import Backups
from pystore.backup.lines import Source
from pystore.backup.save import gzipped, jsonl, snapshot
from pystore.backup.sealed import sealed
from pystore.clock import MAX_FUTURE_MS
from pystore.errors import ForgottenError, MigrationError, PyStoreError, StorageError, StoreLostError, TailLostError, ValidationError
from pystore.event import Draft, Event
from pystore.history import Moment, Past
from pystore.incoming import Incoming
from pystore.live import Listener
from pystore.log import EventLog
from pystore.losing import Losing
from pystore.marks import Span
from pystore.own_events import Erased, Named
from pystore.ports import Durability, Platform
from pystore.progress import Progress, to_the_end
from pystore.projection import Projection
from pystore.projector import BeforeEach, draft, draft_lines
from pystore.schema import Schema
from pystore.upkeep import Upkeep
from pystore.versions import VersionDocument
from pystore.view import Parameters, View

MAX_BATCH_BYTES = 64 << 20


class Store:
    """One log, open. Make it with `Store.open`; use it in `async with`, or `close()` it."""

    def __init__(self, projection: Projection, max_future_ms: int) -> None:
        self.projection = projection
        self.max_future_ms = max_future_ms
        self.schema = projection.schema
        self.platform = projection.platform
        self._appender = Appender(projection)
        self.backups = Backups(projection, self._appender.settled, self.restore)
        """The backups of this log: see `Backups`."""
        self._incoming = Incoming(projection, self.backups, max_future_ms)
        self._losing = Losing(projection, self.backups)
        self._upkeep = Upkeep(self.upkeep, self._incoming.is_any_due)
        self._closed = False

    @property
    def log(self) -> EventLog:
        """The event log."""
        return self.projection.log

    @property
    def view(self) -> View:
        """The view as it is now, which may be ahead of what is durable: `query` is not."""
        return self.projection.view

    @property
    def read_only(self) -> str | None:
        """Why nothing can be written, or None. That may change when another tab is of a newer version."""
        return self.projection.read_only

    @property
    def upkeep_error(self) -> Exception | None:
        """Why the last upkeep failed, or None. Nothing is lost by it: the next one tries again."""
        return self._upkeep.error

    @property
    def lost(self) -> StoreLostError | TailLostError | None:
        """What had been lost when this was opened with `recover`, until something is written; else None."""
        return self._losing.lost

    # -- opening and closing

    @classmethod
    async def open(
        cls, schema: Schema, log: str, *, platform: Platform | None = None, name: str | None = None, read_only: bool = False,
        before_each: BeforeEach | None = None, quarantine: Sequence[str] = (), max_future_ms: int = MAX_FUTURE_MS, recover: bool = False,
        migrate: bool = True, destroy_development: bool = False, on_progress: Progress | None = None,
    ) -> Self:
        """The store of `log`, its view up to date with everything committed; an empty one, not yet written anywhere, if it is new.

        `name` is what people call a new log (default: `log`). `before_each` is told of every event before it is projected;
        events in `quarantine` are left out of the view. Others' events that are dated further than `max_future_ms` ahead of the wall
        clock wait until it has come so far. Raises FormatError (it is another application's log), NewerVersionError, CorruptError,
        StoreLostError or TailLostError (what was here is gone, or its end is; with `recover` what is left is opened, to restore a
        backup into it or to go on: see `lost`), or another StorageError.

        Data of an older version of the application are migrated, or, with `migrate=False` and where that fails, opened for reading only.
        A development version (`schema.app == 0`) may be told by `destroy_development` to remove its own data if they cannot be opened.
        """
        if platform is None:
            from pystore.platform import default_platform  # noqa: PLC0415  # it knows the wings, which know the store

            platform = default_platform()
        storage = await platform.open_log(log)
        try:
            projection = await Projection.open(
                schema, storage, log, name or log, platform, read_only=read_only, before_each=before_each, quarantine=quarantine,
                on_progress=on_progress,
            )
        except ForgottenError:
            await storage.close()
            await forgetting.forget_log(platform, log)
            return await cls.open(
                schema, log, platform=platform, name=name, read_only=read_only, before_each=before_each, quarantine=quarantine,
                max_future_ms=max_future_ms, on_progress=on_progress,
            )
        except PyStoreError:
            if not (destroy_development and schema.app == 0 and versions.development(await storage.meta(), schema)):
                await storage.close()
                raise
            await storage.destroy()
            return await cls.open(
                schema, log, platform=platform, name=name, before_each=before_each, max_future_ms=max_future_ms, recover=True,
                on_progress=on_progress,
            )
        except BaseException:
            await storage.close()
            raise
        store = cls(projection, max_future_ms)
        try:
            store._upkeep.error = await store._losing.check(recover=recover)
        except BaseException:
            await store.close()
            raise
        if migrate and projection.is_older and not read_only:
            with suppress(MigrationError):  # then it is read-only, and says why
                await store.migrate(on_progress=on_progress)
        try:
            await store._losing.recall_erasures(store._say_erased)
            await store._incoming.admit_due()
            await store._carry_out_erasures()
        except StorageError as error:
            store._upkeep.error = error
        except BaseException:
            await store.close()
            raise
        store._upkeep.start()
        return store

    async def close(self) -> None:
        """Finish what was begun and let go of everything. Repeated calls do nothing."""
        if self._closed:
            return
        await self._finish()
        await self.backups.close()
        await self.log.storage.close()

    async def forget(self) -> None:
        """Remove the log and everything made from it, backups too, for good, and close. Cut short, it is gone on with at the next open."""
        self.projection.check_open()
        await self._finish()
        try:
            await forgetting.remove(self.log.storage, (await self.backups.vault()).storage)
        finally:
            await self.backups.close()
            await self.log.storage.close()

    async def _finish(self) -> None:
        """Take nothing more, finish what was begun, note what is shown, and free the view."""
        self._closed = self.projection.closed = True
        await self.backups.still()
        await self._upkeep.stop()
        await self._appender.idle()
        async with self.projection.exclusive:
            try:
                await self.projection.note_shown()
            except StorageError as error:
                self._upkeep.error = error  # all that was appended is stored
            finally:
                self.projection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        await self.close()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            warnings.warn(f"The store {self.log.state.log!r} was not closed: use `async with`.", ResourceWarning, source=self, stacklevel=2)

    # -- appending

    async def append(
        self, event: Event | Sequence[Event], *events: Event, batch: str | None = None, durability: Durability = "strict"
    ) -> list[Appended]:
        """Append events, all or none, and return the id and time stamp of each once they are as durable as asked for.

        Repeating a call with the same `batch` stores it once and returns the same. Raises ValidationError, ConstraintError or
        HandlerError (nothing was stored), QuotaError (nothing was stored), OutcomeUnknownError (repeat with the same `batch`),
        ConflictError (others kept writing, or this `batch` was stored and went when the log was replaced: nothing was stored).
        Cancelled: it may or may not be stored.
        """
        first = [event] if isinstance(event, Event) else list(event)
        return await self._append([draft(self.schema, one) for one in (*first, *events)], batch, durability)

    async def append_json(self, raw: bytes, *, batch: str | None = None, durability: Durability = "strict") -> list[Appended]:
        """`append` of JSON from outside, checked against the input profile: one event a line, `{"type": ..., "data": {...}}`."""
        if len(raw) > MAX_BATCH_BYTES:
            raise ValidationError(f"{len(raw):,} bytes are too many for one batch; append at most {MAX_BATCH_BYTES:,} at once.")
        return await self._append(draft_lines(self.schema, raw), batch, durability)

    async def _append(self, drafts: list[Draft], batch: str | None, durability: Durability) -> list[Appended]:
        self.projection.check_writable()
        if not drafts:
            return []
        if sum(len(one.data_json) for one in drafts) > MAX_BATCH_BYTES:
            raise ValidationError(f"More than {MAX_BATCH_BYTES:,} bytes are too many for one batch. Append them in several.")
        appended = await self._appender.append(drafts, batch, durability)
        self._upkeep.stir()
        return appended

    async def flush(self) -> None:
        """On return everything appended before, relaxed or not, is durable."""
        self.projection.check_open()
        await self._appender.settled()
        await self.log.storage.flush()

    async def rename(self, name: str) -> None:
        """Give the log the name that people read."""
        try:
            named = Named(name=name)
        except ValueError as error:
            raise ValidationError("A name has 1 to 200 characters.") from error
        await self.append(named)

    # -- asking

    def query(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """The rows of a read-only query on what is durable, each a dict by column name. Raises QueryError."""
        return self._durable_view().read(sql, parameters)

    def query_json(self, sql: str, parameters: Parameters = ()) -> bytes:
        """The rows of `query` as a JSON array of objects."""
        return self._durable_view().read_json(sql, parameters)

    def watch(self, sql: str, parameters: Parameters, listener: Listener) -> Callable[[], None]:
        """Tell `listener` the rows as JSON, now and whenever they changed, until the returned function is called."""
        return self.projection.live.add(self._durable_view(), sql, parameters, listener)

    def _durable_view(self) -> View:
        self.projection.check_open()
        if (error := self.projection.hidden) is not None:
            raise StorageError(f"Something was erased, and what is left could not be shown yet: {error}") from error
        self._appender.show_durable()
        return self.view

    async def events(
        self, *, before: str | None = None, after: str | None = None, types: Sequence[str] | None = None, text: str | None = None,
        limit: int = 50,
    ) -> list[dict[str, Any]]:
        """Events, newest first: at most `limit`, of `types` if given, between two places (exclusive).

        A place is the `order` of an event, an `hlc`, or a time (ISO 8601). Raises ValidationError for what is none, unless it is empty.

        `text`: only those with it in a text of their data, in upper or lower case. Each tells whether it is `undone`, and by which
        event, and why it is a `conflict` if it is one.
        """
        self.projection.check_open()
        self._durable_view()
        return await history.timeline(self.projection, before=before, after=after, types=types, text=text, limit=limit)

    async def activity(self, *, buckets: int = 100, since: str | None = None, until: str | None = None) -> dict[str, Any]:
        """How many events there were when: `counts` has, by type, a number for each of `buckets` spans of `bucket_ms` milliseconds.

        They begin at `since` and end with `until` (ISO 8601), by default those of the first and of the last event.
        """
        self.projection.check_open()
        return await history.activity(self.projection, buckets=buckets, since=since, until=until)

    async def conflicts(self) -> list[dict[str, Any]]:
        """The events that the view could not take, newest first, each with its `reason`. To resolve one append another event, or undo it.

        On every replica they are the same, but for those that stopped the program here (`Store.open(quarantine=)`); how a reason is put
        may follow the versions of pystore, Python and SQLite.
        """
        self._durable_view()
        return await history.conflicts(self.projection)

    # -- history

    async def undo(self, ids: Sequence[str], *, batch: str | None = None) -> list[Appended]:
        """Leave events out of the view: those with these ids (`replica:seq`, `replica:first-last`), of an import all it brought in.

        Recorded as an event of its own, which can be undone like any other; nothing is recorded if they are undone already. An event
        that is not here yet is undone when it comes, an import with all it brought in, unless it is dated later than this. Raises
        ValidationError for one that waits.
        """
        return await self._append_own(await history.undone_or_redone(self.projection, ids, self.max_future_ms, undone=True), batch)

    async def redo(self, ids: Sequence[str], *, batch: str | None = None) -> list[Appended]:
        """Take back in what was undone, whoever undid it: as `undo`."""
        return await self._append_own(await history.undone_or_redone(self.projection, ids, self.max_future_ms, undone=False), batch)

    async def restore_to(self, moment: Moment) -> list[Appended]:
        """Undo everything after a moment (see `at`): the view is as it was then. Nothing is recorded if nothing came after.

        The name stays as it is, and what was erased is gone.
        """
        self.projection.check_writable()
        return await self._append_own(await history.undone_since(self.projection, moment), None)

    async def erase(self, ids: Sequence[str], *, batch: str | None = None) -> list[Appended]:
        """Remove the content of events for good: from the log, the view, checkpoints and backups here, and from every replica that merges.

        `ids` as for `undo`. Their envelopes stay, so chains still verify. On return it is done here; cut short, it is gone on with when
        the log is opened again, and nothing shows the content meanwhile. Raises ValidationError for what is not here or has no content.
        """
        events = await erasing.to_erase(self.projection, ids)
        try:
            return await self._append_own(events, batch)
        finally:  # also where it is recorded, and the view cannot be made anew because something is damaged
            self._upkeep.stir()
            await to_the_end(self._carry_out_erasures())

    async def _carry_out_erasures(self) -> None:
        await erasing.carry_out(self.projection, self.backups, self._say_erased)

    async def _say_erased(self, spans: Sequence[Span]) -> None:
        await self._append_own([Erased(events=[str(span) for span in spans])], None)

    async def _append_own(self, events: Sequence[Event], batch: str | None) -> list[Appended]:
        appended = await self._append([draft(self.schema, event) for event in events], batch, "strict")
        return appended or await self._appender.known(batch) or []  # nothing to do, perhaps because this is a repetition

    async def at(self, moment: Moment) -> Past:
        """The view as it was at a moment: a time (ISO 8601), right after an event (its id or its `order`), or so many events ago.

        For reading only, while the store goes on; close it. Raises ValidationError for what is no moment of this log, and ConflictError if
        another tab replaced all of it, and that is not taken in yet (`catch_up`).
        """
        self.projection.check_open()
        return await history.open_past(self.projection, moment)

    async def waiting(self) -> list[dict[str, Any]]:
        """Events from too far in the future, oldest first, each with the time `until` which it waits. Then it comes into the log."""
        self.projection.check_open()
        return self._incoming.waiting()

    async def migrate(self, *, dry_run: bool = False, on_progress: Progress | None = None) -> dict[str, Any]:
        """Bring data of an older version of the application to this one, as a whole or not at all; see `migration`.

        Returns versions (`from`, `to`), how many `events` there are and how many of them need `upcast`, `problems`, the id of the `backup`
        that was made before, and `seconds`. `dry_run`: only look. Raises MigrationError: nothing was changed, and the store is read-only.
        """
        self.projection.check_open()
        await self._appender.settled()
        try:
            return await migration.migrate(self.projection, self.backups, dry_run=dry_run, on_progress=on_progress)
        except MigrationError as error:
            self.projection.migration_failure = migration.failure_of(error)
            await self.projection.read_versions()
            raise

    async def start_over(self) -> str | None:
        """Begin anew, empty, where data of an older version cannot be brought to this one: for one who says so in so many words.

        A backup of everything is made and checked before, and stays with all others; its id (None if there was nothing). Raises
        ValidationError if the data are not of an older version, ConflictError (another tab wrote meanwhile), or another error if the
        backup cannot be made: nothing was changed then. Killed in the middle: as before, or empty.
        """
        self.projection.check_open()
        await self._appender.settled()
        return await self._incoming.start_over()

    async def versions(self) -> VersionDocument:
        """The version document as it is stored, or would be with the first event."""
        return self.projection.document

    async def stats(self) -> dict[str, Any]:
        """What there is and what it takes."""
        size = await self.log.storage.size()
        state, view = self.log.state, self._durable_view()
        trouble = self.upkeep_error or self.projection.setback
        return {
            "log": state.log, "name": state.name, "events": state.events, "by_type": dict(state.counts), "records": view.counts(),
            "bytes": size, "replica": state.writer, "segments": state.segment, "read_only": self.read_only,
            "is_older": self.projection.is_older,
            "conflicts": view.select("SELECT count(*) FROM pystore_conflict")[0][0], "waiting": len(self.log.waiting.events),
            "platform": self.platform.name, "erased": state.erased.stamp,
            "upkeep_error": str(trouble) if trouble else None,
        }

    async def catch_up(self) -> int:
        """Take in what another tab or process has committed to this log; how many events that were."""
        async with self.projection.exclusive:
            return await self.projection.catch_up()

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call `listener` after every commit of this store: the hint that other tabs get."""
        self.projection.on_commit(listener)

    # -- files

    async def save(
        self, *, gzip: bool = False, passphrase: str | None = None, on_progress: Progress | None = None
    ) -> AsyncIterator[bytes]:
        """The log as a backup file, in chunks; protected by `passphrase`, if one is given.

        Raises CorruptError, before the footer, at damage that was found.
        """
        self.projection.check_open()
        await self._appender.settled()
        taken = await snapshot(self.projection)
        chunks = jsonl(taken.header, taken.blobs(), self.platform.breathe, on_progress)
        if gzip:
            chunks = gzipped(chunks)
        if passphrase is not None:
            chunks = sealed(chunks, passphrase, self.platform.cipher())
        async for chunk in chunks:
            yield chunk

    async def inspect(
        self, source: Source, *, salvage: bool = True, passphrase: str | None = None, on_progress: Progress | None = None
    ) -> dict[str, Any]:
        """What a backup file holds, what is wrong with it, and what restoring it would do. Changes nothing.

        Raises FormatError if it is no backup at all, PassphraseError, NewerVersionError, ForkError.
        """
        self.projection.check_open()
        verified = await self._incoming.inspect(source, salvage=salvage, passphrase=passphrase, on_progress=on_progress)
        state = self.log.state
        return {**verified.summary(), "here": {"events": state.events, "name": state.name, "records": self._durable_view().counts()}}

    async def restore(
        self, source: Source, *, mode: Literal["merge", "replace"] = "merge", salvage: bool = False,
        passphrase: str | None = None, on_progress: Progress | None = None,
    ) -> dict[str, Any]:
        """Bring a backup file in: its events beside those that are here, or instead of them. All of it is checked first.

        Before everything is replaced a backup of it is made; what was in the log before does not wait then, though it is dated in the
        future. Returns what `inspect` does. Raises CorruptBackupError (unless `salvage`, which takes the good part), MigrationError (a
        file of an older version that this one cannot show as it was, unless `salvage`), PassphraseError, FormatError, ForkError,
        NewerVersionError, ClockError, QuotaError, ConflictError (another tab wrote meanwhile): nothing was changed then. Killed in the
        middle: as before or as after. Cancelled: as before; or it was too late, and this returns as if it were not.
        """
        self.projection.check_writable()
        await self._appender.settled()
        verified = await self._incoming.restore(source, mode=mode, salvage=salvage, passphrase=passphrase, on_progress=on_progress)
        with suppress(asyncio.CancelledError):
            await to_the_end(self._carry_out_erasures())
        self._upkeep.stir()
        return {**verified.summary(), "conflicts": len(self._durable_view().conflicts())}

    async def import_file(self, data: bytes, name: str, *, on_progress: Progress | None = None) -> dict[str, Any]:
        """Bring in a file of another program, through the first of the schema's importers that knows it.

        What is here already is not added again. Returns `id` (of the event that stands for all of it; None if nothing was new), `kind`,
        `counts` and `not_understood`. Raises FormatError if no importer knows the file. Cancelled, or after any other error: what
        came in until then is kept, and can be undone like a whole import, or, if not even that could be recorded, by the `events` in
        the error's details.
        """
        self.projection.check_writable()
        return await import_run.import_file(self.projection, data, name, self.append, self.query, on_progress)

    async def verify(self, on_progress: Progress | None = None) -> dict[str, Any]:
        """Check all that is stored, and the view.

        Whether it is `sound`, how many `events` there are, and `problems`: `why`, and the `id` of the event at fault (several:
        `replica:first-last`; None: no event is). Looked at are every event's form, content and place in its chain; what is known of
        the log, against its events; and the view, row for row, against a fold from nothing, unless events are damaged: it differs
        then. A row that differs is told by `table` and `key`, and the `id` is that of the event that last touched it (None: no event made
        it). Appends and queries go on meanwhile: what is told is of the moment in which it began. Cancelled it leaves nothing behind.
        Raises ConflictError if the log was replaced, or something was erased, meanwhile. Full-text indexes are not compared: they are
        made of the rows.
        """
        self.projection.check_open()
        await self._appender.settled()
        return await verification.verify(self.projection, on_progress)

    # -- upkeep

    async def upkeep(self, *, now: bool = False) -> None:
        """Admit what has waited, erase, merge small segments, index full text, save a checkpoint: each if it is due (`now`: or not)."""
        await self._incoming.admit_due()
        await self._losing.note()
        await self._carry_out_erasures()
        await self.projection.upkeep(now=now)
