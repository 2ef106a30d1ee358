import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore.clock import MAX_COUNTER, ZERO, HybridClock, iso_of, iso_of_ms, ms_of, stamp
from tests.support.fake_clock import START_MS, FakeClock

MILLISECONDS = st.integers(0, 2**47)
COUNTERS = st.integers(0, MAX_COUNTER)
STAMPS = st.builds(stamp, MILLISECONDS, COUNTERS)


@given(st.tuples(MILLISECONDS, COUNTERS), st.tuples(MILLISECONDS, COUNTERS))
def test_stamps_compare_as_their_numbers_do(one: tuple[int, int], other: tuple[int, int]) -> None:
    assert (stamp(*one) < stamp(*other)) == (one < other)


@given(MILLISECONDS, COUNTERS)
def test_a_stamp_gives_its_milliseconds_back(ms: int, counter: int) -> None:
    assert ms_of(stamp(ms, counter)) == ms


@given(st.lists(st.one_of(st.integers(-(10**9), 10**9), STAMPS, st.lists(st.none(), max_size=50)), max_size=30))
def test_stamps_rise_whatever_the_wall_clock_does_and_whatever_is_seen(steps: list[int | str | list[None]]) -> None:
    wall = FakeClock()
    clock = HybridClock(wall)
    highest = ZERO
    for step in steps:
        if isinstance(step, int):
            wall.ms = max(0, wall.ms + step)
        elif isinstance(step, str):
            clock.see(step)
            highest = max(highest, step)
        else:
            stamps = clock.tick(len(step))
            assert len(stamps) == len(step)
            assert [highest, *stamps] == sorted({highest, *stamps})
            highest = max([highest, *stamps])
        assert clock.newest == highest


@given(st.integers(1, 2**40), st.integers(0, 200))
def test_a_clock_ahead_of_all_stamps_is_followed(ms: int, count: int) -> None:
    clock = HybridClock(FakeClock(ms), stamp(ms - 1, MAX_COUNTER))
    assert clock.tick(count) == [stamp(ms, counter) for counter in range(count)]


def test_a_clock_that_stands_or_runs_back_is_counted_on() -> None:
    wall = FakeClock()
    clock = HybridClock(wall)
    assert clock.tick() == [stamp(START_MS, 0)]
    assert clock.tick() == [stamp(START_MS, 1)]
    wall.advance(-5000)
    assert clock.tick(2) == [stamp(START_MS, 2), stamp(START_MS, 3)]
    wall.advance(5001)
    assert clock.tick() == [stamp(START_MS + 1, 0)]


def test_a_counter_that_is_full_moves_on_to_the_next_millisecond() -> None:
    clock = HybridClock(FakeClock(), stamp(START_MS, MAX_COUNTER - 1))
    assert clock.tick(3) == [stamp(START_MS, MAX_COUNTER), stamp(START_MS + 1, 0), stamp(START_MS + 1, 1)]


def test_no_stamps_change_nothing() -> None:
    clock = HybridClock(FakeClock(), stamp(7, 7))
    assert clock.tick(0) == []
    assert clock.newest == stamp(7, 7)


@given(st.integers(0, 253_402_300_799_999))
def test_times_read_as_iso_8601_in_utc_with_milliseconds(ms: int) -> None:
    text = iso_of(stamp(ms, 3))
    assert text == iso_of_ms(ms)
    assert len(text) == 24
    assert text.endswith("Z")
    read = dt.datetime.fromisoformat(text)
    assert (read - dt.datetime.fromtimestamp(0, tz=dt.UTC)) == dt.timedelta(milliseconds=ms)


@pytest.mark.parametrize(("ms", "text"), [(0, "1970-01-01T00:00:00.000Z"), (START_MS + 7, "2025-06-15T15:06:40.007Z")])
def test_known_times(ms: int, text: str) -> None:
    assert iso_of_ms(ms) == text


def test_every_stamp_has_a_time_that_can_be_told() -> None:
    assert iso_of("ffffffffffff-ffff") == iso_of_ms(1 << 60) == "9999-12-31T23:59:59.999Z"
