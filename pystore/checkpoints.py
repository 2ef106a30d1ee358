"""The checkpoints of a log: images of its view as of several moments, from which it need not be folded from nothing.

A checkpoint shows all events of a log up to some place in its order, and says by a `LogState` which these are. It is right for a
wanted state of the log as long as no event that it lacks belongs before its end, and the marks of both agree on the events it shows.

Distances grow: near the end of the log checkpoints lie close to each other, far back they are few. Besides the newest one they take
at most `SPACE` times its size, and there are at most `MOST` of them. All of them can be made again, so they go first when space is short.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import pairwise
from typing import NamedTuple, TypeVar

from pystore import codec
from pystore.erasure import Erasures
from pystore.errors import PyStoreError, QuotaError
from pystore.log import LogState
from pystore.marks import Marks, Order
from pystore.ports import Checkpoint, LogStorage

T = TypeVar("T")

SPACE = 3
"""How many times the size of the newest checkpoint the older ones take together, at most."""
MOST = 8
"""How many older ones there are at most."""
NEAR_EVENTS = 1000
"""Nearer to each other than this checkpoints gain nothing."""


class Kept(NamedTuple):
    """A checkpoint that is kept: its name, what it shows, its size in bytes, and what is said of it, as it is kept."""

    name: str
    state: LogState
    size: int
    about: bytes


class Checkpoints:
    """The checkpoints in `storage` of views that `fingerprint` identifies: of the same tables, made by the same handlers."""

    def __init__(self, storage: LogStorage, fingerprint: str) -> None:
        self._storage = storage
        self._fingerprint = fingerprint
        self._read: dict[tuple[str, bytes], Kept] = {}
        """What was read the last time: the marks of many checkpoints take long to read."""

    async def usable(self, wanted: LogState, marks: Marks, until: Order | None = None) -> list[Kept]:
        """Those from which the events of `wanted` (up to `until`, if given) can be folded on if `marks` count, the best first.

        Whether an event that one lacks belongs before its end is not looked at here.
        """
        return [
            kept for kept in reversed(await self.kept())
            if kept.state.epoch == wanted.epoch and kept.state.segment <= wanted.segment
            and all(replica in wanted.feeds and head.seq <= wanted.feeds[replica].seq for replica, head in kept.state.feeds.items())
            and (until is None or kept.state.newest <= until)
            and kept.state.shows_the_same(marks)
            and _is_without(kept, wanted.erased)
        ]

    async def kept(self) -> list[Kept]:
        """All of them, those with the fewest events first."""
        found = {}
        for name, about in (await self._storage.checkpoints()).items():
            if (known := self._read.get((name, about))) is not None:
                found[name, about] = known
                continue
            try:
                said = codec.decode(about)
                if said["view"] == self._fingerprint:
                    marks, erased = Marks.from_json(said["marks"]), Erasures.from_json(codec.encode(said["erased"]))
                    state = LogState.from_json(codec.encode(said["state"]))._replace(marks=marks, erased=erased)
                    found[name, about] = Kept(name, state, said["size"], about)
            except (ValueError, KeyError, TypeError, PyStoreError):
                continue  # made by another version: it is of no use here
        self._read = found
        return sorted(found.values(), key=lambda kept: kept.state.events)

    async def load(self, kept: Kept) -> bytes | bytearray | None:
        """The image of a checkpoint; None if it is gone or damaged."""
        checkpoint = await self._storage.load_checkpoint(kept.name)
        return checkpoint.image if checkpoint is not None and checkpoint.about == kept.about else None

    async def save(self, state: LogState, image: bytes) -> None:
        """Keep an image of the view that shows `state`, and let those go for which there is no room any more."""
        about = {
            "view": self._fingerprint, "state": codec.decode(state.to_json()), "marks": state.marks.to_json(),
            "erased": codec.decode(state.erased.to_json()), "size": len(image),
        }
        # Names sort by age: what comes last is read ahead when the log is opened.
        await self._storage.save_checkpoint(f"{state.events:012d}", Checkpoint(codec.encode(about), image))
        kept = [one for one in await self.kept() if one.state.epoch == state.epoch and _is_without(one, state.erased)]
        names = {one.name for one in kept} - set(superfluous(kept))
        for name in (await self._storage.checkpoints()).keys() - names:
            await self._storage.delete_checkpoint(name)

    async def keep(self, state: LogState, image: bytes) -> Exception | None:
        """`save` for work that must not fail for want of a checkpoint; why there is none, if so. Older ones make room for it."""
        try:
            await self.making_room(lambda: self.save(state, image))
        except Exception as error:  # noqa: BLE001  # whatever it is, losing a checkpoint costs time only
            return error
        return None

    async def drop(self, kept: Kept) -> None:
        """Remove one: it is not right any more."""
        await self._storage.delete_checkpoint(kept.name)

    async def purge(self, erased: Erasures) -> None:
        """Remove all that may hold the content of erased events: those that show one of them, and those of which that is not known."""
        kept = {one.name for one in await self.kept() if _is_without(one, erased)}
        for name in (await self._storage.checkpoints()).keys() - kept:
            await self._storage.delete_checkpoint(name)

    async def largest_gap(self) -> int:
        """How many events lie between two neighbouring checkpoints, or before the first, at most."""
        ends = [0, *(kept.state.events for kept in await self.kept())]
        return max((after - before for before, after in pairwise(ends)), default=0)

    async def making_room(self, work: Callable[[], Awaitable[T]]) -> T:
        """What `work` gives. If there is no space for it, it is done once more, when the older checkpoints have made room."""
        try:
            return await work()
        except QuotaError:
            if not await self.make_room():
                raise
            return await work()

    async def make_room(self) -> bool:
        """Remove all but the newest; whether there were any."""
        older = (await self.kept())[:-1]
        for kept in older:
            await self.drop(kept)
        return bool(older)


def _is_without(kept: Kept, erased: Erasures) -> bool:
    """Whether a checkpoint was made without what is erased."""
    return erased.agree(kept.state.erased, {replica: head.seq for replica, head in kept.state.feeds.items()})


def superfluous(kept: Sequence[Kept]) -> list[str]:
    """The names of those that have to go so that the rest, the one with the most events last, keeps to the bounds."""
    names = []
    *older, newest = kept
    end = newest.state.events

    def gain(at: int) -> float:
        """How much the one at this place shortens the way to moments after it, measured by its distance from the end."""
        before = older[at - 1].state.events if at else 0
        after = older[at + 1].state.events if at + 1 < len(older) else end
        return (after - before) / (end - older[at].state.events + NEAR_EVENTS)

    while older and (len(older) > MOST or sum(one.size for one in older) > SPACE * newest.size):
        names.append(older.pop(min(range(len(older)), key=gain)).name)
    return names
