"""SQL functions that take a time in proportion to their arguments, in place of SQLite's own.

SQLite stops a query between two steps, and one call of a function is one step. Of its own functions some compare every part of a
text with every part of another: two texts of a few hundred kB, which a short query can make, keep them busy for minutes.
"""

from __future__ import annotations

import sqlite3
from typing import Any

Value = str | bytes | int | float | None

_CONTINUING = bytes(range(0x80, 0xC0))
"""Bytes that continue a character in UTF-8."""


def match_terms(typed: str | None) -> str:
    """What a person typed as an FTS5 expression: every term must occur, the last one may be the beginning of a word."""
    terms = ['"' + term.replace('"', '""') + '"' for term in (typed or "").split()]
    return " ".join(terms) + "*" if terms else '""'


def install(db: sqlite3.Connection) -> None:
    """Give a connection `match_terms`, and `instr`, `replace` and `trim` that answer as SQLite's do wherever texts are UTF-8."""
    longest = db.getlimit(sqlite3.SQLITE_LIMIT_LENGTH)

    def text_of(value: Value) -> str:
        if isinstance(value, float):
            value = db.execute("SELECT CAST(? AS TEXT)", (value,)).fetchone()[0]
        return value.decode() if isinstance(value, bytes) else str(value)

    def bytes_of(value: Value) -> bytes:
        return value if isinstance(value, bytes) else text_of(value).encode()

    def instr(value: Value, part: Value) -> int | None:
        if value is None or part is None:
            return None
        whole, wanted = bytes_of(value), bytes_of(part)
        if isinstance(value, bytes) and isinstance(part, bytes):
            return whole.find(wanted) + 1
        if wanted[:1] and wanted[0] in _CONTINUING:
            return int(whole.startswith(wanted))  # it is looked for where characters begin
        place = whole.find(wanted)
        return 0 if place < 0 else 1 + len(whole[1 : place + 1].translate(None, _CONTINUING))

    def replace(value: Value, part: Value, by: Value) -> Any:
        if value is None or part is None:
            return None
        wanted = text_of(part)
        if not wanted or wanted[0] == "\0":
            return text_of(value) if isinstance(value, bytes) else value
        if by is None:
            return None
        whole, instead = text_of(value), text_of(by)
        if len(whole) + whole.count(wanted) * (len(instead) - len(wanted)) > longest:
            raise OverflowError
        return whole.replace(wanted, instead)

    def trimmed(value: Value, characters: Value, *, left: bool, right: bool) -> str | None:
        if value is None or characters is None:
            return None
        text, gone = text_of(value), set(text_of(characters).partition("\0")[0])
        start, end = 0, len(text)
        while left and start < end and text[start] in gone:
            start += 1
        while right and start < end and text[end - 1] in gone:
            end -= 1
        return text[start:end]

    db.create_function("match_terms", 1, match_terms, deterministic=True)
    db.create_function("instr", 2, instr, deterministic=True)
    db.create_function("replace", 3, replace, deterministic=True)
    db.create_function("trim", 2, lambda value, of: trimmed(value, of, left=True, right=True), deterministic=True)
    db.create_function("ltrim", 2, lambda value, of: trimmed(value, of, left=True, right=False), deterministic=True)
    db.create_function("rtrim", 2, lambda value, of: trimmed(value, of, left=False, right=True), deterministic=True)
