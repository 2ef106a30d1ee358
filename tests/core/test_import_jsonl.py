"""Generic JSONL is read, and what is not understood is named."""

from __future__ import annotations

import json
from typing import Any

from pystore.memory import MemoryPlatform
from tests.support.exports import import_lines, import_values, opened, parts, thread


def line(content: Any, role: str = "user", conversation_id: Any = "c", **more: Any) -> dict[str, Any]:
    return {"conversation_id": conversation_id, "role": role, "content": content, "created_at": "2024-05-01T10:00:00+02:00"} | more


async def test_lines_are_messages_of_their_conversations_each_after_the_one_before(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_lines(store, line("a", title="Boats"), line("x", conversation_id=7), line("b", "assistant", model="m"))

        assert store.query("SELECT conversation_id, title, message_count AS n FROM conversation") == [
            {"conversation_id": "c", "title": "Boats", "n": 2},
            {"conversation_id": "7", "title": "x", "n": 1},
        ]
        [b] = store.query("SELECT p.text, m.created_at, m.model FROM message m JOIN message p ON p.message_id = m.parent_id")
        assert b == {"text": "a", "created_at": "2024-05-01T08:00:00.000Z", "model": "m"}


async def test_saying_the_same_twice_is_two_messages_and_a_longer_file_adds_the_rest(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_lines(store, line("yes"), line("yes"))
        result = await import_lines(store, line("yes"), line("no"), line("yes"), line("yes"))

        assert {"messages": 2, "known_messages": 2}.items() <= result["counts"].items()


async def test_lines_that_bring_ids_and_parents_keep_their_tree(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_lines(store, line("q", id="1"), line("a", id="2", parent_id="1"), line("b", id="3", parent_id="1"))
        assert thread(store) == [("user", "q"), ("user", "b")]


async def test_content_in_parts_and_a_json_list_are_read_too(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(
            store, line([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "x"}}, "this"])
        )
        assert thread(store) == [("user", "see\nthis")]
        assert parts(store)[0][1] == {"type": "other", "kind": "image_url", "data": {"image_url": {"url": "x"}}}


async def test_lines_that_are_not_understood_are_named_by_number(platform: MemoryPlatform) -> None:
    lines = [
        json.dumps(line("good")),
        "nonsense",
        "[]",
        json.dumps(line("x", "pirate")),
        json.dumps(line(7)),
        json.dumps(line("x", conversation_id="")),
        json.dumps(line("late", created_at="tomorrow")),
    ]
    async with opened(platform) as store:
        result = await store.import_file("\n".join(lines).encode(), "messages.jsonl")
        assert sorted(place["where"] for place in result["not_understood"]) == [
            "line 2",
            "line 3",
            "line 4",
            "line 5",
            "line 6",
            "line 7",
        ]
        assert result["counts"]["messages"] == 2
