"""Whatever is appended, by any way, is sound, and a file of it can be restored: also at the very limits of what is taken."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, JsonValue

from pystore import Event, Schema, Store, codec
from pystore.event import new_replica_id
from pystore.input_profile import MAX_INTEGER, MAX_KEYS, MAX_LINE_BYTES, MAX_STRING_BYTES
from pystore.memory import MemoryPlatform
from pystore.projector import MAX_DATA_DEPTH
from tests.support.notes import lines_of, saved

schema = Schema("anything", app=1, views=1)


@schema.event("said")
class Said(Event):
    value: JsonValue


made_up: list[JsonValue] = []


@schema.event("made.up")
class MadeUp(Event):
    value: JsonValue = Field(default_factory=lambda: made_up[-1])


def nested(levels: int, brackets: str) -> JsonValue:
    """Lists and objects in each other."""
    value: JsonValue = 1
    for level in range(levels):
        value = [value] if brackets[level % len(brackets)] == "[" else {"in": value}
    return value


def line_of(length: int) -> JsonValue:
    """Texts with which the data of an event are so long."""
    texts: list[JsonValue] = ["x" * 200_000] * 5
    return [*texts, "x" * (length - len(codec.encode({"value": [*texts, ""]})))]


near_limits = st.one_of(
    st.builds(nested, st.integers(MAX_DATA_DEPTH - 3, MAX_DATA_DEPTH + 2), st.sampled_from(["[", "{", "[{"])),
    st.builds(lambda length, letter: letter * (length // len(letter.encode())) + "x" * (length % len(letter.encode())),
              st.integers(MAX_STRING_BYTES - 2, MAX_STRING_BYTES + 2), st.sampled_from(["x", "\n", "ä", "\U0001f600"])),
    st.builds(lambda keys: dict.fromkeys(map(str, range(keys)), 1), st.integers(MAX_KEYS - 1, MAX_KEYS + 1)),
    st.builds(lambda sign, by: sign * (MAX_INTEGER + by), st.sampled_from([1, -1]), st.integers(-1, 1)),
    st.builds(line_of, st.integers(MAX_LINE_BYTES - 600, MAX_LINE_BYTES - 200)),
    st.sampled_from(["a\0b", "\ud800", 1e308, -0.0, 5e-324, float("nan"), float("inf")]),
)


async def appended_by(way: str, store: Store, value: JsonValue) -> None:
    """Append a value by one of the ways there are."""
    said = json.dumps({"type": "said", "data": {"value": value}}, separators=(",", ":")).encode()
    match way:
        case "a model":
            await store.append(Said(value=value))
        case "a value that is made up":
            made_up.append(value)
            await store.append_json(b'{"type":"made.up","data":{}}')
        case "a model with a value that is made up":
            made_up.append(value)
            await store.append(MadeUp())
        case "a line":
            await store.append_json(said)
        case "lines":
            await store.append_json(said + b"\n" + said)


WAYS = ["a model", "a value that is made up", "a model with a value that is made up", "a line", "lines"]


@pytest.mark.parametrize("way", WAYS)
@given(value=near_limits)
async def test_what_is_taken_survives_append_save_and_restore_at_each_limit(way: str, value: JsonValue) -> None:
    async with await Store.open(schema, "a", platform=MemoryPlatform()) as store:
        try:
            await appended_by(way, store, value)
        except ValueError:
            assert store.log.state.events == 0
            return
        assert (await store.verify())["problems"] == []
        file, lines = await saved(store), await lines_of(store)
    async with await Store.open(schema, "b", platform=MemoryPlatform()) as other:
        await other.restore([file], mode="merge")
        assert await lines_of(other) == lines
        assert (await other.verify())["problems"] == []


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("least", "value"), [
    ("a nesting of 40 levels", nested(MAX_DATA_DEPTH - 1, "[")),
    ("a text of 256 KiB", "ä" * (MAX_STRING_BYTES // 2)),
    ("1,000 keys", dict.fromkeys(map(str, range(MAX_KEYS)), 1)),
    ("an integer of 53 bits", MAX_INTEGER),
    ("a line of almost 1 MiB", line_of(MAX_LINE_BYTES - 512)),
], ids=lambda said: said if isinstance(said, str) and len(said) < 50 else "")
async def test_each_limit_itself_is_taken(platform: MemoryPlatform, way: str, least: str, value: Any) -> None:
    async with await Store.open(schema, "a", platform=platform) as store:
        await appended_by(way, store, value)
        assert (await store.verify())["sound"], least


async def test_a_log_of_many_replicas_and_types_is_restored_from_its_file_and_backup(platform: MemoryPlatform) -> None:
    many = Schema("many", app=1, views=1)
    types = [type(f"Kind{number}", (Event,), {}) for number in range(MAX_KEYS + 1)]
    for number, declared in enumerate(types):
        many.event(f"kind.{number}")(declared)
    async with await Store.open(many, "a", platform=platform) as store:
        for declared in types:
            await store.append(declared())
            store.projection.shown = store.log.state = store.log.state._replace(writer=new_replica_id())
        file, lines = await saved(store), await lines_of(store)
        backup = await store.backups.create("many")

        assert (await store.inspect([file]))["events"] == MAX_KEYS + 1
        await store.backups.restore(backup["id"], mode="replace")
        assert await lines_of(store) == lines
    async with await Store.open(many, "b", platform=platform) as other:
        await other.restore([file], mode="merge")
        assert await lines_of(other) == lines
