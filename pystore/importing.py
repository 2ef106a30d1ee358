"""Files of other programs: opened safely here, understood by an application's importers.

An importer is a function, registered with `Schema.importer`, that looks at an `ImportFile` and says whether it knows it:

    @schema.importer
    def my_importer(file: ImportFile, query: Query) -> Imported | None: ...

The events it gives carry ids derived from those in the file, and it asks the view which of them are there already: so the
same file brought in twice adds nothing, and a later one adds what is new in it.
"""

from __future__ import annotations

import functools
import io
import json
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from pystore import codec
from pystore.errors import FormatError, PyStoreError
from pystore.event import Event
from pystore.input_profile import MAX_DEPTH, depth

Query = Callable[[str, Sequence[Any]], list[dict[str, Any]]]
"""`Store.query`."""
Importer = Callable[["ImportFile", Query], "Imported | None"]

MAX_FILE_BYTES = 512 << 20
"""After unpacking. A browser's interpreter has 4 GiB for everything."""
MAX_ITEM_BYTES = 64 << 20
MAX_RATIO = 100
_RATIO_FROM_BYTES = 1 << 20
"""A ratio says nothing of a small file."""
MAX_ZIP_ENTRIES = 100_000
BATCH_EVENTS = 1000
BATCH_BYTES = 4 << 20
MAX_NOT_UNDERSTOOD = 100
"""How many places are named; all are counted."""

_PIECE_BYTES = 1 << 20
_ZIP_MARK, _ZIP_ENTRY_MARK, _GZIP_MARK, _BOM = b"PK\x03\x04", b"PK\x01\x02", b"\x1f\x8b", b"\xef\xbb\xbf"
_EXPORT_MEMBER = re.compile(r"(?:.*/)?(conversations(?:-[0-9]+)?\.json)")
_WHITE = b" \t\r\n"

_BOUNDED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Of these `zipfile` unpacks no more at once than it was asked for; of the others a few hundred bytes may become a gigabyte."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'


def _up_to_bracket(levels: int) -> re.Pattern[bytes]:
    """Matches up to the next bracket outside of strings, passing over whole objects and lists of at most `levels` levels.

    Everything in it is possessive and it is only ever matched at a place, so that no input makes it slow.
    """
    passed = rb'(?:[^][{}"]++|' + _STRING + rb")*+"
    for _ in range(levels):
        passed = rb'(?:[^][{}"]++|' + _STRING + rb"|[{\[]" + passed + rb"[}\]])*+"
    return re.compile(passed + rb"([][{}])", re.DOTALL)


_PASSED_LEVELS = 4
_NEXT = _up_to_bracket(0)
_NEXT_INSIDE = _up_to_bracket(_PASSED_LEVELS)

_CHOOSE = "Choose the export as you received it: a .zip, or the conversations.json or .jsonl from it."


@dataclass(frozen=True, slots=True)
class _Place:
    """Where one item stands in the file, and what a person would call the place."""

    where: str
    part: int
    start: int
    end: int


class ImportFile:
    """A file from outside, unpacked and cut into its items: the elements of a JSON list, the lines of JSONL, or one JSON object.

    Zip archives are opened for their `conversations.json` (or its numbered parts) and nothing else; gzip is unpacked. The whole
    file is checked for size, depth and completeness before any item is parsed. Raises FormatError, telling what to do instead.
    """

    def __init__(self, name: str, data: bytes) -> None:
        self.name = _writable(name)
        self._data = data
        self._parts: list[bytes] = []
        self._places: list[_Place] = []
        for member, content in _unpacked(data):
            self._parts.append(content)
            prefix = f"{member}, " if member else ""
            self._places += [_Place(prefix + where, len(self._parts) - 1, start, end) for where, start, end in _items(content)]
        if not self._places:
            raise FormatError("There is nothing in this file to bring in. " + _CHOOSE)

    def __len__(self) -> int:
        """How many items there are."""
        return len(self._places)

    @functools.cached_property
    def sha256(self) -> str:
        """The SHA-256 of the file as it came, in hex."""
        return sha256(self._data).hexdigest()

    def where(self, index: int) -> str:
        """What a person would call the place of an item: `item 3`, `line 3`."""
        return self._places[index].where

    def item(self, index: int) -> Any:
        """The value of an item. Raises FormatError if it is not valid JSON or too large.

        It may hold what the store refuses (NUL, halves of surrogate pairs, numbers out of range).
        """
        place = self._places[index]
        if place.end - place.start > MAX_ITEM_BYTES:
            raise FormatError(f"it is larger than {MAX_ITEM_BYTES >> 20} MiB")
        return _value(self._parts[place.part][place.start : place.end])

    def any(self, recognises: Callable[[Any], bool], *, among: int = 20) -> bool:
        """Whether `recognises` is true of one of the first items; those that cannot be read are passed over."""
        for index in range(min(among, len(self))):
            try:
                if recognises(self.item(index)):
                    return True
            except FormatError:
                continue
        return False


@dataclass(slots=True)
class Imported:
    """What an importer makes of a file. `counts` and `not_understood` are complete once `batches` was gone through.

    `read` of `total` items have been read so far. `not_understood` names the first 100 places, each `{where, why}`.
    """

    kind: str
    total: int
    events: Iterator[Event] = field(default_factory=lambda: iter(()))
    read: int = 0
    counts: dict[str, Any] = field(default_factory=lambda: {"not_understood": 0})
    not_understood: list[dict[str, str]] = field(default_factory=list)

    def count(self, what: str, by: int = 1) -> None:
        """Add to a count."""
        self.counts[what] = self.counts.get(what, 0) + by

    def misunderstood(self, where: str, why: str) -> None:
        """Note that something in the file was not taken, or not as it stands."""
        self.count("not_understood")
        if len(self.not_understood) < MAX_NOT_UNDERSTOOD:
            self.not_understood.append({"where": _writable(where), "why": _writable(why)})

    def batches(self) -> Iterator[list[Event]]:
        """The events in lists that are small enough to be appended at once."""
        batch: list[Event] = []
        size = 0
        for event in self.events:
            bytes_ = len(event.__pydantic_serializer__.to_json(event))
            if batch and (len(batch) >= BATCH_EVENTS or size + bytes_ > BATCH_BYTES):
                yield batch
                batch, size = [], 0
            batch.append(event)
            size += bytes_
        if batch:
            yield batch


def _writable(text: str) -> str:
    """The text without halves of surrogate pairs, which no JSON can hold."""
    return text.encode(errors="replace").decode()


# -- unpacking


def _unpacked(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The texts in a file, each with the name of its zip member, if it has one."""
    if not data:
        raise FormatError("This file is empty. " + _CHOOSE)
    if data.startswith(_ZIP_MARK):
        yield from _unzipped(data)
    elif data.startswith(_GZIP_MARK):
        yield "", _gunzipped(data)
    else:
        _check_size(len(data), len(data))
        yield "", data


def _unzipped(data: bytes) -> Iterator[tuple[str, bytes]]:
    if data.count(_ZIP_ENTRY_MARK) > MAX_ZIP_ENTRIES:
        raise FormatError(f"This zip file holds more than {MAX_ZIP_ENTRIES:,} files, which no export does. " + _CHOOSE)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _export_members(archive)
            taken = 0
            for name, info in members:
                content = bytearray()
                with archive.open(info) as member:
                    while piece := member.read(_PIECE_BYTES):
                        content += piece
                        taken += len(piece)
                        _check_size(len(content), info.compress_size)
                        _check_size(taken, len(data))
                yield (name if len(members) > 1 else ""), bytes(content)
    except PyStoreError:
        raise
    except Exception as error:  # the bytes are anyone's: whatever zipfile raises means that it cannot be read
        raise FormatError("This zip file is damaged, encrypted, or packed in an unusual way. Download the export again.") from error


def _export_members(archive: zipfile.ZipFile) -> list[tuple[str, zipfile.ZipInfo]]:
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        match = _EXPORT_MEMBER.fullmatch(info.filename)
        if match is not None and not info.filename.startswith("__MACOSX/"):
            found.setdefault(match[1], info)
    if not found and any(info.filename.lower().endswith(".zip") for info in archive.infolist()):
        raise FormatError("This zip file holds another zip file. Unpack it, and choose the export inside.")
    if not found:
        raise FormatError("There is no conversations.json in this zip file. " + _CHOOSE)
    if any(info.compress_type not in _BOUNDED for info in found.values()):
        raise FormatError("This zip file is packed by a method that no export uses. Unpack it, and choose the conversations.json inside.")
    return sorted(found.items())


def _gunzipped(data: bytes) -> bytes:
    unzip = zlib.decompressobj(31)
    content = bytearray()
    rest = data
    try:
        while rest and not unzip.eof:
            content += unzip.decompress(rest, _PIECE_BYTES)
            rest = unzip.unconsumed_tail
            _check_size(len(content), len(data))
        content += unzip.flush()
    except zlib.error as error:
        raise FormatError("This gzip file is damaged. Download it again.") from error
    if not unzip.eof or unzip.unused_data:
        raise FormatError("This gzip file is cut off, or something was added to its end. Download it again.")
    return bytes(content)


def _check_size(size: int, packed: int) -> None:
    if size > MAX_FILE_BYTES:
        raise FormatError(f"This file is larger than {MAX_FILE_BYTES >> 20} MiB when unpacked, more than can be read here.")
    if size > _RATIO_FROM_BYTES and size > MAX_RATIO * packed:
        raise FormatError(f"This file expands to more than {MAX_RATIO} times its size, which no export does. It was not read.")


# -- cutting into items

_Span = tuple[str, int, int]


def _items(content: bytes) -> Iterator[_Span]:
    start = len(_BOM) if content.startswith(_BOM) else 0
    start += len(content[start : start + 4096]) - len(content[start : start + 4096].lstrip(_WHITE))
    first = content[start : start + 1]
    if first == b"[":
        yield from _elements(content, start)
    elif first == b"{":
        if _is_whole(content[start : _end_of_line(content, start)]):
            yield from _lines(content, start)
        else:
            yield from _elements(content, start)
    else:
        raise FormatError("This file is neither JSON nor a zip file of it. " + _CHOOSE)


def _is_whole(line: bytes) -> bool:
    """Whether a line is JSON by itself, and so its file has one value a line."""
    if len(line) > MAX_ITEM_BYTES or _is_deep(line):
        return False
    try:
        _value(line)
    except FormatError:
        return False
    return True


def _is_deep(line: bytes) -> bool:
    return line.count(b"[") + line.count(b"{") > MAX_DEPTH and depth(line, stop=MAX_DEPTH) > MAX_DEPTH


def _end_of_line(content: bytes, start: int) -> int:
    end = content.find(b"\n", start)
    return end if end >= 0 else len(content)


def _lines(content: bytes, start: int) -> Iterator[_Span]:
    number = content.count(b"\n", 0, start)
    while start < len(content):
        end = _end_of_line(content, start)
        line = content[start:end]
        number += 1
        if _is_deep(line):
            raise _too_deep()
        if line.strip(_WHITE):
            yield f"line {number}", start, end
        start = end + 1


def _elements(content: bytes, start: int) -> Iterator[_Span]:
    """The elements of the JSON list, or the one JSON object, that begins at `start` and must end the file."""
    is_list = content[start : start + 1] == b"["
    top = 1 if is_list else 0
    level = number = begin = 0
    place = after = start
    while match := (_NEXT_INSIDE if level > top else _NEXT).match(content, place):
        place = match.end()
        bracket = match[1]
        if bracket in b"[{":
            level += 1
            if level > MAX_DEPTH - _PASSED_LEVELS:  # what is passed over may be that much deeper
                raise _too_deep()
            if level == top + 1:
                begin = place - 1
                if content[after:begin].strip(_WHITE) != (b"," if number else b""):
                    raise FormatError(f"This file is damaged after item {number}. Download the export again.")
            elif level == 1:
                after = place
        else:
            level -= 1
            if level == top:
                number += 1
                after = place
                yield f"item {number}", begin, place
            if level == 0:
                if is_list and content[after : place - 1].strip(_WHITE):
                    raise FormatError(f"This file is damaged after item {number}. Download the export again.")
                break
    if level or place == start:
        raise FormatError(f"This file is cut off: it ends in the middle, after item {number}. Download the export again.")
    if content[place:].strip(_WHITE):
        raise FormatError("There is something after the end of this file's JSON. Download the export again.")


def _too_deep() -> FormatError:
    return FormatError(f"This file is nested deeper than {MAX_DEPTH} levels, which no export is. It was not read.")


def _value(raw: bytes) -> Any:
    """The value of JSON whose depth is known; also of what the fast engine refuses and others write (NaN, lone surrogates)."""
    try:
        return codec.decode(raw)
    except ValueError:
        pass
    try:
        return json.loads(raw.decode())
    except ValueError as error:
        raise FormatError(f"it is not valid JSON ({error})") from error
