"""Commands that ask a store."""

from __future__ import annotations

import datetime as dt
import re
from contextlib import closing
from typing import Annotated, Any

import typer

from pystore import codec
from pystore.appender import Appended
from pystore.cli.shared import THE_ASSISTANT, Application, AsJson, StoreFile, command, open_store
from pystore.cli.terminal import Progress, answer, table
from pystore.clock import iso_of_ms, stamp
from pystore.history import Past
from pystore.store import Store

_STAMP = re.compile(r"[0-9a-f]{12}-[0-9a-f]{4}")


def _stamp(time: str) -> str:
    if _STAMP.fullmatch(time):
        return time
    try:
        when = dt.datetime.fromisoformat(time)
    except ValueError:
        raise typer.BadParameter(f"{time!r} is not a time; write it as {iso_of_ms(0)}.") from None
    return stamp(int((when if when.tzinfo else when.replace(tzinfo=dt.UTC)).timestamp() * 1000), 0)


def _time(words: str) -> Any:
    return typer.Option(metavar="TIME", parser=_stamp, help=words)


Sql = Annotated[str, typer.Argument(metavar="SQL", help="A query; it can only read.")]
Parameters = Annotated[list[str] | None, typer.Argument(metavar="[VALUE]...", help="What the question marks in it stand for.")]


@command("query")
async def query(
    store: StoreFile, sql: Sql, parameters: Parameters = None, schema: Application = THE_ASSISTANT, as_json: AsJson = False
) -> None:
    """Ask a store's view in SQL."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress) as opened:
            _tell(opened, sql, parameters, as_json=as_json)


@command("events")
async def events(
    store: StoreFile,
    type_: Annotated[list[str] | None, typer.Option("--type", help="Only events of this type; may be given several times.")] = None,
    before: Annotated[str | None, _time("Only events before this time (like 2026-05-01T12:00Z) or stamp.")] = None,
    after: Annotated[str | None, _time("Only events after this time or stamp.")] = None,
    text: Annotated[str | None, typer.Option(help="Only events with this in a text, in upper or lower case.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """List a store's events, newest first."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress) as opened:
            found = await opened.events(before=before, after=after, types=type_, text=text, limit=limit)
    rows = [
        {key: event[key] for key in ("time", "type", "id")}
        | {"": "undone" if event["undone"] else "conflict" if event["conflict"] else "", "data": codec.encode(event["data"]).decode()}
        for event in found
    ]
    answer(found, table(rows), as_json=as_json)


@command("at")
async def at(
    store: StoreFile,
    moment: Annotated[str, typer.Argument(metavar="TIME", help="A time (like 2026-05-01T12:00Z), an event's id, or how many events ago.")],
    sql: Sql,
    parameters: Parameters = None,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Ask a store's view, as it was at a moment, in SQL."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress) as opened:
            with closing(await opened.at(int(moment) if moment.isdecimal() else moment)) as past:
                _tell(past, sql, parameters, as_json=as_json)


Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="Ids of events, as `events` prints them; ID-LAST for many.")]


@command("undo")
async def undo(store: StoreFile, ids: Ids, schema: Application = THE_ASSISTANT, as_json: AsJson = False) -> None:
    """Leave events out of a store's view; of an import, all that it brought in. Can itself be undone."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress, write=True) as opened:
            _tell_recorded(await opened.undo(ids), as_json=as_json)


@command("redo")
async def redo(store: StoreFile, ids: Ids, schema: Application = THE_ASSISTANT, as_json: AsJson = False) -> None:
    """Take back in what was undone."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress, write=True) as opened:
            _tell_recorded(await opened.redo(ids), as_json=as_json)


def _tell_recorded(appended: list[Appended], *, as_json: bool) -> None:
    words = f"Done. To take it back: undo {appended[0].id}" if appended else "It was so already; nothing was recorded."
    answer([{"id": one.id, "hlc": one.hlc} for one in appended], [words], as_json=as_json)


def _tell(view: Store | Past, sql: str, parameters: list[str] | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(view.query_json(sql, parameters or ()))
    else:
        answer(None, table(view.query(sql, parameters or ())), as_json=False)
