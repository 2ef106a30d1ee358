"""Commands for those who write an application."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from pystore.cli.shared import THE_ASSISTANT, Application, AsJson, app, command, new_file
from pystore.cli.terminal import answer
from pystore.errors import FormatError, ValidationError
from pystore.schema_file import described, not_raised

schemas = typer.Typer(help="What an application declares.", no_args_is_help=True)
app.add_typer(schemas, name="schema")


@command("export", among=schemas)
async def export(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", file_okay=False, help="Where the file goes.")],
    schema: Application = THE_ASSISTANT,
    as_json: AsJson = False,
) -> None:
    """Write what an application declares to FOLDER/NAME-VERSION.json: event types with their JSON Schema, tables, indexes.

    Refused if the file is there and something changed since without its version: `app` for events, `views` for the rest.
    """
    path, now = folder / f"{schema.name}-{schema.app}.json", described(schema)
    if path.exists():
        for version, names in not_raised(_read(path), now).items():
            raise ValidationError(
                f"The schema {schema.name} changed, and its version {version}={now[version]} did not: {', '.join(names)}. Raise {version}.",
                version=version, changed=names,
            )
    with new_file(path) as file:
        file.write(json.dumps(now, indent=2, sort_keys=True, ensure_ascii=False).encode() + b"\n")
    answer({"file": str(path)}, [f"Written to {path}."], as_json=as_json)


def _read(path: Path) -> dict[str, Any]:
    try:
        before = json.loads(path.read_bytes())
    except ValueError as error:
        raise FormatError(f"{path} is not JSON: {error}. Move it away, then export again.", path=str(path)) from error
    if not isinstance(before, dict):
        raise FormatError(f"{path} does not describe a schema. Move it away, then export again.", path=str(path))
    return before
