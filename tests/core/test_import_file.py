"""Files from outside are opened safely, or refused with a sentence that says what to do."""

from __future__ import annotations

import gzip
import io
import json
import tracemalloc
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import importing
from pystore.errors import FormatError
from pystore.event import Event
from pystore.importing import Imported, ImportFile


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def items(data: bytes) -> list[Any]:
    file = ImportFile("export", data)
    return [file.item(index) for index in range(len(file))]


def places(data: bytes) -> list[str]:
    file = ImportFile("export", data)
    return [file.where(index) for index in range(len(file))]


LIST = b'[{"a": "]}\\""}, {"b": [1, {"c": {}}]}]'
VALUES = [{"a": ']}"'}, {"b": [1, {"c": {}}]}]


@pytest.mark.parametrize(
    "data",
    [
        LIST,
        b"\xef\xbb\xbf \n" + LIST + b"\n",
        gzip.compress(LIST),
        zipped({"conversations.json": LIST, "user.json": b"{}", "chat.html": b"<html>"}),
        zipped({"export/conversations.json": LIST}, zipfile.ZIP_STORED),
        zipped({"conversations-000.json": LIST[:14] + b"]", "conversations-001.json": b"[" + LIST[16:]}),
        b'{"a": "]}\\""}\n{"b": [1, {"c": {}}]}',
        b'{"a": "]}\\""}\r\n\r\n{"b": [1, {"c": {}}]}\r\n',
    ],
)
def test_the_same_items_come_from_every_way_of_packing_them(data: bytes) -> None:
    assert items(data) == VALUES


def test_one_json_object_over_several_lines_is_one_item() -> None:
    assert items(b'{\n "a": [\n1]\n}\n') == [{"a": [1]}]


def test_places_are_called_as_a_person_would() -> None:
    assert places(LIST) == ["item 1", "item 2"]
    assert places(b'{"a": 1}\n\n{"b": 2}') == ["line 1", "line 3"]
    assert places(zipped({"conversations-0.json": b"[{}]", "x/conversations-1.json": b"[{}]"})) == [
        "conversations-0.json, item 1",
        "conversations-1.json, item 1",
    ]


def test_an_item_that_is_not_json_fails_alone() -> None:
    file = ImportFile("export", b'[{"a": 1}, {"b": nonsense}, {"c": 3}]')

    assert file.item(0) == {"a": 1}
    with pytest.raises(FormatError, match="not valid JSON"):
        file.item(1)
    assert file.item(2) == {"c": 3}


@pytest.mark.parametrize(
    "bad", [b'{"b": "\xff"}', b'{"b": 1]', b"[}", b'{"b" 1}', b'{"b": "\x01"}', b'{"b": 01}', b'{"b": ' + b"9" * 5000 + b"}"]
)
def test_bytes_that_are_no_json_are_never_taken_for_a_value(bad: bytes) -> None:
    file = ImportFile("export", b'[{"a": 1}, ' + bad + b"]")
    with pytest.raises(FormatError, match="not valid JSON"):
        file.item(1)


def test_what_others_write_and_the_store_does_not_is_read() -> None:
    [item] = items(b'[{"half": "\\ud83d", "nan": NaN, "long": 123456789012345678901234567890}]')
    assert item["half"] == "\ud83d"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"   \n ", "neither JSON"),
        (b"\x00\x01\x02\xff" * 100, "neither JSON"),
        (b"<html>", "neither JSON"),
        (b'"text"', "neither JSON"),
        (b"[]", "nothing in this file"),
        (b"[ ]", "nothing in this file"),
        (b"[1, 2]", "damaged"),
        (b"[", "cut off"),
        (b'[{"a": 1}, {"b"', "cut off"),
        (b'[{"a": "', "cut off"),
        (b'{"a": \n', "cut off"),
        (b'[{"a": 1} {"b": 2}]', "damaged after item 1"),
        (b'[{"a": 1}, 7]', "damaged after item 1"),
        (b'[{"a": 1}] x', "after the end"),
        (b"[" * 100_000, "nested"),
        (b'{"a":' * 100_000, "nested"),
        (b'{"a": 1}\n{"a": ' + b"[" * 100_000, "nested"),
        (b'{"a": 1}\n' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"\n", "nested"),
        (b'[{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}]", "nested"),
        (gzip.compress(b""), "empty|neither JSON"),
        (gzip.compress(LIST)[:-9], "cut off"),
        (gzip.compress(LIST) + b"more", "added to its end"),
        (b"\x1f\x8b" + b"\x55" * 50, "damaged"),
        (gzip.compress(bytes(30_000_000)), "expands"),
        (zipped({"conversations.json": b"[" + bytes(30_000_000)}), "expands"),
        (zipped({"conversations.json": LIST})[:80], "damaged"),
        (b"PK\x03\x04" + b"\x55" * 200, "damaged"),
        (zipped({"notes.txt": b"hello"}), "no conversations.json"),
        (zipped({"__MACOSX/conversations.json": LIST}), "no conversations.json"),
        (zipped({"conversations.json/x": LIST}), "no conversations.json"),
        (zipped({"conversations.json": zipped({"conversations.json": LIST})}), "neither JSON"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(data: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        ImportFile("export", data)


def test_a_zip_in_a_zip_is_not_opened() -> None:
    data = LIST
    for _ in range(10):
        data = zipped({"export.zip": data} if data is not LIST else {"conversations.json": LIST})
    with pytest.raises(FormatError, match="Unpack it"):
        ImportFile("export", data)


def test_a_zip_that_understates_its_sizes_is_still_measured() -> None:
    data = zipped({"conversations.json": b"[" + bytes(30_000_000)})
    for size in (b"\x81\xc3\xc9\x01",):  # 30,000,001, where the archive states it
        assert data.count(size) == 2
        data = data.replace(size, b"\x10\x00\x00\x00")
    with pytest.raises(FormatError):
        ImportFile("export", data)


BOMB = b'[{"a": "' + b" " * 30_000_000 + b'"}]'


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_bomb_is_refused_before_it_takes_memory(method: int) -> None:
    try:
        data = zipped({"conversations.json": BOMB}, method)
    except RuntimeError:  # this Python cannot pack so
        return
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            ImportFile("export", data)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA, 93, 98])
def test_a_zip_packed_by_another_method_than_exports_use_is_refused_with_what_to_do(method: int) -> None:
    data = zipped({"conversations.json": LIST}, zipfile.ZIP_STORED)
    for header, place in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        start = data.index(header) + place
        data = data[:start] + method.to_bytes(2, "little") + data[start + 2 :]
    with pytest.raises(FormatError, match="Unpack it"):
        ImportFile("export", data)


def test_a_file_beyond_the_limit_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_FILE_BYTES", 100)
    for data in (b'[{"a": "' + b"x" * 100 + b'"}]', zipped({"conversations.json": b'[{"a": "' + b"x" * 100 + b'"}]'})):
        with pytest.raises(FormatError, match="larger than"):
            ImportFile("export", data)


def test_an_item_beyond_the_limit_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_ITEM_BYTES", 20)
    file = ImportFile("export", b'[{"a": "' + b"x" * 30 + b'"}, {"b": 2}]')
    with pytest.raises(FormatError, match="larger than"):
        file.item(0)
    assert file.item(1) == {"b": 2}


def test_a_string_without_end_is_gone_through_once() -> None:
    # One more look from each quote would take hours.
    with pytest.raises(FormatError, match="cut off"):
        ImportFile("export", b'[{"a": "' + b'\\"' * 1_000_000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=20,
)
OBJECTS = st.lists(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4), min_size=1, max_size=5)


@given(OBJECTS, st.booleans(), st.sampled_from([None, 1]))
def test_the_items_of_a_list_are_those_that_json_reads(values: list[Any], ascii_only: bool, indent: int | None) -> None:
    assert items(json.dumps(values, ensure_ascii=ascii_only, indent=indent).encode()) == values


@given(OBJECTS)
def test_the_items_of_jsonl_are_those_that_json_reads(values: list[Any]) -> None:
    assert items("\n".join(json.dumps(value) for value in values).encode()) == values


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([b"[", b"]", b"{", b"}", b'"', b"\\", b",", b"1", b"\n", b":"])).map(b"".join)
)
def test_no_bytes_do_more_than_be_refused(data: bytes) -> None:
    try:
        file = ImportFile("export", data)
    except FormatError:
        return
    for index in range(len(file)):
        try:
            file.item(index)
        except FormatError:
            continue


class Said(Event):
    text: str


def test_events_come_in_batches_that_a_store_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 3)
    monkeypatch.setattr(importing, "BATCH_BYTES", 100)
    events = [Said(text="a")] * 7 + [Said(text="x" * 60)] * 2 + [Said(text="y" * 1000)]

    batches = list(Imported("test", 1, iter(events)).batches())

    assert [len(batch) for batch in batches] == [3, 3, 2, 1, 1]
    assert [event for batch in batches for event in batch] == events


def test_of_what_is_not_understood_all_is_counted_and_the_first_is_named() -> None:
    imported = Imported("test", 1)
    for number in range(1000):
        imported.misunderstood(f"item {number}", "no idea")

    assert imported.counts == {"not_understood": 1000}
    assert len(imported.not_understood) == 100
    assert imported.not_understood[0] == {"where": "item 0", "why": "no idea"}
