"""What `pystore.ports.LogStorage` promises, as a list of functions. Each adapter must pass all of them.

Each function takes a `Medium`: a fresh place for one log. They use nothing of pytest, so that the same list runs natively on
memory and SQLite, and inside a browser on IndexedDB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol

from pystore.errors import ClosedError, ConflictError, CorruptError, PyStoreError, StorageError
from pystore.ports import Checkpoint, Commit, LogStorage, Segment


class Medium(Protocol):
    """A fresh place for one log. Whoever made it clears it away."""

    async def open(self) -> LogStorage:
        """One more handle on the log."""
        ...

    async def damage_checkpoint(self, name: str, part: Literal["about", "image"]) -> None:
        """Flip a bit of a part of a checkpoint behind the adapter's back. Only called while no handle is open."""
        ...

    async def damage_meta(self, name: str) -> None:
        """Flip a bit of a kept meta value behind the adapter's back. Only called while no handle is open."""
        ...


async def error_of(kind: type[PyStoreError], call: Awaitable[object]) -> PyStoreError:
    """The error that `call` raises, which must be of `kind`."""
    try:
        await call
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised")


def segment(number: int, body: bytes = b"body", *, first: int | None = None, events: int = 1) -> Segment:
    """A segment that stands for its own number, unless told otherwise."""
    return Segment(number, number if first is None else first, events, body)


async def everything(storage: LogStorage) -> tuple[list[Segment], dict[str, bytes]]:
    """All that a commit may change, but for batches."""
    return await storage.segments(max_bytes=1 << 40), dict(await storage.meta())


# -- reading what was committed


async def a_new_log_is_empty(medium: Medium) -> None:
    storage = await medium.open()
    assert await storage.meta() == {}
    assert await storage.segments() == []
    assert await storage.batch("b") is None
    assert await storage.load_checkpoint("c") is None
    assert await storage.size() == {"log": 0, "checkpoints": 0}
    await storage.close()


async def what_was_committed_is_read_back_as_it_was(medium: Medium) -> None:
    storage = await medium.open()
    every_byte = bytes(range(256))
    added = [Segment(1, 1, 1, every_byte), Segment(5, 2, 1000, b""), Segment(2**40, 6, 0, every_byte * 999)]
    await storage.commit(Commit(add=added, meta={"head": every_byte, "": b"", "ключ": b"\0"}, batches={"b": every_byte}))
    assert await storage.segments() == added
    assert await storage.meta() == {"head": every_byte, "": b"", "ключ": b"\0"}
    assert await storage.batch("b") == every_byte
    assert all(type(found.body) is bytes for found in await storage.segments())
    assert all(type(value) is bytes for value in (await storage.meta()).values())
    assert type(await storage.batch("b")) is bytes
    await storage.close()


async def what_was_committed_is_there_after_reopening(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(1)], meta={"head": b"1"}, batches={"b": b"r"}))
    await storage.commit(Commit(add=[segment(2)], meta={"head": b"2"}, durability="relaxed"))
    await storage.save_checkpoint("c", Checkpoint(b"{}", b"image"))
    await storage.close()
    storage = await medium.open()
    assert await everything(storage) == ([segment(1), segment(2)], {"head": b"2"})
    assert await storage.batch("b") == b"r"
    assert await storage.load_checkpoint("c") == Checkpoint(b"{}", b"image")
    await storage.close()


async def segments_come_in_the_order_of_their_numbers(medium: Medium) -> None:
    storage = await medium.open()
    numbers = [10, 9, 100, 2, 1, 11]
    await storage.commit(Commit(add=[segment(number) for number in numbers]))
    assert [found.number for found in await storage.segments()] == sorted(numbers)
    await storage.close()


async def segments_after_a_number_leave_it_out(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(1), segment(2), segment(9)]))
    assert await storage.segments(after=1) == [segment(2), segment(9)]
    assert await storage.segments(after=5) == [segment(9)]
    assert await storage.segments(after=9) == []
    await storage.close()


async def a_page_ends_with_the_segment_that_exceeds_max_bytes(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(number, bytes(10)) for number in range(1, 6)]))
    for max_bytes, expected in [(0, [1]), (9, [1]), (10, [1, 2]), (29, [1, 2, 3]), (1000, [1, 2, 3, 4, 5])]:
        assert [found.number for found in await storage.segments(max_bytes=max_bytes)] == expected, max_bytes
    await storage.close()


async def paging_finds_every_segment_once(medium: Medium) -> None:
    storage = await medium.open()
    added = [segment(number, bytes(number % 7)) for number in range(1, 200)]
    await storage.commit(Commit(add=added))
    found: list[Segment] = []
    while page := await storage.segments(found[-1].number if found else 0, max_bytes=50):
        found += page
    assert found == added
    await storage.close()


async def a_large_body_comes_back_whole(medium: Medium) -> None:
    storage = await medium.open()
    large = bytes(range(256)) * (4 << 12)  # 4 MiB
    await storage.commit(Commit(add=[segment(1, large)]))
    assert await storage.segments() == [segment(1, large)]
    await storage.close()


# -- what a commit does, and what it refuses


async def meta_values_are_replaced_one_by_one(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(meta={"a": b"1", "b": b"1"}))
    await storage.commit(Commit(meta={"b": b"2", "c": b"2"}))
    assert await storage.meta() == {"a": b"1", "b": b"2", "c": b"2"}
    await storage.close()


async def an_empty_commit_changes_nothing(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(1)], meta={"a": b"1"}))
    before = await everything(storage)
    await storage.commit(Commit())
    await storage.commit(Commit(durability="relaxed"))
    assert await everything(storage) == before
    await storage.close()


async def segments_are_deleted_and_added_in_one_commit(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(1), segment(2), segment(3), segment(4)]))
    merged = segment(3, b"merged", first=1, events=3)
    await storage.commit(Commit(add=[merged], delete=[1, 2, 3], meta={"merged": b"3"}))
    assert await everything(storage) == ([merged, segment(4)], {"merged": b"3"})
    await storage.close()


async def what_came_with_a_segment_outlives_its_merging(medium: Medium) -> None:
    storage = await medium.open()
    for number in (b"1", b"2", b"3"):
        await storage.commit(Commit(add=[segment(int(number))], meta={"head": number}, batches={f"batch {int(number)}": number}))
    assert (await storage.meta())["head"] == b"3"
    await storage.commit(Commit(add=[segment(3, first=1)], delete=[1, 2, 3], meta={"merged": b"3"}))
    assert await everything(storage) == ([segment(3, first=1)], {"head": b"3", "merged": b"3"})
    for number in (b"1", b"2", b"3"):
        assert await storage.batch(f"batch {int(number)}") == number
        await error_of(ConflictError, storage.commit(Commit(add=[segment(4)], meta={"head": b"x"}, batches={f"batch {int(number)}": b"x"})))
    await storage.commit(Commit(add=[segment(4)], meta={"head": b"4"}, batches={"batch 4": b"4"}))
    await error_of(ConflictError, storage.commit(Commit(batches={"batch 4": b"x"})))
    await storage.commit(Commit(meta={"head": b"5"}))
    assert (await storage.meta())["head"] == b"5"
    await storage.commit(Commit(add=[segment(5)]))
    assert (await storage.meta())["head"] == b"5"
    await storage.close()


async def _refused_commit_changes_nothing(medium: Medium, refused: Commit) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(1), segment(2)], meta={"head": b"2"}, batches={"known": b"r"}))
    before = await everything(storage)
    for commit in (refused, refused):  # a second time, to see that the first left nothing behind
        await error_of(ConflictError, storage.commit(commit))
        assert await everything(storage) == before
        assert await storage.batch("new") is None
        assert await storage.batch("known") == b"r"
    await storage.commit(Commit(add=[segment(3)], meta={"head": b"3"}, batches={"new": b"r"}))
    assert await everything(storage) == ([segment(1), segment(2), segment(3)], {"head": b"3"})
    await storage.close()


async def a_taken_number_is_a_conflict_that_changes_nothing(medium: Medium) -> None:
    taken = [segment(3), segment(2, b"other")]
    await _refused_commit_changes_nothing(medium, Commit(add=taken, delete=[1], meta={"head": b"x"}, batches={"new": b"x"}))


async def the_same_segment_again_is_a_conflict_too(medium: Medium) -> None:
    await _refused_commit_changes_nothing(medium, Commit(add=[segment(2)], meta={"head": b"x"}, batches={"new": b"x"}))


async def a_number_that_was_merged_away_stays_taken(medium: Medium) -> None:
    # A window that was frozen meanwhile believes that it is the next.
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(number) for number in range(1, 6)], meta={"head": b"5"}))
    merged = segment(4, b"merged", first=2, events=3)
    await storage.commit(Commit(add=[merged], delete=[2, 3, 4]))
    before = await everything(storage)
    for number in (2, 3):
        await error_of(ConflictError, storage.commit(Commit(add=[segment(number)], meta={"head": b"x"}, batches={"new": b"x"})))
    overlapping = [segment(8, first=3), segment(6, first=5), segment(3, first=1), segment(9, first=0)]
    for one in overlapping:
        await error_of(ConflictError, storage.commit(Commit(add=[one], meta={"head": b"x"}, batches={"new": b"x"})))
    assert await everything(storage) == before
    assert await storage.batch("new") is None
    await storage.close()


async def a_number_added_twice_is_a_conflict_that_changes_nothing(medium: Medium) -> None:
    await _refused_commit_changes_nothing(medium, Commit(add=[segment(3), segment(3)], meta={"head": b"x"}, batches={"new": b"x"}))


async def deleting_what_is_absent_is_a_conflict_that_changes_nothing(medium: Medium) -> None:
    absent = Commit(add=[segment(3)], delete=[1, 7], meta={"head": b"x"}, batches={"new": b"x"})
    await _refused_commit_changes_nothing(medium, absent)


async def a_known_batch_is_a_conflict_that_changes_nothing(medium: Medium) -> None:
    known = Commit(add=[segment(3)], delete=[1], meta={"head": b"x"}, batches={"new": b"x", "known": b"x"})
    await _refused_commit_changes_nothing(medium, known)


async def of_many_writers_of_one_number_one_wins(medium: Medium) -> None:
    handles = [await medium.open() for _ in range(4)]
    bodies = [b"writer %d" % index for index in range(16)]
    attempts = [handles[index % 4].commit(Commit(add=[segment(1, body)])) for index, body in enumerate(bodies)]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    winners = [body for body, outcome in zip(bodies, outcomes, strict=True) if outcome is None]
    assert len(winners) == 1
    assert all(outcome is None or isinstance(outcome, ConflictError) for outcome in outcomes), outcomes
    assert await handles[0].segments() == [segment(1, winners[0])]
    for handle in handles:
        await handle.close()


async def writers_that_retry_after_a_conflict_lose_nothing(medium: Medium) -> None:
    async def write(writer: int) -> None:
        storage = await medium.open()
        for index in range(10):
            while True:
                newest = max((found.number for found in await storage.segments()), default=0)
                try:
                    await storage.commit(Commit(add=[segment(newest + 1, b"%d:%d" % (writer, index))], durability="relaxed"))
                except ConflictError:
                    continue
                break
        await storage.close()

    await asyncio.gather(*(write(writer) for writer in range(3)))
    storage = await medium.open()
    found = await storage.segments()
    assert [one.number for one in found] == list(range(1, 31))
    for writer in range(3):
        prefix = b"%d:" % writer
        assert [one.body for one in found if one.body.startswith(prefix)] == [prefix + b"%d" % index for index in range(10)]
    await storage.close()


async def a_reader_never_sees_half_of_a_commit(medium: Medium) -> None:
    writer, reader = await medium.open(), await medium.open()
    await writer.commit(Commit(add=[segment(1), segment(2)], meta={"a": b"0", "b": b"0"}))
    is_done = False

    async def write() -> None:
        nonlocal is_done
        for turn in range(1, 11):
            number = 2 * turn
            value = b"%d" % turn
            await writer.commit(
                Commit(add=[segment(number + 1), segment(number + 2)], delete=[number - 1, number], meta={"a": value, "b": value})
            )
        is_done = True

    async def read() -> None:
        while not is_done:
            numbers = [found.number for found in await reader.segments()]
            assert len(numbers) == 2, numbers
            assert numbers[0] % 2 == 1, numbers
            assert numbers[1] == numbers[0] + 1, numbers
            meta = await reader.meta()
            assert meta["a"] == meta["b"]
            await asyncio.sleep(0)

    await asyncio.gather(write(), read())
    await writer.close()
    await reader.close()


async def handles_see_each_others_commits_at_once(medium: Medium) -> None:
    one, other = await medium.open(), await medium.open()
    await one.commit(Commit(add=[segment(1)], meta={"head": b"1"}, batches={"b": b"r"}))
    assert await everything(other) == ([segment(1)], {"head": b"1"})
    assert await other.batch("b") == b"r"
    await other.commit(Commit(add=[segment(2)], durability="relaxed"))
    assert await one.segments(after=1) == [segment(2)]
    await other.save_checkpoint("c", Checkpoint(b"{}", b"image"))
    assert await one.load_checkpoint("c") == Checkpoint(b"{}", b"image")
    await one.close()
    await other.close()


async def flush_keeps_everything_and_may_be_repeated(medium: Medium) -> None:
    storage = await medium.open()
    await storage.flush()
    await storage.commit(Commit(add=[segment(1)], meta={"a": b"1"}, durability="relaxed"))
    await storage.flush()
    await storage.flush()
    assert await everything(storage) == ([segment(1)], {"a": b"1"})
    await storage.close()


# -- checkpoints


async def a_checkpoint_replaces_one_of_its_name_only(medium: Medium) -> None:
    storage = await medium.open()
    await storage.save_checkpoint("a", Checkpoint(b"1", bytes(300_000)))
    await storage.save_checkpoint("b", Checkpoint(b"2", b"two"))
    await storage.save_checkpoint("a", Checkpoint(b"3", b"three"))
    assert await storage.load_checkpoint("a") == Checkpoint(b"3", b"three")
    assert await storage.load_checkpoint("b") == Checkpoint(b"2", b"two")
    await storage.close()


async def a_large_checkpoint_comes_back_whole(medium: Medium) -> None:
    storage = await medium.open()
    large = Checkpoint(b'{"upto":1}', b"".join(number.to_bytes(4, "big") for number in range(1 << 20)) + b"end")
    await storage.save_checkpoint("c", large)
    assert await storage.load_checkpoint("c") == large
    smaller = Checkpoint(b'{"upto":2}', large.image[: 1 << 20])
    await storage.save_checkpoint("c", smaller)
    assert await storage.load_checkpoint("c") == smaller
    await storage.close()


async def an_empty_checkpoint_is_a_checkpoint(medium: Medium) -> None:
    storage = await medium.open()
    await storage.save_checkpoint("c", Checkpoint(b"", b""))
    assert await storage.load_checkpoint("c") == Checkpoint(b"", b"")
    await storage.close()


async def the_checkpoints_kept_are_listed_with_what_is_said_about_them(medium: Medium) -> None:
    storage = await medium.open()
    assert await storage.checkpoints() == {}
    await storage.save_checkpoint("a", Checkpoint(b"1", bytes(300_000)))
    await storage.save_checkpoint("b", Checkpoint(b"2", b"two"))
    await storage.save_checkpoint("a", Checkpoint(b"3", b"three"))
    assert await storage.checkpoints() == {"a": b"3", "b": b"2"}
    await storage.delete_checkpoint("a")
    assert await storage.checkpoints() == {"b": b"2"}
    await storage.close()


async def a_deleted_checkpoint_is_gone(medium: Medium) -> None:
    storage = await medium.open()
    await storage.delete_checkpoint("never there")
    await storage.save_checkpoint("a", Checkpoint(b"1", b"one"))
    await storage.save_checkpoint("b", Checkpoint(b"2", b"two"))
    await storage.delete_checkpoint("a")
    assert await storage.load_checkpoint("a") is None
    assert await storage.load_checkpoint("b") == Checkpoint(b"2", b"two")
    await storage.close()


async def a_flipped_bit_of_a_checkpoint_is_noticed(medium: Medium) -> None:
    storage = await medium.open()
    await storage.save_checkpoint("a", Checkpoint(b'{"upto":1}', bytes(range(256)) * 4000))
    await storage.save_checkpoint("b", Checkpoint(b'{"upto":1}', b"small"))
    await storage.save_checkpoint("c", Checkpoint(b'{"upto":1}', b"small"))
    await storage.close()
    await medium.damage_checkpoint("a", "image")
    await medium.damage_checkpoint("c", "about")
    storage = await medium.open()
    assert await storage.load_checkpoint("a") is None
    assert await storage.load_checkpoint("c") is None
    assert await storage.load_checkpoint("b") == Checkpoint(b'{"upto":1}', b"small")
    await storage.save_checkpoint("a", Checkpoint(b'{"upto":2}', b"new"))
    assert await storage.load_checkpoint("a") == Checkpoint(b'{"upto":2}', b"new")
    await storage.close()


async def a_flipped_bit_of_a_meta_value_is_noticed(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(meta={"erased": b'["k3v9x2m4q8w1z7ta:5"]', "marks": b"[]"}))
    await storage.close()
    await medium.damage_meta("erased")
    storage = await medium.open()
    meta = await storage.meta()
    assert meta["marks"] == b"[]"

    async def ask() -> bytes:
        return meta["erased"]

    error = await error_of(CorruptError, ask())
    assert error.details["record"] == "erased"
    await storage.commit(Commit(meta={"erased": b"[]"}))
    assert await storage.meta() == {"erased": b"[]", "marks": b"[]"}
    await storage.close()


async def checkpoints_and_the_log_do_not_touch_each_other(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(1)], meta={"c": b"1"}))
    await storage.save_checkpoint("c", Checkpoint(b"{}", b"image"))
    await storage.delete_checkpoint("c")
    assert await everything(storage) == ([segment(1)], {"c": b"1"})
    await storage.close()


# -- size, closing, destroying


async def size_grows_with_what_is_kept(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(1, bytes(5000)), segment(2, bytes(5000))]))
    assert (await storage.size())["log"] >= 10_000
    assert (await storage.size())["checkpoints"] == 0
    await storage.save_checkpoint("c", Checkpoint(b"{}", bytes(20_000)))
    assert (await storage.size())["checkpoints"] >= 20_000
    await storage.commit(Commit(delete=[1]))
    await storage.delete_checkpoint("c")
    assert 5000 <= (await storage.size())["log"] < 10_000
    assert (await storage.size())["checkpoints"] == 0
    await storage.close()


async def a_closed_handle_refuses_every_call(medium: Medium) -> None:
    storage, other = await medium.open(), await medium.open()
    await storage.commit(Commit(add=[segment(1)]))
    await storage.close()
    await storage.close()
    calls: list[Callable[[], Awaitable[object]]] = [
        storage.meta,
        storage.segments,
        lambda: storage.commit(Commit(add=[segment(2)])),
        lambda: storage.batch("b"),
        storage.flush,
        lambda: storage.save_checkpoint("c", Checkpoint(b"", b"")),
        lambda: storage.load_checkpoint("c"),
        lambda: storage.delete_checkpoint("c"),
        storage.size,
        storage.destroy,
    ]
    for call in calls:
        await error_of(ClosedError, call())
    assert await other.segments() == [segment(1)]
    await other.close()


async def a_destroyed_log_is_gone_for_good(medium: Medium) -> None:
    storage = await medium.open()
    await storage.commit(Commit(add=[segment(1)], meta={"a": b"1"}, batches={"b": b"r"}))
    await storage.save_checkpoint("c", Checkpoint(b"{}", b"image"))
    await storage.destroy()
    await storage.close()
    await error_of(ClosedError, storage.meta())
    storage = await medium.open()
    assert await everything(storage) == ([], {})
    assert await storage.batch("b") is None
    assert await storage.load_checkpoint("c") is None
    await storage.close()


async def nothing_is_acknowledged_by_a_handle_on_a_destroyed_log(medium: Medium) -> None:
    storage, other = await medium.open(), await medium.open()
    await storage.commit(Commit(add=[segment(1)]))
    await storage.destroy()
    await error_of(ClosedError, other.meta())
    await error_of(StorageError, other.commit(Commit(add=[segment(2)])))
    await other.close()
    storage = await medium.open()
    assert await storage.segments() == []
    await storage.close()


async def a_cancelled_commit_happens_wholly_or_not_at_all(medium: Medium) -> None:
    storage = await medium.open()
    for number in range(1, 20, 2):
        task = asyncio.ensure_future(storage.commit(Commit(add=[segment(number), segment(number + 1)], durability="relaxed")))
        for _ in range(number // 2):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    numbers = {found.number for found in await storage.segments()}
    assert all((number in numbers) == (number + 1 in numbers) for number in range(1, 20, 2)), numbers
    await storage.commit(Commit(add=[segment(100)]))
    assert segment(100) in await storage.segments()
    await storage.close()


CONTRACT: list[Callable[[Medium], Awaitable[None]]] = [
    a_new_log_is_empty,
    what_was_committed_is_read_back_as_it_was,
    what_was_committed_is_there_after_reopening,
    segments_come_in_the_order_of_their_numbers,
    segments_after_a_number_leave_it_out,
    a_page_ends_with_the_segment_that_exceeds_max_bytes,
    paging_finds_every_segment_once,
    a_large_body_comes_back_whole,
    meta_values_are_replaced_one_by_one,
    an_empty_commit_changes_nothing,
    segments_are_deleted_and_added_in_one_commit,
    what_came_with_a_segment_outlives_its_merging,
    a_taken_number_is_a_conflict_that_changes_nothing,
    the_same_segment_again_is_a_conflict_too,
    a_number_that_was_merged_away_stays_taken,
    a_number_added_twice_is_a_conflict_that_changes_nothing,
    deleting_what_is_absent_is_a_conflict_that_changes_nothing,
    a_known_batch_is_a_conflict_that_changes_nothing,
    of_many_writers_of_one_number_one_wins,
    writers_that_retry_after_a_conflict_lose_nothing,
    a_reader_never_sees_half_of_a_commit,
    handles_see_each_others_commits_at_once,
    flush_keeps_everything_and_may_be_repeated,
    a_checkpoint_replaces_one_of_its_name_only,
    a_large_checkpoint_comes_back_whole,
    an_empty_checkpoint_is_a_checkpoint,
    the_checkpoints_kept_are_listed_with_what_is_said_about_them,
    a_deleted_checkpoint_is_gone,
    a_flipped_bit_of_a_checkpoint_is_noticed,
    a_flipped_bit_of_a_meta_value_is_noticed,
    checkpoints_and_the_log_do_not_touch_each_other,
    size_grows_with_what_is_kept,
    a_closed_handle_refuses_every_call,
    a_destroyed_log_is_gone_for_good,
    nothing_is_acknowledged_by_a_handle_on_a_destroyed_log,
    a_cancelled_commit_happens_wholly_or_not_at_all,
]
