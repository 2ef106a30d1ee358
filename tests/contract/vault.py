"""What `pystore.ports.VaultStorage` promises, as a list of functions that each adapter must pass; see `contract`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from pystore.errors import ClosedError
from pystore.ports import VaultStorage
from tests.contract.contract import error_of


class VaultMedium(Protocol):
    """A fresh place for one vault. Whoever made it clears it away."""

    async def open_vault(self) -> VaultStorage:
        """One more handle on the vault."""
        ...


async def a_new_vault_is_empty(medium: VaultMedium) -> None:
    vault = await medium.open_vault()
    assert await vault.read("chunks/a") is None
    assert await vault.sizes("chunks") == {}
    await vault.delete("chunks/a")
    await vault.close()


async def what_was_written_is_read_back_through_another_handle(medium: VaultMedium) -> None:
    vault, other = await medium.open_vault(), await medium.open_vault()
    every_byte = bytes(range(256)) * 999
    await vault.write("chunks/a", every_byte)
    await vault.write("state/x.json", b"")
    assert await other.read("chunks/a") == every_byte
    assert type(await other.read("chunks/a")) is bytes
    assert await other.read("state/x.json") == b""
    assert await other.sizes("chunks") == {"a": len(every_byte)}
    assert await other.sizes("state") == {"x.json": 0}
    await vault.close()
    await other.close()


async def a_file_written_again_holds_the_new_content_alone(medium: VaultMedium) -> None:
    vault = await medium.open_vault()
    await vault.write("backups/b", b"long content")
    await vault.write("backups/b", b"short")
    assert await vault.read("backups/b") == b"short"
    assert await vault.sizes("backups") == {"b": 5}
    await vault.close()


async def what_was_deleted_is_gone_and_the_rest_stays(medium: VaultMedium) -> None:
    vault = await medium.open_vault()
    await vault.write("chunks/a", b"a")
    await vault.write("chunks/b", b"b")
    await vault.delete("chunks/a")
    assert await vault.sizes("chunks") == {"b": 1}
    assert await vault.read("chunks/a") is None
    await vault.close()


async def many_files_are_written_at_once(medium: VaultMedium) -> None:
    vault = await medium.open_vault()
    await asyncio.gather(*(vault.write(f"chunks/{number}", b"%d" % number) for number in range(30)))
    assert await asyncio.gather(*(vault.read(f"chunks/{number}") for number in range(30))) == [b"%d" % number for number in range(30)]
    await vault.close()


async def one_at_a_time_holds_a_vault(medium: VaultMedium) -> None:
    vault, other = await medium.open_vault(), await medium.open_vault()
    order: list[str] = []

    async def second() -> None:
        async with other.exclusive():
            order.append("second")

    async with vault.exclusive():
        waiting = asyncio.ensure_future(second())
        await vault.write("chunks/a", b"a")
        assert await vault.read("chunks/a") == b"a"
        order.append("first")
    await waiting
    assert order == ["first", "second"]
    await vault.close()
    await other.close()


async def who_failed_while_holding_it_lets_go(medium: VaultMedium) -> None:
    vault = await medium.open_vault()
    with suppress(ZeroDivisionError):
        async with vault.exclusive():
            1 / 0  # noqa: B018
    async with vault.exclusive():
        await vault.write("chunks/a", b"a")
    await vault.close()


async def who_is_cancelled_while_waiting_holds_nothing(medium: VaultMedium) -> None:
    vault, other = await medium.open_vault(), await medium.open_vault()
    tasks = asyncio.all_tasks()

    async def hold() -> None:
        async with other.exclusive():
            raise AssertionError

    async with vault.exclusive():
        waiting = asyncio.ensure_future(hold())
        await vault.write("chunks/a", b"a")  # long enough for it to ask
        waiting.cancel()
        await asyncio.wait([waiting])
    async with asyncio.timeout(60):
        async with vault.exclusive():
            await vault.write("chunks/a", b"b")
        await asyncio.gather(*(asyncio.all_tasks() - tasks))  # what it had begun comes to its end
    await vault.close()
    await other.close()


async def a_destroyed_vault_is_empty_when_opened_again(medium: VaultMedium) -> None:
    vault = await medium.open_vault()
    async with vault.exclusive():
        await vault.write("chunks/a", b"a")
        await vault.write("state/s", b"s")
    await vault.destroy()
    await error_of(ClosedError, vault.read("chunks/a"))
    again = await medium.open_vault()
    assert await again.sizes("chunks") == {}
    assert await again.read("state/s") is None
    await again.destroy()  # nothing is there: no error


async def a_write_that_is_cancelled_is_over_before_the_vault_goes(medium: VaultMedium) -> None:
    vault = await medium.open_vault()
    async with vault.exclusive():
        await vault.write("chunks/a", b"a")
        writing = asyncio.ensure_future(vault.write("state/s", bytes(3_000_000)))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.wait([writing])
        assert await vault.sizes("state") == {"s": 3_000_000}
        await vault.destroy()
    again = await medium.open_vault()
    assert await again.sizes("state") == await again.sizes("chunks") == {}
    await again.close()


async def a_vault_destroyed_while_it_is_held_is_empty_for_who_waited(medium: VaultMedium) -> None:
    vault, other = await medium.open_vault(), await medium.open_vault()

    async def second() -> dict[str, int]:
        async with other.exclusive():
            return await other.sizes("chunks")

    async with vault.exclusive():
        await vault.write("chunks/a", b"a")
        waiting = asyncio.ensure_future(second())
        await asyncio.sleep(0)
        await vault.destroy()
    assert await waiting == {}
    await other.destroy()


async def after_closing_every_call_raises_closed_error(medium: VaultMedium) -> None:
    vault = await medium.open_vault()
    await vault.close()
    await vault.close()
    await error_of(ClosedError, vault.read("chunks/a"))
    await error_of(ClosedError, vault.write("chunks/a", b"a"))
    await error_of(ClosedError, vault.sizes("chunks"))
    await error_of(ClosedError, vault.delete("chunks/a"))


VAULT_CONTRACT: list[Callable[[VaultMedium], Awaitable[None]]] = [
    a_new_vault_is_empty,
    what_was_written_is_read_back_through_another_handle,
    a_file_written_again_holds_the_new_content_alone,
    what_was_deleted_is_gone_and_the_rest_stays,
    many_files_are_written_at_once,
    one_at_a_time_holds_a_vault,
    who_failed_while_holding_it_lets_go,
    who_is_cancelled_while_waiting_holds_nothing,
    a_destroyed_vault_is_empty_when_opened_again,
    a_write_that_is_cancelled_is_over_before_the_vault_goes,
    a_vault_destroyed_while_it_is_held_is_empty_for_who_waited,
    after_closing_every_call_raises_closed_error,
]
