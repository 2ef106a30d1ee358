"""What ChatGPT, Claude and others export comes in whole, and once."""

from __future__ import annotations

import asyncio
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pystore import importing
from pystore.errors import FormatError, QuotaError
from pystore.memory import MemoryPlatform
from tests.support.exports import chatgpt_conversation, import_values, opened
from tests.support.failing import FaultyPlatform, Plan
from tests.support.fake_clock import FakeClock

DATA = Path(__file__).parent.parent / "data"


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


async def test_an_import_that_is_stopped_keeps_what_came_in_until_then_and_is_undone_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 50)
    data = (DATA / "chatgpt-small.zip").read_bytes()
    for turns in range(0, 200, 7):
        async with opened(MemoryPlatform(FakeClock())) as store:
            importing_it = asyncio.ensure_future(store.import_file(data, "export.zip"))
            for _ in range(turns):
                await asyncio.sleep(0)
            if importing_it.done():
                break
            importing_it.cancel()
            with pytest.raises(asyncio.CancelledError):
                await importing_it

            kept = store.query("SELECT count(*) AS n FROM message")[0]["n"]
            concluded = await store.events(types=["$imported"])
            assert len(concluded) == (1 if kept else 0)
            await store.import_file(data, "export.zip")
            assert store.query("SELECT count(*) AS n FROM message") == [{"n": 314}]
            for event in await store.events(types=["$imported"]):
                await store.undo([event["id"]])
            assert store.query("SELECT (SELECT count(*) FROM message) + (SELECT count(*) FROM conversation) AS n") == [{"n": 0}]
    assert turns > 21


async def test_an_import_that_finds_no_space_tells_what_to_undo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "BATCH_EVENTS", 50)
    data = (DATA / "chatgpt-small.zip").read_bytes()
    plan = Plan()
    async with opened(FaultyPlatform(MemoryPlatform(FakeClock()), plan)) as store:
        plan.become(Plan(at=3, only="commit", is_sticky=True))
        with pytest.raises(QuotaError, match="To take them out again undo") as caught:
            await store.import_file(data, "export.zip")
        plan.become(Plan())
        assert (await store.stats())["records"]["message"] > 0
        await store.undo(caught.value.details["events"])
        assert (await store.stats())["records"] == dict.fromkeys((await store.stats())["records"], 0)


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
