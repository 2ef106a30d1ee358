"""Files that a passphrase protects: whole or refused, and a wrong passphrase is told from a damaged file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pystore import codec
from pystore.backup import sealed as sealing
from pystore.backup.sealed import sealed, unsealed
from pystore.errors import (
    CorruptBackupError,
    FormatError,
    NewerVersionError,
    PassphraseError,
    PyStoreError,
    UnavailableError,
    ValidationError,
)
from pystore.memory import MemoryPlatform
from pystore.platform import default_platform
from pystore.store import Store
from tests.support.fake_clock import FakeClock
from tests.support.notes import SCHEMA, chunks, lines_of, note, saved

PASSPHRASE = "correct horse"
CIPHER = default_platform().cipher()
FEWER = settings(max_examples=max(5, settings().max_examples // 5))
"""In a browser each example asks its cryptography dozens of times."""


async def in_pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def seal(data: bytes, *, size: int = 1000, passphrase: str = PASSPHRASE) -> bytes:
    return b"".join([part async for part in sealed(in_pieces(data, size), passphrase, CIPHER, iterations=600_000)])


async def unseal(data: bytes, *, size: int = 1000, passphrase: str | None = PASSPHRASE) -> bytes:
    return b"".join([part async for part in unsealed(in_pieces(data, size), passphrase, lambda: CIPHER)])


@pytest.fixture(autouse=True)
def derived_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The passphrase is turned into a key as slowly as ever, but for the same salt only once."""
    keys: dict[tuple[str, bytes, int], object] = {}
    original = sealing._keys

    async def remembered(cipher: object, passphrase: str, salt: bytes, iterations: int) -> object:
        asked = (passphrase, salt, iterations)
        if asked not in keys:
            keys[asked] = await original(CIPHER, passphrase, salt, iterations)
        return keys[asked]

    monkeypatch.setattr(sealing, "_keys", remembered)
    monkeypatch.setattr(sealing, "urandom", cache(lambda size: bytes(range(size))))
    monkeypatch.setattr(sealing, "FRAME_BYTES", 100)


@FEWER
@given(st.binary(max_size=350), st.integers(1, 300), st.integers(1, 300))
async def test_what_was_sealed_is_what_comes_out_however_it_is_cut(data: bytes, given_in: int, read_in: int) -> None:
    assert await unseal(await seal(data, size=given_in), size=read_in) == data


@FEWER
@given(st.binary(min_size=150, max_size=500), st.data())
async def test_any_flipped_bit_is_found_and_is_not_called_a_wrong_passphrase(data: bytes, draw: st.DataObject) -> None:
    file = bytearray(await seal(data))
    file[draw.draw(st.integers(len(sealing.MARK), len(file) - 1))] ^= 1 << draw.draw(st.integers(0, 7))
    with pytest.raises(CorruptBackupError):
        await unseal(bytes(file))


@FEWER
@given(st.binary(min_size=150, max_size=500), st.data())
async def test_a_file_that_is_cut_off_anywhere_is_refused(data: bytes, draw: st.DataObject) -> None:
    file = await seal(data)
    with pytest.raises(CorruptBackupError):
        await unseal(file[: draw.draw(st.integers(len(sealing.MARK), len(file) - 1))])


async def test_parts_that_are_swapped_left_out_repeated_or_added_are_found() -> None:
    file = await seal(bytes(350))
    at = file.index(b"\n") + 1
    header, frames = file[:at], [file[start : start + 120] for start in range(at, len(file), 120)]
    assert len(frames) == 4
    first, second, third, last = frames
    swapped, left_out, cut = [second, first, third, last], [first, third, last], [first, second, third]
    for wrong in (swapped, left_out, cut, [first, *frames], [*frames, last]):
        with pytest.raises(CorruptBackupError):
            await unseal(header + b"".join(wrong))
    other = await seal(bytes(350), passphrase="another")
    with pytest.raises(CorruptBackupError):
        await unseal(header + other[other.index(b"\n") + 1 :])


async def test_a_wrong_passphrase_and_none_are_each_told() -> None:
    file = await seal(b"secret")
    for passphrase, missing in (("wrong", False), (None, True), ("", True)):
        with pytest.raises(PassphraseError) as caught:
            await unseal(file, passphrase=passphrase)
        assert caught.value.details["missing"] is missing
    with pytest.raises(ValidationError):
        await seal(b"secret", passphrase="")
    assert b"secret" not in file


async def test_the_same_letters_written_in_another_way_are_the_same_passphrase() -> None:
    assert await unseal(await seal(b"x", passphrase="caf\u00e9"), passphrase="cafe\u0301") == b"x"


def header(**changes: object) -> bytes:
    about = {
        "pystore": "sealed-backup", "format": 1, "kdf": "PBKDF2-HMAC-SHA-256", "iterations": 1_000_000, "salt": "A" * 22,
        "cipher": "AES-256-GCM", "nonce": "A" * 10, "check": "A" * 22, **changes,
    }
    line = codec.encode(about)[:-1]
    return line + sealing._SUM + sha256(line).hexdigest().encode() + b'"}\n'


@pytest.mark.parametrize(("changes", "error"), [
    ({"iterations": 1000}, FormatError), ({"iterations": 10**9}, FormatError), ({"salt": "A"}, FormatError), ({"check": None}, FormatError),
    ({"format": 2}, NewerVersionError), ({"kdf": "argon2id"}, NewerVersionError), ({"cipher": "XChaCha20"}, NewerVersionError),
])
async def test_a_header_that_asks_for_too_little_or_too_much_or_the_unknown_is_refused(
    changes: dict[str, object], error: type[PyStoreError]
) -> None:
    with pytest.raises(error):
        await unseal(header(**changes) + bytes(100))


async def test_a_store_is_saved_looked_at_and_restored_with_its_passphrase(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = MemoryPlatform(clock, CIPHER)
    async with await Store.open(SCHEMA, "a", platform=platform) as store, await Store.open(SCHEMA, "b", platform=platform) as other:
        await store.append([note(index, "some words") for index in range(300)])
        file = b"".join([part async for part in store.save(gzip=True, passphrase=PASSPHRASE)])
        assert b"some words" not in file
        for call in (other.restore([file]), other.inspect([file]), other.restore([file], passphrase="wrong")):
            with pytest.raises(PassphraseError):
                await call
        assert (await other.inspect(chunks(file), passphrase=PASSPHRASE))["new"] == 300
        await other.restore(chunks(file), passphrase=PASSPHRASE)
        assert await lines_of(other) == await lines_of(store)
        # One that is not protected needs none.
        assert (await other.restore([await saved(store)], passphrase=PASSPHRASE))["new"] == 0


async def test_a_platform_without_a_cipher_says_so(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(UnavailableError):
            async for _ in store.save(passphrase="x"):
                pass
