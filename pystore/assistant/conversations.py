"""Conversations and their messages.

A message names the one it answers (`parent_id`); where several name the same one, the conversation branches there. A
conversation's current message is the one posted last: the leaf of the branch that was written to last.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from pystore.assistant.application import schema
from pystore.errors import ConstraintError
from pystore.event import Event, Recorded
from pystore.view import View

MAX_TITLE = 500
MAX_ID = 200

Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
Title = Annotated[str, Field(max_length=MAX_TITLE)]
Model = Annotated[str, Field(min_length=1, max_length=200)]
Role = Literal["system", "user", "assistant", "tool"]
Time = Annotated[
    str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]\.[0-9]{3}Z$")
]
"""UTC, ISO 8601 with milliseconds and `Z`: as text it sorts by time."""


class TextPart(Event):
    """Text, as a person reads it."""

    type: Literal["text"]
    text: str


class OtherPart(Event):
    """Anything that is not text: `kind` in its program's own words (an image, a tool's call, ...), and its data as they came."""

    type: Literal["other"]
    kind: Annotated[str, Field(min_length=1, max_length=100)]
    data: JsonValue = None


Part = TextPart | OtherPart
Content = Annotated[list[Annotated[Part, Field(discriminator="type")]], Field(min_length=1, max_length=1000)]


@schema.event("conversation.started")
class ConversationStarted(Event):
    """A conversation began, here or in the program `source`."""

    conversation_id: Id
    title: Title
    created_at: Time
    source: Annotated[str, Field(min_length=1, max_length=100)] | None = None
    model: Model | None = None


@schema.event("conversation.retitled")
class ConversationRetitled(Event):
    """A conversation got another title."""

    conversation_id: Id
    title: Title


@schema.event("conversation.archived")
class ConversationArchived(Event):
    """A conversation was put away, or taken back out (`archived` false)."""

    conversation_id: Id
    archived: bool


@schema.event("message.posted")
class MessagePosted(Event):
    """Something was said. `parent_id` is the message it answers, absent for a conversation's first."""

    message_id: Id
    conversation_id: Id
    parent_id: Id | None = None
    role: Role
    content: Content
    model: Model | None = None
    created_at: Time


schema.table("""
CREATE TABLE conversation (
    conversation_id TEXT PRIMARY KEY,
    title TEXT NOT NULL,
    created_at TEXT NOT NULL,
    updated_at TEXT NOT NULL,  -- of its newest message
    source TEXT,
    model TEXT,
    archived INTEGER NOT NULL DEFAULT 0,
    message_count INTEGER NOT NULL DEFAULT 0,
    current_message_id TEXT
);
CREATE TABLE message (
    position INTEGER PRIMARY KEY,
    message_id TEXT NOT NULL UNIQUE,
    conversation_id TEXT NOT NULL REFERENCES conversation,
    parent_id TEXT,
    -- not IN: SQLite builds a table of its list for every row
    role TEXT NOT NULL CHECK (role = 'user' OR role = 'assistant' OR role = 'tool' OR role = 'system'),
    text TEXT NOT NULL,  -- its text parts
    parts TEXT,  -- all parts as JSON, unless there is but one, of text
    model TEXT,
    created_at TEXT NOT NULL
);
CREATE INDEX message_by_time ON message (conversation_id, created_at);
""")
schema.search("message_search", "message", "text")
schema.search("conversation_search", "conversation", "title")

# Once for all messages of a conversation that are folded together: a statement for each costs a third of the whole fold. It adds to
# what is there: counting would cost the more the longer the conversation is. The index tells the newest time at once.
_SUMMARY = """
UPDATE conversation SET message_count = message_count + ?2, current_message_id = ?3,
    updated_at = (SELECT max(created_at) FROM message WHERE conversation_id = ?1)
WHERE conversation_id = ?1
"""

_PARTS: TypeAdapter[list[Part]] = TypeAdapter(list[Part])


@schema.on(ConversationStarted)
def conversation_started(view: View, event: Recorded) -> None:
    """A row in `conversation`."""
    data: ConversationStarted = event.data
    view.execute(
        "INSERT INTO conversation (conversation_id, title, created_at, updated_at, source, model) VALUES (?, ?, ?, ?, ?, ?)",
        (data.conversation_id, data.title, data.created_at, data.created_at, data.source, data.model),
    )


@schema.on(ConversationRetitled)
def conversation_retitled(view: View, event: Recorded) -> None:
    """The new title. Raises ConstraintError if there is no such conversation."""
    data: ConversationRetitled = event.data
    _check_known(view, data.conversation_id)
    view.execute("UPDATE conversation SET title = ? WHERE conversation_id = ?", (data.title, data.conversation_id))


@schema.on(ConversationArchived)
def conversation_archived(view: View, event: Recorded) -> None:
    """The mark. Raises ConstraintError if there is no such conversation."""
    data: ConversationArchived = event.data
    _check_known(view, data.conversation_id)
    view.execute("UPDATE conversation SET archived = ? WHERE conversation_id = ?", (data.archived, data.conversation_id))


@schema.on(MessagePosted)
def message_posted(view: View, event: Recorded) -> None:
    """A row in `message`, and its conversation brought up to date."""
    data: MessagePosted = event.data
    content = data.content
    first = content[0]
    parts = None
    if len(content) == 1 and type(first) is TextPart:
        text = first.text
    else:
        text = joined(content)
        parts = _PARTS.dump_json(content).decode()
    view.execute(
        "INSERT INTO message (message_id, conversation_id, parent_id, role, text, parts, model, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (data.message_id, data.conversation_id, data.parent_id, data.role, text, parts, data.model, data.created_at),
    )
    view.execute_summary(_SUMMARY, data.conversation_id, data.message_id)


def joined(content: list[Part]) -> str:
    """The text of a message: its text parts, a newline between them."""
    return "\n".join(part.text for part in content if isinstance(part, TextPart))


def _check_known(view: View, conversation_id: str) -> None:
    if not view.select("SELECT 1 FROM conversation WHERE conversation_id = ?", (conversation_id,)):
        raise ConstraintError(f"There is no conversation {conversation_id!r}.", conversation_id=conversation_id)
