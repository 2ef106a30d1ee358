"""The command line, asked from tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from pystore.cli import app

DATA = Path(__file__).parent.parent / "data"
EXPORT = DATA / "claude-small.zip"


def pystore(*arguments: object) -> Result:
    """The command, in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def answer(*arguments: object) -> Any:
    """What a command answers to a program."""
    result = pystore(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def refusal(*arguments: object) -> str:
    """What is said where a command is refused; the same goes to programs as JSON."""
    result, for_programs = pystore(*arguments), pystore(*arguments, "--json")
    assert (result.exit_code, for_programs.exit_code, result.stdout, for_programs.stdout) == (1, 1, "", "")
    error = json.loads(for_programs.stderr)
    assert error.keys() == {"error", "message", "details"}
    assert result.stderr == f"pystore: {error['message']}\n"
    return str(error["error"])
