"""Exports in which anything was changed: what is understood comes in, what is not is counted, and nothing stops the rest."""

from __future__ import annotations

import copy
import json
import random
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import codec
from pystore.errors import FormatError
from pystore.memory import MemoryPlatform
from tests.support.exports import chatgpt_conversation, import_lines, opened
from tests.support.notes import saved

DATA = Path(__file__).parents[1] / "data"
MOST = 4
"""So many conversations of an export are changed."""


@cache
def exported(name: str) -> list[Any]:
    """The items of an export."""
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in (DATA / name).read_text().splitlines()]
    with zipfile.ZipFile(DATA / name) as archive:
        [member] = [each for each in archive.namelist() if each.endswith("conversations.json")]
        items: list[Any] = json.loads(archive.read(member))
    return sorted(items, key=lambda item: len(json.dumps(item)))[:MOST]


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


ODD: list[Any] = [
    None, True, 0, -1, 0.5, -1e300, 1e308, float("nan"), float("inf"), 10**17, 10**249, 10**310, -(10**400),
    "", " ", "x", "\0", "\ud800", "\ud83d\ude00", "x" * 300, "x" * 300_000,
    "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2024",
    [], {}, [None], {"": None}, {"\ud800": "\0"}, nested(40), ["text"], {"type": "text"}, {"parts": [1, None, {"text": 5}]},
]


def changed(value: Any, chance: random.Random) -> Any:
    """The value with something in it left out, doubled, renamed, or replaced by what nobody expects."""
    containers: list[Any] = []
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, dict | list) and one:
            containers.append(one)
            stack += one.values() if isinstance(one, dict) else one
    inside = chance.choice(containers)
    key = chance.choice(list(inside) if isinstance(inside, dict) else range(len(inside)))
    match chance.randrange(5):
        case 0:
            del inside[key]
        case 1 if isinstance(inside, dict):
            inside[chance.choice(["", "\ud800", "\ud801", "\0", "id", "uuid", "created_at", "content"])] = inside.pop(key)
        case 1:
            inside.append(copy.deepcopy(inside[key]))
        case _:
            inside[key] = copy.deepcopy(chance.choice(ODD))
    return value


@pytest.mark.parametrize("name", ["chatgpt-small.zip", "claude-small.zip", "messages.jsonl"])
@given(seed=st.integers(0, 1 << 30), times=st.integers(1, 30))
async def test_whatever_was_changed_in_an_export_the_rest_comes_in(name: str, seed: int, times: int) -> None:
    chance = random.Random(seed)
    items = copy.deepcopy(exported(name))
    for _ in range(times):
        if items:
            items = changed(items, chance)
    raw = "\n".join(map(json.dumps, items)) if name.endswith(".jsonl") else json.dumps(items)
    async with opened(MemoryPlatform()) as store:
        try:
            result = await store.import_file(raw.encode(), "export")
        except FormatError:
            return
        codec.encode(result)
        assert result["counts"]["not_understood"] >= len(result["not_understood"])
        file = await saved(store)
    async with opened(MemoryPlatform()) as other:
        assert (await other.restore([file]))["problems"] == []


@pytest.mark.parametrize("time", [10**310, -(10**399), "\ud800", float("inf"), float("nan")], ids=lambda time: str(time)[:5])
async def test_a_time_that_is_none_is_no_time(platform: MemoryPlatform, time: Any) -> None:
    async with opened(platform) as store:
        conversation = {**chatgpt_conversation(["hello"]), "create_time": time, "conversation_id": None}
        await store.import_file(json.dumps([conversation]).encode(), "conversations.json")
        assert store.query("SELECT created_at FROM conversation") == [{"created_at": "2023-11-14T22:13:20.500Z"}]


async def test_a_conversation_with_a_number_that_is_no_id_is_told_of(platform: MemoryPlatform) -> None:
    line = {"role": "user", "content": "hello", "created_at": "2024-05-01"}
    async with opened(platform) as store:
        result = await import_lines(store, {**line, "conversation_id": 10**250}, {**line, "conversation_id": 7})
        assert result["counts"]["not_understood"] == 1
        assert store.query("SELECT conversation_id FROM conversation") == [{"conversation_id": "7"}]


async def test_messages_whose_ids_are_halves_of_characters_are_two(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        conversation = chatgpt_conversation(["one", "two"])
        text = json.dumps([conversation]).replace('"0"', '"\\ud800"').replace('"1"', '"\\ud801"')
        await store.import_file(text.encode(), "conversations.json")
        assert store.query("SELECT message_count FROM conversation") == [{"message_count": 2}]


async def test_a_file_name_that_is_no_text_is_kept_as_far_as_it_is(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await store.import_file(json.dumps([chatgpt_conversation(["hello"])]).encode(), "caf\udce9.json")
        assert store.query("SELECT name FROM pystore_import") == [{"name": "caf?.json"}]
