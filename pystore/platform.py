"""Chooses where a store lives when nobody said: the browser's wing inside Pyodide, else the native one."""

from __future__ import annotations

import functools
import sys

from pystore.ports import Platform


@functools.cache
def default_platform() -> Platform:
    """The platform of this process. One for all stores, so that its writers wait for each other."""
    if sys.platform == "emscripten":
        from pystore.browser.platform import BrowserPlatform  # noqa: PLC0415

        return BrowserPlatform()
    from pystore.native.platform import NativePlatform  # noqa: PLC0415

    return NativePlatform()
