"""Damage that a test does to what is kept, and what a check says of it."""

from __future__ import annotations

from typing import Any

from pystore.memory import MemoryPlatform

SOUND: list[Any] = []


def named(found: dict[str, Any]) -> list[str | None]:
    """The ids that `verify` found something wrong with."""
    assert found["sound"] == (not found["problems"])
    assert all(problem["why"].endswith(".") for problem in found["problems"])
    return [problem["id"] for problem in found["problems"]]


def damage(platform: MemoryPlatform, folder: str) -> str:
    """Flip a bit of the largest file of a vault's folder; its name."""
    files = platform.vaults["a"]
    name = max((name for name in files if name.startswith(folder)), key=lambda name: len(files[name]))
    middle = len(files[name]) // 2
    files[name] = files[name][:middle] + bytes([files[name][middle] ^ 1]) + files[name][middle + 1 :]
    return name
