"""Erasing: from the `$erased` event on, through everything that is kept of a log, to the point where nothing of the content is left.

The event names what is to be erased, and its commit changes what the log's metadata call `erased`. What follows can be cut short
at any point: as long as the metadata do not say that these very erasures were carried out, whoever opens the log does so. Nothing
shows the content meanwhile: a view is folded without it, and a checkpoint that was made with it is not used. Where something is
damaged, all the rest is gone through nevertheless.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

from pystore import witness
from pystore.backup.backups import Backups
from pystore.erasure import NEVER_ERASED, Erasures
from pystore.errors import CorruptError, ValidationError
from pystore.event import Event
from pystore.history import spans_of
from pystore.log import CARRIED_OUT, are_carried_out
from pystore.marks import Span, joined
from pystore.own_events import Erased
from pystore.ports import Commit
from pystore.projection import Projection


async def to_erase(projection: Projection, ids: Sequence[str]) -> list[Event]:
    """What to append so that the events named by `ids` are erased; nothing if they are. An import stands for all that it brought in.

    Raises ValidationError for what is not an id, or cannot be erased.
    """
    spans, named = await spans_of(projection, ids)
    log = projection.log
    feeds = log.whole.feeds  # what waits can be erased as well
    for span in spans:
        head = feeds.get(span.replica)
        if head is None or span.last > head.seq:
            raise ValidationError(f"There is no event {span} here.", id=str(span))
    for event in (*named.values(), *(event for event in log.waiting.events if event.id in ids)):
        if event.type in NEVER_ERASED:
            raise ValidationError(f"Event {event.id} is a {event.type}: names, and what undoes or erases, are not erased.", id=event.id)
    return [] if all(map(log.state.erased.covers, spans)) else [Erased(events=[str(span) for span in joined(spans)])]


async def carry_out(projection: Projection, backups: Backups, say: Callable[[Sequence[Span]], Awaitable[None]]) -> bool:
    """Remove the content of all erased events from everything that is kept; whether there was anything to do.

    Those that no event of the log names (what said so went when the log was replaced) are said anew by `say`, for other replicas. For
    one who does not hold `exclusive`. Raises StorageError: then it is done when the log is opened the next time; if it is CorruptError,
    the content is gone from all but what is damaged.
    """
    storage = projection.log.storage
    if not projection.log.state.erased or projection.read_only is not None or are_carried_out(await storage.meta()):
        return False
    damages: list[CorruptError] = []
    said = Erasures()
    async with projection.exclusive, projection.platform.writing(projection.log.state.log):
        with _noting(damages):
            await projection.catch_up()
        erasures = projection.log.state.erased
        # First: what is taken out of the log is written anew before the old goes, which takes the room that these give.
        await projection.checkpoints.purge(erasures)
        with _noting(damages):
            said = await projection.checkpoints.making_room(lambda: projection.log.blank_erased(projection.platform.breathe))
        if projection.shown.erased != erasures:
            with _noting(damages):
                await projection.refold()
    # Whoever makes a backup holds the vault and then asks for the log, so not while the log is held here.
    async with backups.changing() as vault:
        await witness.note_erased(vault.storage, erasures)
        await vault.erase(erasures)
    await storage.scrub()
    if damages:
        (damage, *_) = damages
        message = f"It is erased from all that can be read, backups too; but something is damaged. {damage.message}"
        raise CorruptError(message, **damage.details)
    if unsaid := [span for span in erasures.spans if not said.covers(span)]:
        await say(unsaid)
    await storage.commit(Commit(meta={CARRIED_OUT: erasures.to_json()}))
    return True


@contextmanager
def _noting(damages: list[CorruptError]) -> Iterator[None]:
    try:
        yield
    except CorruptError as error:
        damages.append(error)
