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

ZERO = "000000000000-0000"


def stamp(ms: int, counter: int) -> str:
    """The stamp of a millisecond and a counter."""
    return f"{ms:012x}-{counter:04x}"


def ms_of(hlc: str) -> int:
    """Milliseconds since 1970 of a stamp."""
    return int(hlc[:12], 16)


def iso_of_ms(ms: int) -> str:
    """UTC, ISO 8601 with milliseconds and `Z`."""
    when = dt.datetime.fromtimestamp(ms // 1000, tz=dt.UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z"


def iso_of(hlc: str) -> str:
    """The time of a stamp: UTC, ISO 8601 with milliseconds and `Z`."""
    return iso_of_ms(int(hlc[:12], 16))


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
        """`count` new stamps, rising, all above every stamp given or seen before."""
        newest_ms, counter = int(self._newest[:12], 16), int(self._newest[13:], 16)
        now = self.now_ms()
        if now > newest_ms:
            ms, counter = now, -1
        else:
            ms = newest_ms
        stamps = []
        for _ in range(count):
            counter += 1
            if counter > MAX_COUNTER:
                ms, counter = ms + 1, 0
            stamps.append(f"{ms:012x}-{counter:04x}")
        if stamps:
            self._newest = stamps[-1]
        return stamps
