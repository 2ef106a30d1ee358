"""How much hypothesis tries: `HYPOTHESIS_PROFILE` is `normal` or `long`, natively and inside Pyodide."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from hypothesis import HealthCheck, settings


class Profile(NamedTuple):
    """Examples of an ordinary test, and schedules of one that lets several replicas live for a while."""

    examples: int
    schedules: int


_PROFILES = {
    "normal": Profile(100, 300), "long": Profile(2000, 10_000),
    "pyodide-normal": Profile(25, 50), "pyodide-long": Profile(200, 1000),
}
"""Inside Pyodide everything takes several times as long, and is the same code."""
_NAME = ("pyodide-" if sys.platform == "emscripten" else "") + os.environ.get("HYPOTHESIS_PROFILE", "normal")


def load() -> None:
    """Let every test try as much as the profile says. `normal` tries the same each time, so that no change is stopped by chance."""
    slow = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
    chosen = settings(deadline=None, suppress_health_check=slow, print_blob=True, max_examples=_PROFILES[_NAME].examples)
    if not _NAME.endswith("long"):
        chosen = settings(chosen, derandomize=True, database=None)
    settings.register_profile(_NAME, chosen)
    settings.load_profile(_NAME)


def schedules() -> int:
    """How many schedules to try."""
    return _PROFILES[_NAME].schedules
