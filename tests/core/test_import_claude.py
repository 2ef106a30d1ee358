"""What Claude exports, in all its forms, is read, and what is not understood is named."""

from __future__ import annotations

from typing import Any

import pytest

from pystore.memory import MemoryPlatform
from tests.support.exports import import_values, opened, parts, thread

ROOT = "00000000-0000-4000-8000-000000000000"


def claude_message(uuid: str, sender: str, text: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    message = {
        "uuid": uuid,
        "sender": sender,
        "text": text,
        "content": [{"type": "text", "text": text}],
        "created_at": "2024-05-01T10:00:00.123456Z",
        "attachments": [],
        "files": [],
    }
    return message | ({"parent_message_uuid": parent} if parent else {}) | more


def claude_conversation(*messages: Any, **more: Any) -> dict[str, Any]:
    return {"uuid": "c", "name": "T", "created_at": "2024-05-01T09:00:00.000000Z", "chat_messages": list(messages)} | more


async def test_messages_that_name_no_parent_follow_each_other(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(
            store, claude_conversation(claude_message("1", "human", "hello"), claude_message("2", "assistant", "hi"))
        )
        assert thread(store) == [("user", "hello"), ("assistant", "hi")]
        assert store.query("SELECT source, created_at, updated_at FROM conversation") == [
            {"source": "claude", "created_at": "2024-05-01T09:00:00.000Z", "updated_at": "2024-05-01T10:00:00.123Z"}
        ]


@pytest.mark.parametrize(("leaf", "current"), [(None, "edited answer"), ("2", "answer")])
async def test_messages_that_name_their_parents_branch(platform: MemoryPlatform, leaf: str | None, current: str) -> None:
    async with opened(platform) as store:
        await import_values(
            store,
            claude_conversation(
                claude_message("1", "human", "question", ROOT),
                claude_message("2", "assistant", "answer", "1"),
                claude_message("3", "human", "edited question", ROOT),
                claude_message("4", "assistant", "edited answer", "3"),
                current_leaf_message_uuid=leaf,
            ),
        )
        assert thread(store)[-1] == ("assistant", current)
        assert store.query("SELECT count(*) AS n FROM message WHERE parent_id IS NULL") == [{"n": 2}]


async def test_a_branch_off_the_current_one_hangs_where_it_belongs(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(
            store,
            claude_conversation(
                claude_message("1", "human", "question", ROOT),
                claude_message("2", "assistant", "first", "1"),
                claude_message("3", "assistant", "second", "1"),
                claude_message("4", "human", "thanks", "2"),
                current_leaf_message_uuid="4",
            ),
        )
        assert thread(store) == [("user", "question"), ("assistant", "first"), ("user", "thanks")]
        rows = store.query("SELECT p.text FROM message m JOIN message p ON p.message_id = m.parent_id WHERE m.text = 'second'")
        assert rows == [{"text": "question"}]


async def test_tools_thoughts_and_attachments_of_claude_are_kept(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        result = await import_values(
            store,
            claude_conversation(
                claude_message("1", "human", "", content=[], attachments=[{"file_name": "a.txt", "extracted_content": "pasted"}]),
                claude_message(
                    "2",
                    "assistant",
                    "ignored",
                    content=[
                        {"type": "thinking", "thinking": "hm"},
                        {"type": "tool_use", "name": "search", "input": {"q": "boat"}},
                        {"type": "text", "text": "found", "citations": [{"url": "https://example.org"}]},
                    ],
                ),
                claude_message("3", "human", "old shape", content=None),
            ),
        )
        assert result["not_understood"] == []
        assert thread(store) == [("user", "pasted"), ("assistant", "found"), ("user", "old shape")]
        assert [part["kind"] for message in parts(store) for part in message if part["type"] == "other"] == [
            "attachment",
            "thinking",
            "tool_use",
            "citations",
        ]


async def test_of_claude_too_what_is_not_understood_is_named(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        result = await import_values(
            store,
            claude_conversation(
                7, claude_message("1", "parrot", "x"), claude_message("2", "human", "x"), claude_message("2", "human", "y")
            ),
            {"uuid": "d"},
        )
        assert [(place["where"], place["why"]) for place in result["not_understood"]] == [
            ("item 1 (T)", "its message 1 is not an object"),
            ("item 1 (T), message 2", "its sender 'parrot' is not known"),
            ("item 1 (T)", "its message 4 has the id of another; the first was taken"),
            ("item 2", "it is not a conversation: it has no chat_messages"),
        ]
        assert thread(store) == [("user", "x")]
