"""Runs a coroutine to its end: on a new event loop natively, on the browser's own inside Pyodide."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

TIMEOUT_S = 120
"""How long one coroutine may take before it is cancelled and its test fails."""

TURNS_TO_END = 10
"""Turns of the event loop in which tasks may end that were cancelled at the last moment, async generators among them."""


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """What `coroutine` returns or raises. It must not leave tasks behind."""
    if sys.platform == "emscripten":
        from pyodide.ffi import run_sync

        outcome = run_sync(_outcome(coroutine))
        if isinstance(outcome[0], BaseException):
            raise outcome[0]
        result: T = outcome[1]
        return result
    with asyncio.Runner() as runner:
        return runner.run(_guarded(coroutine))


async def _outcome(coroutine: Coroutine[Any, Any, T]) -> tuple[BaseException | None, T | None]:
    """The error or the result as a value, so that an error keeps its type and traceback on the way through JavaScript."""
    try:
        return None, await _guarded(coroutine)
    except BaseException as error:  # noqa: BLE001
        return error, None


async def _guarded(coroutine: Coroutine[Any, Any, T]) -> T:
    before = asyncio.all_tasks()
    async with asyncio.timeout(TIMEOUT_S):
        result = await coroutine
    for _ in range(TURNS_TO_END):
        left = asyncio.all_tasks() - before
        if not left:
            return result
        await asyncio.sleep(0)
    raise AssertionError(f"tasks were left running: {left}")
