"""What the importers share: from a conversation, as read from any program's file, to the events that are still missing here."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pystore import codec
from pystore.assistant.conversations import (
    MAX_ID,
    MAX_TITLE,
    ConversationArchived,
    ConversationStarted,
    MessagePosted,
    OtherPart,
    Part,
    Role,
    TextPart,
)
from pystore.clock import iso_of_ms
from pystore.errors import FormatError, ValidationError
from pystore.event import Event
from pystore.importing import Imported, ImportFile, Query
from pystore.input_profile import check_limits, depth

NAMESPACE = uuid.UUID("6a3c2d0e-9f0b-5d0c-8a57-3f5b1f6f7b11")
"""Of the ids that are made from those in a file."""

MAX_TEXT_PART_BYTES = 200 << 10
MAX_MESSAGE_BYTES = 900 << 10
"""An event has at most 1 MiB; in JSON a text may grow a little."""
MAX_PARTS = 1000
MAX_OTHER_BYTES = 64 << 10
MAX_OTHER_DEPTH = 32
_LAST_MS = 253_402_300_799_999  # the end of the year 9999

ROLES: dict[str, Role] = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "model": "assistant", "ai": "assistant", "bot": "assistant",
    "tool": "tool", "function": "tool",
}
"""The roles as other programs call them."""


@dataclass(slots=True)
class Message:
    """A message as its program exported it: `source_id` and `parent` are that program's ids, unique within the conversation."""

    source_id: str
    parent: str | None
    role: Role
    content: list[Part]
    created_ms: int | None = None
    model: str | None = None


@dataclass(slots=True)
class Conversation:
    """A conversation as its program exported it. `current` is the message at the end of the branch last looked at."""

    where: str
    conversation_id: str
    title: str
    source: str
    messages: dict[str, Message]
    current: str | None = None
    created_ms: int | None = None
    model: str | None = None
    archived: bool = False


@dataclass(slots=True)
class Newcomers:
    """Gives the events that the store does not have yet, and keeps count of all."""

    imported: Imported
    query: Query
    _seen: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        nothing = {"conversations": 0, "messages": 0, "known_messages": 0, "first": None, "last": None}
        self.imported.counts = nothing | self.imported.counts

    def events(self, conversation: Conversation) -> Iterator[Event]:
        """What is new of a conversation. A message without any content, and a conversation without any message, are passed over."""
        imported, conversation_id = self.imported, conversation.conversation_id
        messages = [message for message in resolved(conversation) if message.content]
        if not messages:
            imported.count("empty_conversations")
            return
        if conversation_id in self._seen:
            imported.misunderstood(conversation.where, "the same conversation stands in the file twice; the first was taken")
            return
        self._seen.add(conversation_id)
        started_ms = self._started_ms(conversation, messages)
        if not self.query("SELECT 1 FROM conversation WHERE conversation_id = ?", (conversation_id,)):
            imported.count("conversations")
            yield ConversationStarted(
                conversation_id=conversation_id, title=_title(conversation.title, messages), created_at=iso_of_ms(started_ms),
                source=conversation.source, model=_short(conversation.model),
            )
            if conversation.archived:
                yield ConversationArchived(conversation_id=conversation_id, archived=True)
        known = {
            row["message_id"] for row in self.query("SELECT message_id FROM message WHERE conversation_id = ?", (conversation_id,))
        }
        ids: dict[str | None, str] = {}
        times: dict[str | None, int] = {}
        for message in messages:
            message_id = ids[message.source_id] = message_id_of(conversation_id, message.source_id)
            created_ms = message.created_ms if message.created_ms is not None else times.get(message.parent, started_ms)
            times[message.source_id] = created_ms
            if message_id in known:
                imported.count("known_messages")
                continue
            created_at = iso_of_ms(created_ms)
            imported.count("messages")
            counts = imported.counts
            counts["first"] = min(counts["first"] or created_at, created_at)
            counts["last"] = max(counts["last"] or created_at, created_at)
            yield MessagePosted(
                message_id=message_id, conversation_id=conversation_id, parent_id=ids.get(message.parent), role=message.role,
                content=self._bounded(message.content, conversation.where), model=_short(message.model), created_at=created_at,
            )

    def _started_ms(self, conversation: Conversation, messages: list[Message]) -> int:
        if conversation.created_ms is not None:
            return conversation.created_ms
        times = [message.created_ms for message in messages if message.created_ms is not None]
        if not times:
            self.imported.misunderstood(conversation.where, "nothing in it has a date; it was given the first day of 1970")
        return min(times, default=0)

    def _bounded(self, content: list[Part], where: str) -> list[Part]:
        """What of a message's content fits into one event; what does not is noted."""
        left = MAX_MESSAGE_BYTES
        kept: list[Part] = []
        for part in content[:MAX_PARTS]:
            if isinstance(part, TextPart):
                texts, rest = _split(part.text, left)
                kept += [part] if texts == [part.text] else [TextPart(type="text", text=text) for text in texts]
                left -= sum(_size(text) for text in texts)
                if rest:
                    self.imported.misunderstood(where, "a message is longer than can be kept; its end was left out")
            else:
                size = len(codec.encode(part.data))
                if size <= left:
                    kept.append(part)
                    left -= size
                else:
                    kept.append(OtherPart(type="other", kind=part.kind))
                    why = f"a message is larger than can be kept; the data of its {part.kind} were left out"
                    self.imported.misunderstood(where, why)
        if len(content) > MAX_PARTS or len(kept) > MAX_PARTS:
            self.imported.misunderstood(where, f"a message has more than {MAX_PARTS:,} parts; the rest were left out")
        return kept[:MAX_PARTS]


# -- reading what others wrote, whatever it is


def text_part(value: str) -> list[Part]:
    """A text as content: nothing if it is empty. NUL and halves of surrogate pairs, which cannot be kept, become U+FFFD."""
    return [TextPart(type="text", text=clean(value))] if value else []


def other_part(imported: Imported, where: str, kind: Any, data: Any) -> list[Part]:
    """Anything else as content, with its data if they are within limits; if not, that is noted and the kind alone is kept."""
    kind = clean(str(kind or "unknown"))[:100]
    try:
        raw = codec.encode(data)
        if len(raw) > MAX_OTHER_BYTES or depth(raw, stop=MAX_OTHER_DEPTH) > MAX_OTHER_DEPTH:
            imported.misunderstood(where, f"the data of a {kind} are too large to keep; that it was there is kept")
            data = None
        else:
            check_limits(raw)
            data = codec.decode(raw)  # NaN and the like are null now
    except (ValidationError, ValueError, TypeError):
        imported.misunderstood(where, f"the data of a {kind} hold what cannot be kept; that it was there is kept")
        data = None
    return [OtherPart(type="other", kind=kind, data=data)]


def clean(value: str) -> str:
    """The text without what cannot be kept: NUL and halves of surrogate pairs become U+FFFD."""
    if "\0" in value:
        value = value.replace("\0", "\ufffd")
    try:
        value.encode()
    except UnicodeEncodeError:
        # In UTF-16 two halves that belong together become one character again.
        value = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


def text_of(value: Any) -> str:
    """The text if it is one, cleaned; else nothing."""
    return clean(value) if isinstance(value, str) else ""


def id_of(*candidates: Any) -> str | None:
    """The first candidate that can serve as an id as it is."""
    for candidate in candidates:
        if isinstance(candidate, str) and 0 < len(candidate) <= MAX_ID and candidate.isprintable():
            return candidate
    return None


def message_id_of(conversation_id: str, source_id: str) -> str:
    """The id here of another program's message. Programs copy messages between conversations, ids and all, so both ids count."""
    both = f"{conversation_id}\n{source_id}".encode(errors="backslashreplace")  # halves of surrogate pairs
    return str(uuid.uuid5(NAMESPACE, both.decode()))


def ms_of(value: Any) -> int | None:
    """Milliseconds since 1970 of a time as programs write it (seconds or milliseconds as a number, or ISO 8601); else None."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if not abs(value) <= _LAST_MS:  # nor is it if it is NaN
            return None
        ms = round(value if abs(value) >= 1e11 else value * 1000)
    elif isinstance(value, str):
        try:
            when = dt.datetime.fromisoformat(value.strip())
        except ValueError:
            return None
        if when.tzinfo is None:
            when = when.replace(tzinfo=dt.UTC)
        ms = (when - _EPOCH) // dt.timedelta(milliseconds=1)
    else:
        return None
    return ms if 0 <= ms <= _LAST_MS else None


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


def resolved(conversation: Conversation) -> list[Message]:
    """The messages, each under the nearest one above it that has content; parents first, and the way to `current` last."""
    messages = conversation.messages
    above: dict[str | None, str | None] = {}
    ordered = []
    for source_id in in_order({key: message.parent for key, message in messages.items()}, conversation.current):
        message = messages[source_id]
        message.parent = above.get(message.parent)
        above[source_id] = source_id if message.content else message.parent
        ordered.append(message)
    return ordered


def in_order(parents: Mapping[str, str | None], current: str | None) -> list[str]:
    """The nodes of a tree, given the parent of each, in an order in which parents come first and the way to `current` last.

    A parent that is no node is none. Nodes that are their own ancestors hang on nothing: they come at the end.
    """
    children: dict[str | None, list[str]] = {}
    for node, parent in parents.items():
        children.setdefault(parent if parent in parents else None, []).append(node)
    way: set[str | None] = set()
    while current is not None and current in parents and current not in way:
        way.add(current)
        current = parents[current]
    ordered: dict[str, None] = {}
    for start in [*sorted(children.get(None, []), key=way.__contains__), *parents]:
        stack = [start]
        while stack:
            node = stack.pop()
            if node not in ordered:
                ordered[node] = None
                below = children.get(node, [])  # the last on the stack is the next
                stack += [child for child in below if child in way]
                stack += [child for child in reversed(below) if child not in way]
    return list(ordered)


def _title(given: str, messages: list[Message]) -> str:
    """The given title, or else how the first thing said begins."""
    title = " ".join(given.split())
    if title:
        return title[:MAX_TITLE]
    for message in messages:
        for part in message.content:
            if message.role == "user" and isinstance(part, TextPart) and part.text.strip():
                words = " ".join(part.text[:400].split())
                return words if len(words) <= 60 else words[:59].rsplit(" ", 1)[0] + "…"
    return "Untitled"


def _short(name: str | None) -> str | None:
    return clean(name)[:200] if name else None


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _split(text: str, most: int) -> tuple[list[str], str]:
    """The text in pieces that one string may hold, cut where a line ends if there is one, `most` bytes in all; and the rest."""
    pieces: list[str] = []
    while text and most > 0:
        room = min(MAX_TEXT_PART_BYTES, most)
        piece = text if _size(text) <= room else text[:room].encode()[:room].decode(errors="ignore")
        if len(piece) < len(text):
            cut = piece.rfind("\n")
            piece = piece[:cut] if cut > 0 else piece
        if not piece:
            break
        pieces.append(piece)
        most -= _size(piece)
        text = text[len(piece) :].removeprefix("\n")
    return pieces, text


def conversations_of(
    kind: str, file: ImportFile, query: Query, key: str, shape: type, read: Callable[[dict[str, Any], str, Imported], Conversation]
) -> Imported | None:
    """What an export holds whose items are conversations: objects with `shape` under `key`. None if no item is one.

    `read` makes a conversation of an item, given its place in the file. An item that is none is told of, and costs only itself.
    """

    def is_one(item: Any) -> bool:
        return isinstance(item, dict) and isinstance(item.get(key), shape)

    def events() -> Iterator[Event]:
        for index in range(len(file)):
            where = file.where(index)
            try:
                item = file.item(index)
            except FormatError as error:
                imported.misunderstood(where, error.message)
            else:
                if is_one(item):
                    yield from newcomers.events(read(item, where, imported))
                else:
                    imported.misunderstood(where, f"it is not a conversation: it has no {key}")
            imported.read += 1

    if not file.any(is_one):
        return None
    imported = Imported(kind, total=len(file))
    newcomers = Newcomers(imported, query)
    imported.events = events()
    return imported
