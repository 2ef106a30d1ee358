"""Claude's data export: `conversations.json`, a list of conversations with their `chat_messages`.

Messages stand in the order in which they were written. Where they name their parent, conversations branch: a question that was
edited stands beside the first one.
"""

from __future__ import annotations

from typing import Any

from pystore.assistant.application import schema
from pystore.assistant.conversations import Part
from pystore.assistant.importers.conversations import (
    ROLES,
    Conversation,
    Message,
    conversations_of,
    id_of,
    message_id_of,
    ms_of,
    other_part,
    text_of,
    text_part,
)
from pystore.importing import Imported, ImportFile, Query

KIND = "claude"
Json = dict[str, Any]


@schema.importer
def claude(file: ImportFile, query: Query) -> Imported | None:
    """The conversations of a Claude export."""
    return conversations_of(KIND, file, query, "chat_messages", list, _conversation)


def _conversation(item: Json, where: str, imported: Imported) -> Conversation:
    title = text_of(item.get("name"))
    where = f"{where} ({title[:60]})" if title else where
    conversation_id = id_of(item.get("uuid")) or message_id_of(KIND, f"{item.get('created_at')}\n{title}")
    messages: dict[str, Message] = {}
    previous: str | None = None
    for number, raw in enumerate(item["chat_messages"], 1):
        if not isinstance(raw, dict):
            imported.misunderstood(where, f"its message {number} is not an object")
            continue
        source_id = id_of(raw.get("uuid")) or f"message {number}"
        if source_id in messages:
            imported.misunderstood(where, f"its message {number} has the id of another; the first was taken")
            continue
        # The first message names a parent that is none (00000000-...); where none is named, a message follows the one before it.
        parent = raw["parent_message_uuid"] if isinstance(raw.get("parent_message_uuid"), str) else previous
        messages[source_id] = _message(raw, source_id, parent, f"{where}, message {number}", imported)
        previous = source_id
    current = item.get("current_leaf_message_uuid")
    return Conversation(
        where, conversation_id, title, KIND, messages, current=current if isinstance(current, str) else previous,
        created_ms=ms_of(item.get("created_at")), model=text_of(item.get("model")),
    )


def _message(raw: Json, source_id: str, parent: str | None, where: str, imported: Imported) -> Message:
    role = ROLES.get(str(raw.get("sender") or raw.get("role")))
    if role is None:
        imported.misunderstood(where, f"its sender {str(raw.get('sender'))[:60]!r} is not known")
        return Message(source_id, parent, "system", [])
    content: list[Part] = []
    parts = raw.get("content")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, str):
            content += text_part(part)
        elif not isinstance(part, dict):
            imported.misunderstood(where, "a part of it is neither text nor an object")
        elif part.get("type") == "text" and isinstance(part.get("text"), str):
            content += text_part(part["text"])
            if part.get("citations"):
                content += other_part(imported, where, "citations", part["citations"])
        else:
            content += other_part(imported, where, part.get("type"), {key: value for key, value in part.items() if key != "type"})
    if not content:
        content += text_part(text_of(raw.get("text")) or text_of(parts))
    for kind, key in (("attachment", "attachments"), ("file", "files")):
        attached = raw.get(key)
        for one in attached if isinstance(attached, list) else ():
            content += _attached(one, kind, where, imported)
    return Message(source_id, parent, role, content, ms_of(raw.get("created_at")))


def _attached(one: Any, kind: str, where: str, imported: Imported) -> list[Part]:
    """An attachment: what is known of it, and the text that Claude read from it."""
    if not isinstance(one, dict):
        return other_part(imported, where, kind, one)
    about = {key: value for key, value in one.items() if key != "extracted_content"}
    return [*other_part(imported, where, kind, about), *text_part(text_of(one.get("extracted_content")))]
