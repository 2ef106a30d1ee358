"""Bringing the data of an older version of an application to this one: as a whole or not at all.

The log's bytes stay as they are: upcasters bring each event to its newest form whenever it is folded. So what is migrated is the version
document, in one commit, after it was made sure that the new version can do with all the events: a backup was made and checked;
every event went through upcasters and handlers into a fresh view; and what must hold of the view does. Killed at any point
the data are of the older version or of the newer one.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterable
from contextlib import closing
from typing import Any

from pystore import codec, versions
from pystore.errors import ConflictError, MigrationError, PyStoreError, StorageError
from pystore.event import Recorded
from pystore.progress import Progress
from pystore.projection import Projection
from pystore.segment import events_in

TRIES = 3
FIRST_PAUSE_S = 0.5
"""Before the second try; twice as long before each further one."""
MOST_TOLD = 20


async def wait(seconds: float) -> None:
    """Let a storage that failed come to itself."""
    await asyncio.sleep(seconds)


async def migrate(
    projection: Projection, back_up: Callable[[], Awaitable[str | None]], *, dry_run: bool, on_progress: Progress | None = None
) -> dict[str, Any]:
    """Migrate the log if it is of an older version: what was done, or, on a `dry_run`, found.

    `back_up` makes a backup, checks it, and gives its id. A failure of the storage is tried again, up to three times in all. Raises
    MigrationError with the `problems` found: then nothing was changed.
    """
    began = time.monotonic()
    stored = projection.document.get("app", {}).get("version")
    report: dict[str, Any] = {"from": stored, "to": projection.schema.app, "dry_run": dry_run, "backup": None, "problems": []}
    if projection.is_older:
        for attempt in range(1, TRIES + 1):
            try:
                await _try(projection, back_up, report, dry_run=dry_run, on_progress=on_progress)
                break
            except StorageError as error:
                if attempt == TRIES:
                    raise MigrationError(
                        f"The data could not be brought from version {stored} to {projection.schema.app}: {error.message} It was tried "
                        f"{TRIES} times. Nothing was changed.", problems=[{"id": None, "why": error.message}], **_about(report),
                    ) from error
                await wait(FIRST_PAUSE_S * 2 ** (attempt - 1))
    return {**report, "seconds": round(time.monotonic() - began, 3)}


async def _try(
    projection: Projection, back_up: Callable[[], Awaitable[str | None]], report: dict[str, Any], *, dry_run: bool,
    on_progress: Progress | None,
) -> None:
    if not dry_run:
        report["backup"] = await back_up()
    async with projection.exclusive, projection.platform.writing(projection.log.state.log):
        await projection.catch_up()
        if not projection.is_older:
            return  # another window has done it
        problems = await _problems(projection, report, on_progress)
        report["problems"] = problems
        if problems and not dry_run:
            told = "; ".join(problem["why"] for problem in problems[:3])
            raise MigrationError(
                f"The data could not be brought from version {report['from']} to {report['to']}: {told}. Nothing was changed.",
                problems=problems[:MOST_TOLD], **_about(report),
            )
        if not dry_run:
            await _move(projection)


async def _problems(projection: Projection, report: dict[str, Any], on_progress: Progress | None) -> list[dict[str, Any]]:
    """What is wrong with a view of this version, folded from nothing beside the one that is shown."""
    before = await _conflicts_before(projection)
    folded = await projection.fold(projection.log.state.marks, from_nothing=True, on_progress=on_progress)
    if folded is None:
        raise ConflictError("Everything was replaced in this moment. Try again.")
    with closing(folded.view) as view:
        aside = {(replica, seq): reason for replica, seq, reason in view.select("SELECT replica, seq, reason FROM pystore_conflict")}
        broken = view.broken_constraints()
    report["events"], report["upcast"] = folded.shown.events, 0
    older: set[tuple[str, int]] = set()
    for segment in await projection.log.all_segments():
        found = {(event.replica, event.seq) for event in _older(events_in(segment.body), projection)}
        report["upcast"] += len(found)
        older |= found & aside.keys()
        await projection.platform.breathe()
    # Conflicts that were there before are none of the new version's. Where that is not known, those of events that it has to upcast are.
    new = [key for key in aside if key not in before] if before is not None else [key for key in aside if key in older]
    return [
        *({"id": f"{replica}:{seq}", "why": f"event {replica}:{seq}: {aside[replica, seq]}"} for replica, seq in sorted(new)),
        *({"id": None, "why": why} for why in broken),
    ]


def _older(events: Iterable[Recorded], projection: Projection) -> Iterable[Recorded]:
    types = projection.schema.types
    return (event for event in events if event.type in types and event.v < types[event.type].v)


async def _conflicts_before(projection: Projection) -> set[tuple[str, int]] | None:
    """What the older version had set aside, by its newest checkpoint of all events; None if there is none."""
    storage = projection.log.storage
    here = codec.decode(projection.log.state.to_json())["replicas"]
    for name in sorted(await storage.checkpoints(), reverse=True):
        checkpoint = await storage.load_checkpoint(name)
        try:
            if checkpoint is None or codec.decode(checkpoint.about)["state"]["replicas"] != here:
                continue
            with closing(sqlite3.connect(":memory:")) as database:  # its tables are the older version's
                database.deserialize(checkpoint.image)
                return set(database.execute("SELECT replica, seq FROM pystore_conflict"))
        except (ValueError, LookupError, TypeError, sqlite3.Error):
            continue  # a form that is not known here
    return None


async def _move(projection: Projection) -> None:
    """Let the version document say that the log is of this version. It takes a number, so other writers notice."""
    document = versions.written(projection.document, projection.schema, projection.platform.name)
    log = projection.log
    await log.add([], log.state, [], log.waiting, instead=False, meta={"versions": codec.encode(document)})
    projection.shown = log.state
    projection.migration_failure = None
    await projection.read_versions()


def _about(report: dict[str, Any]) -> dict[str, Any]:
    return {key: report[key] for key in ("from", "to", "backup")}


def failure_of(error: PyStoreError) -> str:
    """Why a migration failed, as it stands beside what is read-only for it."""
    return f"Bringing them to this one failed: {error.message} You can read and save them, and try again."
