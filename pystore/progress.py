"""How long work tells how far it is, and what of it is not stopped half-way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

Progress = Callable[[str, int, int], None]
"""Told of long work: the stage, how much is done, of how much."""


async def to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for `work`, which is done to its end also if whoever waits for it is cancelled; the cancellation is raised then."""
    task = asyncio.ensure_future(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
