"""The figures, the targets they are held against, and both as tables."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered) + 0.5) - 1))]


@dataclass
class Figures:
    """The median of the rounds by part, work and contender, with the lowest and the highest."""

    rounds: dict[tuple[str, str, str], list[float]] = field(default_factory=dict)

    def add(self, part: str, work: str, contender: str, *values: float) -> None:
        """Note the figure of a round, or of several."""
        self.rounds.setdefault((part, work, contender), []).extend(values)

    def __call__(self, part: str, work: str, contender: str) -> float | None:
        """The median, or None if it was not measured."""
        values = self.rounds.get((part, work, contender))
        return statistics.median(values) if values else None

    def as_json(self) -> list[dict[str, Any]]:
        """Every figure as an object."""
        return [
            {
                "part": part, "work": work, "contender": contender, "median": round(statistics.median(values), 3),
                "min": round(min(values), 3), "max": round(max(values), 3), "rounds": len(values),
            }
            for (part, work, contender), values in self.rounds.items()
        ]


@dataclass(frozen=True)
class Target:
    """What we hold ourselves to: `value`, from the figures, at least or at most `bound`."""

    name: str
    value: Callable[[Figures], float | None]
    at_least: float | None = None
    at_most: float | None = None
    unit: str = "x"

    def as_json(self, figures: Figures) -> dict[str, Any] | None:
        """The verdict, or None if its figures were not measured."""
        value = self.value(figures)
        if value is None:
            return None
        bound = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        met = value >= self.at_least if self.at_least is not None else value <= (self.at_most or 0)
        return {"target": self.name, "value": round(value, 2), "bound": f"{bound} {self.unit}", "unit": self.unit, "met": met}


def _ratio(part: str, work: str, contender: str, to: str) -> Callable[[Figures], float | None]:
    return _quotient((part, work, contender), (part, work, to))


def _quotient(one: tuple[str, str, str], other: tuple[str, str, str]) -> Callable[[Figures], float | None]:
    def value(figures: Figures) -> float | None:
        above, below = figures(*one), figures(*other)
        return None if above is None or not below else above / below

    return value


def _difference(one: tuple[str, str, str], other: tuple[str, str, str]) -> Callable[[Figures], float | None]:
    def value(figures: Figures) -> float | None:
        above, below = figures(*one), figures(*other)
        return None if above is None or below is None else above - below

    return value


def targets(events: Sequence[int]) -> list[Target]:
    """The targets, for runs with these numbers of events."""
    most = max(events)
    empty_page = ("boot", "painted", "empty page")
    answered, answered_empty = f"answered, {most:,} events", ("boot", "answered, 0 events", "pystore")
    found = [
        Target(f"painted with {n:,} events, over an empty page",
               _difference(("boot", f"painted, {n:,} events", "pystore"), empty_page), at_most=100, unit="ms")
        for n in (0, *events)
    ]
    found += [
        Target(f"{answered}, to the empty store", _quotient(("boot", answered, "pystore"), answered_empty), at_most=1.3),
        Target(f"{answered}, plain boot to ours", _ratio("boot", answered, "plain boot", "pystore"), at_least=4),
        Target(f"{answered} (aim, then 500)", lambda figures: figures("boot", answered, "pystore"), at_most=700, unit="ms"),
        Target("one durable append, p50, to raw", _ratio("append", "strict p50, ms", "pystore", "raw"), at_most=2),
    ]
    for n in events:
        ours = ("bulk", f"{n:,} events, with full text", "pystore")
        found += [
            Target(f"bulk of {n:,} with full text, to {name}", _quotient(ours, ("bulk", f"{n:,} events", name)), at_least=3)
            for name in ("raw", "raw unindexed", "dexie")
        ]
    for n in events:
        export, restore = f"export {n:,} events", f"import {n:,} events"
        newest, call = ("queries", f"newest 50 of {n:,}", "pystore"), ("queries", f"empty call at {n:,}", "pystore")
        found += [
            Target(f"restore of {n:,} events, to Dexie's import", _ratio("file", restore, "pystore", "dexie"), at_least=3),
            Target(f"save of {n:,} events, to Dexie's export", _ratio("file", export, "pystore", "dexie"), at_least=5),
            Target(f"newest 50 of {n:,}, over an empty call", _difference(newest, call), at_most=1, unit="ms"),
        ]
    merge, rebuild = f"merge 100 events that reach 1,000 back, {most:,} events", f"fold from nothing, {most:,} events"
    slowest = f"open a moment, the slowest of 7 all over {most:,} events"
    # In a short log a thousand events are much of it.
    found += [] if most < 100_000 else [
        Target(f"fold of {most:,} events from nothing, to merging 100 that reach 1,000 back",
               _quotient(("history", rebuild, "pystore"), ("history", merge, "pystore")), at_least=20),
        Target(f"open a moment in {most:,} events, the slowest of 7",
               lambda figures: figures("history", slowest, "pystore"), at_most=1000, unit="ms"),
    ]
    return found


UNITS = {
    "boot": "ms since navigation, repeat visit", "visit": "first visit, MB", "append": "one event a transaction, ms",
    "bulk": "events per second, batches of 1,000, strict", "floor": "microseconds an event, of library calls alone",
    "file": "events per second", "queries": "ms", "history": "ms", "memory": "MB",
}


def tables(figures: Figures) -> str:
    """A table a part, in Markdown: works down, contenders across."""
    text = []
    for part, unit in UNITS.items():
        works = _unique(work for one, work, _ in figures.rounds if one == part)
        contenders = _unique(contender for one, _, contender in figures.rounds if one == part)
        if not works:
            continue
        rows = [[f"{part} ({unit})", *contenders]]
        rows += [[work, *(_shown(figures(part, work, contender)) for contender in contenders)] for work in works]
        text.append(_table(rows))
    return "\n\n".join(text)


def verdicts(found: list[dict[str, Any]]) -> str:
    """The targets, one a line, each met or not met."""
    rows = [["target", "measured", "bound", "verdict"]]
    rows += [
        [one["target"], f"{one['value']:,.2f} {one['unit']}", one["bound"], "met" if one["met"] else "NOT MET"] for one in found
    ]
    return _table(rows)


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def _shown(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


def _table(rows: list[list[str]]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines = []
    for row in (rows[0], rule, *rows[1:]):
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        cells[0] = row[0].ljust(widths[0])
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)
