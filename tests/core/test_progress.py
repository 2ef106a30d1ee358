"""What of work is not stopped half-way."""

from __future__ import annotations

import asyncio

import pytest

from pystore.errors import StorageError
from pystore.progress import to_the_end


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_done_to_its_end_is_done_though_cancelled_and_the_cancellation_is_what_is_told(fails: bool) -> None:
    done = []

    async def work() -> None:
        await asyncio.sleep(0.01)
        done.append("work")
        if fails:
            raise StorageError("It failed.")

    waiting = asyncio.ensure_future(to_the_end(work()))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    assert done == ["work"]
    assert waiting.cancelled()


async def test_what_fails_tells_so() -> None:
    async def work() -> None:
        raise StorageError("It failed.")

    with pytest.raises(StorageError):
        await to_the_end(work())
