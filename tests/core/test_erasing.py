"""What is erased is gone: from everything that is kept, on every replica, whatever comes when, and wherever the work was cut short."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystore import codec
from pystore.erasure import Erasures, blank
from pystore.errors import ClosedError, CorruptBackupError, CorruptError, PyStoreError, StorageError, ValidationError
from pystore.event import Draft, Head, parse_line, record
from pystore.marks import Span
from pystore.memory import MemoryPlatform
from pystore.records import Records
from pystore.recovery import damaged_file, repair
from pystore.segment import pack, unpack_bytes
from pystore.store import Store
from pystore.waiting import KEY as WAITING
from tests.support.failing import FaultyPlatform, Plan, UntranslatedError
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, a_part, event_lines, folded, lines_of, note, saved, shown

SECRET = "nobody must ever read this again"
DAY = 86_400_000


def kept(platform: MemoryPlatform, log: str = "a") -> bytes:
    """Every byte that is kept of a log, unpacked."""
    parts: list[bytes] = []
    if log in platform.kept:
        of_log = platform.kept[log]
        parts += [unpack_bytes(segment.body) for segment in of_log.segments.values()]
        parts += [unpack_bytes(value) if key == WAITING and value else value for key, value in Records(of_log.meta).items()]
        parts += of_log.batches.values()
        parts += [part for checkpoint in of_log.checkpoints.values() for part in (checkpoint.about, bytes(checkpoint.image))]
    for name, data in platform.vaults.get(log, {}).items():
        parts.append(unpack_bytes(data) if name.startswith(("chunks/", "damaged/")) else data)
    return b"\n".join(parts)


def is_kept(platform: MemoryPlatform, log: str = "a") -> bool:
    return SECRET.encode() in kept(platform, log)


async def with_secret(platform: MemoryPlatform, log: str = "a") -> tuple[Store, str]:
    """A store with the secret in its log, its checkpoints and its backups; and the id of the event."""
    store = await Store.open(SCHEMA, log, platform=platform)
    await store.append([note(f"{log}{index}") for index in range(30)])
    (appended,) = await store.append(note(f"{log} secret", SECRET))
    await store.append([note(f"{log} later {index}") for index in range(30)])
    await store.upkeep(now=True)
    await store.backups.create()
    assert is_kept(platform, log)
    return store, appended.id


def an_event(text: str) -> bytes:
    draft = Draft("note.added", 1, note("1", text), b'{"note_id":"1","text":"%b","folder":null}' % text.encode())
    return record([draft], ["0192f3a4b5c6-0003"], "a" * 16, Head())[0][0].line


@given(st.text(st.characters(codec="ascii", exclude_characters='"\\', exclude_categories=["Cc"])))
def test_an_erased_event_keeps_its_hash_and_tells_nothing_of_its_content(text: str) -> None:
    event = parse_line(an_event(text))
    erased = blank(event)
    assert erased.hash() == event.hash()
    assert erased.is_erased
    assert erased.line.endswith(b'"salt":null,"data":null}')
    assert blank(erased) is erased


NUMBERS = st.integers(1, 20)
SPANS = st.lists(st.builds(lambda r, a, b: Span(r * 16, min(a, b), max(a, b)), st.sampled_from("ab"), NUMBERS, NUMBERS))


@given(SPANS, SPANS, st.dictionaries(st.sampled_from(["a" * 16, "b" * 16]), st.integers(0, 20)))
def test_erasures_agree_where_no_event_is_erased_by_one_alone(ours: list[Span], theirs: list[Span], feeds: dict[str, int]) -> None:
    mine, others = Erasures(ours), Erasures(theirs)

    def named(erasures: Erasures) -> set[tuple[str, int]]:
        every = {(span.replica, seq) for span in erasures.spans for seq in range(span.first, span.last + 1)}
        return {(replica, seq) for replica, seq in every if seq <= feeds.get(replica, 0)}

    assert mine.agree(others, feeds) == (named(mine) <= named(others))
    assert Erasures.from_json(mine.to_json()) == mine


async def test_nothing_that_is_kept_has_the_content_any_more_and_all_else_is_as_it_was(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    before, rows = await lines_of(store), store.query("SELECT note_id FROM note ORDER BY position")
    (appended,) = await store.erase([id_])
    assert not is_kept(platform)
    await store.upkeep(now=True)
    assert not is_kept(platform)
    after = await lines_of(store)
    changed = [parse_line(line) for line in after if line not in before]
    assert {event.id for event in changed} == {id_, appended.id}
    assert store.query("SELECT note_id FROM note ORDER BY position") == [row for row in rows if "secret" not in row["note_id"]]
    assert shown(store) == await folded(store)
    assert (await store.verify())["sound"]
    assert (await store.backups.verify())["damaged"] == {}
    (told,) = [event for event in await store.events(limit=100) if event["id"] == id_]
    assert told["erased"]
    assert told["data"] is None
    assert SECRET.encode() not in await saved(store)
    await store.close()
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert again.query("SELECT count(*) AS n FROM note") == [{"n": 60}]
        assert (await again.verify())["sound"]


async def test_a_past_moment_does_not_show_it_either(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    await store.erase([id_])
    past = await store.at(id_)
    assert past.query("SELECT count(*) AS n FROM note") == [{"n": 30}]
    past.close()
    await store.close()


async def test_a_past_moment_that_is_open_shows_it_no_more_and_one_without_it_stays_open(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    before, after = await store.at(40), await store.at(id_)
    assert SECRET in repr(after.query("SELECT text FROM note"))
    await store.erase([id_])
    with pytest.raises(ClosedError):
        after.query("SELECT text FROM note")
    assert before.query("SELECT count(*) AS n FROM note") == [{"n": 21}]
    again = await store.at(id_)
    assert again.query("SELECT count(*) AS n FROM note") == [{"n": 30}]
    for past in (before, after, again):
        past.close()
    await store.close()


async def test_a_replica_that_merges_later_erases_what_it_has(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    other = await Store.open(SCHEMA, "b", platform=platform)
    await other.restore([await saved(store)])
    await other.upkeep(now=True)
    await other.backups.create()
    assert is_kept(platform, "b")
    await store.erase([id_])
    await other.restore([await saved(store)])
    assert not is_kept(platform, "b")
    assert shown(other) == shown(store)
    assert await lines_of(other) == await lines_of(store)
    await store.close()
    await other.close()


async def test_erasing_may_arrive_before_what_it_erases(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    file = await saved(store)
    other = await Store.open(SCHEMA, "b", platform=platform)
    await other.restore([file])
    await other.erase([id_])
    third = await Store.open(SCHEMA, "c", platform=platform)
    await third.restore([await a_part(other, [other.log.state.writer])])
    await third.restore([file])
    await third.backups.create()
    assert not is_kept(platform, "c")
    assert (await third.verify())["sound"]
    for one in (store, other, third):
        await one.close()


@pytest.mark.parametrize("mode", ["merge", "replace"])
async def test_an_older_file_does_not_bring_it_back(platform: MemoryPlatform, mode: str) -> None:
    store, id_ = await with_secret(platform)
    file = await saved(store)
    await store.erase([id_])
    await store.restore([file], mode=mode)  # type: ignore[arg-type]
    await store.upkeep(now=True)
    assert not is_kept(platform)
    assert SECRET not in repr(shown(store))
    other = await Store.open(SCHEMA, "b", platform=platform)
    await other.restore([file])
    await other.restore([await saved(store)])
    assert not is_kept(platform, "b"), "what took the place of all still tells others"
    await store.close()
    await other.close()


async def test_an_older_backup_does_not_bring_it_back(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    made = (await store.backups.list())[0]["id"]
    await store.erase([id_])
    assert (await store.backups.verify(made))["events"] == 61
    await store.backups.restore(made, mode="replace")
    assert not is_kept(platform)
    assert store.query("SELECT count(*) AS n FROM note") == [{"n": 60}]
    await store.close()


async def test_what_waits_for_its_time_is_erased_too(platform: MemoryPlatform, clock: FakeClock) -> None:
    other = await Store.open(SCHEMA, "b", platform=platform)
    clock.advance(DAY)
    (appended,) = await other.append(note("1", SECRET))
    file = await saved(other)
    await other.erase([appended.id])
    without = await saved(other)
    clock.advance(-DAY)
    store = await Store.open(SCHEMA, "a", platform=platform)
    await store.restore([file])
    assert is_kept(platform)
    await store.restore([without])
    clock.advance(2 * DAY)
    await store.upkeep()
    assert not is_kept(platform)
    assert await lines_of(store) == event_lines(without)
    await store.close()
    await other.close()


async def test_what_waits_for_its_time_can_be_erased(platform: MemoryPlatform, clock: FakeClock) -> None:
    other = await Store.open(SCHEMA, "b", platform=platform)
    clock.advance(DAY)
    (appended,) = await other.append(note("1", SECRET))
    await other.rename("Bob")
    file = await saved(other)
    clock.advance(-DAY)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([file])
        await store.backups.create()
        assert is_kept(platform)
        (waits, named) = await store.waiting()
        assert waits["id"] == appended.id
        with pytest.raises(ValidationError):
            await store.erase([named["id"]])
        await store.erase([appended.id])
        assert not is_kept(platform)
        await other.restore([await saved(store)])
        assert not is_kept(platform, "b")
        assert (await store.verify())["sound"]
        clock.advance(2 * DAY)
        await store.upkeep()
        assert await lines_of(store) == await lines_of(other)
        assert (await store.verify())["sound"]
    await other.close()


async def test_damage_elsewhere_keeps_no_content_from_being_erased(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    of_log = platform.kept["a"]
    (number, *_) = of_log.segments
    whole = of_log.segments[number]
    of_log.segments[number] = replace(whole, body=whole.body[:200] + bytes([whole.body[200] ^ 1]) + whole.body[201:])
    with pytest.raises(CorruptError, match="erased from all that can be read"):
        await store.erase([id_])
    damaged = of_log.segments.pop(number)
    assert not is_kept(platform)
    of_log.segments = {number: damaged, **of_log.segments}
    with pytest.raises(StorageError, match="could not be shown"):
        store.query("SELECT * FROM note")
    await store.close()
    file = b"".join([piece async for piece in damaged_file(platform, "a", SCHEMA.name)])
    assert b"later 29" in file
    assert SECRET.encode() not in file
    assert (await repair(platform, "a", SCHEMA))["repaired"] == 30
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert len(shown(again)["note"]) == 60
        assert (await again.verify())["sound"]
    assert not is_kept(platform)


async def test_what_was_erased_is_in_no_file_of_a_damaged_log_that_was_made_before_it_was_carried_out(platform: MemoryPlatform) -> None:
    plan = Plan()
    store, id_ = await with_secret(platform)
    await store.close()
    store = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
    plan.at, plan.kind, plan.is_sticky, plan.only = 2, "unavailable", True, "commit"  # the first one says what is erased
    with pytest.raises(StorageError):
        await store.erase([id_])
    plan.at = 0
    await store.close()
    assert is_kept(platform)
    file = b"".join([piece async for piece in damaged_file(platform, "a", SCHEMA.name)])
    assert SECRET.encode() not in file


async def test_a_whole_import_is_erased_by_its_id(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        appended = await store.append([note(index, SECRET) for index in range(5)])
        first, last = appended[0].id, appended[-1].id.split(":")[1]
        assert len(await store.erase([f"{first}-{last}"])) == 1
        assert not is_kept(platform)
        assert await store.erase([first]) == [], "it is so already"


async def test_what_cannot_be_erased_is_refused(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (appended,) = await store.append(note("1"))
        (mark,) = await store.undo([appended.id])
        await store.rename("Alice")
        named = (await store.events(types=["$named"]))[0]["id"]
        replica = appended.id.split(":")[0]
        for id_ in ("nothing", f"{replica}:99", "zzzzzzzzzzzzzzzz:1", mark.id, named):
            with pytest.raises(ValidationError):
                await store.erase([id_])
        (erasure,) = await store.erase([appended.id])
        with pytest.raises(ValidationError):
            await store.undo([erasure.id])


async def test_a_checkpoint_that_another_tab_saves_late_is_not_used_and_goes(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    late = dict(platform.kept["a"].checkpoints)
    assert late
    await store.erase([id_])
    await store.close()
    platform.kept["a"].checkpoints.update(late)
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert SECRET not in repr(shown(again))
        await again.append(note("more"))
        await again.upkeep(now=True)
    assert not is_kept(platform)


async def test_another_tab_shows_it_no_more_once_it_hears_of_it(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    tab = await Store.open(SCHEMA, "a", platform=platform)
    await store.erase([id_])
    await tab.catch_up()
    assert SECRET not in repr(shown(tab))
    await tab.append(note("from the tab"))
    await tab.upkeep(now=True)
    assert not is_kept(platform)
    await store.close()
    await tab.close()


async def test_merging_segments_in_another_tab_does_not_bring_it_back(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pystore.log.MERGE_FROM_SEGMENTS", 2)
    store, id_ = await with_secret(platform)
    gate = asyncio.Event()
    arrived = asyncio.Event()

    async def hold(operation: str) -> None:
        if operation == "commit":
            arrived.set()
            await gate.wait()

    tab = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, Plan(before=[hold])))
    await store.append(note("one more"))
    await store.append(note("and more"))
    merging = asyncio.ensure_future(tab.log.merge_segments())
    await arrived.wait()
    await store.erase([id_])
    gate.set()
    assert not await merging
    assert not is_kept(platform)
    await tab.close()
    await store.close()


@pytest.mark.parametrize("kind", ["bug", "unavailable", "done but unknown"])
async def test_cut_short_at_any_point_it_is_never_shown_and_gone_after_the_next_open(kind: str) -> None:
    at, failed = 0, True
    while failed:
        at += 1
        platform = MemoryPlatform(FakeClock())
        store, id_ = await with_secret(platform)
        await store.close()
        plan = Plan()
        store = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
        plan.at, plan.kind, plan.is_sticky = at, kind, True  # as if it died there
        is_done = False
        with suppress(PyStoreError, UntranslatedError):
            await store.erase([id_])
            is_done = True
        failed = plan.failed > 0
        plan.at = 0
        if store.log.state.erased:
            with suppress(PyStoreError):
                assert SECRET not in repr(await store.events(limit=100))
            with suppress(PyStoreError):
                assert SECRET not in repr(shown(store))
            with suppress(PyStoreError):
                assert SECRET.encode() not in await saved(store)
        await store.close()
        async with await Store.open(SCHEMA, "a", platform=platform) as again:
            erased = bool(again.log.state.erased)
            assert erased or not is_done
            assert (SECRET in repr(shown(again))) == (not erased)
            assert (await again.verify())["sound"]
            assert (await again.backups.verify())["damaged"] == {}
            assert is_kept(platform) == (not erased)
    assert at > 10


async def test_a_damaged_note_of_what_was_carried_out_only_lets_it_be_done_again(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    await store.erase([id_])
    await store.close()
    meta = platform.kept["a"].meta
    meta["erased_done"] = meta["erased_done"][:-3] + b"?" + meta["erased_done"][-2:]
    async with await Store.open(SCHEMA, "a", platform=platform) as again:
        assert again.upkeep_error is None
    assert Records(meta)["erased_done"] == Records(meta)["erased"]


@pytest.mark.parametrize("kind", ["bug", "unavailable", "done but unknown"])
async def test_cut_short_at_any_point_a_replaced_log_still_tells_others_what_is_erased(kind: str) -> None:
    at, failed = 0, True
    while failed:
        at += 1
        platform = MemoryPlatform(FakeClock())
        store, id_ = await with_secret(platform)
        file = await saved(store)
        await store.erase([id_])
        await store.close()
        plan = Plan()
        store = await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan))
        plan.at, plan.kind, plan.is_sticky = at, kind, True
        with suppress(PyStoreError, UntranslatedError):
            await store.restore([file], mode="replace")
        failed = plan.failed > 0
        plan.at = 0
        await store.close()
        async with await Store.open(SCHEMA, "a", platform=platform) as again:
            assert again.upkeep_error is None
            assert not is_kept(platform)
            assert (await again.verify())["sound"]
            async with await Store.open(SCHEMA, "b", platform=platform) as other:
                await other.restore([file])
                await other.restore([await saved(again)])
                assert not is_kept(platform, "b"), at
    assert at > 10


@settings(max_examples=15)
@given(st.lists(st.integers(0, 59), min_size=1, max_size=8, unique=True), st.integers(1, 7))
async def test_whatever_is_erased_the_rest_is_restored_from_any_backup(which: list[int], parts: int) -> None:
    platform = MemoryPlatform(FakeClock())
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        ids: list[str] = []
        for part in range(parts):
            size = 60 // parts + 60 % parts * (part == 0)
            ids += [one.id for one in await store.append([note(f"{part}/{index}", f"text {part}/{index}!") for index in range(size)])]
            await store.backups.create()
        await store.erase([ids[index] for index in which])
        here = kept(platform)
        for line in await lines_of(store):
            event = parse_line(line)
            assert event.is_erased == (event.id in {ids[index] for index in which})
        assert (await store.backups.verify())["damaged"] == {}
        for one in await store.backups.list():
            assert (await store.backups.verify(one["id"]))["events"] == one["events"]
        assert here.count(b'"salt":null') > 0


async def two_more(secret_of: Store, clock: FakeClock | None = None) -> tuple[Store, Store]:
    """Two more devices: one, by `clock`, that has all of `secret_of`, and a new one."""
    other = await Store.open(SCHEMA, "b", platform=MemoryPlatform(clock or FakeClock()))
    await other.restore([await saved(secret_of)])
    return other, await Store.open(SCHEMA, "c", platform=MemoryPlatform(FakeClock()))


@pytest.mark.parametrize("way", ["a part", "a salvaged file"])
@pytest.mark.parametrize("first", ["a to c", "c to a"])
async def test_what_came_without_its_content_is_erased_everywhere_though_nothing_that_says_so_came(way: str, first: str) -> None:
    a = await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock()))
    (appended,) = await a.append(note("1", SECRET))
    await a.append(note("2"))
    await a.upkeep(now=True)
    b, c = await two_more(a)
    await b.erase([appended.id])
    if way == "a part":
        file = await a_part(b, [a.log.state.writer])
    else:
        file = (await saved(b)).replace(b'"data":{"events":', b'"data":{"evXnts":')
    await c.restore([file], salvage=way != "a part")
    assert all(event["type"] != "$erased" for event in await c.events())
    for giver, taker in [(a, c), (c, a)] if first == "a to c" else [(c, a), (a, c)]:
        await taker.restore([await saved(giver)])
    for store in (a, c):
        assert [row["note_id"] for row in store.query("SELECT note_id FROM note")] == ["2"]
        assert (await store.verify())["sound"]
        assert SECRET.encode() not in await saved(store)
    assert not is_kept(a.platform)  # type: ignore[arg-type]
    assert await lines_of(a) == await lines_of(c)
    await c.restore([await saved(b)])
    assert await lines_of(c) == await lines_of(b)
    for store in (a, b, c):
        await store.close()


async def test_what_came_without_its_content_goes_in_another_tab_too(platform: MemoryPlatform) -> None:
    store, id_ = await with_secret(platform)
    b, c = await two_more(store)
    await b.erase([id_])
    tab = await Store.open(SCHEMA, "a", platform=platform)
    await store.restore([await a_part(b, [store.log.state.writer])])
    await tab.append(note("from the tab"))
    assert SECRET not in repr(shown(tab))
    assert SECRET not in repr(await tab.events(limit=100))
    await tab.upkeep(now=True)
    assert not is_kept(platform)
    for one in (store, b, c, tab):
        await one.close()


async def test_an_erasure_that_waits_for_its_time_erases_at_once() -> None:
    a = await Store.open(SCHEMA, "a", platform=MemoryPlatform(FakeClock()))
    (appended,) = await a.append(note("1", SECRET))
    ahead = FakeClock()
    b, c = await two_more(a, ahead)
    ahead.advance(DAY)
    await b.erase([appended.id])
    file = await saved(b)
    await a.restore([file])
    assert [event["type"] for event in await a.waiting()] == ["$erased"]
    assert not is_kept(a.platform)  # type: ignore[arg-type]
    await c.restore([file])
    assert shown(a) == shown(c)
    assert await lines_of(a) == await lines_of(c)
    async with await Store.open(SCHEMA, "a", platform=a.platform) as again:
        assert shown(again) == shown(c)
        assert (await again.verify())["sound"]
    for store in (a, b, c):
        await store.close()


async def test_an_event_without_content_that_nothing_erased_is_named(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (one,) = await store.append(note("1", SECRET))
        segment = platform.kept["a"].segments[1]
        line = blank(parse_line(unpack_bytes(segment.body).split(b"\n")[0])).line
        platform.kept["a"].segments[1] = replace(segment, body=pack([line]))
        problems = (await store.verify())["problems"]
        assert [problem["id"] for problem in problems] == [one.id]
        assert "nothing says that it was erased" in problems[0]["why"]


async def test_a_mark_without_content_is_refused_as_altered(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (one,) = await store.append(note("1"))
        await store.undo([one.id])
        header, first, mark, _ = (await saved(store)).split(b"\n")[:4]
        body = b"\n".join([header, first, blank(parse_line(mark)).line, b""])
        file = body + codec.encode({"pystore": "end", "lines": 3, "sha256": sha256(body).hexdigest()}) + b"\n"
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        with pytest.raises(CorruptBackupError, match="never erased") as caught:
            await other.restore([file])
        assert caught.value.details["kind"] == "AlteredError"
        await other.restore([file], salvage=True)
        assert len(await other.events()) == 1


async def test_where_there_is_no_space_to_erase_checkpoints_make_room(platform: MemoryPlatform) -> None:
    plan = Plan(only="commit", kind="quota")
    async with await Store.open(SCHEMA, "a", platform=FaultyPlatform(platform, plan)) as store:
        for part in range(3):
            await store.append([note(f"{part}-{index}") for index in range(600)])
            await store.upkeep(now=True)
        (secret,) = await store.append(note("secret"))
        assert len(platform.kept["a"].checkpoints) > 1
        plan.at, plan.done = 2, 0  # the first one says what is to be erased
        await store.erase([secret.id])
        assert plan.failed == 1
        assert len(platform.kept["a"].checkpoints) == 1
    assert b"secret" not in kept(platform)
