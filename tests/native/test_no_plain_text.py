"""What is protected by a passphrase, or only looked at, is written to no file on the way: neither by Python nor by SQLite."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pystore.view import View
from tests.support.notes import SCHEMA

EXPORT = Path(__file__).parent.parent / "data" / "claude-small.zip"
OPEN_FILES = Path("/proc/self/fd")
WATCHED = """
import json, os, sys

opened = set()

def note(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes)) and arguments[2] & (os.O_WRONLY | os.O_RDWR):
        opened.add(os.fsdecode(arguments[0]))
    elif event == "sqlite3.connect":
        opened.add(os.fsdecode(arguments[0]))

sys.addaudithook(note)
from pystore.cli import main
try:
    main()
finally:
    print(json.dumps(sorted(opened)), file=sys.stderr)
"""


def opened_by(folder: Path, *arguments: object) -> set[str]:
    """The names of the files that a command opened to write to them, databases included; those in `folder` without it."""
    command = [sys.executable, "-B", "-c", WATCHED, *map(str, arguments), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names: list[str] = json.loads(done.stderr.splitlines()[-1])
    return {os.path.relpath(name, folder) if name.startswith(str(folder)) else name for name in names} - {":memory:", os.devnull}


def test_a_protected_file_is_saved_looked_at_checked_and_restored_without_its_content_in_any_other_file(tmp_path: Path) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("correct horse\n")
    protected = ("--passphrase-file", passphrase)
    assert opened_by(tmp_path, "import", EXPORT, tmp_path / "alice.pystore"), "the hook sees the store at least"
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "alice.sealed"
    written = {name for name in opened_by(tmp_path, "save", tmp_path / "alice.pystore", file, *protected) if "alice.pystore" not in name}
    assert {name.rpartition(".")[0] for name in written} == {"out/.alice.sealed"}, "what becomes the file, beside it"
    assert list((tmp_path / "out").iterdir()) == [file]
    assert b'"type"' not in file.read_bytes()
    assert opened_by(tmp_path, "inspect", file, *protected) == set()
    assert opened_by(tmp_path, "verify", file, *protected) == set()
    restored = opened_by(tmp_path, "restore", file, tmp_path / "bob.pystore", *protected)
    assert {name.split("/")[0] for name in restored} <= {"bob.pystore", "bob.pystore.vault"}


@pytest.mark.skipif(not OPEN_FILES.is_dir(), reason="only Linux tells which files are open")
def test_a_view_sorts_what_is_larger_than_its_cache_without_a_file() -> None:
    view = View(SCHEMA)
    for number in range(20_000):
        text = f"{number * 7919 % 20_011} {'x' * 500}"
        view.execute("INSERT INTO note (note_id, text, changed_at, by) VALUES (?, ?, '', '')", (str(number), text))
    view.settle()
    before = {path.readlink() for path in OPEN_FILES.iterdir() if path.is_symlink()}
    rows = view._db.execute("SELECT text FROM note ORDER BY text")
    next(rows)
    during = [str(link) for path in OPEN_FILES.iterdir() if path.is_symlink() and (link := path.readlink()) not in before]
    view.close()
    assert not [name for name in during if "etilqs" in name]
