"""JSON to bytes and back, by the fastest engine the platform has: orjson, else msgspec.

Both write compact UTF-8, write NaN and the infinities as null, and refuse lone surrogates, NaN and numbers beyond a double
when reading. Both let the last of two equal keys win, so bytes from outside go through `input_profile` first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

engine: str
encode: Callable[[Any], bytes]
"""A value of dicts, lists, strings, numbers, booleans and None as compact JSON. Raises ValueError or TypeError."""
decode: Callable[[bytes | str], Any]
"""The value of JSON text. Raises ValueError."""
encode_lines: Callable[[list[Any]], bytes]
"""Values as `encode` writes each, a newline after it."""
decode_lines: Callable[[bytes], list[Any]]
"""The values of JSON text in lines. Not every text of which it makes values is one value a line. Raises ValueError."""

try:
    import orjson

    def _encode_lines(values: list[Any]) -> bytes:
        return b"".join([orjson.dumps(value, option=orjson.OPT_APPEND_NEWLINE) for value in values])

    def _decode_lines(raw: bytes) -> list[Any]:
        values: list[Any] = orjson.loads(b"[%b]" % raw.replace(b"\n", b","))
        return values

    engine, encode, decode, encode_lines, decode_lines = "orjson", orjson.dumps, orjson.loads, _encode_lines, _decode_lines
except ImportError:
    import msgspec

    _encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder()
    engine, encode, decode = "msgspec", _encoder.encode, _decoder.decode
    encode_lines, decode_lines = _encoder.encode_lines, _decoder.decode_lines
