"""Whatever is thrown at a store from outside: a clear error, nothing stored, and the store goes on."""

from __future__ import annotations

import gzip
import io
import time
import zipfile
import zlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pystore import codec
from pystore.backup import lines as lines_module
from pystore.errors import CorruptBackupError, FormatError, NewerVersionError, PyStoreError, UnknownTypeError, ValidationError
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.notes import SCHEMA, folded, note, saved, shown

GOOD = b'{"type":"note.added","data":{"note_id":"good","text":"t"}}'


def event(data: bytes, type_: bytes = b'"note.added"') -> bytes:
    return b'{"type":' + type_ + b',"data":' + data + b"}"


BAD_EVENTS = {
    "not an object": b"3",
    "a list": b"[" + GOOD + b"]",
    "nothing": b"{}",
    "no data": b'{"type":"note.added"}',
    "no type": b'{"data":{}}',
    "another key": b'{"type":"note.added","data":{"note_id":"1","text":""},"v":1}',
    "type is no text": event(b"{}", b"7"),
    "type is null": event(b"{}", b"null"),
    "type is a list": event(b"{}", b"[]"),
    "a type that is very long": event(b"{}", b'"' + b"x" * 100_000 + b'"'),
    "an unknown type": event(b"{}", b'"note.burnt"'),
    "the store's own type": event(b'{"name":"x"}', b'"$named"'),
    "data is a list": event(b"[]"),
    "data is null": event(b"null"),
    "data is text": event(b'"x"'),
    "a field is missing": event(b'{"note_id":"1"}'),
    "a field is of another type": event(b'{"note_id":1,"text":""}'),
    "a field is too many": event(b'{"note_id":"1","text":"","x":1}'),
    "a huge integer": event(b'{"note_id":"1","text":"","x":' + b"9" * 40 + b"}"),
    "a duplicate key": event(b'{"note_id":"1","text":"a","text":"b"}'),
    "a duplicate key above": b'{"type":"note.added","type":"note.added","data":{"note_id":"1","text":""}}',
    "NaN": event(b'{"note_id":"1","text":NaN}'),
    "a lone surrogate": event(b'{"note_id":"1","text":"\\ud800"}'),
    "NUL": event(b'{"note_id":"1","text":"\\u0000"}'),
    "a raw NUL": event(b'{"note_id":"1","text":"\x00"}'),
    "bytes that are no UTF-8": event(b'{"note_id":"1","text":"\xff"}'),
    "a BOM": b"\xef\xbb\xbf" + GOOD,
    "two on one line": GOOD + GOOD,
    "cut off": GOOD[:-3],
    "deep nesting": event(b'{"note_id":"1","text":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "unclosed deep nesting": b"[" * 100_000,
    "a text that is too long": event(b'{"note_id":"1","text":"' + b"x" * (257 << 10) + b'"}'),
    "a line that is too long": event(b'{"note_id":"1","text":"' + b"x" * (2 << 20) + b'"}'),
    "a line of 50 MB": b"x" * (50 << 20),
    "prototype keys": event(b'{"note_id":"1","text":"","__proto__":{"x":1}}'),
}


@pytest.mark.parametrize("bad", BAD_EVENTS.values(), ids=BAD_EVENTS.keys())
async def test_one_bad_event_refuses_the_whole_call_naming_it(platform: MemoryPlatform, bad: bytes) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(ValidationError) as caught:
            await store.append_json(GOOD + b"\n" + bad + b"\n")
        assert caught.value.details["index"] == 1
        assert len(caught.value.message) < 500
        codec.encode(caught.value.details)
        assert platform.kept["a"].segments == {}
        await store.append_json(GOOD)
        assert len(shown(store)["note"]) == 1
        assert shown(store) == await folded(store)


async def test_an_unknown_type_is_told_as_such(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(UnknownTypeError, match=r"note\.burnt"):
            await store.append_json(BAD_EVENTS["an unknown type"])
        with pytest.raises(ValidationError) as caught:
            await store.append_json(BAD_EVENTS["a field is missing"])
        assert caught.value.details["problems"] == [{"field": "text", "reason": "Field required"}]


async def test_a_batch_that_is_too_large_is_refused(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(ValidationError):
            await store.append_json(b" " * ((64 << 20) + 1))


@pytest.mark.parametrize("text", ["\ud800", "a\0b", "x" * (257 << 10)])
async def test_what_may_not_be_stored_is_refused_from_python_too(platform: MemoryPlatform, text: str) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(ValidationError):
            await store.append(note("1", text))
        assert platform.kept["a"].segments == {}


async def test_an_event_that_was_made_past_its_model_is_refused(platform: MemoryPlatform) -> None:
    # It would not be read back: the view of today would not be the fold of tomorrow.
    from tests.support.notes import NoteAdded

    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(ValidationError):
            await store.append(NoteAdded.model_construct(note_id=5, text="t", folder=None))
        with pytest.raises(ValidationError):
            await store.append(NoteAdded.model_construct(text="t"))
        assert platform.kept["a"].segments == {}


# -- files


def nested_zip(levels: int) -> bytes:
    content = b"{}"
    for _ in range(levels):
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("conversations.json", content)
        content = out.getvalue()
    return content


BAD_FILES = {
    "empty": b"",
    "one byte": b"{",
    "a newline": b"\n",
    "binary": bytes(range(256)) * 40,
    "zeros": bytes(100_000),
    "text": b"Hello.\n",
    "JSON": b'{"a":1}\n',
    "a number": b"1\n",
    "another's JSONL": b'{"conversation_id":"1","role":"user","content":"x"}\n',
    "a zip of zips": nested_zip(10),
    "SQLite": b"SQLite format 3\0" + bytes(1000),
    "an empty gzip": gzip.compress(b""),
    "gzipped nonsense": gzip.compress(b"nonsense\n" * 10),
    "a gzip head": b"\x1f\x8b",
    "a gzip head and nonsense": b"\x1f\x8b" + b"nonsense" * 10,
    "a line of 50 MB": b'{"pystore":"backup"' + b" " * (50 << 20) + b"}\n",
    "50 MB without a line": b"x" * (50 << 20),
    "deep nesting": b"[" * 100_000 + b"]" * 100_000 + b"\n",
    "deep nesting in a header": b'{"pystore":"backup","format":1,"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n",
    "a footer alone": b'{"pystore":"end","lines":0,"sha256":"' + b"0" * 64 + b'"}\n',
    "UTF-16": '{"pystore":"backup"}\n'.encode("utf-16"),
    "a BOM": b"\xef\xbb\xbf" + b'{"pystore":"backup","format":1}\n',
}


@pytest.mark.parametrize("file", BAD_FILES.values(), ids=BAD_FILES.keys())
async def test_a_file_that_is_no_backup_is_refused_and_changes_nothing(platform: MemoryPlatform, file: bytes) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("mine"))
        before = (shown(store), dict(platform.kept["a"].segments), store.log.state)
        for chunks in ([file], [file[start : start + 1000] for start in range(0, min(len(file), 3_000_000), 1000)]):
            for salvage in (False, True):
                with pytest.raises(FormatError) as caught:
                    await store.restore(chunks, salvage=salvage)
                assert len(caught.value.message) < 500
                with pytest.raises(FormatError):
                    await store.inspect(chunks, salvage=salvage)
        assert (shown(store), dict(platform.kept["a"].segments), store.log.state) == before
        await store.append(note("after"))


class Counted:
    """Gives a file and counts how much of it was taken."""

    def __init__(self, piece: bytes, count: int) -> None:
        self.piece, self.count, self.taken = piece, count, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for _ in range(self.count):
            self.taken += len(self.piece)
            yield self.piece


async def test_an_endless_line_is_given_up_early(platform: MemoryPlatform) -> None:
    endless = Counted(b"x" * 65536, 100_000)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(FormatError, match="longer"):
            await store.restore(endless)
    assert endless.taken < 4 << 20


async def test_a_gzip_bomb_is_given_up_early(platform: MemoryPlatform) -> None:
    bomb = gzip.compress(bytes(200 << 20))
    assert len(bomb) < 300_000
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for chunks in ([bomb], [bomb[start : start + 100] for start in range(0, len(bomb), 100)]):
            with pytest.raises(FormatError):
                await store.restore(chunks)
        header = (await saved(store)).split(b"\n")[0] + b"\n"
        for bomb in (gzip.compress(header + b"\n" * (50 << 20)), header + b"\n" * (50 << 20), header + b"{}\n" * 1_000_000):
            with pytest.raises(FormatError):
                await store.restore([bomb])
            begun = time.perf_counter()
            about = await store.restore([bomb], salvage=True)
            assert time.perf_counter() - begun < 3
            assert about["new"] == 0
            assert len(about["problems"]) == 100


async def test_a_bomb_of_lines_is_given_up_at_the_ratio(platform: MemoryPlatform) -> None:
    pieces = 0

    async def bomb() -> AsyncIterator[bytes]:
        nonlocal pieces
        zipper = zlib.compressobj(9, zlib.DEFLATED, 31)
        line = b"{}" + b" " * 1000 + b"\n"
        while True:
            pieces += 1
            yield zipper.compress(line * 10_000)

    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(FormatError):
            async for _ in lines_module.inflated(bomb()):
                pass
        assert pieces < 20
        assert shown(store)["note"] == []


async def test_a_file_that_is_too_large_is_given_up(platform: MemoryPlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines_module, "MAX_BYTES", 3 << 20)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append([note(index, "x" * 1000) for index in range(4000)])
        plain, zipped = await saved(store), await saved(store, gzip=True)
        for file in (plain, zipped):
            with pytest.raises(FormatError, match="larger"):
                await store.restore([file])


@pytest.mark.parametrize("after", [b"x", b"\0" * 1000, gzip.compress(b"more\n"), b"\x1f\x8b"])
async def test_something_after_a_gzip_member_is_refused(platform: MemoryPlatform, after: bytes) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(note("1"))
        file = await saved(store, gzip=True)
        for chunks in ([file + after], [file, after], [*(bytes([byte]) for byte in file), after]):
            with pytest.raises(CorruptBackupError):
                await store.restore(chunks)


async def test_every_altered_byte_of_a_gzipped_file_is_refused_or_harmless(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "b", platform=platform) as other:
        await other.append([note("1"), note("2")])
        file = await saved(other, gzip=True)
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.restore([file])
        before = shown(store)
        for index in range(len(file)):
            try:
                await store.restore([file[:index] + bytes([file[index] ^ 0x10]) + file[index + 1 :]])
            except (FormatError, NewerVersionError):
                pass
            else:
                # gzip's own header, or a bit that fills up the last byte
                assert gzip.decompress(file[:index] + bytes([file[index] ^ 0x10]) + file[index + 1 :]) == gzip.decompress(file)
            assert shown(store) == before


@pytest.mark.parametrize("data", list(BAD_FILES.values()), ids=list(BAD_FILES.keys()))
async def test_no_importer_means_no_import(platform: MemoryPlatform, data: bytes) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        with pytest.raises(PyStoreError):
            await store.import_file(data, "file")
        assert platform.kept["a"].segments == {}


async def test_a_source_of_other_things_than_bytes_is_an_error_not_a_change(platform: MemoryPlatform) -> None:
    sources: list[Any] = [b"abc", ["text"], [None], 5]
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        for source in sources:
            with pytest.raises((TypeError, FormatError)):
                await store.restore(source)
        assert platform.kept["a"].segments == {}
        await store.append(note("1"))
