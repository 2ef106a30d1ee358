"""How long work tells how far it is, and what of work is not stopped half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Told of long work: the stage, how much is done, of how much."""


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for `work`, which is done to its end also if whoever waits for it is cancelled.

    The cancellation is raised then, from the error that `work` failed with, if it did.
    """
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled from (None if task.cancelled() else task.exception())
    task.result()


async def acquired(acquiring: Awaitable[T], release: Callable[[T], object]) -> T:
    """What `acquiring` gives. If whoever waits for it is cancelled before, it is released as soon as it comes: nobody else knows of it."""
    task = asyncio.ensure_future(acquiring)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.add_done_callback(lambda done: done.cancelled() or done.exception() or release(done.result()))
        raise
