"""What ChatGPT, Claude and others export comes in whole, once, and what is not understood is named."""

from __future__ import annotations

import json
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pystore import Store
from pystore.assistant import schema
from pystore.assistant.importers.conversations import clean, in_order, ms_of
from pystore.errors import FormatError
from pystore.memory import MemoryPlatform

DATA = Path(__file__).parent.parent / "data"
ROOT = "00000000-0000-4000-8000-000000000000"


@asynccontextmanager
async def opened(platform: MemoryPlatform) -> AsyncIterator[Store]:
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


# -- the exports as they are


@pytest.mark.parametrize(
    ("name", "kind", "conversations", "messages"),
    [("chatgpt-small.zip", "chatgpt", 24, 314), ("claude-small.zip", "claude", 24, 376), ("messages.jsonl", "jsonl", 3, 52)],
)
async def test_an_export_comes_in_whole_and_only_once(
    platform: MemoryPlatform, name: str, kind: str, conversations: int, messages: int
) -> None:
    data = (DATA / name).read_bytes()
    async with opened(platform) as store:
        first = await store.import_file(data, name)

        assert first["kind"] == kind
        assert first["not_understood"] == []
        counts = {"conversations": conversations, "messages": messages, "known_messages": 0, "not_understood": 0}
        assert counts.items() <= first["counts"].items()
        oldest = store.query("SELECT min(created_at) AS first, max(created_at) AS last FROM message")[0]
        assert oldest.items() <= first["counts"].items()
        assert store.query("SELECT count(*) AS n, sum(message_count) AS m FROM conversation") == [
            {"n": conversations, "m": messages}
        ]

        again = await store.import_file(data, name)
        assert again["events"] == 0
        assert again["counts"]["known_messages"] == messages
        assert len(await store.events(types=["$imported"])) == 1


async def test_every_branch_of_the_export_is_there_and_its_current_one_is_current(platform: MemoryPlatform) -> None:
    with zipfile.ZipFile(DATA / "chatgpt-small.zip") as archive:
        exported = json.loads(archive.read("conversations.json"))
    async with opened(platform) as store:
        await store.import_file((DATA / "chatgpt-small.zip").read_bytes(), "export.zip")

        branched = 0
        for conversation in exported:
            mapping = conversation["mapping"]
            rows = store.query("SELECT * FROM message WHERE conversation_id = ?", (conversation["conversation_id"],))
            leaf = mapping[conversation["current_node"]]["message"]["content"]["parts"][0]
            [current] = store.query(
                "SELECT current_message_id AS id FROM conversation WHERE conversation_id = ?", (conversation["id"],)
            )
            assert [row["text"] for row in rows if row["message_id"] == current["id"]] == [leaf]

            said = [node["message"] for node in mapping.values() if node["message"]]
            said = [message for message in said if message["author"]["role"] != "system"]  # these are empty
            assert sorted(row["text"] for row in rows) == sorted(message["content"]["parts"][0] for message in said)
            texts = {row["message_id"]: row["text"] for row in rows}
            assert sorted((texts.get(row["parent_id"], ""), row["text"]) for row in rows) == sorted(
                (parent_text(mapping, node), node["message"]["content"]["parts"][0])
                for node in mapping.values()
                if node["message"] in said
            )
            branched += any(len(node["children"]) > 1 for node in mapping.values())
        assert branched == 12


def parent_text(mapping: dict[str, Any], node: Any) -> str:
    message = mapping[node["parent"]]["message"]
    return message["content"]["parts"][0] if message else ""


async def test_a_later_export_adds_what_is_new_in_it(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(store, chatgpt_conversation(["a", "b"]))
        result = await import_values(store, chatgpt_conversation(["a", "b", "c"]), chatgpt_conversation(["x"], "other"))

        assert {"conversations": 1, "messages": 2, "known_messages": 2}.items() <= result["counts"].items()
        assert store.query("SELECT message_count AS n FROM conversation ORDER BY n") == [{"n": 1}, {"n": 3}]


async def test_what_was_renamed_here_keeps_its_name_when_it_is_imported_again(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        await import_values(store, chatgpt_conversation(["a"]))
        rename = {"type": "conversation.retitled", "data": {"conversation_id": "c", "title": "Mine"}}
        await store.append_json(json.dumps(rename).encode())
        await import_values(store, chatgpt_conversation(["a", "b"]))
        assert store.query("SELECT title FROM conversation") == [{"title": "Mine"}]


async def test_progress_goes_to_the_number_of_conversations(platform: MemoryPlatform) -> None:
    steps: list[tuple[str, int, int]] = []
    async with opened(platform) as store:
        await store.import_file(
            (DATA / "chatgpt-small.zip").read_bytes(), "export.zip", on_progress=lambda *step: steps.append(step)
        )
    assert steps[-1] == ("import", 24, 24)
    assert steps == sorted(steps)


async def test_a_file_that_is_no_export_changes_nothing(platform: MemoryPlatform) -> None:
    async with opened(platform) as store:
        for data in (b'[{"a": 1}]', b'{"role": "user"}', b"", b"\x00", b'[{"mapping": {"a": {}}}, {"b"'):
            with pytest.raises(FormatError):
                await store.import_file(data, "export")
        assert (await store.stats())["events"] == 0


# -- ChatGPT


def chatgpt_node(node_id: str, parent: str | None, text: Any, role: str = "user", **more: Any) -> dict[str, Any]:
    content = {"content_type": "text", "parts": [text]} if isinstance(text, str) else text
    message = {"id": node_id, "author": {"role": role}, "create_time": 1_700_000_000.5, "content": content, "metadata": {}}
    return {"id": node_id, "parent": parent, "children": [], "message": message | more}


def chatgpt_conversation(texts: list[str], conversation_id: str = "c") -> dict[str, Any]:
    mapping: dict[str, Any] = {"root": {"id": "root", "parent": None, "message": None, "children": ["0"]}}
    for index, text in enumerate(texts):
        mapping[str(index)] = chatgpt_node(str(index), str(index - 1) if index else "root", text)
    return {"conversation_id": conversation_id, "title": "T", "create_time": 1_700_000_000, "mapping": mapping}


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


# -- Claude


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


# -- generic JSONL


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


# -- the parts


@pytest.mark.parametrize(
    ("value", "ms"),
    [
        (0, 0),
        (1.5, 1500),
        (1_700_000_000, 1_700_000_000_000),
        (1_700_000_000_123, 1_700_000_000_123),
        ("1970-01-01T00:00:01Z", 1000),
        ("1970-01-01T01:00:01.5+01:00", 1500),
        ("1970-01-01", 0),
        (" 1970-01-01 00:00:01 ", 1000),
        (None, None),
        (True, None),
        ("", None),
        ("soon", None),
        (-1, None),
        (float("nan"), None),
        (1e300, None),
        ([], None),
        ("0001-01-01", None),
    ],
)
def test_times_are_read_as_programs_write_them(value: Any, ms: int | None) -> None:
    assert ms_of(value) == ms


@given(st.text(st.characters()))
def test_a_cleaned_text_can_be_kept(text: str) -> None:
    cleaned = clean(text)
    cleaned.encode()
    assert "\0" not in cleaned
    assert clean(cleaned) == cleaned


@given(st.dictionaries(st.sampled_from("abcdefgh"), st.sampled_from([None, *"abcdefghz"])), st.sampled_from([None, *"abcdefghz"]))
def test_whatever_hangs_on_what_every_node_comes_once(parents: dict[str, str | None], current: str | None) -> None:
    ordered = in_order(parents, current)

    assert sorted(ordered) == sorted(parents)


@given(st.lists(st.integers(0, 20), min_size=1, max_size=12), st.integers(0, 11))
def test_in_a_tree_parents_come_first_and_the_way_to_the_current_node_last(links: list[int], current: int) -> None:
    parents = {str(node): str(link % node) if node else None for node, link in enumerate(links)}
    ordered = in_order(parents, str(current % len(links)))

    for node, parent in parents.items():
        assert parent is None or ordered.index(parent) < ordered.index(node)
    step: str | None = ordered[-1]
    way = set()
    while step is not None:
        way.add(step)
        step = parents[step]
    assert str(current % len(links)) in way
