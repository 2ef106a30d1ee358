"""Bringing the data of an older version of an application to this one: as a whole or not at all.

The log's bytes stay as they are: upcasters bring each event to its newest form whenever it is folded. So what is migrated is the version
document, in one commit, after it was made sure that the new version can do with all the events: a backup was made and checked;
every event went through upcasters and handlers into a fresh view, and none is set aside that the older version could show; what must
hold of the view does, and no table has fewer rows than before. Killed at any point the data are of the older version or of the newer one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from typing import Any

from pystore import codec, versions
from pystore.backup.backups import Backups
from pystore.backup.format import Header, feed_heads
from pystore.backup.layers import BackupId
from pystore.backup.restore import Verified
from pystore.errors import ConflictError, CorruptBackupError, MigrationError, NewerVersionError, PyStoreError, StorageError
from pystore.event import Recorded
from pystore.log import LogState
from pystore.marks import Span
from pystore.merging import Merge
from pystore.progress import Progress
from pystore.projection import Projection
from pystore.schema import Schema
from pystore.segment import events_in
from pystore.view import View
from pystore.waiting import Waiting

TRIES = 3
FIRST_PAUSE_S = 0.5
"""Before the second try; twice as long before each further one."""
MOST_TOLD = 20
LAYER = "before-migration"


async def wait(seconds: float) -> None:
    """Let a storage that failed come to itself."""
    await asyncio.sleep(seconds)


async def migrate(
    projection: Projection, backups: Backups, *, dry_run: bool, on_progress: Progress | None = None
) -> dict[str, Any]:
    """Migrate the log if it is of an older version: what was done, or, on a `dry_run`, found.

    A failure of the storage is tried again, up to three times in all. Raises MigrationError with the `problems` found, or
    NewerVersionError: then nothing was changed.
    """
    began = time.monotonic()
    stored = versions.app_version(projection.document)
    if stored > projection.schema.app:
        raise NewerVersionError(
            f"The data are of version {stored}, this application is of version {projection.schema.app}. Nothing was changed.",
            stored=stored, supported=projection.schema.app,
        )
    report: dict[str, Any] = {"from": stored, "to": projection.schema.app, "dry_run": dry_run, "backup": None, "problems": []}
    if projection.is_older:
        for attempt in range(1, TRIES + 1):
            try:
                await _try(projection, backups, report, dry_run=dry_run, on_progress=on_progress)
                break
            except StorageError as error:
                if attempt == TRIES:
                    raise MigrationError(
                        f"The data could not be brought from version {stored} to {projection.schema.app}: {error.message} It was tried "
                        f"{TRIES} times. Nothing was changed.", problems=[{"id": None, "why": error.message}], **_about(report),
                    ) from error
                await wait(FIRST_PAUSE_S * 2 ** (attempt - 1))
    return {**report, "seconds": round(time.monotonic() - began, 3)}


async def back_up(projection: Projection, backups: Backups) -> str | None:
    """The id of a backup of everything as the older version left it, which was checked line by line; None if there is nothing.

    It is made, unless the newest of its layer is one: a migration that fails is tried whenever the log is opened.
    """
    if not projection.log.whole.events:
        return None
    made = next((one["id"] for one in await backups.list() if one["layer"] == LAYER), None)
    if made is not None and await is_in(projection, backups, made):
        with suppress(CorruptBackupError):  # then another one is made
            await backups.verify(made)
            return str(made)
    made = (await backups.create(f"Before version {projection.schema.app}", layer=LAYER))["id"]
    await backups.verify(made)
    return str(made)


async def is_in(projection: Projection, backups: Backups, id_: str) -> bool:
    """Whether a backup holds all that is known here of the log."""
    whole, wanted = projection.log.whole, BackupId.parse(id_)
    return wanted is not None and await (await backups.vault()).holds(wanted, whole.epoch, feed_heads(whole.feeds), projection.document)


async def _try(
    projection: Projection, backups: Backups, report: dict[str, Any], *, dry_run: bool, on_progress: Progress | None
) -> None:
    if not dry_run:
        report["backup"] = await back_up(projection, backups)
    async with projection.exclusive, projection.platform.writing(projection.log.state.log):
        await projection.catch_up()
        if not projection.is_older:
            return  # another window has done it
        problems = await _problems(projection, report, on_progress)
        report["problems"] = problems
        if problems and not dry_run:
            raise MigrationError(
                f"The data could not be brought from version {report['from']} to {report['to']}: {_first(problems)}. Nothing was changed.",
                problems=problems[:MOST_TOLD], **_about(report),
            )
        if not dry_run:
            await _move(projection)


async def _problems(projection: Projection, report: dict[str, Any], on_progress: Progress | None) -> list[dict[str, Any]]:
    """What is wrong with a view of this version, folded from nothing beside the one that is shown."""
    noted = versions.Shown.from_meta(await projection.log.storage.meta())
    state = projection.log.state
    if noted is not None and noted.app != report["from"]:
        noted = None
    folded = await projection.fold(state.marks, from_nothing=True, on_progress=on_progress)
    if folded is None:
        raise ConflictError("Everything was replaced in this moment. Try again.")
    with closing(folded.view) as view:
        before = [span for text in noted.conflicts if (span := Span.parse(text))] if noted is not None else []
        aside = [
            (replica, seq, why) for replica, seq, why in view.conflicts()
            if not any(span.replica == replica and span.first <= seq <= span.last for span in before)
        ]
        problems = _told(view, aside, noted.records if noted is not None and noted.is_of(state.epoch, state.segment) else {})
    report["events"], report["upcast"] = folded.shown.events, 0
    for segment in await projection.log.all_segments():
        report["upcast"] += sum(_is_older(event, projection.schema) for event in events_in(segment.body))
        await projection.platform.breathe()
    return problems


def _told(view: View, aside: Sequence[tuple[str, int, str]], records: Mapping[str, int]) -> list[dict[str, Any]]:
    """Problems: the events that are `aside`, or else tables with fewer rows than `records` says; and what does not hold of the view."""
    now = view.counts()
    fewer = [
        f"{table} has {now[table]:,} rows where there were {rows:,}" for table, rows in records.items()
        if not aside and table not in view.schema.shrinking and now.get(table, rows) < rows
    ]
    return [
        *({"id": f"{replica}:{seq}", "why": f"event {replica}:{seq}: {why}"} for replica, seq, why in aside),
        *({"id": None, "why": why} for why in (*view.broken_constraints(), *fewer)),
    ]


def _is_older(event: Recorded, schema: Schema) -> bool:
    return event.type in schema.types and event.v < schema.types[event.type].v


class Trial:
    """The events of a file of an older version, folded by themselves: whether this version can do with them. Changes nothing."""

    def __init__(self, projection: Projection, horizon_ms: int) -> None:
        self._projection = projection
        self._merge = Merge(LogState("", "", "", ""), Waiting(), horizon_ms)

    def take(self, header: Header, events: list[Recorded]) -> None:
        """Note events of the file, unless it is of this version."""
        if _version_of(header) < self._projection.schema.app:
            self._merge.take(events)

    async def judge(self, file: Verified) -> None:
        """Note as `unfit` what the version that the file is of could show, and this one cannot."""
        self._merge.end()
        if self._merge.bodies:
            counts = file.header.counts
            is_all = not file.problems and not self._merge.new_waiting
            with closing(await self._projection.fold_apart(self._merge.bodies, self._merge.state)) as view:
                aside = view.conflicts()
                file.unfit = _told(view, aside if len(aside) > counts.conflicts else [], counts.records if is_all else {})


def refused(header: Header, unfit: list[dict[str, Any]], schema: Schema) -> MigrationError:
    """What to raise for a file of which something is `unfit`."""
    return MigrationError(
        f"This backup is of version {_version_of(header)} of the application, and not all of it can be brought to version {schema.app}: "
        f"{_first(unfit)}. Nothing was changed. You can ask for what fits: the rest is kept, and not shown.",
        problems=unfit[:MOST_TOLD], **{"from": _version_of(header), "to": schema.app},
    )


def _version_of(header: Header) -> int:
    return versions.app_version(header.versions)


def _first(problems: list[dict[str, Any]]) -> str:
    more = f"; and {len(problems) - 3:,} more" if len(problems) > 3 else ""
    return "; ".join(problem["why"].removesuffix(".") for problem in problems[:3]) + more


async def _move(projection: Projection) -> None:
    """Let the version document say that the log is of this version. It takes a number, so other writers notice."""
    document = versions.written(projection.document, projection.schema, projection.platform.name)
    log = projection.log
    await log.add([], log.state, [], log.waiting, instead=False, meta={versions.VERSIONS: codec.encode(document)})
    projection.shown = log.state
    projection.migration_failure = None
    await projection.read_versions()


def _about(report: dict[str, Any]) -> dict[str, Any]:
    return {key: report[key] for key in ("from", "to", "backup")}


def failure_of(error: PyStoreError) -> str:
    """Why a migration failed, as it stands beside what is read-only for it."""
    return f"Bringing them to this one failed: {error.message} You can read and save them, and try again."
