"""Exports of other programs as the tests make them, and what a store shows of them once they are brought in."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from pystore import Store
from pystore.assistant import schema
from pystore.ports import Platform


@asynccontextmanager
async def opened(platform: Platform) -> AsyncIterator[Store]:
    async with await Store.open(schema, "alice", platform=platform) as store:
        yield store


async def import_values(store: Store, *values: Any) -> dict[str, Any]:
    return await store.import_file(json.dumps(values).encode(), "conversations.json")


async def import_lines(store: Store, *values: Any) -> dict[str, Any]:
    return await store.import_file("\n".join(json.dumps(value) for value in values).encode(), "messages.jsonl")


def thread(store: Store) -> list[tuple[str, str]]:
    """Role and text of the current branch, oldest first."""
    rows = store.query("""
        WITH RECURSIVE branch (message_id, parent_id, role, text, depth) AS (
            SELECT m.message_id, m.parent_id, m.role, m.text, 0
            FROM conversation c JOIN message m ON m.message_id = c.current_message_id
            UNION ALL
            SELECT m.message_id, m.parent_id, m.role, m.text, depth + 1 FROM branch b JOIN message m ON m.message_id = b.parent_id
        ) SELECT role, text FROM branch ORDER BY depth DESC""")
    return [(row["role"], row["text"]) for row in rows]


def parts(store: Store) -> list[Any]:
    return [json.loads(row["parts"]) for row in store.query("SELECT parts FROM message WHERE parts IS NOT NULL ORDER BY position")]


def chatgpt_node(node_id: str, parent: str | None, text: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]} if isinstance(text, str) else text
    message = {"id": node_id, "author": {"role": role}, "create_time": 1_700_000_000.5, "content": content, "metadata": {}}
    return {"id": node_id, "parent": parent, "children": [], "message": message | more}


def chatgpt_conversation(texts: list[str], conversation_id: str = "c") -> dict[str, Any]:
    mapping: dict[str, Any] = {"root": {"id": "root", "parent": None, "message": None, "children": ["0"]}}
    for index, text in enumerate(texts):
        mapping[str(index)] = chatgpt_node(str(index), str(index - 1) if index else "root", text)
    return {"conversation_id": conversation_id, "title": "T", "create_time": 1_700_000_000, "mapping": mapping}
