"""From the bytes of a backup, in chunks of any size, plain or gzipped, to its lines: within limits, whatever the bytes are."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from hashlib import sha256

from pystore.backup.format import END_MARK, GZIP_MARK
from pystore.errors import CorruptBackupError, FormatError
from pystore.event import MAX_LINE_BYTES

Source = AsyncIterable[bytes] | Iterable[bytes]
"""The bytes of a file, in chunks of any size."""

MAX_BYTES = 2 << 30
MAX_RATIO = 100
_PIECE_BYTES = 1 << 20
_RATIO_FROM_BYTES = 1 << 20
"""A ratio says nothing of a small file."""


async def each(source: Source) -> AsyncIterator[bytes]:
    """The bytes in pieces of bounded size, none of them empty."""
    if isinstance(source, AsyncIterable):
        async for chunk in source:
            for piece in _pieces(chunk):
                yield piece
    else:
        for chunk in source:
            for piece in _pieces(chunk):
                yield piece


def _pieces(chunk: bytes) -> Iterator[bytes]:
    """A chunk in pieces, none of them empty: a file that comes as one chunk is not copied as a whole at each step."""
    for start in range(0, len(chunk), _PIECE_BYTES):
        yield chunk[start : start + _PIECE_BYTES]


async def inflated(source: Source) -> AsyncIterator[bytes]:
    """The chunks, gunzipped if they are gzip. Raises FormatError for what expands too far or is not one whole gzip member."""
    unzip = None
    first, taken, given = b"", 0, 0
    started = False
    async for given_chunk in each(source):
        chunk = given_chunk
        if not started:
            first += chunk
            if len(first) < 2:
                continue
            started = True
            chunk = first
            if first[:2] == GZIP_MARK:
                unzip = zlib.decompressobj(31)
        if unzip is None:
            given += len(chunk)
            _check_total(given)
            yield chunk
            continue
        taken += len(chunk)
        if unzip.eof:
            raise _trailing()
        piece = b""
        # Output that did not fit may be pending after all input was taken.
        while chunk or len(piece) == _PIECE_BYTES:
            try:
                piece = unzip.decompress(chunk, _PIECE_BYTES)
            except zlib.error as error:
                raise CorruptBackupError("This gzip file is damaged; nothing was changed.") from error
            given += len(piece)
            _check_total(given)
            if given > _RATIO_FROM_BYTES and given > MAX_RATIO * taken:
                raise FormatError(f"This file expands to more than {MAX_RATIO} times its size, which no backup does. It was not read.")
            if piece:
                yield piece
            chunk = unzip.unconsumed_tail
            if unzip.unused_data:
                raise _trailing()
    if not started and first:
        yield first
    if unzip is not None and not unzip.eof:
        raise CorruptBackupError("This gzip file ends in the middle: it is cut off. Nothing was changed.")


def _trailing() -> CorruptBackupError:
    return CorruptBackupError("There is something after the end of this gzip file. It is damaged; nothing was changed.")


def _check_total(given: int) -> None:
    if given > MAX_BYTES:
        raise FormatError(f"This file is larger than {MAX_BYTES >> 30} GiB, more than can be read here. Nothing was changed.")


class LineReader:
    """Goes through a backup's lines and remembers what its footer can be checked against."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._hash = sha256()
        self.lines = 0
        """Lines given so far, footer not counted."""
        self.bytes = 0
        """Bytes taken so far, after gunzipping."""
        self.footer: bytes | None = None
        """The footer's line, once it came."""
        self.after_footer = False
        """Whether anything came after the footer."""

    @property
    def sha256_hex(self) -> str:
        """The hash of every byte before the footer."""
        return self._hash.hexdigest()

    async def blocks(self) -> AsyncIterator[list[bytes]]:
        """The lines, without newlines, in lists. Raises FormatError as soon as a line is longer than a line may be."""
        rest = b""
        async for chunk in inflated(self._source):
            self.bytes += len(chunk)
            if self.footer is not None:
                self.after_footer = True
                return
            data = rest + chunk if rest else chunk
            cut = data.rfind(b"\n") + 1
            block, rest = data[:cut], data[cut:]
            if len(rest) > MAX_LINE_BYTES:
                self._refuse(self.lines + block.count(b"\n") + 1)
            if not block:
                continue
            end = 0 if block.startswith(END_MARK) else block.find(b"\n" + END_MARK) + 1
            if end > 0 or block.startswith(END_MARK):
                footer = block[end:].split(b"\n", 1)
                self.footer = footer[0]
                self.after_footer = bool(footer[1]) or bool(rest)
                block = block[:end]
            self._hash.update(block)
            lines = block.split(b"\n")
            lines.pop()
            for index, line in enumerate(lines, self.lines + 1):
                if len(line) > MAX_LINE_BYTES:
                    self._refuse(index)
            self.lines += len(lines)
            if lines:
                yield lines
        if rest and self.footer is None:
            # A last line without its newline: the file was cut off in it.
            self._hash.update(rest)

    def _refuse(self, line: int) -> None:
        raise FormatError(
            f"Line {line} is longer than {MAX_LINE_BYTES:,} bytes, which no line of a backup is. The file was not read.", line=line
        )
