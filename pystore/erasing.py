"""Erasing: from the `$erased` event on, through everything that is kept of a log, to the point where nothing of the content is left.

The event names what is to be erased, and its commit changes what the log's metadata call `erased`. What follows can be cut short
at any point: as long as the metadata do not say that these very erasures were carried out, whoever opens the log does so. Nothing
shows the content meanwhile: a view is folded without it, and a checkpoint that was made with it is not used.
"""

from __future__ import annotations

from collections.abc import Sequence

from pystore.backup.backups import Backups
from pystore.erasure import NEVER_ERASED
from pystore.errors import ValidationError
from pystore.event import Event
from pystore.history import spans_of
from pystore.log import ERASURES
from pystore.marks import joined
from pystore.own_events import Erased
from pystore.ports import Commit
from pystore.projection import Projection

DONE = "erased_done"
"""In the log's metadata: the erasures that were carried out everywhere."""


async def to_erase(projection: Projection, ids: Sequence[str]) -> list[Event]:
    """What to append so that the events named by `ids` are erased; nothing if they are. An import stands for all that it brought in.

    Raises ValidationError for what is not an id, or cannot be erased.
    """
    spans, named = await spans_of(projection, ids)
    state = projection.log.state
    for span in spans:
        head = state.feeds.get(span.replica)
        if head is None or span.last > head.seq:
            raise ValidationError(f"There is no event {span} here.", id=str(span))
    for event in named.values():
        if event.type in NEVER_ERASED:
            raise ValidationError(f"Event {event.id} is a {event.type}: names, and what undoes or erases, are not erased.", id=event.id)
    return [] if all(map(state.erased.covers, spans)) else [Erased(events=[str(span) for span in joined(spans)])]


async def carry_out(projection: Projection, backups: Backups) -> bool:
    """Remove the content of all erased events from everything that is kept; whether there was anything to do.

    For one who does not hold `exclusive`. Raises StorageError: then it is done when the log is opened the next time.
    """
    storage = projection.log.storage
    if not projection.log.state.erased or projection.read_only is not None:
        return False
    meta = await storage.meta()
    if meta.get(ERASURES) == meta.get(DONE):
        return False
    async with projection.exclusive, projection.platform.writing(projection.log.state.log):
        await projection.catch_up()
        erasures = projection.log.state.erased
        await projection.log.blank_erased(projection.platform.breathe)
        await projection.checkpoints.purge(erasures)
        if projection.shown.erased != erasures:
            await projection.refold()
    # Whoever makes a backup holds the vault and then asks for the log, so not while the log is held here.
    vault = await backups.vault()
    async with vault.storage.exclusive():
        await vault.erase(erasures)
    await storage.scrub()
    await storage.commit(Commit(meta={DONE: erasures.to_json()}))
    return True

