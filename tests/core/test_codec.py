import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import codec

TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
NUMBERS = st.one_of(st.integers(-(2**53) + 1, 2**53 - 1), st.floats(allow_nan=False, allow_infinity=False))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(TEXTS, inner, max_size=5)),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_encoded_decodes_to_itself(value: object) -> None:
    assert codec.decode(codec.encode(value)) == value


@given(VALUES)
def test_both_directions_agree_with_the_standard_library(value: object) -> None:
    assert json.loads(codec.encode(value)) == value
    assert codec.decode(json.dumps(value)) == value


@given(VALUES)
def test_text_and_bytes_decode_alike(value: object) -> None:
    encoded = codec.encode(value)
    assert codec.decode(encoded.decode()) == codec.decode(encoded)


@given(st.dictionaries(st.text("abcdef"), st.one_of(st.text("xyz äß🙂"), st.integers(-(2**53), 2**53), st.none()), max_size=6))
def test_encoding_is_compact_utf_8_in_the_order_of_the_keys(value: dict[str, object]) -> None:
    assert codec.encode(value) == json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_json_cannot_say_becomes_null(value: float) -> None:
    assert codec.encode([value]) == b"[null]"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"nul",
        b"[1,]",
        b'{"a":1,}',
        b"{'a':1}",
        b"NaN",
        b"[Infinity]",
        b'"\\ud800"',
        b'"\xff"',
        b"[1] 2",
        b"01",
        b'"\n"',
        b"1e999",
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        codec.decode(raw)


def test_a_lone_surrogate_cannot_be_written() -> None:
    with pytest.raises((ValueError, TypeError)):
        codec.encode("\ud800")
