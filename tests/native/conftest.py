"""Stores for the tests of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cli import EXPORT, answer


@pytest.fixture(scope="session")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with 24 conversations, and a backup of it beside it (`alice.jsonl`)."""
    folder = tmp_path_factory.mktemp("saved")
    answer("import", EXPORT, folder / "alice.pystore")
    answer("save", folder / "alice.pystore", folder / "alice.jsonl")
    return folder


@pytest.fixture
def store(saved: Path) -> Path:
    return saved / "alice.pystore"


@pytest.fixture
def backup(saved: Path) -> Path:
    return saved / "alice.jsonl"
