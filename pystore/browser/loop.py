"""Shorter turns of Pyodide's event loop.

Pyodide gives each callback a task of the browser's event loop and a stack of its own, 50-100 us each; an append takes about
six. Here callbacks that are due at once run one after the other in a microtask, as those of JavaScript's promises do; and
tasks and futures are asyncio's own, which do not tell the loop of their end by one callback more.

So a coroutine that only ever waits for what is there already lets nothing else of the browser in: long work calls
`Platform.breathe`, which does. `asyncio.sleep(0)` does not.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import js
from pyodide.ffi import create_proxy


def shorten_turns(loop: Any) -> None:
    """Let `loop.call_soon`, with which everything in asyncio is done, use microtasks, and tasks and futures be plain ones."""
    ready: deque[asyncio.Handle] = deque()
    scheduled = False

    def run_ready() -> None:
        nonlocal scheduled
        # As Pyodide does around each callback.
        loop._install_running_loop()  # noqa: SLF001
        loop._install_asyncgen_hooks()  # noqa: SLF001
        try:
            while ready:
                handle = ready.popleft()
                if not handle.cancelled():
                    handle._run()  # noqa: SLF001
        finally:
            # Only after an exception that ends programs is something left.
            scheduled = bool(ready)
            if scheduled:
                js.queueMicrotask(run)

    run = create_proxy(run_ready)

    def call_soon(callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None) -> asyncio.Handle:
        nonlocal scheduled
        handle = asyncio.Handle(callback, args, loop, context)
        ready.append(handle)
        if not scheduled:
            scheduled = True
            js.queueMicrotask(run)
        return handle

    def create_task(coroutine: Coroutine[Any, Any, Any], **options: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coroutine, loop=loop, **options)

    loop.call_soon = loop.call_soon_threadsafe = call_soon
    loop.create_task = create_task
    loop.create_future = lambda: asyncio.Future(loop=loop)


def run_now(coroutine: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine up to where it has to wait, and the rest when its time comes. For a call from JavaScript, outside any task."""
    loop: Any = asyncio.get_event_loop()
    loop._install_running_loop()  # noqa: SLF001
    loop._install_asyncgen_hooks()  # noqa: SLF001
    task = loop.create_task(coroutine, eager_start=True)
    if not task.done():
        _running.add(task)
        task.add_done_callback(_running.discard)


_running: set[asyncio.Task[None]] = set()
"""asyncio itself keeps no task from being collected."""
