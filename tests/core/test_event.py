import base64
import hashlib
import json
import re
from dataclasses import dataclass
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import codec
from pystore.clock import HybridClock
from pystore.errors import AlteredError, ChainError, FormatError, GapError
from pystore.event import (
    NO_HASH,
    REPLICA_PATTERN,
    TYPE_PATTERN,
    Draft,
    Event,
    Head,
    Recorded,
    b64,
    check_feed,
    new_replica_id,
    parse_line,
    record,
)
from tests.core.test_codec import VALUES
from tests.support.fake_clock import FakeClock

REPLICA = "k3v9x2m4q8w1z7ta"
OTHER_REPLICA = "0123456789abcdef"
FIELDS = ("replica", "seq", "hlc", "type", "v", "prev", "digest", "salt", "data_json", "line", "id", "order", "time", "is_erased")


@dataclass(frozen=True)
class Feed:
    events: list[Recorded]
    head: Head


def feed(values: list[object], replica: str = REPLICA, head: Head = Head(), type_: str = "note.added", v: int = 1) -> Feed:  # noqa: B008
    """A feed of one event for each value, recorded after `head`."""
    drafts = [Draft(type_, v, Event(), codec.encode({"value": value})) for value in values]
    events, head = record(drafts, HybridClock(FakeClock()).tick(len(drafts)), replica, head)
    return Feed(events, head)


def unpadded(raw: bytes) -> str:
    """base64url by the standard library."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def erased(event: Recorded) -> Recorded:
    """The event as it stands once its content is erased."""
    line = event.line[: event.line.index(b',"salt":')] + b',"salt":null,"data":null}'
    return parse_line(line)


TYPES = st.from_regex(TYPE_PATTERN, fullmatch=True)
VALUE_LISTS = st.lists(VALUES, max_size=8)


# -- the line


@given(VALUES, TYPES, st.integers(1, 999_999_999))
def test_a_line_is_the_compact_json_of_the_contract(value: object, type_: str, v: int) -> None:
    (event,) = feed([value], type_=type_, v=v).events
    envelope = json.loads(event.line)
    assert list(envelope) == ["replica", "seq", "hlc", "type", "v", "prev", "digest", "salt", "data"]
    assert envelope["data"] == {"value": value}
    assert (envelope["replica"], envelope["seq"], envelope["type"], envelope["v"]) == (REPLICA, 1, type_, v)
    assert re.fullmatch(rb'[^ ]+"data":', event.line[: event.line.index(b'"data":') + 7])


@given(VALUE_LISTS)
def test_digest_and_chain_are_what_the_contract_says_by_another_program(values: list[object]) -> None:
    prev = "A" * 43
    for number, event in enumerate(feed(values).events, 1):
        envelope = json.loads(event.line)
        data = event.line.split(b',"data":', 1)[1][:-1]
        assert envelope["seq"] == number
        assert envelope["digest"] == unpadded(hashlib.sha256(envelope["salt"].encode() + data).digest())
        assert envelope["prev"] == prev
        hashed = event.line[: event.line.index(b'"digest":"') + len('"digest":"') + 43 + 1]
        prev = unpadded(hashlib.sha256(hashed).digest())


@given(VALUE_LISTS)
def test_a_recorded_line_parses_to_the_same_event(values: list[object]) -> None:
    for event in feed(values).events:
        parsed = parse_line(event.line)
        assert [getattr(parsed, name) for name in FIELDS] == [getattr(event, name) for name in FIELDS]
        assert parsed.hash() == event.hash()
        assert parsed.digest_holds()
        assert codec.decode(parsed.data_json) == json.loads(event.line)["data"]
        assert parsed.data is None


def test_no_two_events_have_the_same_salt() -> None:
    salts = {event.salt for event in feed([None] * 500).events} | {event.salt for event in feed([None] * 500).events}
    assert len(salts) == 1000


def test_nothing_is_recorded_of_no_drafts() -> None:
    assert record([], [], REPLICA, Head(7, b"B" * 43)) == ([], Head(7, b"B" * 43))


@given(st.binary(max_size=100))
def test_base64_is_url_safe_and_unpadded(raw: bytes) -> None:
    assert b64(raw).decode() == unpadded(raw)


def test_replica_ids_are_random_and_well_formed() -> None:
    ids = {new_replica_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert all(REPLICA_PATTERN.fullmatch(one) for one in ids)
    assert len(set("".join(ids))) == 32


LINE = feed([1]).events[0].line


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"replica"', b'{ "replica"'),
        (b'"seq":1', b'"seq":0'),
        (b'"seq":1', b'"seq":01'),
        (b'"seq":1', b'"seq":-1'),
        (b'"seq":1', b'"seq":1.0'),
        (b'"seq":1', b'"seq":9999999999999999'),
        (b'"seq":1', b'"seq":"1"'),
        (b'"v":1', b'"v":0'),
        (b'"v":1', b'"v":1,"more":1'),
        (b"note.added", b"Note.added"),
        (b"note.added", b""),
        (b"note.added", b"n" * 101),
        (b"note.added", b'note","v":1'),
        (b"k3v9x2m4q8w1z7ta", b"k3v9x2m4q8w1z7t"),
        (b"k3v9x2m4q8w1z7ta", b"K3v9x2m4q8w1z7ta"),
        (b"k3v9x2m4q8w1z7ta", b"k3v9x2m4q8w1z7tu"),
        (b'"prev":"A', b'"prev":"+'),
        (b'"prev":"A', b'"prev":"'),
        (b'-0000"', b'-000"'),
        (b'"data":{', b'"data":['),
        (b'"data":{"value":1}', b'"data":null'),
        (b'"data":{"value":1}}', b'"data":{"value":1}'[:-1]),
        (b'"data":{"value":1}}', b'"data":{"value":1}}\n'),
        (b'"data":{"value":1}}', b'"data":{"value":1}} '),
    ],
)
def test_a_line_of_another_form_is_refused(old: bytes, new: bytes) -> None:
    assert old in LINE
    with pytest.raises(FormatError):
        parse_line(LINE.replace(old, new, 1))


@given(st.binary(max_size=300))
def test_no_bytes_do_worse_than_being_refused(line: bytes) -> None:
    with pytest.raises(FormatError):
        parse_line(line)


@given(st.integers(0, len(LINE) - 1), st.integers(0, 255))
def test_no_changed_byte_goes_unnoticed(position: int, byte: int) -> None:
    changed = LINE[:position] + bytes([byte]) + LINE[position + 1 :]
    if changed == LINE:
        return
    successor = feed([2], head=feed_head(LINE)).events[0]
    with pytest.raises(FormatError):
        check_feed([parse_line(changed), successor], {})


def feed_head(line: bytes) -> Head:
    event = parse_line(line)
    return Head(event.seq, event.hash())


def test_an_erased_event_keeps_its_place_in_the_chain_and_loses_its_content() -> None:
    events = feed(["a secret", 2]).events
    gone = erased(events[0])
    assert gone.is_erased
    assert gone.data_json == b"null"
    assert b"secret" not in gone.line
    assert (gone.id, gone.order, gone.hash()) == (events[0].id, events[0].order, events[0].hash())
    heads: dict[str, Head] = {}
    check_feed([gone, events[1]], heads)
    assert heads == {REPLICA: feed_head(events[1].line)}


# -- feeds


@given(VALUE_LISTS, st.integers(0, 8))
def test_a_feed_may_be_recorded_and_checked_in_parts(values: list[object], cut: int) -> None:
    first = feed(values[:cut])
    rest = feed(values[cut:], head=first.head)
    heads: dict[str, Head] = {}
    check_feed(first.events, heads)
    check_feed(rest.events, heads)
    assert heads.get(REPLICA, Head()) == rest.head
    assert rest.head.seq == len(values)
    if values:
        assert rest.head == feed_head(rest.events[-1].line if rest.events else first.events[-1].line)
    else:
        assert rest.head == Head(0, NO_HASH)


@given(VALUE_LISTS, VALUE_LISTS, st.randoms(use_true_random=False))
def test_feeds_of_two_replicas_may_be_mixed(values: list[object], others: list[object], random: Random) -> None:
    one, other = feed(values), feed(others, OTHER_REPLICA)
    left = [list(one.events), list(other.events)]
    mixed = []
    while any(left):
        chosen = random.choice([events for events in left if events])
        mixed.append(chosen.pop(0))
    heads: dict[str, Head] = {}
    check_feed(mixed, heads)
    assert heads == {replica: part.head for replica, part in [(REPLICA, one), (OTHER_REPLICA, other)] if part.events}


@given(st.lists(VALUES, min_size=2, max_size=8), st.data())
def test_a_feed_with_an_event_left_out_repeated_or_moved_is_refused_there(values: list[object], data: st.DataObject) -> None:
    events = feed(values).events
    at = data.draw(st.integers(0, len(events) - 2))
    left_out = events[:at] + events[at + 1 :]
    repeated = [*events[: at + 1], *events[at:]]
    swapped = [*events[:at], events[at + 1], events[at], *events[at + 2 :]]
    for wrong, good, error in [(left_out, at, GapError), (repeated, at + 1, ChainError), (swapped, at, GapError)]:
        heads: dict[str, Head] = {}
        with pytest.raises(error) as caught:
            check_feed(wrong, heads)
        assert caught.value.details["id"] == wrong[good].id
        assert heads.get(REPLICA, Head()) == (feed_head(events[good - 1].line) if good else Head())


@given(st.lists(VALUES, min_size=1, max_size=6), st.data())
def test_an_event_of_another_history_does_not_fit_into_a_feed(values: list[object], data: st.DataObject) -> None:
    events, others = feed(values).events, feed(values).events
    at = data.draw(st.integers(0, len(events) - 1))
    mixed = [*events[:at], *others[at:]]
    if at == 0:
        check_feed(mixed, {})
        return
    with pytest.raises(ChainError, match="chain") as caught:
        check_feed(mixed, {})
    assert caught.value.details["id"] == others[at].id


def test_an_altered_content_is_refused() -> None:
    altered = parse_line(LINE.replace(b'"value":1', b'"value":2'))
    assert not altered.digest_holds()
    heads: dict[str, Head] = {}
    with pytest.raises(AlteredError, match="altered"):
        check_feed([altered], heads)
    assert heads == {}
