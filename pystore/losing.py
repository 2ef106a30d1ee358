"""Losing a log, or its end: noticed by the witness when the log is opened, and told until something is written.

See `witness` for the record itself. It is kept here too, so that the next loss is noticed.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from pystore import witness
from pystore.backup.backups import Backups
from pystore.erasure import Erasures
from pystore.errors import StorageError, StoreLostError, TailLostError
from pystore.event import new_replica_id
from pystore.log import LogState
from pystore.marks import Span
from pystore.projection import Projection


class Losing:
    """What an open store knows of the losing of its log."""

    def __init__(self, projection: Projection, backups: Backups) -> None:
        self._projection = projection
        self._backups = backups
        self._witnessed: LogState | None = None
        self._lost: tuple[StoreLostError | TailLostError, LogState] | None = None

    @property
    def lost(self) -> StoreLostError | TailLostError | None:
        """See `Store.lost`."""
        if self._lost is None:
            return None
        error, left = self._lost
        state = self._projection.log.state
        return error if (left.epoch, left.events) == (state.epoch, state.events) else None

    async def check(self, *, recover: bool) -> StorageError | None:
        """Raise StoreLostError or TailLostError if there was more than there is; with `recover` go on with what there is.

        Returns why the witness could not be read, of a log that is there: then nothing is claimed.
        """
        projection, vault = self._projection, await self._backups.vault()
        is_stored = projection.log.state.segment > 0
        try:
            noted = await witness.read(vault.storage)
            if noted is None and not is_stored:
                noted = await witness.read_backups(vault, projection.log.state.name)
        except StorageError as failure:
            if not is_stored:
                raise  # something may have been here: nothing is begun before that is known
            return failure
        error = None if noted is None else witness.lost(noted, projection.log.state, is_stored=is_stored)
        if error is None:
            return None
        error.details["backups"] = await vault.described()
        if not recover:
            raise error
        # Under the old one there may be other events elsewhere with the numbers that would come now.
        projection.shown = projection.log.state = projection.log.state._replace(writer=new_replica_id())
        self._lost = error, projection.log.state
        return None

    async def recall_erasures(self, say: Callable[[Sequence[Span]], Awaitable[None]]) -> None:
        """Let everything be erased that the vault notes as erased: of a log that was lost, before anything is brought back.

        In a log that is there, `say` says so.
        """
        projection = self._projection
        state, erased = projection.log.state, await witness.read_erased((await self._backups.vault()).storage)
        forgotten = [span for span in erased.spans if not state.erased.covers(span)]
        if forgotten and not state.segment:
            projection.erase_beforehand(Erasures((*state.erased.spans, *forgotten)))
        elif forgotten and projection.read_only is None:
            await say(forgotten)

    async def note(self) -> None:
        """Note how far the log has come, if backups are made here and it is not noted yet. What was lost is told until more is written."""
        state = self._projection.log.state
        if self._backups.follows_clock and state is not self._witnessed and state.segment > 0 and self.lost is None:
            async with self._backups.changing() as vault:
                await witness.write(vault.storage, state, self._projection.platform.now_ms())
            self._witnessed = state
