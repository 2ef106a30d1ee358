"""Which backup is due when, and which goes."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore.backup.layers import KEPT, TIMED, BackupId, Settings, due, period, superfluous
from pystore.errors import ValidationError
from tests.support.fake_clock import START_MS

MINUTE = 60_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR


def local(ms: int) -> time.struct_time:
    return time.localtime(ms / 1000)


def made_at(ms: int, *layers: str) -> list[BackupId]:
    return [BackupId(number, layer, ms) for number, layer in enumerate(layers, 1)]


def test_a_new_vault_is_due_one_of_each_layer() -> None:
    assert due([], Settings(), START_MS) == list(TIMED)


def test_nothing_is_due_twice_in_the_same_quarter_of_an_hour() -> None:
    start = START_MS - START_MS % (15 * MINUTE)
    made = made_at(start, *TIMED)
    assert due(made, Settings(), start + 15 * MINUTE - 1) == []
    assert due(made, Settings(), start + 15 * MINUTE)[0] == "auto"


def test_how_often_the_shortest_layer_is_due_is_a_setting() -> None:
    start = START_MS - START_MS % (15 * MINUTE)
    made = made_at(start, *TIMED)
    for minutes in (5, 10):
        settings = Settings().changed({"every": {"auto": minutes}})
        assert due(made, settings, start + minutes * MINUTE - 1) == []
        assert due(made, settings, start + minutes * MINUTE) == ["auto"]


@pytest.mark.parametrize(("layer", "every", "begins"), [
    ("hourly", 6, lambda then: then.tm_hour % 6 == 0 and then.tm_min < 30),
    ("daily", 2, lambda then: then.tm_hour == 0 and then.tm_min < 30),
    ("weekly", 2, lambda then: then.tm_wday == 6 and then.tm_hour == 0 and then.tm_min < 30),
])
def test_a_layer_may_be_made_every_so_many_hours_days_or_weeks(layer: str, every: int, begins: Callable[[time.struct_time], bool]) -> None:
    settings = Settings().changed({"every": {layer: every}, "keep": dict.fromkeys(set(TIMED) - {layer}, 0)})
    newest, at = made_at(START_MS, layer), []
    for ms in range(START_MS, START_MS + 60 * DAY, 30 * MINUTE):
        if due(newest, settings, ms):
            newest = made_at(ms, layer)
            at.append(ms)
    span = every * {"hourly": HOUR, "daily": DAY, "weekly": 7 * DAY}[layer]
    assert all(begins(local(ms)) for ms in at)
    assert {round((later - ms) / span) for ms, later in itertools.pairwise(at)} == {1}


def test_layers_that_fell_due_while_nobody_looked_are_due_once() -> None:
    assert due(made_at(START_MS, *TIMED), Settings(), START_MS + 40 * DAY) == list(TIMED)


@given(st.integers(min_value=START_MS, max_value=START_MS + 800 * DAY))
def test_a_day_begins_at_midnight_and_a_week_on_sunday_of_the_local_time(ms: int) -> None:
    then = ms + 7 * HOUR
    same_day = local(ms)[:3] == local(then)[:3]
    assert (period("daily", ms, 1) == period("daily", then, 1)) == same_day
    is_new_week = not same_day and local(then).tm_wday == 6
    assert (period("weekly", ms, 1) != period("weekly", then, 1)) == is_new_week
    assert (period("hourly", ms, 1) == period("hourly", ms + 20 * MINUTE, 1)) == (local(ms)[:4] == local(ms + 20 * MINUTE)[:4])


def test_a_clock_that_was_ahead_does_not_stop_backups() -> None:
    made = made_at(START_MS + 400 * DAY, *TIMED)
    assert due(made, Settings(), START_MS) == list(TIMED)


@given(st.lists(st.sampled_from([*KEPT]), max_size=400))
def test_of_each_layer_the_newest_stay_as_many_as_it_keeps(layers: list[str]) -> None:
    made = [BackupId(number, layer, START_MS) for number, layer in enumerate(layers, 1)]
    left = set(made) - set(superfluous(made, Settings()))
    for layer, count in KEPT.items():
        of_layer = [one for one in made if one.layer == layer]
        assert {one for one in left if one.layer == layer} == set(of_layer[-count:])


def test_a_layer_that_this_version_does_not_know_is_kept() -> None:
    made = [BackupId(number, "yearly", START_MS) for number in range(1, 300)]
    assert superfluous(made, Settings()) == []


def test_a_layer_of_which_none_are_kept_is_never_due() -> None:
    assert due([], Settings(keep={"hourly": 0}), START_MS) == ["auto", "daily", "weekly"]


def test_each_layer_keeps_as_many_as_the_documentation_says_unless_told_otherwise() -> None:
    made = [BackupId(number, layer, START_MS) for number, layer in enumerate(sorted(KEPT) * 150, 1)]
    kept = Counter(one.layer for one in set(made) - set(superfluous(made, Settings())))
    assert kept == {
        "auto": 10, "hourly": 24, "daily": 7, "weekly": 4, "manual": 100, "before-restore": 10, "before-migration": 10, "damaged": 10,
    }


@pytest.mark.parametrize("layer", sorted({*KEPT} - {*TIMED}))
def test_a_layer_that_somebody_relies_on_keeps_one_whatever_is_set(layer: str) -> None:
    assert Settings(keep={layer: 0}).kept(layer) == 1


@given(st.integers(1, 10**9), st.sampled_from([*KEPT]), st.integers(0, 1 << 47))
def test_an_id_tells_what_it_was_made_of(number: int, layer: str, made_ms: int) -> None:
    id_ = BackupId(number, layer, made_ms)
    assert BackupId.parse(str(id_)) == id_


@pytest.mark.parametrize(
    "changes",
    [
        {"every": {"auto": 0}}, {"every": {"daily": "often"}}, {"every": {"manual": 1}}, {"every": {"weekly": 10**6}},
        {"keep": {"auto": -1}}, {"keep": {"yearly": 1}}, {"folder": "x"}, {"keep": {"manual": 0}},
        {"keep": {"before-restore": 0}}, {"keep": {"before-migration": 0}}, {"keep": {"damaged": 0}},
    ],
)
def test_a_setting_that_cannot_be_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings().changed(changes)


def test_settings_that_are_not_named_stay_as_they_were() -> None:
    settings = Settings().changed({"keep": {"auto": 3}, "every": {"daily": 2}}).changed({"every": {"auto": 5}, "keep": {"daily": 1}})
    assert (settings.kept("auto"), settings.kept("daily"), settings.kept("hourly")) == (3, 1, 24)
    assert [settings.interval(layer) for layer in TIMED] == [5, 1, 2, 1]
