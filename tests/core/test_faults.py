"""Whatever call of the storage fails, and however: what was acknowledged is there once, the rest wholly or not at all."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from itertools import count

import pytest

from pystore.errors import OutcomeUnknownError, PyStoreError
from pystore.event import Event, Recorded
from pystore.memory import MemoryPlatform
from pystore.schema import Schema
from pystore.store import Store
from pystore.view import View
from tests.support.failing import KINDS, FaultyPlatform, Plan, UntranslatedError

BATCHES = 4
TRIES = 4

schema = Schema("notes", app=1, views=1)


@schema.event("note.added")
class NoteAdded(Event):
    note: str


schema.table("CREATE TABLE note (note TEXT PRIMARY KEY)")


@schema.on(NoteAdded)
def note_added(view: View, event: Recorded) -> None:
    view.execute("INSERT INTO note VALUES (?)", (event.data.note,))


class Outcome:
    """What a person was told of each batch."""

    def __init__(self) -> None:
        self.acknowledged: set[int] = set()
        self.not_written: set[int] = set()


async def append(store: Store, batch: int, outcome: Outcome) -> None:
    """Append two notes, and again with the same batch id as long as the outcome is unknown."""
    for _ in range(TRIES):
        try:
            await store.append([NoteAdded(note=f"{batch}a"), NoteAdded(note=f"{batch}b")], batch=str(batch))
        except OutcomeUnknownError:
            continue
        except PyStoreError:
            outcome.not_written.add(batch)
            return
        outcome.acknowledged.add(batch)
        return


async def a_working_day(platform: FaultyPlatform) -> Outcome:
    """Open a log twice, as two tabs do; append from both, one by one and at once; close and open again, and append once more."""
    outcome = Outcome()
    for morning in (0, 1):
        with suppress(PyStoreError, UntranslatedError):
            async with (
                await Store.open(schema, "log", platform=platform) as one,
                await Store.open(schema, "log", platform=platform) as other,
            ):
                first = morning * BATCHES
                await append(one, first, outcome)
                await append(other, first + 1, outcome)
                await asyncio.gather(append(one, first + 2, outcome), append(other, first + 3, outcome))
                await one.flush()
    return outcome


async def notes_in(platform: MemoryPlatform) -> list[str]:
    """The notes of the log, which must be sound: its view equal to a fold from nothing, its backup to what it holds."""
    async with await Store.open(schema, "log", platform=platform) as store:
        rows = store.query("SELECT note FROM note ORDER BY note")
        backup = [chunk async for chunk in store.save()]
    fresh = MemoryPlatform()
    async with await Store.open(schema, "log", platform=fresh) as copy:
        await copy.restore(backup, mode="merge")
        assert copy.query("SELECT note FROM note ORDER BY note") == rows
    return [row["note"] for row in rows]


@dataclass
class LastingPlan(Plan):
    """Fails at operation `at` and at those that follow, `lasts` in all."""

    is_sticky: bool = True
    lasts: int = 1

    def fails(self, operation: str) -> bool:
        return super().fails(operation) and self.failed <= self.lasts


@pytest.mark.parametrize("lasts", [1, 2, 1000])
@pytest.mark.parametrize("kind", KINDS)
async def test_no_fault_of_the_storage_loses_doubles_or_halves_anything(kind: str, lasts: int) -> None:
    for at in count(1):
        plan = LastingPlan(at=at, kind=kind, lasts=lasts)
        healthy = MemoryPlatform()
        outcome = await a_working_day(FaultyPlatform(healthy, plan))
        notes = await notes_in(healthy)
        assert len(notes) == len(set(notes)), at
        for batch in range(2 * BATCHES):
            stored = [note for note in notes if note[:-1] == str(batch)]
            assert len(stored) in (0, 2), (at, batch)
            if batch in outcome.acknowledged:
                assert len(stored) == 2, (at, batch)
            if batch in outcome.not_written:
                assert not stored, (at, batch)
        if plan.done < at:
            assert len(outcome.acknowledged) == 2 * BATCHES
            break
