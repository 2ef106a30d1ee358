"""ChatGPT's data export: `conversations.json`, a list of conversations, each a tree of nodes in `mapping`.

A node may be without a message (the root is), a message without content, and an answer that was regenerated stands beside the
first one under the same parent: all branches are kept, and `current_node` is the end of the one last looked at.
"""

from __future__ import annotations

from typing import Any

from pystore.assistant.application import schema
from pystore.assistant.conversations import Part, Role
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

KIND = "chatgpt"
Json = dict[str, Any]

_IN_PLACE = ("content_type", "parts", "text")
"""What of a message's content is read by its own rule."""
_NOTHING: tuple[object, ...] = (None, "", [])


@schema.importer
def chatgpt(file: ImportFile, query: Query) -> Imported | None:
    """The conversations of a ChatGPT export."""
    return conversations_of(KIND, file, query, "mapping", dict, _conversation)


def _conversation(item: Json, where: str, imported: Imported) -> Conversation:
    title = text_of(item.get("title"))
    where = f"{where} ({title[:60]})" if title else where
    conversation_id = id_of(item.get("conversation_id"), item.get("id"))
    if conversation_id is None:
        conversation_id = message_id_of(KIND, f"{item.get('create_time')}\n{title}")
    mapping = {node_id: node for node_id, node in item["mapping"].items() if isinstance(node, dict)}
    if len(mapping) < len(item["mapping"]):
        imported.misunderstood(where, "some nodes of its tree are not objects; they were left out")
    parents = _parents(mapping)
    messages = {
        node_id: _message(node.get("message"), node_id, parents.get(node_id), where, imported) for node_id, node in mapping.items()
    }
    current = item.get("current_node")
    return Conversation(
        where, conversation_id, title, KIND, messages, current=current if isinstance(current, str) else None,
        created_ms=ms_of(item.get("create_time")), model=text_of(item.get("default_model_slug")),
        archived=item.get("is_archived") is True,
    )


def _parents(mapping: dict[str, Json]) -> dict[str, str]:
    parents = {}
    for node_id, node in mapping.items():
        parent = node.get("parent")
        if isinstance(parent, str) and parent in mapping and parent != node_id:
            parents[node_id] = parent
    for node_id, node in mapping.items():
        children = node.get("children")
        for child in children if isinstance(children, list) else ():
            if isinstance(child, str) and child in mapping and child != node_id:
                parents.setdefault(child, node_id)
    return parents


def _message(message: Any, node_id: str, parent: str | None, where: str, imported: Imported) -> Message:
    """The message of a node; one without content if there is none, or none that can be understood."""
    nothing = Message(node_id, parent, "system", [])
    if message is None:
        return nothing
    if not isinstance(message, dict):
        imported.misunderstood(where, f"the message {node_id[:60]} is not an object")
        return nothing
    author, metadata = _object(message.get("author")), _object(message.get("metadata"))
    role: Role | None = ROLES.get(str(author.get("role")))
    if role is None:
        named = str(author.get("role"))[:60]
        imported.misunderstood(where, f"the message {node_id[:60]} has the role {named!r}, which is not known")
        return nothing
    if metadata.get("is_visually_hidden_from_conversation") is True:
        role = "system"  # instructions, never shown as said by anyone
    content = _content(message.get("content"), node_id, where, imported)
    attachments = metadata.get("attachments")
    for attachment in attachments if isinstance(attachments, list) else ():
        content += other_part(imported, where, "attachment", attachment)
    if content and role == "tool" and isinstance(author.get("name"), str):
        content += other_part(imported, where, "tool", {"name": text_of(author["name"])})
    recipient = message.get("recipient")
    if content and isinstance(recipient, str) and recipient != "all":
        content += other_part(imported, where, "recipient", {"name": text_of(recipient)})
    return Message(node_id, parent, role, content, ms_of(message.get("create_time")), text_of(metadata.get("model_slug")))


def _content(content: Any, node_id: str, where: str, imported: Imported) -> list[Part]:
    if isinstance(content, str):
        return text_part(content)
    if not isinstance(content, dict):
        if content is not None:
            imported.misunderstood(where, f"the content of the message {node_id[:60]} is not an object")
        return []
    kind = content.get("content_type")
    found: list[Part] = []
    parts = content.get("parts")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, str):
            found += text_part(part)
        elif isinstance(part, dict):
            # The words of a voice message, and of kinds to come that have any.
            text = part.get("text")
            found += text_part(text) if isinstance(text, str) else []
            rest = {key: value for key, value in part.items() if key != "text" and value is not None}
            if rest.keys() - {"content_type", "direction"} or not isinstance(text, str):
                found += other_part(imported, where, part.get("content_type"), rest)
        elif part is not None:
            imported.misunderstood(where, f"a part of the message {node_id[:60]} is neither text nor an object")
    text = content.get("text")
    if isinstance(text, str):
        found += text_part(text)
    rest = {key: value for key, value in content.items() if key not in _IN_PLACE and value not in _NOTHING}
    if rest:
        found += other_part(imported, where, kind, rest)
    return found


def _object(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
