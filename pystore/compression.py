"""zstd with a checksum: from the standard library (3.14), else its backport."""

from __future__ import annotations

import sys
from collections.abc import Iterator

from pystore.errors import CorruptError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def compress(data: bytes, *, level: int = 3) -> bytes:
    """`data` as one zstd frame that carries a checksum of its content. `level`: 1 is quick, 3 is zstd's own choice."""
    options: dict[int, int] = {zstd.CompressionParameter.compression_level: level, zstd.CompressionParameter.checksum_flag: 1}
    return zstd.compress(data, options=options)


def decompress(frame: bytes) -> bytes:
    """What `compress` was given. Raises CorruptError if any bit of it changed."""
    try:
        return zstd.decompress(frame)
    except zstd.ZstdError as error:
        raise CorruptError("A stored record is damaged: its checksum does not match.") from error


def decompress_pieces(frame: bytes, piece_bytes: int) -> Iterator[bytes]:
    """What `compress` was given, in pieces of at most that many bytes. Raises CorruptError after those that could be read."""
    decompressor = zstd.ZstdDecompressor()
    try:
        piece = decompressor.decompress(frame, piece_bytes)
        while piece or not (decompressor.eof or decompressor.needs_input):
            yield piece
            piece = b"" if decompressor.eof else decompressor.decompress(b"", piece_bytes)
    except zstd.ZstdError as error:
        raise CorruptError("A stored record is damaged: its checksum does not match.") from error
    if not decompressor.eof or decompressor.unused_data:
        raise CorruptError("A stored record is damaged: it does not end where it should.")
