"""What saving, restoring and importing take of memory: in proportion to the data, however large these are."""

from __future__ import annotations

import gc
import json
import tracemalloc
from collections.abc import Awaitable, Callable

from pystore.assistant import schema
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.exports import chatgpt_conversation

FEW, MANY = 20, 80
MESSAGES = 50


async def peak_of(work: Callable[[], Awaitable[object]]) -> int:
    """The bytes that were taken at most at any time of the work, beyond what was taken before."""
    gc.collect()
    tracemalloc.start()
    try:
        await work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def peaks(conversations: int) -> dict[str, int]:
    """What each work takes for so many conversations."""
    texts = [f"{number} " + "words of a message " * 20 for number in range(MESSAGES)]
    export = json.dumps([chatgpt_conversation(texts, f"c{number}") for number in range(conversations)]).encode()
    found: dict[str, int] = {}
    async with await Store.open(schema, "a", platform=MemoryPlatform()) as store:
        found["import"] = await peak_of(lambda: store.import_file(export, "conversations.json"))

        async def save() -> None:
            async for _ in store.save():
                pass

        found["save"] = await peak_of(save)
        file = b"".join([piece async for piece in store.save()])
    async with await Store.open(schema, "b", platform=MemoryPlatform()) as other:
        found["restore"] = await peak_of(lambda: other.restore([file]))
        assert other.log.state.events == store.log.state.events
    return found


async def test_memory_grows_with_the_data_and_no_more() -> None:
    few, many = await peaks(FEW), await peaks(MANY)
    for work in few:
        assert many[work] < 1.5 * MANY / FEW * few[work], (work, few, many)
