"""`pystore repair`: a damaged store, made whole with its backups; and all that can be read of it as a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pystore import recovery
from pystore.cli.shared import THE_ASSISTANT, Application, AsJson, OneFile, StoreFile, command, new_file, no_store
from pystore.cli.terminal import answer, counted


@command("repair")
async def repair(
    store: StoreFile,
    accept_loss: Annotated[bool, typer.Option("--accept-loss", help="Go on without what is in no backup.")] = False,
    save: Annotated[Path | None, typer.Option("--save", dir_okay=False, help="Only write all that can be read to this file.")] = None,
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Make a damaged store whole again with what its backups have. Refused, with the ids, if that is not all."""
    if not store.exists():
        raise await no_store(store)
    if save is not None:
        with new_file(save) as out:
            async for piece in recovery.damaged_file(OneFile(store), store.stem, schema.name):
                out.write(piece)
        answer({"file": str(save)}, [f"All that can be read is in {save}."], as_json=as_json)
        return
    report = await recovery.repair(OneFile(store), store.stem, schema, accept_loss=accept_loss)
    kept = f" What could be read is in the backup {report['kept']}." if report["kept"] else ""
    lost = f", {counted(len(report['lost']), 'event')} lost" if report["lost"] else ""
    back = f"{counted(report['repaired'], 'event')} came back from backups; {report['events']:,} in all{lost}.{kept}"
    answer(report, [back], as_json=as_json)
