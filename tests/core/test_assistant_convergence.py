"""What the assistant's view derives (numbers of messages, the current one, the newest time) follows from its rows, whatever happens.

Hypothesis makes up what two devices do; after each step the view equals a fold of the log from nothing, an event at a time, and what
is derived equals what one would count.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from pystore import checkpoints, projection
from pystore import log as log_module
from pystore import upkeep as upkeep_module
from pystore.assistant import schema
from pystore.assistant.conversations import ConversationArchived, ConversationRetitled, ConversationStarted, MessagePosted, TextPart
from pystore.errors import ConstraintError
from pystore.event import Event
from pystore.marks import Marks
from pystore.memory import MemoryPlatform
from pystore.projector import Projector
from pystore.store import Store
from pystore.view import View
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import saved, stored_events
from tests.support.profiles import schedules
from tests.support.running import Loop

TABLES = ("conversation", "message", "pystore_conflict")
CONVERSATIONS = st.sampled_from("ab")
TIMES = st.integers(10, 59).map("2026-05-03T14:02:{}.000Z".format)
POSTED = st.builds(
    MessagePosted, message_id=st.sampled_from("123456"), conversation_id=CONVERSATIONS, role=st.sampled_from(["user", "assistant"]),
    content=st.just([TextPart(type="text", text="some words")]), created_at=TIMES,
)
EVENTS = st.one_of(
    POSTED, POSTED, POSTED,
    st.builds(ConversationStarted, conversation_id=CONVERSATIONS, title=st.just("A title"), created_at=TIMES),
    st.builds(ConversationRetitled, conversation_id=CONVERSATIONS, title=st.sampled_from(["One", "Two"])),
    st.builds(ConversationArchived, conversation_id=CONVERSATIONS, archived=st.booleans()),
)
WHO = st.integers(0, 1)
PICK = st.integers(0, 1000)


def rows(view: View) -> dict[str, list[dict[str, Any]]]:
    return {table: view.read(f"SELECT * FROM {table} ORDER BY 1, 2") for table in TABLES}


async def folded(store: Store) -> dict[str, list[dict[str, Any]]]:
    """What a view shows that was folded from nothing, an event at a time."""
    view = View(schema)
    try:
        events = await stored_events(store)
        projector = Projector(schema, view)
        projector.marks = Marks().and_those_of(events)
        for event in events:
            projector.fold([event])
        return rows(view)
    finally:
        view.close()


class Assistants(RuleBasedStateMachine):
    """Two devices with one log each, and the files that they saved."""

    files = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.patch = pytest.MonkeyPatch()
        self.stores: list[Store] = []
        self.clocks: list[FakeClock] = []
        for module, name, value in (
            (projection, "FOLD_SLICE", 3), (checkpoints, "NEAR_EVENTS", 1), (checkpoints, "SPACE", 20), (projection, "NEAR_EVENTS", 1),
            (upkeep_module, "UPKEEP_AFTER_S", 3600.0),
        ):
            self.patch.setattr(module, name, value)
        numbers = count()
        self.patch.setattr(log_module, "new_replica_id", lambda: sha256(b"%d" % next(numbers)).hexdigest()[:16])

    @initialize()
    def begin(self) -> None:
        self.clocks = [FakeClock(START_MS), FakeClock(START_MS)]
        self.stores = [self.loop.run(Store.open(schema, "a", platform=MemoryPlatform(clock))) for clock in self.clocks]

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None and self.stores:
                self.meet()
        finally:
            for store in self.stores:
                self.loop.run(store.close())
            self.loop.close()
            self.patch.undo()

    def do(self, who: int, work: Callable[[Store], Coroutine[Any, Any, Any]]) -> Any:
        async def done() -> Any:
            self.clocks[who].advance(1000)
            result = await work(self.stores[who])
            await self.check(self.stores[who])
            return result

        return self.loop.run(done())

    async def check(self, store: Store) -> None:
        """That the view is a fold of the log, and that what it derives is what one would count."""
        shown = rows(store.view)
        assert shown == await folded(store)
        for conversation in shown["conversation"]:
            messages = [row for row in shown["message"] if row["conversation_id"] == conversation["conversation_id"]]
            assert conversation["message_count"] == len(messages)
            assert conversation["current_message_id"] == (messages[-1]["message_id"] if messages else None)
            newest = max((row["created_at"] for row in messages), default=conversation["created_at"])
            assert conversation["updated_at"] == newest

    @rule(who=WHO, events=st.lists(EVENTS, min_size=1, max_size=6), apart=st.booleans())
    def append(self, who: int, events: list[Event], apart: bool) -> None:
        async def work(store: Store) -> None:
            for some in [[event] for event in events] if apart else [events]:
                with suppress(ConstraintError):
                    await store.append(some)

        self.do(who, work)

    @precondition(lambda self: self.stores)
    @rule(who=WHO, pick=PICK, more=st.integers(0, 3), what=st.sampled_from(["undo", "redo"]))
    def undo_or_redo(self, who: int, pick: int, more: int, what: str) -> None:
        async def work(store: Store) -> None:
            if events := await stored_events(store):
                chosen = events[pick % len(events)]
                span = f"{chosen.replica}:{chosen.seq}-{chosen.seq + more}" if more else chosen.id
                await (store.undo([span]) if what == "undo" else store.redo([span]))

        self.do(who, work)

    @rule(target=files, who=WHO)
    def save(self, who: int) -> Any:
        return self.do(who, saved)

    @rule(who=WHO, file=files)
    def restore(self, who: int, file: bytes) -> None:
        self.do(who, lambda store: store.restore([file]))

    @rule(who=WHO)
    def upkeep(self, who: int) -> None:
        self.do(who, lambda store: store.upkeep(now=True))

    @rule()
    def meet(self) -> None:
        """Everyone gets everything, and both show the same."""
        one, other = self.stores
        self.do(0, lambda store: self.taken(store, other))
        self.do(1, lambda store: self.taken(store, one))
        assert rows(one.view) == rows(other.view)

    async def taken(self, store: Store, other: Store) -> None:
        self.clocks[0].ms = self.clocks[1].ms = max(clock.ms for clock in self.clocks)
        await store.restore([await saved(other)])


def test_the_assistants_view_is_right_whatever_happens_in_which_order() -> None:
    run_state_machine_as_test(Assistants, settings=settings(max_examples=schedules() // 3, stateful_step_count=20))
