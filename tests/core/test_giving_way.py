"""Work that nobody waits for gives way to what somebody asked, and keeps nobody waiting while it does."""

from __future__ import annotations

import asyncio

import pytest

from pystore import projection as projection_module
from pystore.browser.questions import Questions
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.notes import SCHEMA, folded, note, shown


class StandingBack(MemoryPlatform):
    """A platform on which work that gives way waits until it is let go on: at once, or only once a checkpoint is kept."""

    def __init__(self, *, once_kept: bool) -> None:
        super().__init__()
        self.once_kept = once_kept
        self.stands_back = asyncio.Event()
        self.go_on = asyncio.Event()

    async def give_way(self) -> None:
        if not self.once_kept or self.kept["a"].checkpoints:
            self.stands_back.set()
            await self.go_on.wait()


@pytest.fixture
def far_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log of 3,000 events is one that is folded once more for checkpoints on the way."""
    monkeypatch.setattr(projection_module, "FAR_EVENTS", 1000)


@pytest.mark.parametrize("once_kept", [False, True], ids=["indexing", "folding"])
@pytest.mark.usefixtures("far_apart")
async def test_whatever_is_asked_is_answered_while_upkeep_stands_back(*, once_kept: bool) -> None:
    platform = StandingBack(once_kept=once_kept)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (first, *_) = await store.append([note(index) for index in range(3000)])
        keeping = asyncio.ensure_future(store.upkeep(now=True))
        await platform.stands_back.wait()
        await store.append(note("meanwhile"))
        await store.undo([first.id])
        file = b"".join([chunk async for chunk in store.save()])
        await store.restore([file], mode="replace")
        await store.backups.create()
        assert not (await store.verify())["problems"]
        assert not keeping.done()
        platform.go_on.set()
        await keeping
        assert shown(store) == await folded(store)


@pytest.mark.usefixtures("far_apart")
async def test_a_log_is_folded_once_more_for_its_checkpoints_only_when_nobody_waits() -> None:
    platform = StandingBack(once_kept=True)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for start in range(0, 8000, 1000):
            await store.append([note(index) for index in range(start, start + 1000)])
        keeping = asyncio.ensure_future(store.upkeep(now=True))
        await platform.stands_back.wait()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert len(platform.kept["a"].checkpoints) == 1
        platform.go_on.set()
        await keeping
        assert len(platform.kept["a"].checkpoints) > 1


async def test_stands_back_until_all_questions_are_answered() -> None:
    questions = Questions()
    await questions.answered()
    with questions.one():
        with questions.one():
            waiting = asyncio.ensure_future(questions.answered())
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not waiting.done()
    await waiting


async def test_goes_on_after_a_while_also_when_questions_never_end() -> None:
    questions = Questions()
    with questions.one():
        await questions.answered(0.001)


async def test_a_question_that_ended_in_an_error_is_over() -> None:
    questions = Questions()
    with pytest.raises(ValueError, match="wrong"), questions.one():
        raise ValueError("wrong")
    await questions.answered(3600)
