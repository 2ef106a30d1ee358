"""Any program's messages, one a line: `{"conversation_id": ..., "role": ..., "content": ..., "created_at": ...}`.

`content` is a text, or a list of parts as chat interfaces have them. Also read where they are there: `title`, `model`, `message_id`
(or `id`) and `parent_id`. A message without an id is known again by what it says, when, and how often that was said before in its
conversation; one without a parent follows the line before it. A JSON list of such objects is read as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from pystore import codec
from pystore.assistant.application import schema
from pystore.assistant.conversations import Part
from pystore.assistant.importers.conversations import ROLES, Conversation, Message, Newcomers, id_of, ms_of, other_part, text_of, text_part
from pystore.errors import FormatError
from pystore.event import Event
from pystore.importing import Imported, ImportFile, Query

KIND = "jsonl"
Json = dict[str, Any]


@schema.importer
def jsonl(file: ImportFile, query: Query) -> Imported | None:
    """The messages of generic JSONL."""
    if not file.any(lambda item: isinstance(item, dict) and item.keys() >= {"conversation_id", "role", "content"}):
        return None
    imported = Imported(KIND, total=len(file))
    imported.events = _events(file, imported, Newcomers(imported, query))
    return imported


def _events(file: ImportFile, imported: Imported, newcomers: Newcomers) -> Iterator[Event]:
    for conversation_id, indices in _lines_by_conversation(file, imported).items():
        yield from newcomers.events(_conversation(file, conversation_id, indices, imported))
        imported.read += len(indices)


def _lines_by_conversation(file: ImportFile, imported: Imported) -> dict[str, list[int]]:
    lines: dict[str, list[int]] = {}
    for index in range(len(file)):
        try:
            item = file.item(index)
        except FormatError as error:
            imported.misunderstood(file.where(index), error.message)
            imported.read += 1
            continue
        source_id = item.get("conversation_id") if isinstance(item, dict) else None
        conversation_id = id_of(str(source_id) if isinstance(source_id, int) else source_id)
        if conversation_id is None:
            imported.misunderstood(file.where(index), "it is not an object with a conversation_id of 1 to 200 characters")
            imported.read += 1
            continue
        lines.setdefault(conversation_id, []).append(index)
    return lines


def _conversation(file: ImportFile, conversation_id: str, indices: list[int], imported: Imported) -> Conversation:
    messages: dict[str, Message] = {}
    said: dict[str, int] = {}
    title = model = ""
    previous: str | None = None
    for index in indices:
        item, where = file.item(index), file.where(index)
        title = title or text_of(item.get("title"))
        model = model or text_of(item.get("model"))
        role = ROLES.get(str(item.get("role")))
        if role is None:
            imported.misunderstood(where, f"the role {str(item.get('role'))[:60]!r} is not known")
            continue
        content = _content(item.get("content"), where, imported)
        created_ms = ms_of(item.get("created_at"))
        if created_ms is None and item.get("created_at") is not None:
            imported.misunderstood(where, f"the time {str(item['created_at'])[:60]!r} is not understood")
        source_id = id_of(item.get("message_id"), item.get("id"))
        if source_id is None:
            digest = sha256(codec.encode([role, [part.model_dump() for part in content], created_ms])).hexdigest()
            said[digest] = said.get(digest, 0) + 1
            source_id = f"{digest}:{said[digest]}"
        parent = id_of(item.get("parent_id")) or previous
        if source_id in messages:
            imported.misunderstood(where, f"another line has the id {source_id[:60]!r}; the first was taken")
            continue
        messages[source_id] = Message(source_id, parent, role, content, created_ms, text_of(item.get("model")))
        previous = source_id
    return Conversation(file.where(indices[0]), conversation_id, title, KIND, messages, current=previous, model=model)


def _content(content: Any, where: str, imported: Imported) -> list[Part]:
    if isinstance(content, str):
        return text_part(content)
    if not isinstance(content, list):
        imported.misunderstood(where, "its content is neither a text nor a list of parts")
        return []
    found: list[Part] = []
    for part in content:
        if isinstance(part, str):
            found += text_part(part)
        elif isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
            found += text_part(part["text"])
        elif isinstance(part, dict):
            found += other_part(imported, where, part.get("type"), {key: value for key, value in part.items() if key != "type"})
        else:
            imported.misunderstood(where, "a part of its content is neither text nor an object")
    return found
