"""What pages wait for. One thread does everything, so work that nobody waits for stands back meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Generator

AT_MOST_S = 1.0
"""How long such work stands back at a time: so it is done some day, whatever is asked."""


class Questions:
    """Those that are being answered."""

    def __init__(self) -> None:
        self._open = 0
        self._none = asyncio.Event()
        self._none.set()

    @contextlib.contextmanager
    def one(self) -> Generator[None]:
        """Somebody waits for what is done within."""
        self._open += 1
        self._none.clear()
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0:
                self._none.set()

    async def answered(self, at_most_s: float = AT_MOST_S) -> None:
        """Return when all are answered, or after so many seconds."""
        if self._open:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(at_most_s):
                    await self._none.wait()


questions = Questions()
"""Those of this process."""
