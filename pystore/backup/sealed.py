"""A backup protected by a passphrase: one plain header line, then sealed frames.

    {"pystore":"sealed-backup","format":1,"kdf":"PBKDF2-HMAC-SHA-256","iterations":N,"salt":S,"cipher":"AES-256-GCM","nonce":P,"check":C,"sha256":H}
    <4 bytes: length of what follows, big-endian><ciphertext of at most 1 MiB, and its tag of 16 bytes> ...

What is sealed is the backup file, plain or gzipped. PBKDF2 makes 32 bytes of the passphrase (NFKC, UTF-8) and the 16 bytes of
`salt`; HMAC-SHA-256 with them makes of `pystore key` the key, and of `pystore check` 32 bytes, the first 16 of which are `check`: so a wrong
passphrase is told from a damaged file. `sha256` is over the line up to the comma before it. Frames are those of the STREAM
construction (Hoang, Reyhanitabar, Rogaway, Vizar 2015): nonce is the 7 bytes of `nonce`, the frame's number (4 bytes) and 1 for the
last frame, else 0; the header line is authenticated with each. So a frame that is altered, moved, left out or added is found.
Salts, nonces and checks are base64url without padding.
"""  # noqa: E501  (the header is one line)

from __future__ import annotations

import binascii
import hmac
import unicodedata
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from os import urandom
from typing import Literal

import pydantic

from pystore import codec
from pystore.backup.lines import Source, each
from pystore.errors import CorruptBackupError, FormatError, NewerVersionError, PassphraseError, ValidationError
from pystore.event import b64
from pystore.input_profile import load
from pystore.ports import Cipher

ITERATIONS = 1_000_000
LEAST_ITERATIONS, MOST_ITERATIONS = 600_000, 10_000_000
"""Fewer protect too little; more would keep whoever opens the file busy."""
FRAME_BYTES = 1 << 20
_TAG_BYTES = 16
MARK = b'{"pystore":"sealed-backup"'
MAX_HEADER_BYTES = 4096
_SUM = b',"sha256":"'
_KNOWN = {"format": 1, "kdf": "PBKDF2-HMAC-SHA-256", "cipher": "AES-256-GCM"}


class SealedHeader(pydantic.BaseModel):
    """The plain first line. Keys that this version does not know are passed over."""

    kind: Literal["sealed-backup"] = pydantic.Field(alias="pystore")
    format: Literal[1]
    kdf: Literal["PBKDF2-HMAC-SHA-256"]
    iterations: int = pydantic.Field(ge=LEAST_ITERATIONS, le=MOST_ITERATIONS)
    salt: str = pydantic.Field(pattern=r"^[A-Za-z0-9_-]{22}$")
    cipher: Literal["AES-256-GCM"]
    nonce: str = pydantic.Field(pattern=r"^[A-Za-z0-9_-]{10}$")
    check: str = pydantic.Field(pattern=r"^[A-Za-z0-9_-]{22}$")


class _Keys:
    """What a passphrase and a salt come to."""

    def __init__(self, master: bytes) -> None:
        self.key = hmac.digest(master, b"pystore key", "sha256")
        self.check = hmac.digest(master, b"pystore check", "sha256")[:16]


async def _keys(cipher: Cipher, passphrase: str, salt: bytes, iterations: int) -> _Keys:
    return _Keys(await cipher.pbkdf2(unicodedata.normalize("NFKC", passphrase).encode(), salt, iterations))


async def sealed(chunks: AsyncIterator[bytes], passphrase: str, cipher: Cipher, *, iterations: int = ITERATIONS) -> AsyncIterator[bytes]:
    """A file, given in chunks, protected by `passphrase`. Nothing of it is kept in between. Raises ValidationError for an empty one."""
    if not passphrase:
        raise ValidationError("A passphrase has at least one character.")
    salt, prefix = urandom(16), urandom(7)
    keys = await _keys(cipher, passphrase, salt, iterations)
    about = codec.encode({
        "pystore": "sealed-backup", "format": 1, "kdf": "PBKDF2-HMAC-SHA-256", "iterations": iterations, "salt": b64(salt).decode(),
        "cipher": "AES-256-GCM", "nonce": b64(prefix).decode(), "check": b64(keys.check).decode(),
    })[:-1]
    header = about + _SUM + sha256(about).hexdigest().encode() + b'"}\n'
    yield header
    rest, number = b"", 0
    async for chunk in chunks:
        rest += chunk
        while len(rest) > FRAME_BYTES:  # the last one is never empty unless all is
            frame, rest = rest[:FRAME_BYTES], rest[FRAME_BYTES:]
            yield _framed(await cipher.seal(keys.key, _nonce(prefix, number, last=False), frame, header))
            number += 1
    yield _framed(await cipher.seal(keys.key, _nonce(prefix, number, last=True), rest, header))


async def unsealed(source: Source, passphrase: str | None, cipher_of: Callable[[], Cipher]) -> AsyncIterator[bytes]:
    """The bytes of a file, taken out of their protection if they are protected; only then a cipher is asked for.

    Raises PassphraseError (none was given, or the wrong one), CorruptBackupError (altered, or cut off), FormatError, NewerVersionError.
    """
    reader = _Reader(each(source))
    if await reader.begins_with(MARK):
        header = await reader.line()
        about = _header_of(header)
        if not passphrase:
            raise PassphraseError("This backup is protected by a passphrase. Give the passphrase to open it.", missing=True)
        prefix, cipher = _decoded(about.nonce), cipher_of()
        keys = await _keys(cipher, passphrase, _decoded(about.salt), about.iterations)
        if not hmac.compare_digest(keys.check, _decoded(about.check)):
            raise PassphraseError("This is not the passphrase of this backup. Nothing was read. Try again.", missing=False)
        number, is_last = 0, False
        while not is_last:
            frame = await reader.exactly(int.from_bytes(await reader.exactly(4), "big"))
            is_last = await reader.is_at_end()
            try:
                yield await cipher.open(keys.key, _nonce(prefix, number, last=is_last), frame, header)
            except ValueError as error:
                raise _damaged("a part of it was altered, left out or added") from error
            number += 1
    else:
        async for chunk in reader.rest():
            yield chunk


def _header_of(line: bytes) -> SealedHeader:
    about, found, said = line.rpartition(_SUM)
    if not found or said != sha256(about).hexdigest().encode() + b'"}\n':
        raise _damaged("its first line was altered")
    value = load(line)
    if isinstance(value, dict) and [value.get(key) for key in _KNOWN] != list(_KNOWN.values()):
        raise NewerVersionError("This backup is protected in a way that this version does not know. Update pystore to open it.")
    try:
        return SealedHeader.model_validate(value)
    except pydantic.ValidationError as error:
        raise FormatError("The first line of this backup says what cannot be: it was not made by pystore.", line=1) from error


def _decoded(text: str) -> bytes:
    return binascii.a2b_base64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


def _nonce(prefix: bytes, number: int, *, last: bool) -> bytes:
    return prefix + number.to_bytes(4, "big") + bytes([last])


def _framed(ciphertext: bytes) -> bytes:
    return len(ciphertext).to_bytes(4, "big") + ciphertext


def _damaged(why: str) -> CorruptBackupError:
    return CorruptBackupError(f"This protected backup is damaged: {why}. Nothing was changed.")


class _Reader:
    """Takes from chunks of any size what is asked for."""

    def __init__(self, chunks: AsyncIterator[bytes]) -> None:
        self._chunks = chunks
        self._have = b""

    async def _fill(self, size: int) -> None:
        parts, have = [self._have], len(self._have)
        while have < size and (chunk := await anext(self._chunks, None)) is not None:
            parts.append(chunk)
            have += len(chunk)
        self._have = b"".join(parts)

    async def begins_with(self, mark: bytes) -> bool:
        await self._fill(len(mark))
        return self._have.startswith(mark)

    async def line(self) -> bytes:
        await self._fill(MAX_HEADER_BYTES)
        end = self._have.find(b"\n", 0, MAX_HEADER_BYTES) + 1
        if end == 0:
            raise _damaged("its first line does not end")
        line, self._have = self._have[:end], self._have[end:]
        return line

    async def exactly(self, size: int) -> bytes:
        if size > FRAME_BYTES + _TAG_BYTES:
            raise _damaged("a part of it is longer than any is")
        await self._fill(size)
        if len(self._have) < size:
            raise _damaged("it is cut off")
        taken, self._have = self._have[:size], self._have[size:]
        return taken

    async def is_at_end(self) -> bool:
        await self._fill(1)
        return not self._have

    async def rest(self) -> AsyncIterator[bytes]:
        if self._have:
            yield self._have
        async for chunk in self._chunks:
            yield chunk
