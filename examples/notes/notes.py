"""Notes: an application on pystore in one file. What can happen, what is shown of it, and how the second follows from the first."""

from pydantic import Field

from pystore import Event, Recorded, Schema, View

schema = Schema("notes", app=1, views=1)


@schema.event("note.added")
class NoteAdded(Event):
    """Someone wrote a note."""

    note_id: str = Field(min_length=1, max_length=100)
    text: str = Field(min_length=1, max_length=10_000)


@schema.event("note.removed")
class NoteRemoved(Event):
    """Someone no longer wants a note."""

    note_id: str


schema.table("""
CREATE TABLE note (position INTEGER PRIMARY KEY, note_id TEXT NOT NULL UNIQUE, text TEXT NOT NULL, added_at TEXT NOT NULL)
""")
schema.search("note_search", "note", "text")


@schema.on(NoteAdded)
def note_added(view: View, event: Recorded) -> None:
    """Show the note, with the time at which it was recorded."""
    view.execute("INSERT INTO note (note_id, text, added_at) VALUES (?, ?, ?)", (event.data.note_id, event.data.text, event.time))


@schema.on(NoteRemoved)
def note_removed(view: View, event: Recorded) -> None:
    """Show the note no more. The log still has it."""
    view.execute("DELETE FROM note WHERE note_id = ?", (event.data.note_id,))
