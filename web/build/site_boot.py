"""What the site's Python does before anything else. It stands in the site-packages archive as `site_boot`.

The same steps make the boot snapshot at build time and start Python without one; after a snapshot only `renew` is left to do.
"""

from __future__ import annotations

import gc
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import os
import random
import sys
import time
from collections.abc import Mapping, Sequence
from types import ModuleType

# What the snapshot holds besides the application: it is there at once, and costs nothing when it is not used.
PRELOADED = (
    "asyncio",
    "base64",
    "compression.zstd",
    "contextlib",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "email.message",
    "enum",
    "fractions",
    "gzip",
    "hashlib",
    "heapq",
    "html",
    "io",
    "json",
    "logging",
    "micropip",
    "msgspec",
    "pydantic",
    "pyodide.code",
    "pyodide.ffi",
    "pyodide.webloop",
    "random",
    "secrets",
    "sqlite3",
    "tarfile",
    "tempfile",
    "traceback",
    "typing",
    "urllib.parse",
    "uuid",
    "warnings",
    "weakref",
    "zipfile",
    "zipimport",
    "zlib",
    "zoneinfo",
)


class Extensions:
    """Finds the C extensions by their modules' names: an archive cannot hold them."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = paths

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """Where the extension of that name is, or None."""
        del path, target
        found = self._paths.get(name)
        return importlib.util.spec_from_file_location(name, found) if found else None


def find_extensions(paths: Mapping[str, str]) -> None:
    """From now on the modules that `paths` names are imported from the shared libraries at its paths."""
    sys.meta_path.insert(0, Extensions(paths))


def preload(modules: Sequence[str]) -> None:
    """Import what everybody needs and the `modules`, warm up, and leave all that to no later garbage collection."""
    for name in (*PRELOADED, *modules):
        importlib.import_module(name)
    importlib.import_module("pystore.browser.warm").warm_up()
    importlib.metadata.distribution("pydantic")  # reads the archives' directories, which are remembered
    gc.collect()
    gc.freeze()


def renew(environment: Mapping[str, str]) -> None:
    """Replace what the snapshot froze and no two boots may share: random state, environment, times of start.

    `os.urandom`, `secrets`, `uuid4`, clocks and local times ask the browser each time. `time.timezone` stays the build's: UTC.
    """
    random.seed()
    os.environ.update(environment)
    logging._startTime = time.time_ns()  # type: ignore[attr-defined] # noqa: SLF001 -- records count from it
