from collections.abc import Awaitable, Callable, Sequence
from typing import Literal

import pytest
from hypothesis import given

from pystore.memory import MemoryPlatform, MemoryStorage, MemoryVault
from tests.contract.contract import CONTRACT, Medium, a_flipped_bit_of_a_checkpoint_is_noticed
from tests.contract.model import HISTORIES, Step, agrees_with_the_model
from tests.contract.vault import VAULT_CONTRACT, VaultMedium


class MemoryMedium:
    def __init__(self) -> None:
        self.platform = MemoryPlatform()

    async def open(self) -> MemoryStorage:
        return await self.platform.open_log("log")

    async def open_vault(self) -> MemoryVault:
        return await self.platform.open_vault("log")

    async def damage_checkpoint(self, name: str, part: Literal["about", "image"]) -> None:
        raise NotImplementedError

    async def damage_meta(self, name: str) -> None:
        meta = self.platform.kept["log"].meta
        meta[name] = meta[name][:-3] + bytes([meta[name][-3] ^ 1]) + meta[name][-2:]


# Memory keeps the very objects it was given: there is nothing that could be flipped.
APPLICABLE = [promise for promise in CONTRACT if promise is not a_flipped_bit_of_a_checkpoint_is_noticed]


@pytest.mark.parametrize("promise", APPLICABLE, ids=lambda promise: promise.__name__)
async def test_memory_keeps_the_contract(promise: Callable[[Medium], Awaitable[None]]) -> None:
    await promise(MemoryMedium())


@pytest.mark.parametrize("promise", VAULT_CONTRACT, ids=lambda promise: promise.__name__)
async def test_a_vault_in_memory_keeps_the_contract(promise: Callable[[VaultMedium], Awaitable[None]]) -> None:
    await promise(MemoryMedium())


@given(HISTORIES)
async def test_memory_agrees_with_the_model(history: Sequence[tuple[int, Step]]) -> None:
    await agrees_with_the_model(MemoryMedium(), history)


async def test_logs_of_one_platform_are_listed_until_destroyed() -> None:
    platform = MemoryPlatform()
    assert await platform.logs() == []
    bob = await platform.open_log("bob")
    await platform.open_log("alice")
    assert await platform.logs() == ["alice", "bob"]
    await bob.destroy()
    assert await platform.logs() == ["alice"]


async def test_two_platforms_share_nothing() -> None:
    one, other = MemoryPlatform(), MemoryPlatform()
    await one.open_log("log")
    assert await other.logs() == []
