"""What is undone is a function of the set of marks, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import codec
from pystore.clock import stamp
from pystore.event import Recorded
from pystore.marks import Import, Mark, Marks, Order, Span, joined

REPLICAS = ["a" * 16, "b" * 16, "c" * 16]
LAST = 6
SPANS = st.builds(
    lambda replica, one, other: Span(replica, min(one, other), max(one, other)),
    st.sampled_from(REPLICAS), st.integers(1, LAST), st.integers(1, LAST),
)


def order_of(replica: str, seq: int) -> Order:
    """Where the event with this number stands: the feeds interleave."""
    return (stamp(10 * seq + REPLICAS.index(replica), 0), replica)


MARKS = st.lists(
    st.builds(
        lambda replica, seq, undone, spans, imports: Mark(
            order_of(replica, seq)[0], replica, seq, undone, tuple(joined(spans)), tuple(sorted(imports))
        ),
        st.sampled_from(REPLICAS), st.integers(1, LAST), st.booleans(), st.lists(SPANS, min_size=1, max_size=3),
        st.sets(SPANS.map(lambda span: span._replace(last=span.first)), max_size=3),
    ),
    max_size=8, unique_by=lambda mark: (mark.replica, mark.seq),
)
IMPORTS = st.lists(
    st.builds(
        lambda replica, seq, spans: Import(order_of(replica, seq)[0], replica, seq, tuple(joined(spans))),
        st.sampled_from(REPLICAS), st.integers(1, LAST), st.lists(SPANS, max_size=2),
    ),
    max_size=4, unique_by=lambda one: (one.replica, one.seq),
)
ALL = [(replica, seq) for replica in REPLICAS for seq in range(1, LAST + 1)]


def is_undone(marks: list[Mark], replica: str, seq: int, imports: Sequence[Import] = ()) -> bool:
    """The rule, as it is said: of the effective later marks that name an event the newest decides."""
    order = order_of(replica, seq)
    naming = [
        mark for mark in marks
        if mark.order > order
        and any(span.replica == replica and span.first <= seq <= span.last for span in named_by(mark, imports))
        and not is_undone(marks, mark.replica, mark.seq, imports)
    ]
    return bool(naming) and max(naming, key=lambda mark: mark.order).undone


def named_by(mark: Mark, imports: Sequence[Import]) -> list[Span]:
    """What a mark names: of imports before it all that they brought in, too."""
    brought_in = [
        one.spans for one in imports
        if Span(one.replica, one.seq, one.seq) in mark.imports and order_of(one.replica, one.seq) < mark.order
    ]
    return [*mark.spans, *chain.from_iterable(brought_in)]


@given(MARKS, IMPORTS)
def test_of_the_effective_marks_that_name_an_event_the_newest_decides(marks: list[Mark], imports: list[Import]) -> None:
    all_marks = Marks(marks, imports)
    for replica, seq in ALL:
        assert all_marks.is_undone(replica, seq, order_of(replica, seq)) == is_undone(marks, replica, seq, imports)


@given(MARKS, IMPORTS, st.randoms())
def test_marks_come_to_the_same_in_whatever_order_and_however_often_they_come(
    marks: list[Mark], imports: list[Import], shuffle: object
) -> None:
    shuffled, brought_in = [*marks, *marks[:2]], [*imports, *imports[:2]]
    for some in (shuffled, brought_in):
        shuffle.shuffle(some)  # type: ignore[attr-defined]
    whole = Marks(marks, imports)
    assert Marks(shuffled, brought_in) == whole
    assert Marks.from_json(codec.decode(codec.encode(whole.to_json()))) == whole


@given(MARKS, MARKS, st.fixed_dictionaries({replica: st.integers(0, LAST) for replica in REPLICAS}))
def test_marks_that_agree_on_feeds_undo_the_same_of_them(one: list[Mark], other: list[Mark], feeds: dict[str, int]) -> None:
    there = [(replica, seq) for replica, seq in ALL if seq <= feeds[replica]]
    newest = max((order_of(*event) for event in there), default=("", ""))
    agree = Marks(one).agree(Marks(other), feeds, newest)
    same = all(is_undone(one, *event) == is_undone(other, *event) for event in there)
    assert same or not agree
    if all(mark.order > newest for mark in (*one, *other)):
        assert agree == same


@given(MARKS, st.sampled_from(ALL))
def test_up_to_a_moment_only_the_marks_up_to_it_count(marks: list[Mark], at: tuple[str, int]) -> None:
    moment = order_of(*at)
    assert Marks(marks).until(moment) == Marks([mark for mark in marks if mark.order <= moment])


@given(MARKS, IMPORTS, st.sampled_from(ALL))
def test_up_to_a_moment_marks_name_what_imports_brought_in_as_well(marks: list[Mark], imports: list[Import], at: tuple[str, int]) -> None:
    moment = order_of(*at)
    then = Marks(marks, imports).until(moment)
    for replica, seq in ALL:
        expected = is_undone([mark for mark in marks if mark.order <= moment], replica, seq, imports)
        assert then.is_undone(replica, seq, order_of(replica, seq)) == expected


@pytest.mark.parametrize("text", ["", "x", "R", "R:0", "R:01", "R:3-2", "R:1-", "R:1\n", "A:1", 7, None])
def test_what_is_no_span_names_nothing(text: object) -> None:
    assert Span.parse(text.replace("R", REPLICAS[0]) if isinstance(text, str) else text) is None


@given(st.lists(SPANS))
def test_joined_spans_name_the_same_events_in_rising_order(spans: list[Span]) -> None:
    def named(these: list[Span]) -> set[tuple[str, int]]:
        return {(span.replica, seq) for span in these for seq in range(span.first, span.last + 1)}

    assert named(joined(spans)) == named(spans)
    assert joined(spans) == sorted(joined(joined(spans)))
    assert [Span.parse(str(span)) for span in joined(spans)] == joined(spans)


@given(MARKS, IMPORTS)
def test_marks_and_imports_taken_in_one_after_the_other_come_to_the_same(marks: list[Mark], imports: list[Import]) -> None:
    whole = Marks(marks, imports)
    both: list[Mark | Import] = [*marks, *imports]
    for in_order in (sorted(both, key=lambda one: (one.hlc, one.replica)), both, both[::-1]):
        grown = Marks()
        for one in in_order:
            grown = grown.and_those_of([event_of(one)])
        assert grown == whole
        for replica, seq in ALL:
            assert grown.undone_by(replica, seq, order_of(replica, seq)) == whole.undone_by(replica, seq, order_of(replica, seq))


def event_of(one: Mark | Import) -> Recorded:
    """The event that a mark or an import is."""
    data = {"events": [str(span) for span in one.spans]}
    if isinstance(one, Import):
        return Recorded(b"", one.replica, one.seq, one.hlc, "$imported", 1, codec.encode(data), 0)
    data["imports"] = [str(span) for span in one.imports]
    return Recorded(b"", one.replica, one.seq, one.hlc, "$undone" if one.undone else "$redone", 1, codec.encode(data), 0)


@given(MARKS, IMPORTS)
def test_an_import_that_was_erased_brings_nothing_in(marks: list[Mark], imports: list[Import]) -> None:
    erased = {(one.replica, one.seq) for one in imports[:2]}
    assert Marks(marks, imports).without(lambda span: (span.replica, span.first) in erased) == Marks(marks, imports[2:])


class Number(int):
    """A number that counts how often one is compared."""

    compared = 0

    def __lt__(self, other: int) -> bool:
        Number.compared += 1
        return int(self) < int(other)

    def __gt__(self, other: int) -> bool:
        Number.compared += 1
        return int(self) > int(other)

    def __eq__(self, other: object) -> bool:
        Number.compared += 1
        return isinstance(other, int) and int(self) == int(other)

    __hash__ = int.__hash__


def compared(work: Callable[[], object]) -> int:
    """How often numbers are compared by `work`."""
    Number.compared = 0
    work()
    return Number.compared


def test_what_marks_cost_follows_their_number() -> None:
    def of(number: int) -> list[Mark]:
        # Far apart from each other, here and there.
        seqs = [Number(2 * (at * 7919 % number) + 1) for at in range(number)]
        return [Mark(stamp(1000 + at, 0), REPLICAS[1], at + 1, True, (Span(REPLICAS[0], seq, seq),)) for at, seq in enumerate(seqs)]

    few, many = of(500), of(5000)
    assert compared(lambda: Marks(many)) < 15 * compared(lambda: Marks(few))
    one = Mark(stamp(10_000, 0), REPLICAS[1], 6000, True, (Span(REPLICAS[0], 2, 2),))
    grown = Marks(many)
    assert compared(lambda: grown.and_those_of([event_of(one)])) < 100
    assert grown.and_those_of([event_of(one)]) == Marks([*many, one])
