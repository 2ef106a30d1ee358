"""What a person sees: progress while it lasts, and the answer, as words or as JSON."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Any, Self

import typer

from pystore import codec

MAX_CELL = 60


class Progress:
    """A line on the terminal that says how far long work has come; nothing where there is no terminal, or for programs."""

    def __init__(self, *, quiet: bool) -> None:
        self._shows = sys.stderr.isatty() and not quiet
        self._shown = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show it, instead of what was shown before."""
        if not self._shows:
            return
        share = min(done / total, 1.0) if total else 0.0
        line = f"{stage:>8} {'█' * round(share * 30):░<30} {done:,} of {total:,}"
        if line != self._shown:
            sys.stderr.write(f"\r{line}\x1b[K")
            sys.stderr.flush()
            self._shown = line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def show_what_can_be_shown() -> None:
    """Let what the terminal has no characters for appear as question marks, instead of ending the program. JSON is UTF-8 in any case."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def answer(value: Any, lines: Sequence[str], *, as_json: bool) -> None:
    """Print the answer: JSON, or lines of words."""
    if as_json:
        typer.echo(codec.encode(value))
    else:
        for line in lines:
            typer.echo(printable(line))


def printable(text: str) -> str:
    """The text without what a terminal would obey: what is in the data only shows."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """Rows in columns, each cell on one line and at most MAX_CELL characters wide."""
    if not rows:
        return ["(no rows)"]
    names = list(rows[0])
    cells = [names] + [["" if row[name] is None else " ".join(str(row[name]).split()) for name in names] for row in rows]
    cells = [[cell if len(cell) <= MAX_CELL else cell[: MAX_CELL - 1] + "…" for cell in line] for line in cells]
    widths = [max(len(line[column]) for line in cells) for column in range(len(names))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def counted(count: int, noun: str) -> str:
    """`1 event`, `1,200 events`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
