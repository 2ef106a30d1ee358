"""How the tests themselves are run."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import running


def test_a_test_that_takes_the_end_of_its_time_for_something_else_fails_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    async def takes_too_long() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.Event().wait()

    monkeypatch.setattr(running, "TIMEOUT_S", 0.02)
    with pytest.raises(AssertionError, match="took the cancellation"):
        running.run(takes_too_long())
