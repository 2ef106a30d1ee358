"""The same notes outside the browser, in the file `my-notes.pystore`."""

import asyncio
from uuid import uuid4

from notes import NoteAdded, schema

from pystore import Store


async def main() -> None:
    """Add a note and print all of them."""
    async with await Store.open(schema, "my-notes") as store:
        await store.append(NoteAdded(note_id=str(uuid4()), text="Buy bread"))
        print(store.query("SELECT text, added_at FROM note"))


asyncio.run(main())
