"""Small values by name that steer what is done with a log: each is kept with a checksum, and none is believed without it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping

from pystore.errors import CorruptError

_CHECKSUM_BYTES = 4


class Records(Mapping[str, bytes]):
    """What `packed` gave. Asked for a value that is not what was written, or stands under another name, it raises CorruptError."""

    def __init__(self, kept: Mapping[str, bytes]) -> None:
        self._kept = kept

    def __getitem__(self, name: str) -> bytes:
        kept, value = self._kept[name], self.unchecked(name)
        if kept[:_CHECKSUM_BYTES] != _checksum(name, value):
            raise CorruptError("The log's own record is damaged. Restore it from a backup.", record=name)
        return value

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def unchecked(self, name: str) -> bytes:
        """A value as it stands there, empty if there is none: for what bears a checksum of its own."""
        return self._kept.get(name, b"")[_CHECKSUM_BYTES:]


def packed(values: Mapping[str, bytes]) -> dict[str, bytes]:
    """Values as they are kept: a CRC-32 of name and value (4 bytes, big-endian) before each."""
    return {name: _checksum(name, value) + value for name, value in values.items()}


def _checksum(name: str, value: bytes) -> bytes:
    return zlib.crc32(value, zlib.crc32(name.encode())).to_bytes(_CHECKSUM_BYTES, "big")
