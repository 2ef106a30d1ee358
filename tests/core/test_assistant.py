"""What the assistant's events do to its view."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from pystore import Store
from pystore.assistant import schema
from pystore.assistant.conversations import (
    ConversationArchived,
    ConversationRetitled,
    ConversationStarted,
    MessagePosted,
    OtherPart,
    TextPart,
)
from pystore.errors import ConstraintError, UnknownTypeError, ValidationError
from pystore.memory import MemoryPlatform

AT = "2025-06-15T15:06:40.000Z"
STARTED = ConversationStarted(conversation_id="c", title="Boats", created_at=AT)


@asynccontextmanager
async def opened(platform: MemoryPlatform) -> AsyncIterator[Store]:
    async with await Store.open(schema, "alice", platform=platform) as store:
        await store.append(STARTED)
        yield store


def posted(message_id: str, text: str = "ahoy", parent_id: str | None = None, at: str = AT, **more: Any) -> MessagePosted:
    return MessagePosted(
        message_id=message_id,
        conversation_id="c",
        parent_id=parent_id,
        role="user",
        content=[TextPart(type="text", text=text)],
        created_at=at,
        **more,
    )


def search(store: Store, typed: str) -> list[str]:
    rows = store.query(
        "SELECT snippet(message_search, 0, '[', ']', '…', 16) AS snippet FROM message_search "
        "JOIN message m ON m.position = message_search.rowid WHERE message_search MATCH match_terms(?) ORDER BY rank LIMIT 50",
        (typed,),
    )
    return [row["snippet"] for row in rows]


async def test_a_started_conversation_is_empty_and_of_its_own_time(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        assert store.query("SELECT * FROM conversation") == [
            {
                "conversation_id": "c",
                "title": "Boats",
                "created_at": AT,
                "updated_at": AT,
                "source": None,
                "model": None,
                "archived": 0,
                "message_count": 0,
                "current_message_id": None,
            }
        ]


async def test_a_posted_message_brings_its_conversation_up_to_date(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        later = "2025-06-16T00:00:00.000Z"
        await store.append(posted("m1", at=later), posted("m2", parent_id="m1", model="gpt-4o"))

        assert store.query("SELECT message_count, updated_at, current_message_id FROM conversation") == [
            {"message_count": 2, "updated_at": later, "current_message_id": "m2"}
        ]
        assert store.query("SELECT * FROM message WHERE message_id = 'm2'") == [
            {
                "position": 2,
                "message_id": "m2",
                "conversation_id": "c",
                "parent_id": "m1",
                "role": "user",
                "text": "ahoy",
                "parts": None,
                "model": "gpt-4o",
                "created_at": AT,
            }
        ]


async def test_two_answers_to_one_message_are_two_branches(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await store.append(posted("m1"), posted("m2", parent_id="m1"), posted("m3", parent_id="m1"))

        assert store.query("SELECT message_id FROM message WHERE parent_id = 'm1' ORDER BY position") == [
            {"message_id": "m2"},
            {"message_id": "m3"},
        ]
        assert store.query("SELECT current_message_id FROM conversation") == [{"current_message_id": "m3"}]


async def test_a_message_of_several_parts_keeps_them_and_reads_as_its_text(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        content = [
            TextPart(type="text", text="look:"),
            OtherPart(type="other", kind="image", data={"width": 4, "ü": None}),
            TextPart(type="text", text="a boat"),
        ]
        await store.append(posted("m1").model_copy(update={"content": content}))

        [row] = store.query("SELECT text, parts FROM message")
        assert row["text"] == "look:\na boat"
        assert json.loads(row["parts"]) == [
            {"type": "text", "text": "look:"},
            {"type": "other", "kind": "image", "data": {"width": 4, "ü": None}},
            {"type": "text", "text": "a boat"},
        ]


async def test_the_parts_of_messages_can_be_asked_for(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        content = [TextPart(type="text", text="look"), OtherPart(type="other", kind="image")]
        await store.append(posted("m1").model_copy(update={"content": content}))

        kinds = "SELECT message_id, part.value ->> 'kind' AS kind FROM message, json_each(parts) AS part WHERE kind IS NOT NULL"
        assert store.query(kinds) == [{"message_id": "m1", "kind": "image"}]


async def test_a_title_can_change_and_a_conversation_be_archived_and_taken_back(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await store.append(
            ConversationRetitled(conversation_id="c", title="Ships"), ConversationArchived(conversation_id="c", archived=True)
        )
        assert store.query("SELECT title, archived FROM conversation") == [{"title": "Ships", "archived": 1}]

        await store.append(ConversationArchived(conversation_id="c", archived=False))
        assert store.query("SELECT archived FROM conversation") == [{"archived": 0}]


@pytest.mark.parametrize(
    "event",
    [
        STARTED,
        posted("m1").model_copy(update={"conversation_id": "unknown"}),
        ConversationRetitled(conversation_id="unknown", title="t"),
        ConversationArchived(conversation_id="unknown", archived=True),
    ],
)
async def test_what_does_not_fit_what_is_there_is_refused(platform: MemoryPlatform, event: Any) -> None:
    async with opened(platform) as store:
        with pytest.raises(ConstraintError):
            await store.append(posted("m0"), event)
        assert store.query("SELECT count(*) AS n FROM message") == [{"n": 0}]


async def test_a_message_is_posted_once(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await store.append(posted("m1"))
        with pytest.raises(ConstraintError):
            await store.append(posted("m1"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"role": "pirate"}, "role"),
        ({"created_at": "yesterday"}, "created_at"),
        ({"created_at": "2025-06-15T15:06:40Z"}, "created_at"),
        ({"created_at": "2025-06-15T25:06:40.000Z"}, "created_at"),
        ({"message_id": ""}, "message_id"),
        ({"message_id": "x" * 201}, "message_id"),
        ({"content": []}, "content"),
        ({"content": "ahoy"}, "content"),
        ({"content": [{"type": "image"}]}, "content.0"),
        ({"content": [{"type": "text", "text": "a", "html": "b"}]}, "content.0.text.html"),
        ({"shouted": True}, "shouted"),
    ],
)
async def test_a_message_that_fails_its_model_is_refused_by_field(
    platform: MemoryPlatform, change: dict[str, Any], field: str
) -> None:
    async with opened(platform) as store:
        data = posted("m1").model_dump() | change
        with pytest.raises(ValidationError) as caught:
            await store.append_json(json.dumps({"type": "message.posted", "data": data}).encode())
        assert caught.value.details["problems"][0]["field"] == field


async def test_an_event_type_that_is_not_the_assistants_is_refused(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        with pytest.raises(UnknownTypeError):
            await store.append_json(b'{"type": "boat.sunk", "data": {}}')


async def test_search_finds_what_was_said_by_the_beginning_of_a_word(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await store.append(posted("m1", "The harbour of Genoa"), posted("m2", "Crème brûlée"))

        assert search(store, "genoa harb") == ["The [harbour] of [Genoa]"]
        assert search(store, "creme") == ["[Crème] brûlée"]
        assert search(store, "lisbon") == []


@pytest.mark.parametrize("typed", ['"', "a OR", "x*", "NEAR(", "col:x", "-zz", "^", "", "  ", "ü", "'; DROP TABLE message"])
async def test_whatever_is_typed_into_search_is_searched_for_and_never_an_error(platform: MemoryPlatform, typed: str) -> None:
    async with opened(platform) as store:
        await store.append(posted("m1"))
        assert search(store, typed) == []


async def test_titles_are_searched_as_they_are_now(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        find = (
            "SELECT c.title FROM conversation_search s JOIN conversation c ON c.rowid = s.rowid "
            "WHERE conversation_search MATCH match_terms(?)"
        )
        assert store.query(find, ("boat",)) == [{"title": "Boats"}]

        await store.append(ConversationRetitled(conversation_id="c", title="Ships"))
        assert store.query(find, ("boat",)) == []
        assert store.query(find, ("ships",)) == [{"title": "Ships"}]


async def test_a_view_folded_anew_from_the_log_is_the_same(platform: MemoryPlatform) -> None:
    tables = ("conversation", "message")
    async with opened(platform) as store:
        await store.append(posted("m1"), posted("m2", parent_id="m1"), ConversationRetitled(conversation_id="c", title="Ships"))
        before = [store.query(f"SELECT * FROM {table}") for table in tables]
    async with await Store.open(schema, "alice", platform=platform) as store:
        assert [store.query(f"SELECT * FROM {table}") for table in tables] == before
