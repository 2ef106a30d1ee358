"""The input profile: every rule, the same verdict as a slow and plain reader of RFC 7493, and no input that does harm."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pystore.errors import ValidationError
from pystore.input_profile import (
    GROUP_LINES,
    MAX_DEPTH,
    MAX_INTEGER,
    MAX_KEYS,
    MAX_LINE_BYTES,
    MAX_STRING_BYTES,
    check_limits,
    depth,
    is_plain,
    load,
    load_lines,
    load_plain,
    load_structure,
)


def takes(raw: bytes) -> bool:
    try:
        load(raw)
    except ValidationError as error:
        assert error.message.startswith("This cannot be taken: ")  # noqa: PT017
        assert error.message.endswith(".")  # noqa: PT017
        return False
    return True


# -- a slow and plain reference


class RefusedError(Exception):
    pass


def reference(raw: bytes) -> Any:
    """The value by the standard library and the rules one by one. Raises RefusedError."""
    if len(raw) > MAX_LINE_BYTES:
        raise RefusedError

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in members}) < len(members) or len(members) > MAX_KEYS:
            raise RefusedError
        return dict(members)

    def constant(_: str) -> Any:
        raise RefusedError

    def integer(digits: str) -> int:
        if len(digits) > 20 or abs(int(digits)) > MAX_INTEGER:
            raise RefusedError
        return int(digits)

    def real(text: str) -> float:
        if not math.isfinite(float(text)):
            raise RefusedError
        return float(text)

    try:
        text = raw.decode()
        value = json.loads(text, object_pairs_hook=pairs, parse_constant=constant, parse_int=integer, parse_float=real)
    except (ValueError, RecursionError) as error:
        raise RefusedError from error
    check(value, 0)
    return value


def check(value: Any, level: int) -> None:
    if isinstance(value, str):
        if any(0xD800 <= ord(character) <= 0xDFFF or character == "\0" for character in value):
            raise RefusedError
        if len(value.encode()) > MAX_STRING_BYTES:
            raise RefusedError
    elif isinstance(value, dict):
        if level >= MAX_DEPTH:
            raise RefusedError
        for key, member in value.items():
            check(key, level)
            check(member, level + 1)
    elif isinstance(value, list):
        if level >= MAX_DEPTH:
            raise RefusedError
        for member in value:
            check(member, level + 1)


def same(one: Any, other: Any) -> bool:
    if isinstance(one, dict):
        return isinstance(other, dict) and list(one) == list(other) and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return type(one) is type(other) and one == other


def agree(raw: bytes) -> None:
    try:
        expected = reference(raw)
    except RefusedError:
        assert not takes(raw), raw
    else:
        assert same(load(raw), expected), raw


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 70), 1 << 70), st.integers(MAX_INTEGER - 3, MAX_INTEGER + 3), st.floats(allow_nan=True),
    st.text(max_size=8), st.text(st.characters(), max_size=3),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4), max_leaves=12
)
PIECES = st.lists(
    st.sampled_from([
        "{", "}", "[", "]", ",", ":", '"', '"a"', '"b"', '"a":1', '"\\u0000"', '"\\ud800"', '"\\ud83d\\ude00"', '"\\udc00\\ud800"',
        "\\", "\\u",
        "0", "-0", "01", "1.", ".5", "1e5", "1E400", "-1e999", "9007199254740991", "9007199254740992", "-9007199254740993", "1" * 25,
        "1.00000000000000000001", "0.1e-400", "NaN", "Infinity", "-Infinity", "true", "false", "null", "nul", " ", "\t", "\n", "\r", "\x0b",
        "\ufeff", "\x00", "\x1f", "\x7f", "é", "漢", "\U0001f642", "//", "/**/", "'a'", "+1", "0x10", "1_0",
    ]),
    max_size=12,
).map("".join)
MORE = settings(max_examples=700)


@MORE
@given(value=VALUES, ascii_=st.booleans(), indent=st.none() | st.just(1))
def test_it_takes_exactly_what_the_reference_takes_of_json(value: Any, ascii_: bool, indent: int | None) -> None:
    agree(json.dumps(value, ensure_ascii=ascii_, indent=indent, separators=(",", ":")).encode(errors="surrogatepass"))


@MORE
@given(text=PIECES)
@example(text='{"a":1,"a":1}')
@example(text='[{"a":{"b":1,"b":2}}]')
def test_it_takes_exactly_what_the_reference_takes_of_what_looks_like_json(text: str) -> None:
    agree(text.encode())
    agree(b"[" + text.encode() + b"]")
    agree(b'{"k":' + text.encode() + b"}")


@MORE
@given(raw=st.binary(max_size=30) | st.text(st.sampled_from('{}[]",:\\u0123456789eE+-. \ttrufalsn\x00é'), max_size=30).map(str.encode))
def test_it_takes_exactly_what_the_reference_takes_of_any_bytes(raw: bytes) -> None:
    agree(raw)


@MORE
@given(value=VALUES, at=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_it_takes_exactly_what_the_reference_takes_of_altered_json(value: Any, at: int, byte: int) -> None:
    raw = json.dumps(value, ensure_ascii=False).encode(errors="surrogatepass")
    at %= len(raw)
    agree(raw[:at] + bytes([byte]) + raw[at + 1 :])
    agree(raw[:at])


# -- many lines


def each(lines: list[bytes]) -> list[Any] | str:
    try:
        return [load(line) for line in lines]
    except ValidationError as error:
        return error.message


def together(lines: list[bytes]) -> list[Any] | str:
    try:
        return list(load_lines(lines))
    except ValidationError as error:
        return error.message


PLAIN_LINES = VALUES.map(lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass"))
LARGE_LINES = st.sampled_from([
    *(b"{" + b",".join(b'"%d":1' % key for key in range(count)) + b"}" for count in (MAX_KEYS, MAX_KEYS + 1)),
    b'"' + b"x" * MAX_STRING_BYTES + b'"', b'"' + b"x" * (MAX_STRING_BYTES + 1) + b'"', b"[" * MAX_DEPTH + b"]" * MAX_DEPTH,
    b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), b"[" * 100_000, b"[" + b'"x",' * (MAX_LINE_BYTES // 4) + b"1]",
])
ODD_LINES = st.one_of(
    st.sampled_from([b"", b" ", b"[1", b"2]", b'{"a":1}{"b":2}', b"1,2", b"[1,", b"]"]),
    PIECES.map(lambda text: text.replace("\n", "").encode()),
)


@MORE
@given(lines=st.lists(st.one_of(PLAIN_LINES, PLAIN_LINES, ODD_LINES), max_size=5))
@example(lines=[b"[1", b"2]"])
@example(lines=[b"1", b"", b"2"])
def test_lines_are_read_as_each_would_be_by_itself(lines: list[bytes]) -> None:
    one_by_one, at_once = each(lines), together(lines)
    assert same(at_once, one_by_one)


@given(lines=st.lists(st.one_of(PLAIN_LINES, LARGE_LINES), min_size=1, max_size=3))
def test_large_lines_are_held_to_every_limit_among_others(lines: list[bytes]) -> None:
    assert same(together(lines), each(lines))


def test_many_lines_are_read_in_their_order() -> None:
    lines = [b'{"n":%d}' % number for number in range(2 * GROUP_LINES + 1)]
    assert list(load_lines(lines)) == each(lines)
    assert list(load_lines([])) == []


def test_lines_that_are_large_together_are_not_read_all_at_once() -> None:
    lines = [b"[" + b"{}," * 100_000 + b"1]"] * 4
    assert load_plain(lines, b"\n".join(lines), max_depth=MAX_DEPTH) is None


def test_lines_that_a_program_wrote_are_looked_at_all_at_once() -> None:
    lines = [b'{"a":[1,2.5,"b"]}', b'"' + b"x" * 9000 + b'"', '{"é":null}'.encode()]
    assert load_plain(lines, b"\n".join(lines), max_depth=2) == each(lines)
    for odd in (b'"\\u00e9"', b'{"a": 1}', b'{"a":1,"a":2}', b"[[[1]]]", b"1E2", b"1234567890123456", b"x", b""):
        assert load_plain([*lines, odd], b"\n".join([*lines, odd]), max_depth=2) is None


# -- each rule


@pytest.mark.parametrize("raw", [
    b"NaN", b"Infinity", b"-Infinity", b"1e999", b"-1e999", b'{"a":NaN}', b"[Infinity]",
    b"9007199254740992", b"-9007199254740992", b"123456789012345678901234567890", b"[1," + b"9" * 5000 + b"]",
    b'"\\ud800"', b'"\\udc00"', b'"\\ud800\\ud800"', b'"\\udc00\\ud800"', b'{"\\ud800":1}', b'"\xed\xa0\x80"',
    b'"\\u0000"', b'{"\\u0000":1}', b'["a\\u0000b"]', b'"\x00"', b"\x00", b"1\x00",
    b'{"a":1,"a":1}', b'{"a":1,"a":2}', b'{"a":1,"\\u0061":2}', b'[{"x":{"a":1,"b":2,"a":3}}]',
    b"\xef\xbb\xbf1", b"\xff\xfe1\x00", b'"\xff"', b'"\xc0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe2\x82"',
    b"", b" ", b"{", b"}", b"[1,]", b'{"a":1,}', b"[1 2]", b"01", b"+1", b"1.", b".5", b"0x1", b"'a'", b"{a:1}", b"tru", b'"', b'"\\',
    b'"\\x41"', b'"\n"', b'"\t"', b"1 1", b"// x\n1", b"nullnull", b"[1]]",
], ids=lambda raw: repr(raw[:30]))
def test_what_breaks_a_rule_is_refused(raw: bytes) -> None:
    assert not takes(raw)


@pytest.mark.parametrize("raw", [
    b"null", b"true", b" 1 ", b"\t[1]\r\n", b"9007199254740991", b"-9007199254740991", b"1.5e300", b"-0", b"1e-999", b"1.10", b"1E2",
    b'"\\ud83d\\ude00"', b'"\\\\u0000"', b'"\\u00e9"', b'"\\/"', '"漢字🙂"'.encode(), b'{"":""}', b'{"__proto__":1,"constructor":2}',
    b'"9007199254740993"', b'{"a":1,"A":2}', b"[]", b"{}", b'"' + b"\\u0041" * 1000 + b'"', b"0." + b"1" * 400,
], ids=lambda raw: repr(raw[:30]))
def test_what_keeps_every_rule_is_taken(raw: bytes) -> None:
    assert load(raw) == json.loads(raw)


def test_the_limits_are_where_they_are_said_to_be() -> None:
    for size, is_taken in ((MAX_STRING_BYTES, True), (MAX_STRING_BYTES + 1, False)):
        assert takes(b'"' + b"x" * size + b'"') is is_taken
        assert takes(b'{"' + b"x" * size + b'":1}') is is_taken
    for size in (MAX_STRING_BYTES // 3, MAX_STRING_BYTES // 3 + 1):
        assert takes(b'"' + "漢".encode() * size + b'"') is (3 * size <= MAX_STRING_BYTES)
    for count, is_taken in ((MAX_KEYS, True), (MAX_KEYS + 1, False)):
        assert takes(b"{" + b",".join(b'"%d":1' % key for key in range(count)) + b"}") is is_taken
        assert takes(b'[{"a":1},{' + b",".join(b'"%d":1' % key for key in range(count)) + b"}]") is is_taken
    assert takes(b"[" + b",".join(b'{"a":1}' for _ in range(MAX_KEYS * 5)) + b"]")
    for level, is_taken in ((MAX_DEPTH, True), (MAX_DEPTH + 1, False)):
        assert takes(b"[" * level + b"]" * level) is is_taken
        assert takes(b'{"a":' * level + b"1" + b"}" * level) is is_taken
    filling = (b'"' + b"x" * (MAX_STRING_BYTES - 2) + b'",') * 3
    for size, is_taken in ((MAX_LINE_BYTES, True), (MAX_LINE_BYTES + 1, False)):
        rest = size - len(filling) - 4
        assert takes(b"[" + filling + b'"' + b"x" * rest + b'"]') is is_taken


def test_brackets_inside_of_strings_do_not_count_as_depth() -> None:
    for inner in (b"[" * 1000, b'\\"' + b"[" * 1000, b"\\\\", b'\\\\\\"[' * 100):
        raw = b'["' + inner + b'",{"a":"' + inner + b'"}]'
        assert depth(raw, stop=1000) == 2
        assert takes(raw)
    assert depth(b'"\\\\"' + b"[" * 5, stop=10) == 5
    assert depth(b"[" * 100, stop=10) == 11
    assert depth(b"[[]][[[]]]", stop=10) == 3


@given(value=VALUES)
def test_the_depth_of_json_is_that_of_its_value(value: Any) -> None:
    def deep(value: Any) -> int:
        if isinstance(value, dict):
            return 1 + max(map(deep, value.values()), default=0)
        if isinstance(value, list):
            return 1 + max(map(deep, value), default=0)
        return 0

    assert depth(json.dumps(value).encode(), stop=1000) == deep(value)


@pytest.mark.parametrize("raw", [
    b"[" * 100_000 + b"]" * 100_000,
    b"[" * 100_000,
    b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    b'[{"a":' * 50_000,
    b"[" * 65 + b'"' + b'\\"' * 400_000,
    b"[" * 65 + b'"' + b"\\" * 900_001,
    b'"' * 900_000,
    b"[" * 65 + b'"a' * 400_000,
    b'{"a":1,' * 100_000,
    b"-" * 1_000_000,
    b"1" * 1_000_000,
    b"1e" + b"9" * 1_000_000,
    b"0." + b"0" * 1_000_000 + b"1",
    b"[" + b"1e5," * 250_000 + b"1]",
    b'{"' + b'":1,"'.join(b"%d" % key for key in range(90_000)) + b'":1}',
    b"\\u" * 500_000,
    b" " * 1_000_000,
    b"\x00" * 1_000_000,
], ids=lambda raw: repr(raw[:20]))
def test_no_input_takes_long_or_harms_the_interpreter(raw: bytes) -> None:
    begun = time.perf_counter()
    takes(raw)
    depth(raw, stop=1 << 30)
    is_plain(raw)
    assert time.perf_counter() - begun < 5


def test_a_line_that_is_too_long_is_not_looked_at() -> None:
    raw = b"[" * (50 << 20)
    with pytest.raises(ValidationError, match="bytes long"):
        load(raw)
    with pytest.raises(ValidationError, match="nested"):
        load_structure(raw[:1000], max_bytes=1000)


def test_a_text_that_is_plain_needs_no_second_look() -> None:
    for raw in (b'{"a":"b"}', b"[1,2,3]", b"123456789012345"):
        assert is_plain(raw)
        check_limits(raw)
    for raw in (b'"\\u0000"', b"1234567890123456", b'"\\ud800"'):
        assert not is_plain(raw)
