"""While a store is verified everything else goes on: it is done in slices, compares what is of one moment, and can be cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import pytest

from pystore import verification
from pystore.backup import restore
from pystore.errors import ClosedError, ConflictError
from pystore.memory import MemoryPlatform
from pystore.projection import Projection
from pystore.store import Store
from pystore.view import View
from tests.support.damage import SOUND, named
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import SCHEMA, NoteEdited, json_lines, note, saved


class Breathing(MemoryPlatform):
    """A platform that counts the slices, and lets a test do something between them."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.breathes = 0
        self.between: list[Callable[[], Any]] = []

    async def breathe(self) -> None:
        self.breathes += 1
        for call in self.between:
            call()
        await super().breathe()


async def busy(clock: FakeClock, events: int = 3000) -> tuple[Breathing, Store]:
    """A store with one large segment and several that overlap it."""
    platform = Breathing(clock)
    store = await Store.open(SCHEMA, "a", platform=platform)
    await store.append_json(json_lines(*(note(number) for number in range(events))))
    async with await Store.open(SCHEMA, "b", platform=MemoryPlatform(FakeClock(START_MS - 1000))) as other:
        await other.append_json(json_lines(*(note(f"early {number}") for number in range(events // 10))))
        other.log.clock.now_ms = lambda: START_MS + 1000
        await other.append(note("late"))
        await store.restore([await saved(other)])
    return platform, store


async def test_no_slice_is_longer_than_it_may_be_and_others_have_their_turn_between(
    clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform, store = await busy(clock)
    async with store:
        work = {"checked": 0, "folded": 0, "compared": 0}
        longest = dict(work)

        def count(what: str, many: int = 1) -> None:
            work[what] += many
            longest[what] = max(longest[what], work[what])

        check_json, projector_of, pages = restore.check_json, Projection.projector_of, View.pages

        def checking(lines: Sequence[bytes]) -> None:
            count("checked", len(lines))
            check_json(lines)

        def counting(self: Any, view: View) -> Any:
            projector = projector_of(self, view)
            projector.before_each = lambda _: count("folded")
            return projector

        def paged(self: View, table: str, size: int) -> Any:
            for page in pages(self, table, size):
                count("compared", len(page))
                yield page

        monkeypatch.setattr(verification, "check_json", checking)
        monkeypatch.setattr(Projection, "projector_of", counting)
        monkeypatch.setattr(View, "pages", paged)
        held = []
        platform.between = [lambda: work.update(dict.fromkeys(work, 0)), lambda: held.append(store.projection.exclusive.locked())]
        before = platform.breathes
        store.view._db.execute("DELETE FROM note WHERE note_id = '0'")  # so that it is looked for the event as well
        assert named(await store.verify()) == [f"{store.log.state.writer}:1"]
        assert platform.breathes - before >= 3 * 3301 / verification.SLICE_EVENTS
        assert longest["checked"] == longest["folded"] == verification.SLICE_EVENTS
        assert longest["compared"] == 2 * verification.PAGE_ROWS
        assert not any(held)


async def test_long_events_make_short_slices(clock: FakeClock) -> None:
    platform = Breathing(clock)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append_json(json_lines(*(note(number, "x" * 200_000) for number in range(20))))
        before = platform.breathes
        assert named(await store.verify()) == SOUND
        assert platform.breathes - before >= 20


async def test_appends_and_queries_go_on_and_what_is_compared_is_of_one_moment(clock: FakeClock) -> None:
    _, store = await busy(clock)
    async with store:
        appended = 0

        async def write(checking: asyncio.Task[Any]) -> None:
            nonlocal appended
            while not checking.done():
                await store.append(note(f"meanwhile {appended}"), NoteEdited(note_id=str(appended), text="edited"))
                appended += 1
                assert store.query("SELECT count(*) AS n FROM note WHERE text = 'edited'") == [{"n": appended}]

        checking = asyncio.ensure_future(store.verify())
        await write(checking)
        found = checking.result()
        assert named(found) == SOUND
        assert 3301 <= found["events"] < 3301 + 2 * appended
        assert appended > 10
        assert named(await store.verify()) == SOUND


async def test_cancelled_at_whatever_moment_it_leaves_nothing_behind(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    platform, store = await busy(clock, 300)
    open_views: set[int] = set()
    init, close = View.__init__, View.close

    def opened(self: View, *args: Any) -> None:
        init(self, *args)
        open_views.add(id(self))

    def closed(self: View) -> None:
        close(self)
        open_views.discard(id(self))

    monkeypatch.setattr(View, "__init__", opened)
    monkeypatch.setattr(View, "close", closed)
    async with store:
        def stored() -> tuple[Any, ...]:
            kept = platform.kept["a"]
            return dict(kept.segments), {name: raw for name, raw in kept.meta.items() if name != "shown"}  # which upkeep notes

        before = stored()
        store.view._db.execute("DELETE FROM note WHERE note_id = '0'")  # so that it is looked for the event as well
        wrong = [f"{store.log.state.writer}:1"]
        slices = platform.breathes
        assert named(await store.verify()) == wrong
        slices = platform.breathes - slices
        for at in range(slices):
            checking = asyncio.ensure_future(store.verify())
            left = at

            def cancel(checking: asyncio.Task[Any] = checking) -> None:
                nonlocal left
                left -= 1
                if left < 0:
                    checking.cancel()

            platform.between = [cancel]
            with suppress(asyncio.CancelledError):
                await checking
            assert checking.cancelled()
            platform.between = []
            assert not open_views
            assert not store.projection.exclusive.locked()
        assert stored() == before
        await store.append(note("after"))
        assert named(await store.verify()) == wrong


async def test_a_store_that_is_closed_or_replaced_meanwhile_ends_it(clock: FakeClock) -> None:
    _, store = await busy(clock, 3000)
    file = await saved(store)
    checking = asyncio.ensure_future(store.verify())
    await asyncio.sleep(0)
    await store.restore([file], mode="replace")
    with pytest.raises(ConflictError, match="replaced"):
        await checking
    checking = asyncio.ensure_future(store.verify())
    await asyncio.sleep(0)
    await store.close()
    with pytest.raises(ClosedError):
        await checking
    with pytest.raises(ClosedError):
        await store.verify()
