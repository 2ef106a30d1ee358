"""Whatever happens to stores, in whatever order, their views equal a fold of their logs from nothing."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import log as log_module
from pystore import projection as projection_module
from pystore.errors import ConstraintError, HandlerError
from pystore.event import Event
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import (
    SCHEMA,
    FolderMade,
    NoteEdited,
    NoteRemoved,
    check_chains,
    folded,
    json_lines,
    lines_of,
    note,
    saved,
    shown,
    stored_events,
)

NAMES = st.sampled_from(["1", "2", "3", "4", "5"])
TEXTS = st.sampled_from(["text", "one two", "three", "refused", "漢字 text"])
FOLDERS = st.sampled_from(["f", "g"])
EVENTS = st.one_of(
    st.builds(note, NAMES, TEXTS, st.none() | FOLDERS),
    st.builds(NoteEdited, note_id=NAMES, text=TEXTS),
    st.builds(NoteRemoved, note_id=NAMES),
    st.builds(FolderMade, folder=FOLDERS),
)
REPLICAS = 3
WHO = st.integers(0, REPLICAS - 1)
Step = Callable[["World"], Awaitable[None]]


class World:
    """Devices with one log each, which exchange backups."""

    def __init__(self) -> None:
        self.clocks = [FakeClock() for _ in range(REPLICAS)]
        self.platforms = [MemoryPlatform(clock) for clock in self.clocks]
        self.stores: list[Store] = []

    async def open(self, who: int) -> Store:
        return await Store.open(SCHEMA, "a", platform=self.platforms[who])

    async def close(self) -> None:
        for store in self.stores:
            await store.close()

    async def check(self) -> None:
        for store in self.stores:
            assert shown(store) == await folded(store)
            assert store.projection.shown is store.log.state
            check_chains(event.line for event in await stored_events(store))


def append(who: int, appends: list[list[Event]]) -> Step:
    async def step(world: World) -> None:
        answers = await asyncio.gather(*(world.stores[who].append(events) for events in appends), return_exceptions=True)
        assert all(isinstance(answer, (list, ConstraintError, HandlerError)) for answer in answers)

    return step


def append_json(who: int, events: list[Event]) -> Step:
    async def step(world: World) -> None:
        with suppress(ConstraintError, HandlerError):
            await world.stores[who].append_json(json_lines(*events))

    return step


def rename(who: int, name: str) -> Step:
    return lambda world: world.stores[who].rename(name)


def move_clock(who: int, ms: int) -> Step:
    async def step(world: World) -> None:
        world.clocks[who].ms = START_MS + ms

    return step


def reopen(who: int) -> Step:
    async def step(world: World) -> None:
        await world.stores[who].close()
        world.stores[who] = await world.open(who)

    return step


def upkeep(who: int) -> Step:
    return lambda world: world.stores[who].upkeep(now=True)


def write_from_another_tab(who: int, events: list[Event]) -> Step:
    async def step(world: World) -> None:
        async with await world.open(who) as tab:
            with suppress(ConstraintError, HandlerError):
                await tab.append(events)
            await tab.upkeep(now=True)

    return step


def catch_up(who: int) -> Step:
    async def step(world: World) -> None:
        await world.stores[who].catch_up()

    return step


def restore_in_another_tab(source: int, target: int) -> Step:
    async def step(world: World) -> None:
        async with await world.open(target) as tab:
            await tab.restore([await saved(world.stores[source])])

    return step


def restore(source: int, target: int, mode: Any) -> Step:
    async def step(world: World) -> None:
        await world.stores[target].restore([await saved(world.stores[source])], mode=mode)

    return step


STEPS = st.one_of(
    st.builds(append, WHO, st.lists(st.lists(EVENTS, min_size=1, max_size=4), min_size=1, max_size=4)),
    st.builds(append_json, WHO, st.lists(EVENTS, max_size=4)),
    st.builds(rename, WHO, NAMES),
    st.builds(move_clock, WHO, st.integers(-100_000, 100_000)),
    st.builds(reopen, WHO),
    st.builds(upkeep, WHO),
    st.builds(write_from_another_tab, WHO, st.lists(EVENTS, min_size=1, max_size=3)),
    st.builds(catch_up, WHO),
    st.builds(restore, WHO, WHO, st.sampled_from(["merge", "merge", "merge", "replace"])),
    st.builds(restore_in_another_tab, WHO, WHO),
)


@given(steps=st.lists(STEPS, max_size=25), seed=st.integers(0, 1000))
async def test_a_view_kept_up_step_by_step_equals_a_fold_from_nothing(steps: list[Step], seed: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        # Small numbers, so that what happens seldom happens often.
        patch.setattr(log_module, "MERGE_FROM_SEGMENTS", 3)
        patch.setattr(log_module, "SEGMENT_EVENTS", 8)
        patch.setattr(projection_module, "FOLD_SLICE", 3)
        world = World()
        world.stores = [await world.open(who) for who in range(REPLICAS)]
        for step in steps:
            await step(world)
        await asyncio.gather(*(store.catch_up() for store in world.stores))
        await world.check()
        # Whatever the order in which they exchange their backups, they end equal.
        pairs = [(source, target) for source in range(REPLICAS) for target in range(REPLICAS) if source != target] * 2
        random.Random(seed).shuffle(pairs)
        pairs += [(0, 1), (1, 2), (2, 0), (0, 1)]
        for source, target in pairs:
            await restore(source, target, "merge")(world)
        await world.check()
        first = await lines_of(world.stores[0])
        for store in world.stores[1:]:
            assert await lines_of(store) == first
            assert shown(store) == shown(world.stores[0])
            assert store.log.state.named == world.stores[0].log.state.named
            if store.log.state.named[1]:
                assert store.log.state.name == world.stores[0].log.state.name
            assert store.log.state.feeds == world.stores[0].log.state.feeds
            assert store.log.state.counts == world.stores[0].log.state.counts
        await world.close()
