"""For those who write an application: the three tests that every migration must have, in one call.

async def test_version_2_takes_over_what_version_1_wrote():
await check_migration(
schema, from_version=1,
fixtures=[("note.added", 1, {"note_id": "1", "text": "hello"})],
expect={"SELECT note_id, title FROM note": [{"note_id": "1", "title": "hello"}]},
record=lambda n: ("note.added", 1, {"note_id": f"n{n}", "text": "hello"}),
)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pystore import codec
from pystore.clock import stamps_from
from pystore.errors import MigrationError, PyStoreError
from pystore.event import Draft, Event, Head, new_replica_id, record
from pystore.log import LogState, new_epoch
from pystore.memory import MemoryPlatform
from pystore.ports import Commit, Segment
from pystore.schema import Schema
from pystore.schema_file import described
from pystore.segment import events_in, pack
from pystore.store import Store
from pystore.versions import new_document

RECORDS = 10_000
MOST_SECONDS = 5.0
LONGEST_PAUSE_S = 1.0

Fixture = tuple[str, int, Mapping[str, Any]]
"""An event as an older version recorded it: type, version, data."""


async def check_migration(
    schema: Schema, *, from_version: int, fixtures: Sequence[Fixture], record: Callable[[int], Fixture],
    expect: Mapping[str, list[dict[str, Any]]], through: Mapping[str, str] = MappingProxyType({}), records: int = RECORDS,
) -> dict[str, float]:
    """Migrate data of `from_version` to `schema` three times over; the figures. Raises AssertionError with what does not hold.

    Forward: the `fixtures` arrive, their bytes as they were, and each query of `expect` gives its rows. Integrity: constraints and the
    checks that the schema declares hold, all its indexes are there, and each query of `through` uses the one it names. Performance:
    `records` events, the n-th as `record(n)` gives it, take under 5 s, and other work never waits for more than 1 s.
    """
    await _check_forward(schema, from_version, fixtures, expect, through)
    seconds, pause = await _check_performance(schema, from_version, [record(number) for number in range(records)])
    return {"records": records, "seconds": seconds, "longest_pause_s": pause}


async def _check_forward(
    schema: Schema, from_version: int, fixtures: Sequence[Fixture], expect: Mapping[str, list[dict[str, Any]]],
    through: Mapping[str, str],
) -> None:
    platform = MemoryPlatform()
    lines = await _older(platform, schema, from_version, fixtures)
    async with await _migrated(schema, platform) as store:
        after = [event.line for segment in await store.log.all_segments() for event in events_in(segment.body)]
        assert after == lines, "Forward: the bytes of recorded events were changed."  # noqa: S101
        aside = await store.conflicts()
        assert not aside, f"Forward: {aside[0]['type']} does not arrive: {aside[0]['reason']}"  # noqa: S101
        for sql, rows in expect.items():
            try:
                found = store.query(sql)
            except PyStoreError as error:
                raise AssertionError(f"Integrity: the query {sql!r} fails: {error}") from error
            assert found == rows, f"Forward: {sql!r} gives {found!r} where {rows!r} was expected."  # noqa: S101
        broken = store.view.broken_constraints()
        assert not broken, f"Integrity: {broken[0]}"  # noqa: S101
        there = {name for (name,) in store.view.select("SELECT name FROM sqlite_master WHERE type = 'index'")}
        for index in described(schema)["indexes"]:
            assert index in there, f"Integrity: the index {index} is not there."  # noqa: S101
        for sql, index in through.items():
            plan = [row["detail"] for row in store.query(f"EXPLAIN QUERY PLAN {sql}")]
            assert any(index in step.split() for step in plan), f"Integrity: {sql!r} does not use the index {index}: {plan}"  # noqa: S101


async def _check_performance(schema: Schema, from_version: int, fixtures: Sequence[Fixture]) -> tuple[float, float]:
    platform = MemoryPlatform()
    await _older(platform, schema, from_version, fixtures)
    longest, is_over = 0.0, False

    async def watch() -> None:
        nonlocal longest
        while not is_over:
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)

    watching = asyncio.ensure_future(watch())
    began = time.monotonic()
    try:
        async with await _migrated(schema, platform) as store:
            seconds = time.monotonic() - began
            aside = await store.conflicts()
    finally:
        is_over = True
        await watching
    assert not aside, f"Performance: {aside[0]['type']} does not arrive: {aside[0]['reason']}"  # noqa: S101
    assert seconds < MOST_SECONDS, f"Performance: {len(fixtures):,} records took {seconds:.1f} s."  # noqa: S101
    assert longest < LONGEST_PAUSE_S, f"Performance: other work had to wait for {longest:.1f} s."  # noqa: S101
    return seconds, longest


async def _migrated(schema: Schema, platform: MemoryPlatform) -> Store:
    store = await Store.open(schema, "fixtures", platform=platform, migrate=False)
    try:
        await store.migrate()
    except MigrationError as error:
        await store.close()
        raise AssertionError(f"Forward: {error}") from error
    return store


async def _older(platform: MemoryPlatform, schema: Schema, from_version: int, fixtures: Iterable[Fixture]) -> list[bytes]:
    """Make a log as `from_version` of the application wrote it; its lines."""
    state = LogState("fixtures", new_epoch(), new_replica_id(), "fixtures")
    drafts = [Draft(type_, v, Event(), codec.encode(dict(data))) for type_, v, data in fixtures]
    stamps = stamps_from("0192f3a4b5c6-0000", len(drafts))
    events, head = record(drafts, list(stamps), state.writer, Head())
    state = state.after(events, {state.writer: head}, 1)
    document = new_document(Schema(schema.name, app=from_version, views=from_version), platform.name)
    storage = await platform.open_log("fixtures")
    body = pack([event.line for event in events])
    await storage.commit(Commit(add=[Segment(1, 1, len(events), body)], meta={**state.to_meta(), "versions": codec.encode(document)}))
    await storage.close()
    return [event.line for event in events]
