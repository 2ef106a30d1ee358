"""Bringing a file of another program in: batch by batch, and in the end an event that stands for all that came in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pystore.appender import Appended
from pystore.errors import FormatError, PyStoreError
from pystore.event import Event
from pystore.importing import ImportFile, Query
from pystore.marks import Span, joined
from pystore.own_events import Imported
from pystore.progress import Progress, to_the_end
from pystore.projection import Projection

Append = Callable[[Sequence[Event]], Awaitable[list[Appended]]]
"""`Store.append`."""


async def import_file(
    projection: Projection, data: bytes, name: str, append: Append, query: Query, on_progress: Progress | None
) -> dict[str, Any]:
    """See `Store.import_file`."""
    file = ImportFile(name, data)
    for importer in projection.schema.importers:
        imported = importer(file, query)
        if imported is not None:
            break
    else:
        raise FormatError("This file is not one that can be brought in here. Choose the export as you received it.")
    spans: list[Span] = []
    done = 0
    id_: str | None = None

    async def take(events: Sequence[Event]) -> None:
        nonlocal done
        appended = await append(events)
        done += len(events)
        if appended:
            replica, first = appended[0].id.split(":")
            spans.append(Span(replica, int(first), int(first) + len(appended) - 1))

    async def conclude() -> None:
        nonlocal id_
        counts, events = imported.counts, [str(span) for span in joined(spans)]
        (recorded,) = await append([Imported(name=file.name, kind=imported.kind, sha256=file.sha256, counts=counts, events=events)])
        id_ = recorded.id

    def tell_what_came_in(error: BaseException) -> None:
        came_in = [str(span) for span in joined(spans)]
        told = f"{done:,} events came in and are kept. To take them out again undo {', '.join(came_in)}."
        if isinstance(error, PyStoreError):
            error.tell_also(told, events=came_in)
        else:
            error.add_note(told)

    try:
        for events in imported.batches():
            await to_the_end(take(events))
            if on_progress is not None:
                on_progress("import", imported.read, imported.total)
            await projection.platform.breathe()
    except BaseException as error:
        if spans:
            try:
                await to_the_end(conclude())
            except PyStoreError:
                tell_what_came_in(error)
        raise
    if spans:
        try:
            await conclude()
        except PyStoreError as error:
            tell_what_came_in(error)
            raise
    return {"id": id_, "kind": imported.kind, "events": done, "counts": imported.counts, "not_understood": imported.not_understood}
