"""What the importers have in common: times, texts, and trees in order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore.assistant.importers.conversations import clean, in_order, ms_of


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (0, 0),
        (1.5, 1500),
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000_123, 1_700_000_000_123),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:01.5+01:00", 1500),
        ("1970-01-01", 0),
        (" 1970-01-01 00:00:01 ", 1000),
        (None, None),
        (True, None),
        ("", None),
        ("soon", None),
        (-1, None),
        (float("nan"), None),
        (1e300, None),
        ([], None),
        ("0001-01-01", None),
    ],
)
def test_times_are_read_as_programs_write_them(value: Any, ms: int | None) -> None:
    assert ms_of(value) == ms


@given(st.text(st.characters()))
def test_a_cleaned_text_can_be_kept(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert clean(cleaned) == cleaned


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([None, *"abcdefghz"])), st.sampled_from([None, *"abcdefghz"]))
def test_whatever_hangs_on_what_every_node_comes_once(parents: dict[str, str | None], current: str | None) -> None:
    ordered = in_order(parents, current)

    assert sorted(ordered) == sorted(parents)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(0, 11))
def test_in_a_tree_parents_come_first_and_the_way_to_the_current_node_last(links: list[int], current: int) -> None:
    parents = {str(node): str(link % node) if node else None for node, link in enumerate(links)}
    ordered = in_order(parents, str(current % len(links)))

    for node, parent in parents.items():
        assert parent is None or ordered.index(parent) < ordered.index(node)
    step: str | None = ordered[-1]
    way = set()
    while step is not None:
        way.add(step)
        step = parents[step]
    assert str(current % len(links)) in way
