"""What JSON from outside may be: I-JSON (RFC 7493) with limits, checked before anything else looks at it.

Each rule is here because something breaks without it: nesting kills the interpreter in a browser (a 6 kB line of brackets
does), NaN, huge integers and NUL poison the view, lone surrogates cannot be stored, and of duplicate keys two readers take
different ones. Whatever passes is read the same way by Python, JavaScript and SQLite.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

from pystore import codec
from pystore.errors import ValidationError

MAX_DEPTH = 64
MAX_LINE_BYTES = 1 << 20
MAX_STRING_BYTES = 256 << 10
MAX_KEYS = 1000
MAX_INTEGER = (1 << 53) - 1

_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_SIXTEEN_DIGITS = b"0" * 16

SMALL_BYTES = 4 * MAX_KEYS
"""JSON text up to this size cannot have too many keys or too long a string."""
GROUP_LINES = 100
"""With more the processor's caches are left, with fewer the calls count."""


def load(
    raw: bytes, *, max_bytes: int = MAX_LINE_BYTES, max_depth: int = MAX_DEPTH, max_keys: int = MAX_KEYS, plain: bool = False
) -> Any:
    """The value of JSON text that keeps every rule. Raises ValidationError, saying which rule is broken.

    `plain`: the text is part of one that `is_plain`, which is found out more quickly for many at once.
    """
    value = load_structure(raw, max_bytes=max_bytes, max_depth=max_depth)
    if not plain or len(raw) > SMALL_BYTES:
        check_limits(raw, max_keys)
    return value


def load_structure(raw: bytes, *, max_bytes: int, max_depth: int = MAX_DEPTH) -> Any:
    """The value of JSON text, with the rules that concern its structure checked: size, depth, syntax, duplicate keys.

    For a list of events whose members then go through `check_limits` one by one.
    """
    if len(raw) > max_bytes:
        _refuse(f"it is {len(raw):,} bytes long; at most {max_bytes:,} are taken")
    if _openings(raw) > max_depth and depth(raw, stop=max_depth) > max_depth:
        _refuse(f"it is nested deeper than {max_depth} levels")
    try:
        value = codec.decode(raw)
        # What comes out the same as it went in has no duplicate keys and no number that a double cannot hold.
        if codec.encode(value) != raw:
            value = json.loads(
                raw.decode(), object_pairs_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_refuse_constant
            )
    except ValidationError:
        raise
    except (ValueError, TypeError, RecursionError) as error:
        _refuse(f"it is not valid JSON ({error})", error)
    return value


def load_lines(lines: Sequence[bytes]) -> Iterator[Any]:
    """`load` of each line. Raises as that, of the first that breaks a rule."""
    for group, raw in grouped(lines):
        values = load_plain(group, raw, max_depth=MAX_DEPTH)
        if values is None:
            plain = is_plain(raw)
            values = [load(line, plain=plain) for line in group]
        yield from values


def grouped(lines: Sequence[bytes]) -> Iterator[tuple[Sequence[bytes], bytes]]:
    """Lines in groups that are quickly looked at together, each with its text."""
    for at in range(0, len(lines), GROUP_LINES):
        group = lines[at : at + GROUP_LINES]
        yield group, b"\n".join(group)


def load_plain(lines: Sequence[bytes], raw: bytes, *, max_depth: int) -> list[Any] | None:
    """The values of `lines`, which are `raw` without its newlines, if it is seen of all at once that each keeps every rule; else None.

    It is so of what a program wrote, compactly and with no escape by number, unless it is so large that its values would be many at once.
    A call for each line would take longer than all of this.
    """
    if len(raw) > MAX_LINE_BYTES or not is_plain(raw) or max(map(_openings, lines), default=0) > max_depth:
        return None
    try:
        values = codec.decode_lines(raw)
        # What comes out the same as it went in has no duplicate keys and no number that a double cannot hold.
        if codec.encode_lines(values) != raw + b"\n":
            return None
        for line in lines:
            if len(line) > SMALL_BYTES:
                check_limits(line)
    except (ValueError, TypeError, RecursionError):
        return None
    return values


def _openings(line: bytes) -> int:
    return line.count(b"[") + line.count(b"{")


def check_limits(raw: bytes, max_keys: int = MAX_KEYS) -> None:
    """Check the rules on strings, numbers and key counts of JSON text whose structure is sound."""
    if len(raw) <= MAX_STRING_BYTES and raw.count(b":") <= max_keys and is_plain(raw):
        return
    _check_value(_loads(raw), max_keys)


def is_plain(raw: bytes) -> bool:
    """Whether JSON text has no escape and no long number, so that no string or number in it can break a rule but by length."""
    has_escapes = b"\\" in raw and b"\\u" in raw  # one byte is looked for ten times as fast as two
    return not has_escapes and _SIXTEEN_DIGITS not in raw.translate(_DIGITS_TO_ZERO)


def _loads(raw: bytes) -> Any:
    """The value by the standard library, which keeps integers of any size as they are."""
    try:
        return json.loads(raw.decode(), parse_int=_int, parse_float=_float, parse_constant=_refuse_constant)
    except ValidationError:
        raise
    except ValueError as error:
        _refuse(f"it is not valid JSON ({error})", error)


def depth(raw: bytes, *, stop: int) -> int:
    """How deep the brackets of JSON text nest, counted up to `stop` + 1. Looks at bytes only, so no input can harm it."""
    if b"\\" in raw:
        raw = raw.replace(b"\\\\", b"").replace(b'\\"', b"")  # what is left of the quotes begins or ends a string
    deepest = level = 0
    for bracket in b"".join(raw.split(b'"')[::2]).translate(None, _NOT_BRACKETS):
        if bracket in b"[{":
            level += 1
            if level > deepest:
                deepest = level
                if deepest > stop:
                    break
        else:
            level -= 1
    return deepest


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        _refuse("an object has the same key twice")
    return value


def _int(text: str) -> int:
    if len(text) > 20 or abs(number := int(text)) > MAX_INTEGER:
        _refuse("an integer in it is beyond 2^53 - 1; write it as a text")
    return number


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        _refuse(f"the number {text[:20]} is too large")
    return number


def _refuse_constant(name: str) -> NoReturn:
    _refuse(f"{name} is not a JSON number")


def _check_value(value: Any, max_keys: int) -> None:
    # The depth is known to be at most MAX_DEPTH, so recursion is safe.
    if isinstance(value, str):
        if len(value) > MAX_STRING_BYTES // 4 and len(value.encode(errors="surrogatepass")) > MAX_STRING_BYTES:
            _refuse(f"a text in it is longer than {MAX_STRING_BYTES:,} bytes")
        if "\0" in value:
            _refuse("a text in it has a NUL character")
        try:
            value.encode()
        except UnicodeEncodeError as error:
            _refuse("a text in it has half of a surrogate pair", error)
    elif isinstance(value, dict):
        if len(value) > max_keys:
            _refuse(f"an object has more than {max_keys:,} keys")
        for key, member in value.items():
            _check_value(key, max_keys)
            _check_value(member, max_keys)
    elif isinstance(value, list):
        for member in value:
            _check_value(member, max_keys)


def _refuse(reason: str, cause: BaseException | None = None) -> NoReturn:
    raise ValidationError(f"This cannot be taken: {reason}.", reason=reason) from cause
