"""The hybrid logical clock: time stamps that follow the wall clock and never run backwards.

A stamp is 12 hex digits of milliseconds since 1970, `-`, and 4 hex digits of a counter. Stamps compare as strings. The rule
is that of Kulkarni et al., "Logical Physical Clocks" (2014): a new stamp is the wall clock where that is ahead of every stamp
seen, else the newest stamp seen plus one tick of the counter.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

MAX_COUNTER = 0xFFFF
MAX_FUTURE_MS = 5 * 60 * 1000
"""How far ahead of the local wall clock a foreign stamp may be (the bound that Evolu uses)."""

MAX_MS = 253_402_300_799_999
"""The last millisecond of the year 9999."""
ZERO = "000000000000-0000"


def stamp(ms: int, counter: int) -> str:
    """The stamp of a millisecond and a counter."""
    return f"{ms:012x}-{counter:04x}"


def stamps_from(first: str, count: int) -> list[str]:
    """`first` and the stamps that follow it without a gap: `count` in all."""
    ms, counter = ms_of(first), int(first[13:], 16)
    stamps = []
    for _ in range(count):
        stamps.append(f"{ms:012x}-{counter:04x}")
        counter += 1
        if counter > MAX_COUNTER:
            ms, counter = ms + 1, 0
    return stamps


def ms_of(hlc: str) -> int:
    """Milliseconds since 1970 of a stamp."""
    return int(hlc[:12], 16)


def iso_of_ms(ms: int) -> str:
    """UTC, ISO 8601 with milliseconds and `Z`. What lies after the year 9999 is told as its end."""
    ms = min(ms, MAX_MS)  # a stamp reaches to the year 10889, a datetime does not
    when = dt.datetime.fromtimestamp(ms // 1000, tz=dt.UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def iso_of(hlc: str) -> str:
    """The time of a stamp: UTC, ISO 8601 with milliseconds and `Z`."""
    return iso_of_ms(ms_of(hlc))


def ms_of_iso(text: str) -> int:
    """Milliseconds since 1970 of a time in ISO 8601; UTC unless it says otherwise. Raises ValueError."""
    when = dt.datetime.fromisoformat(text)
    since = (when if when.tzinfo else when.replace(tzinfo=dt.UTC)) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    return since // dt.timedelta(milliseconds=1)


class HybridClock:
    """Gives strictly rising stamps, above every stamp it was shown.

    `now_ms` is the wall clock, in milliseconds since 1970; it may jump in either direction.
    """

    def __init__(self, now_ms: Callable[[], int], newest: str = ZERO) -> None:
        self.now_ms = now_ms
        self._newest = newest

    @property
    def newest(self) -> str:
        """The newest stamp given or seen."""
        return self._newest

    def see(self, hlc: str) -> None:
        """Later stamps will be above `hlc`."""
        self._newest = max(self._newest, hlc)

    def tick(self, count: int = 1) -> list[str]:
        """`count` new stamps, without a gap between them, all above every stamp given or seen before."""
        now = self.now_ms()
        first = stamp(now, 0) if now > ms_of(self._newest) else stamps_from(self._newest, 2)[1]
        stamps = stamps_from(first, count)
        if stamps:
            self._newest = stamps[-1]
        return stamps
