"""Sealing outside the browser: by `cryptography`, in a thread."""

from __future__ import annotations

import asyncio
import hashlib

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class NativeCipher:
    """PBKDF2 and AES-256-GCM of OpenSSL."""

    async def pbkdf2(self, passphrase: bytes, salt: bytes, iterations: int) -> bytes:
        return await asyncio.to_thread(hashlib.pbkdf2_hmac, "sha256", passphrase, salt, iterations)

    async def seal(self, key: bytes, nonce: bytes, data: bytes, about: bytes) -> bytes:
        return await asyncio.to_thread(AESGCM(key).encrypt, nonce, data, about)

    async def open(self, key: bytes, nonce: bytes, data: bytes, about: bytes) -> bytes:
        try:
            return await asyncio.to_thread(AESGCM(key).decrypt, nonce, data, about)
        except InvalidTag as error:
            raise ValueError("It is not what was sealed.") from error
