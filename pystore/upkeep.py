"""Upkeep of an open store, between the work of others: soon after something was stirred, and when the time of what waits has come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

UPKEEP_AFTER_S = 1.0
"""Upkeep begins when nothing was appended for so long ..."""
UPKEEP_AT_LATEST_S = 10.0
"""... or after this, if appending never pauses."""
LOOK_AFTER_S = 60.0
"""How often it is looked whether the time of an event that waits has come."""


class Upkeep:
    """Does `work` again and again, from `start` to `stop`: when it was stirred, or `is_any_due`."""

    def __init__(self, work: Callable[[], Awaitable[None]], is_any_due: Callable[[], bool]) -> None:
        self.error: Exception | None = None
        """See `Store.upkeep_error`."""
        self._work = work
        self._is_any_due = is_any_due
        self._stirred = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin, stirred: whoever had the log before may have left something to do."""
        self._stirred.set()
        self._task = asyncio.ensure_future(self._keep_up())

    async def stop(self) -> None:
        """Do no more; what it is at is stopped."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def stir(self) -> None:
        """Let it look: there is something new."""
        self._stirred.set()

    async def _keep_up(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AFTER_S):
                    await self._stirred.wait()
            is_stirred = self._stirred.is_set()
            waited = 0.0
            while self._stirred.is_set() and waited < UPKEEP_AT_LATEST_S:
                self._stirred.clear()
                await asyncio.sleep(UPKEEP_AFTER_S)
                waited += UPKEEP_AFTER_S
            try:
                if not is_stirred and not self._is_any_due():
                    continue
                await self._work()
            except Exception as error:  # noqa: BLE001
                self.error = error
            else:
                self.error = None
