"""Commands that ask a store."""

from __future__ import annotations

import datetime as dt
import re
from typing import Annotated, Any

import typer

from pystore import codec
from pystore.cli.shared import THE_ASSISTANT, Application, AsJson, StoreFile, command, open_store
from pystore.cli.terminal import Progress, answer, table
from pystore.clock import iso_of_ms, stamp

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


@command("query")
async def query(
    store: StoreFile,
    sql: Annotated[str, typer.Argument(metavar="SQL", help="A query; it can only read.")],
    parameters: Annotated[
        list[str] | None, typer.Argument(metavar="[VALUE]...", help="What the question marks in it stand for.")
    ] = None,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Ask a store's view in SQL."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress) as opened:
            if as_json:
                typer.echo(opened.query_json(sql, parameters or ()))
            else:
                answer(None, table(opened.query(sql, parameters or ())), as_json=False)


@command("events")
async def events(
    store: StoreFile,
    type_: Annotated[list[str] | None, typer.Option("--type", help="Only events of this type; may be given several times.")] = None,
    before: Annotated[str | None, _time("Only events before this time (like 2026-05-01T12:00Z) or stamp.")] = None,
    after: Annotated[str | None, _time("Only events after this time or stamp.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """List a store's events, newest first."""
    with Progress(quiet=as_json) as progress:
        async with open_store(store, schema, progress) as opened:
            found = await opened.events(before=before, after=after, types=type_, limit=limit)
    rows = [{key: event[key] for key in ("time", "type", "id")} | {"data": codec.encode(event["data"]).decode()} for event in found]
    answer(found, table(rows), as_json=as_json)
