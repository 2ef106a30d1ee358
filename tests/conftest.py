"""What all tests share, natively and inside Pyodide: `async def` tests, hypothesis profiles, a clock, a platform.

Async tests need no plugin: natively each runs on an event loop of its own, inside Pyodide on the browser's, through
WebAssembly stack switching. With hypothesis each example runs so.
"""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from pystore.memory import MemoryPlatform
from tests.support import profiles
from tests.support.fake_clock import FakeClock
from tests.support.running import run

IN_PYODIDE = sys.platform == "emscripten"

profiles.load()

collect_ignore = ["native", "browser", "bench", "contract/test_sqlite.py"] if IN_PYODIDE else ["contract/test_indexeddb.py"]


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Let pytest (or hypothesis, for each example) call an async test like any other."""
    test = pyfuncitem.obj
    inner = getattr(getattr(test, "hypothesis", None), "inner_test", None)
    if inspect.iscoroutinefunction(inner):
        test.hypothesis.inner_test = _synchronous(inner)
    elif inspect.iscoroutinefunction(test):
        pyfuncitem.obj = _synchronous(test)


def _synchronous(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def call(*args: Any, **kwargs: Any) -> None:
        run(test(*args, **kwargs))

    return call


@pytest.fixture
def clock() -> FakeClock:
    """A wall clock that moves when told to."""
    return FakeClock()


@pytest.fixture
def platform(clock: FakeClock) -> MemoryPlatform:
    """A platform in memory, on `clock`."""
    return MemoryPlatform(clock)
