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

try:
    import orjson

    engine, encode, decode = "orjson", orjson.dumps, orjson.loads
except ImportError:
    import msgspec

    engine, encode, decode = "msgspec", msgspec.json.Encoder().encode, msgspec.json.Decoder().decode
