"""Runs coroutines to their end: on an event loop of their own natively, on the browser's inside Pyodide."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from contextlib import closing
from typing import Any, TypeVar

T = TypeVar("T")

TIMEOUT_S = 120
"""How long one coroutine may take before it is cancelled and its test fails."""

TURNS_TO_END = 10
"""Turns of the event loop in which tasks may end that were cancelled at the last moment, async generators among them."""


class Loop:
    """Runs one coroutine after another on the same event loop, so that what one leaves open the next one can use. Close it."""

    def __init__(self) -> None:
        self._runner = None if sys.platform == "emscripten" else asyncio.Runner()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What `coroutine` returns or raises."""
        if self._runner is not None:
            return self._runner.run(coroutine)
        from pyodide.ffi import run_sync

        outcome = run_sync(_outcome(coroutine))
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        result: T = outcome[1]
        return result

    def close(self) -> None:
        """End what is left running on a loop of its own."""
        if self._runner is not None:
            self._runner.close()


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns or raises. It must not leave tasks behind."""
    with closing(Loop()) as loop:
        return loop.run(_guarded(coroutine))


async def _outcome(coroutine: Coroutine[Any, Any, T]) -> tuple[BaseException | None, T | None]:
    """The error or the result as a value, so that an error keeps its type and traceback on the way through JavaScript."""
    try:
        return None, await coroutine
    except BaseException as error:  # noqa: BLE001
        return error, None


async def _guarded(coroutine: Coroutine[Any, Any, T]) -> T:
    before = asyncio.all_tasks()
    async with asyncio.timeout(TIMEOUT_S) as limit:
        result = await coroutine
    assert not limit.expired(), "it took the cancellation for something else"
    for _ in range(TURNS_TO_END):
        left = asyncio.all_tasks() - before
        if not left:
            return result
        await asyncio.sleep(0)
    raise AssertionError(f"tasks were left running: {left}")
