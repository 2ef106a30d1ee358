import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore.compression import compress, decompress
from pystore.errors import CorruptError

DATA = st.one_of(st.binary(max_size=200), st.builds(lambda part, times: part * times, st.binary(max_size=20), st.integers(0, 5000)))


@given(DATA)
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert decompress(compress(data)) == data


def test_text_that_repeats_itself_becomes_much_smaller() -> None:
    assert len(compress(b'{"role":"user","text":"hello"}\n' * 1000)) < 200


@given(DATA, st.integers(0), st.integers(0, 7))
def test_a_flipped_bit_never_gives_other_data(data: bytes, position: int, bit: int) -> None:
    frame = bytearray(compress(data))
    frame[position % len(frame)] ^= 1 << bit
    try:
        found = decompress(bytes(frame))
    except CorruptError:
        return
    assert found == data  # a few bits of the header mean nothing


@given(st.binary(min_size=1, max_size=500), st.integers(0))
def test_a_frame_that_was_cut_off_is_noticed(data: bytes, length: int) -> None:
    frame = compress(data)
    with pytest.raises(CorruptError):
        decompress(frame[: 1 + length % (len(frame) - 1)])


@pytest.mark.parametrize("frame", [b"", b"x", b"not a frame at all", bytes(100)])
def test_what_is_no_frame_is_noticed(frame: bytes) -> None:
    with pytest.raises(CorruptError):
        decompress(frame)
