"""A wall clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass

START_MS = 1_750_000_000_000  # 2025-06-15T15:06:40.000Z


@dataclass
class FakeClock:
    """Milliseconds since 1970, as a platform's `clock`."""

    ms: int = START_MS

    def __call__(self) -> int:
        return self.ms

    def advance(self, ms: int) -> None:
        """Move the clock, in either direction."""
        self.ms += ms
