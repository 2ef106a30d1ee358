"""Live queries: told again when a table they read was written to and the answer changed, and only then."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from pystore import view as view_module
from pystore.codec import decode
from pystore.errors import ConstraintError, QueryError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from pystore.view import Parameters, View
from tests.support.notes import SCHEMA, FolderMade, NoteEdited, NoteRemoved, note, saved


class CountingView(View):
    """Notes which queries were asked."""

    def __init__(self, view: View) -> None:
        super().__init__(view.schema, view.image())
        self.asked: list[str] = []

    def read(self, sql: str, parameters: Parameters = ()) -> list[dict[str, object]]:
        self.asked.append(sql)
        return super().read(sql, parameters)


def count_questions(store: Store) -> list[str]:
    view = CountingView(store.view)
    store.projection.show(view, store.log.state)
    return view.asked


NOTES = "SELECT note_id FROM note ORDER BY position"
FOLDERS = "SELECT folder FROM folder"
SEARCH = "SELECT rowid FROM note_search WHERE note_search MATCH match_terms(?)"


async def test_a_listener_is_told_the_answer_at_once_and_after_each_change(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        told: list[bytes] = []
        stop = store.watch("SELECT count(*) AS n FROM note", (), told.append)
        await store.append(note("1"))
        await store.append([note("2"), note("3")])
        stop()
        stop()
        await store.append(note("4"))
        assert [decode(rows) for rows in told] == [[{"n": 0}], [{"n": 1}], [{"n": 3}]]


async def test_only_those_are_asked_again_whose_tables_were_touched(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(FolderMade(folder="f"))
        asked = count_questions(store)
        for sql in (NOTES, FOLDERS, "SELECT 1"):
            store.watch(sql, (), lambda _: None)
        asked.clear()
        await store.append(note("1"))
        assert asked == [NOTES]
        asked.clear()
        await store.append(FolderMade(folder="g"))
        assert asked == [FOLDERS]
        asked.clear()
        await store.append(note("2", folder="g"))
        assert asked == [NOTES, FOLDERS]


async def test_an_answer_that_stays_the_same_wakes_nobody(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        told: list[bytes] = []
        store.watch(NOTES, (), told.append)
        await store.append(note("1"))
        await store.append(NoteEdited(note_id="1", text="other"))
        await store.append([note("2"), NoteRemoved(note_id="2")])
        assert told == [b"[]", b'[{"note_id":"1"}]']


async def test_a_refused_append_wakes_nobody(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        told: list[bytes] = []
        store.watch(NOTES, (), told.append)
        with pytest.raises(ConstraintError):
            await store.append([note("2"), note("1")])
        assert len(told) == 1


async def test_a_statement_that_was_refused_at_first_wakes_later(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        told: list[bytes] = []
        store.watch(NOTES, (), told.append)
        with pytest.raises(ConstraintError):
            await store.append(note("1", "refused"))
        await store.append(note("2"))
        assert told == [b"[]", b'[{"note_id":"2"}]']


async def test_a_search_is_live_too(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        told: list[bytes] = []
        store.watch(SEARCH, ("wor",), told.append)
        await store.append(note("1", "a word"))
        await store.append(note("2", "nothing"))
        await store.append(NoteEdited(note_id="1", text="gone"))
        assert told == [b"[]", b'[{"rowid":1}]', b"[]"]


async def test_what_another_writer_did_wakes_when_it_is_taken_in(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as one, await Store.open(SCHEMA, "a", platform=platform) as two:
        told: list[bytes] = []
        one.watch(NOTES, (), told.append)
        await two.append(note("1"))
        await one.catch_up()
        await one.catch_up()
        assert told == [b"[]", b'[{"note_id":"1"}]']


async def test_queries_stay_live_over_a_restore(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as one, await Store.open(SCHEMA, "b", platform=platform) as two:
        await one.append(note("1"))
        file = await saved(one)
        told: list[bytes] = []
        two.watch(NOTES, (), told.append)
        await two.restore([file])
        await two.append(note("2"))
        await two.restore([file], mode="replace")
        await two.append(note("3"))
        assert [[row["note_id"] for row in decode(rows)] for rows in told] == [[], ["1"], ["1", "2"], ["1"], ["1", "3"]]


async def test_a_query_that_was_too_slow_once_is_asked_again(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = """
        WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 200000 * (SELECT count(*) = 1 FROM note))
        SELECT max(n) AS n FROM r
    """
    async with await Store.open(SCHEMA, "a", platform=platform) as one, await Store.open(SCHEMA, "b", platform=platform) as two:
        for index in range(2):
            await two.append(note(index))
        told: list[bytes] = []
        one.watch(sql, (), told.append)
        monkeypatch.setattr(view_module, "QUERY_SECONDS", 0.0)
        await one.append(note("a"))
        assert told == [b'[{"n":1}]']
        # Also when the view is another one meanwhile, which never answered it.
        await one.restore([await saved(two)], mode="replace")
        monkeypatch.setattr(view_module, "QUERY_SECONDS", 10.0)
        await one.append(NoteRemoved(note_id="1"))
        assert told == [b'[{"n":1}]', b'[{"n":200000}]']


async def test_a_listener_that_fails_costs_only_itself(platform: MemoryPlatform, caplog: pytest.LogCaptureFixture) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        told: list[bytes] = []

        def fail(rows: bytes) -> None:
            if rows != b"[]":
                raise RuntimeError("listener")

        store.watch(NOTES, (), fail)
        store.watch(NOTES, (), told.append)
        with caplog.at_level(logging.CRITICAL, "pystore.live"):
            (appended,) = await store.append(note("1"))
        assert appended.id.endswith(":1")
        assert len(told) == 2


async def test_a_listener_that_fails_at_first_is_not_kept(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:

        def fail(rows: bytes) -> None:
            raise RuntimeError("listener")

        with pytest.raises(RuntimeError):
            store.watch(NOTES, (), fail)
        with pytest.raises(QueryError):
            store.watch("DELETE FROM note", (), fail)
        await store.append(note("1"))


async def test_a_listener_may_end_another(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        told: list[bytes] = []
        stops: list[Callable[[], None]] = []

        def first(rows: bytes) -> None:
            if rows != b"[]":
                stops[0]()

        store.watch(NOTES, (), first)
        stops.append(store.watch(NOTES, (), told.append))
        await store.append(note("1"))
        assert told == [b"[]"]
