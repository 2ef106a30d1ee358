"""What ChatGPT exports, in all its forms, is read, and what is not understood is named."""

from __future__ import annotations

import json
from typing import Any

from pystore.memory import MemoryPlatform
from tests.support.exports import chatgpt_conversation, chatgpt_node, import_values, opened, parts, thread


def chatgpt_tree(*nodes: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"id": "c", "title": "T", "create_time": 1_700_000_000, "mapping": {node["id"]: node for node in nodes}} | more


async def test_nodes_without_message_or_content_are_skipped_through(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(
            store,
            chatgpt_tree(
                {"id": "root", "parent": None, "message": None, "children": []},
                chatgpt_node("hidden", "root", "", "system"),
                chatgpt_node("a", "hidden", "hello"),
                {"id": "gap", "parent": "a", "message": None, "children": []},
                chatgpt_node("b", "gap", "hi", "assistant", metadata={"model_slug": "gpt-4o"}),
            ),
        )
        assert thread(store) == [("user", "hello"), ("assistant", "hi")]
        assert store.query("SELECT model FROM message WHERE role = 'assistant'") == [{"model": "gpt-4o"}]


async def test_the_same_ids_in_two_conversations_are_two_messages(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        result = await import_values(store, chatgpt_conversation(["a"], "one"), chatgpt_conversation(["a"], "two"))
        assert result["counts"]["messages"] == 2


async def test_a_message_without_a_time_is_as_old_as_the_one_it_answers(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(
            store,
            chatgpt_tree(
                chatgpt_node("a", None, "a", create_time=None),
                chatgpt_node("b", "a", "b", create_time=1_700_000_100.1234),
                chatgpt_node("c", "b", "c", create_time=None),
            ),
        )
        assert [row["created_at"] for row in store.query("SELECT created_at FROM message ORDER BY position")] == [
            "2023-11-14T22:13:20.000Z",
            "2023-11-14T22:15:00.123Z",
            "2023-11-14T22:15:00.123Z",
        ]


async def test_instructions_that_are_hidden_are_the_systems_whoever_they_name(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(
            store,
            chatgpt_tree(
                chatgpt_node(
                    "a",
                    None,
                    {"content_type": "user_editable_context", "user_profile": "I sail"},
                    metadata={"is_visually_hidden_from_conversation": True},
                )
            ),
        )
        assert store.query("SELECT role, text FROM message") == [{"role": "system", "text": ""}]
        assert parts(store) == [[{"type": "other", "kind": "user_editable_context", "data": {"user_profile": "I sail"}}]]


async def test_what_is_not_text_is_kept_as_it_came(platform: MemoryPlatform) -> None:
    image = {"content_type": "image_asset_pointer", "asset_pointer": "file-service://file-1", "width": 4, "metadata": None}
    async with opened(platform) as store:
        result = await import_values(
            store,
            chatgpt_tree(
                chatgpt_node(
                    "a",
                    None,
                    {"content_type": "multimodal_text", "parts": [image, "what is it?"]},
                    metadata={"attachments": [{"name": "boat.png"}]},
                ),
                chatgpt_node("b", "a", {"content_type": "thoughts", "thoughts": [{"summary": "hm"}]}, "assistant"),
                chatgpt_node(
                    "c", "b", {"content_type": "code", "language": "python", "text": "1 + 1"}, "assistant", recipient="python"
                ),
                chatgpt_node(
                    "d", "c", {"content_type": "execution_output", "text": "2"}, "tool", author={"role": "tool", "name": "python"}
                ),
                chatgpt_node(
                    "e",
                    "d",
                    {
                        "content_type": "multimodal_text",
                        "parts": [{"content_type": "audio_transcription", "text": "spoken", "direction": "in"}],
                    },
                ),
            ),
        )
        assert result["not_understood"] == []
        assert thread(store) == [
            ("user", "what is it?"),
            ("assistant", ""),
            ("assistant", "1 + 1"),
            ("tool", "2"),
            ("user", "spoken"),
        ]
        del image["metadata"]
        assert parts(store) == [
            [
                {"type": "other", "kind": "image_asset_pointer", "data": image},
                {"type": "text", "text": "what is it?"},
                {"type": "other", "kind": "attachment", "data": {"name": "boat.png"}},
            ],
            [{"type": "other", "kind": "thoughts", "data": {"thoughts": [{"summary": "hm"}]}}],
            [
                {"type": "text", "text": "1 + 1"},
                {"type": "other", "kind": "code", "data": {"language": "python"}},
                {"type": "other", "kind": "recipient", "data": {"name": "python"}},
            ],
            [{"type": "text", "text": "2"}, {"type": "other", "kind": "tool", "data": {"name": "python"}}],
        ]


async def test_a_tree_that_goes_in_circles_or_hangs_on_nothing_is_read_all_the_same(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        result = await import_values(
            store,
            chatgpt_tree(
                chatgpt_node("a", "b", "a"),
                chatgpt_node("b", "a", "b"),
                chatgpt_node("c", "gone", "c"),
                chatgpt_node("d", "d", "d"),
                current_node="nowhere",
            ),
        )
        assert result["counts"]["messages"] == 4
        roots = store.query("SELECT text FROM message WHERE parent_id IS NULL ORDER BY text")
        assert [row["text"] for row in roots] == ["a", "c", "d"]


async def test_a_very_long_thread_is_read(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(store, chatgpt_conversation([str(number) for number in range(3000)]))
        assert thread(store)[-1] == ("user", "2999")


async def test_what_is_not_understood_is_named_and_the_rest_taken(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        result = await import_values(
            store,
            chatgpt_tree(
                chatgpt_node("a", None, "a"),
                chatgpt_node("b", "a", "b", "pirate"),
                chatgpt_node("c", "b", "c", "assistant"),
                chatgpt_node("d", "c", 7),
                {"id": "e", "message": "hm"},
            ),
            {"title": "no mapping"},
            chatgpt_conversation(["twice"]) | {"title": "Boats"},
            {"mapping": {"x": 1}},
        )
        assert [(place["where"], place["why"]) for place in result["not_understood"]] == [
            ("item 1 (T)", "the message b has the role 'pirate', which is not known"),
            ("item 1 (T)", "the content of the message d is not an object"),
            ("item 1 (T)", "the message e is not an object"),
            ("item 2", "it is not a conversation: it has no mapping"),
            ("item 3 (Boats)", "the same conversation stands in the file twice; the first was taken"),
            ("item 4", "some nodes of its tree are not objects; they were left out"),
        ]
        assert thread(store) == [("user", "a"), ("assistant", "c")]


async def test_a_conversation_of_which_the_json_is_broken_costs_only_itself(platform: MemoryPlatform) -> None:
    good = json.dumps(chatgpt_conversation(["a"]))
    async with opened(platform) as store:
        result = await store.import_file(f"[{good}, {{nonsense}}]".encode(), "conversations.json")
        assert result["counts"]["messages"] == 1
        assert [place["where"] for place in result["not_understood"]] == ["item 2"]


async def test_text_that_cannot_be_kept_as_it_is_comes_in_readable(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(store, chatgpt_conversation(["NUL \0, half \ud83d, whole \ud83d\ude00"]) | {"title": "cut \ud83d"})
        assert thread(store) == [("user", "NUL \ufffd, half \ufffd, whole 😀")]
        assert store.query("SELECT title FROM conversation") == [{"title": "cut \ufffd"}]


async def test_data_that_cannot_be_kept_leave_their_kind(platform: MemoryPlatform) -> None:
    deep: Any = "x"
    for _ in range(40):
        deep = [deep]
    bad = [deep, 1 << 60, "x" * 70_000, "\0"]
    async with opened(platform) as store:
        result = await import_values(
            store,
            chatgpt_tree(
                chatgpt_node(
                    "a",
                    None,
                    {
                        "content_type": "multimodal_text",
                        "parts": [{"content_type": f"kind {i}", "v": v} for i, v in enumerate(bad)],
                    },
                )
            ),
        )
        assert len(result["not_understood"]) == 4
        assert [part["kind"] for part in parts(store)[0]] == ["kind 0", "kind 1", "kind 2", "kind 3"]
        assert all(part["data"] is None for part in parts(store)[0])


async def test_a_long_message_comes_in_parts_and_of_one_too_long_the_beginning(platform: MemoryPlatform) -> None:
    long = "\n".join(f"line {number} é" for number in range(40_000))
    too_long = "é" * 1_000_000
    async with opened(platform) as store:
        result = await import_values(store, chatgpt_conversation([long]), chatgpt_conversation([too_long], "d"))

        assert [place["where"] for place in result["not_understood"]] == ["item 2 (T)"]
        texts = [row["text"] for row in store.query("SELECT text FROM message ORDER BY position")]
        assert texts[0] == long
        assert texts[1].replace("\n", "") == too_long[: 450 << 10]


async def test_a_title_is_made_of_the_first_words_where_there_is_none(platform: MemoryPlatform) -> None:
    first = "  What is the\nbest harbour between Genoa and Barcelona for a boat of twelve metres? "
    async with opened(platform) as store:
        await import_values(
            store, chatgpt_conversation([first]) | {"title": None}, chatgpt_conversation(["x"], "d") | {"title": "t" * 900}
        )
        assert [row["title"] for row in store.query("SELECT title FROM conversation")] == [
            "What is the best harbour between Genoa and Barcelona for a…",
            "t" * 500,
        ]


async def test_an_archived_conversation_is_archived_and_an_empty_one_passed_over(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        result = await import_values(
            store,
            chatgpt_conversation(["a"]) | {"is_archived": True},
            chatgpt_conversation([], "empty"),
            chatgpt_conversation([""], "blank"),
        )
        assert store.query("SELECT archived FROM conversation") == [{"archived": 1}]
        assert result["counts"]["empty_conversations"] == 2
        assert result["not_understood"] == []
