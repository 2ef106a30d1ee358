"""`pystore schema export`: one file for each version of an application, and no change without a version."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from pystore.assistant import schema
from pystore.cli import app
from pystore.schema_file import described

SCHEMAS = Path(__file__).parent.parent.parent / "docs" / "schemas"


def test_the_assistants_schema_is_the_one_on_file_for_its_version() -> None:
    on_file = json.loads((SCHEMAS / f"assistant-{schema.app}.json").read_text())
    assert described(schema) == on_file, "raise `app` or `views`, then run: pystore schema export docs/schemas"


def test_what_is_exported_may_be_exported_again_until_it_changes_without_its_version(tmp_path: Path) -> None:
    first = CliRunner().invoke(app, ["schema", "export", str(tmp_path), "--json"])
    path = Path(json.loads(first.stdout)["file"])
    assert path == tmp_path / "assistant-1.json"
    again = CliRunner().invoke(app, ["schema", "export", str(tmp_path)])
    assert (again.exit_code, again.stdout) == (0, f"Written to {path}.\n")
    before = json.loads(path.read_text())
    before["events"]["message.posted"]["v"] = 7
    path.write_text(json.dumps(before))
    refused = CliRunner().invoke(app, ["schema", "export", str(tmp_path), "--json"])
    assert refused.exit_code == 1
    error = json.loads(refused.stderr)
    assert (error["error"], error["details"]) == ("ValidationError", {"version": "app", "changed": ["events.message.posted"]})
    assert json.loads(path.read_text()) == before


def test_a_file_that_describes_no_schema_is_not_written_over(tmp_path: Path) -> None:
    for content in ("not JSON", "[]"):
        (tmp_path / "assistant-1.json").write_text(content)
        refused = CliRunner().invoke(app, ["schema", "export", str(tmp_path), "--json"])
        assert (refused.exit_code, json.loads(refused.stderr)["error"]) == (1, "FormatError")
        assert (tmp_path / "assistant-1.json").read_text() == content
