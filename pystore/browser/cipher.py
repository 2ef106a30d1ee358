"""Sealing inside the browser: by WebCrypto."""

from __future__ import annotations

from typing import Any

import js
from pyodide.ffi import JsException, to_js


def _options(**values: Any) -> Any:
    return to_js(values, dict_converter=js.Object.fromEntries)


class BrowserCipher:
    """PBKDF2 and AES-256-GCM of `crypto.subtle`."""

    async def pbkdf2(self, passphrase: bytes, salt: bytes, iterations: int) -> bytes:
        subtle = js.crypto.subtle
        key = await subtle.importKey("raw", to_js(passphrase), "PBKDF2", False, to_js(["deriveBits"]))
        how = _options(name="PBKDF2", hash="SHA-256", salt=salt, iterations=iterations)
        bits: bytes = (await subtle.deriveBits(how, key, 256)).to_bytes()
        return bits

    async def seal(self, key: bytes, nonce: bytes, data: bytes, about: bytes) -> bytes:
        how = _options(name="AES-GCM", iv=nonce, additionalData=about)
        sealed: bytes = (await js.crypto.subtle.encrypt(how, await _imported(key), to_js(data))).to_bytes()
        return sealed

    async def open(self, key: bytes, nonce: bytes, data: bytes, about: bytes) -> bytes:
        how = _options(name="AES-GCM", iv=nonce, additionalData=about)
        try:
            opened: bytes = (await js.crypto.subtle.decrypt(how, await _imported(key), to_js(data))).to_bytes()
        except JsException as error:
            raise ValueError("It is not what was sealed.") from error
        return opened


async def _imported(key: bytes) -> Any:
    return await js.crypto.subtle.importKey("raw", to_js(key), "AES-GCM", False, to_js(["encrypt", "decrypt"]))
