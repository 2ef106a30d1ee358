"""The command line: what it does, what it says, and how it ends."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import pty
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pystore.assistant import schema
from pystore.cli.shared import new_file
from pystore.cli.terminal import Progress
from pystore.event import parse_line
from pystore.memory import MemoryPlatform
from pystore.native.platform import NativePlatform
from pystore.segment import pack, unpack_bytes
from pystore.store import Store
from tests.support.cli import DATA, EXPORT, answer, pystore, refusal


def events_of(file: Path) -> list[str]:
    return file.read_text().splitlines()[1:-1]


def test_an_export_comes_in_and_can_be_asked_for(store: Path) -> None:
    assert answer("query", store, "SELECT count(*) AS n, sum(message_count) AS m FROM conversation") == [{"n": 24, "m": 376}]
    assert answer("import", EXPORT, store)["events"] == 0


def test_what_is_saved_and_restored_elsewhere_is_the_same(tmp_path: Path, store: Path, backup: Path) -> None:
    assert answer("restore", backup, tmp_path / "bob.pystore")["new"] == 401
    answer("save", tmp_path / "bob.pystore", tmp_path / "bob.jsonl")

    assert events_of(tmp_path / "bob.jsonl") == events_of(backup)
    everything = "SELECT * FROM message ORDER BY position"
    assert answer("query", tmp_path / "bob.pystore", everything) == answer("query", store, everything)
    assert answer("restore", backup, tmp_path / "bob.pystore")["new"] == 0


def test_replacing_leaves_only_what_the_backup_holds(tmp_path: Path, backup: Path) -> None:
    answer("import", DATA / "chatgpt-small.zip", tmp_path / "bob.pystore")
    answer("restore", backup, tmp_path / "bob.pystore", "--mode", "replace")
    assert answer("query", tmp_path / "bob.pystore", "SELECT DISTINCT source FROM conversation") == [{"source": "claude"}]


@pytest.mark.parametrize(("name", "options"), [("b.jsonl.gz", []), ("b", ["--gzip"])])
def test_a_backup_can_be_compressed(tmp_path: Path, store: Path, backup: Path, name: str, options: list[str]) -> None:
    answer("save", store, tmp_path / name, *options)
    assert gzip.decompress((tmp_path / name).read_bytes()).splitlines()[1:-1] == [line.encode() for line in events_of(backup)]
    assert answer("verify", tmp_path / name)["events"] == 401


def test_inspect_says_what_a_backup_holds(backup: Path) -> None:
    summary = answer("inspect", backup)
    assert summary["by_type"] == {"conversation.started": 24, "message.posted": 376, "$imported": 1}
    assert summary["problems"] == []

    words = pystore("inspect", backup).stdout
    assert "events       401\n" in words
    assert "problems     none\n" in words


def test_verify_finds_backup_and_store_sound(store: Path, backup: Path) -> None:
    assert pystore("verify", backup).stdout == f"{backup} is sound: 401 events.\n"
    assert pystore("verify", store).stdout == f"{store} is sound: 401 events.\n"


@pytest.mark.parametrize("can_be_opened", [True, False])
def test_verify_names_what_is_damaged_in_a_store(tmp_path: Path, store: Path, can_be_opened: bool) -> None:
    damaged = tmp_path / "damaged.pystore"
    shutil.copy(store, damaged)

    async def save_a_checkpoint() -> None:
        async with await Store.open(schema, str(damaged), platform=NativePlatform()) as opened:
            await opened.upkeep(now=True)

    if can_be_opened:
        asyncio.run(save_a_checkpoint())  # nothing before it is read
    with closing(sqlite3.connect(damaged)) as db:
        number, body = db.execute("SELECT number, body FROM segment ORDER BY number DESC").fetchone()
        *lines, last = unpack_bytes(body).splitlines()
        altered = last.replace(b'"kind":"claude"', b'"kind":"chatgp"')
        db.execute("UPDATE segment SET body = ? WHERE number = ?", (pack([*lines, altered]), number))
        db.commit()

    assert pystore("query", damaged, "SELECT 1").exit_code == (0 if can_be_opened else 1)
    assert refusal("verify", damaged) == "CorruptError"
    id_ = parse_line(last).id
    assert f"\n  Event {id_} was altered" in pystore("verify", damaged).stderr
    details = json.loads(pystore("verify", damaged, "--json").stderr)["details"]
    assert (details["sound"], [problem["id"] for problem in details["problems"]]) == (False, [id_])


def test_a_damaged_backup_is_refused_and_its_good_part_can_be_salvaged(tmp_path: Path, backup: Path) -> None:
    damaged, bob = tmp_path / "damaged.jsonl", tmp_path / "bob.pystore"
    lines = backup.read_bytes().splitlines(keepends=True)
    damaged.write_bytes(b"".join([*lines[:101], lines[101].replace(b"created_at", b"created_by"), *lines[102:]]))

    assert refusal("verify", damaged) == "CorruptBackupError"
    details = json.loads(pystore("verify", damaged, "--json").stderr)["details"]
    assert details.items() >= {"line": 102, "kind": "AlteredError", "id": json.loads(lines[101])["replica"] + ":101"}.items()
    assert refusal("restore", damaged, bob) == "CorruptBackupError"
    assert not list(tmp_path.glob("bob*"))
    assert answer("inspect", damaged)["problems"][0]["line"] == 102
    assert answer("restore", damaged, bob, "--salvage")["new"] == 100
    assert answer("query", bob, "SELECT count(*) AS n FROM message WHERE length(text) > 0")[0]["n"] > 90


@pytest.mark.parametrize("content", [b"", b"hello", b'{"pystore":"backup"}\n', b"\x1f\x8b\x00"])
def test_what_is_no_backup_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    assert refusal("inspect", file) in {"FormatError", "CorruptBackupError"}
    assert refusal("restore", file, tmp_path / "bob.pystore") in {"FormatError", "CorruptBackupError"}
    assert refusal("import", file, tmp_path / "bob.pystore") == "FormatError"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_past_moment_is_asked_and_changes_are_undone_and_redone(tmp_path: Path, backup: Path) -> None:
    store = tmp_path / "bob.pystore"
    answer("restore", backup, store)
    counted = "SELECT count(*) AS n FROM conversation"
    started = answer("events", store, "--type", "conversation.started", "--limit", 2)
    [imported] = answer("events", store, "--type", "$imported")
    assert answer("at", store, "0", counted) == [{"n": 24}]
    assert answer("at", store, started[1]["id"], counted) == [{"n": 23}]
    assert answer("at", store, "2000-01-01", counted) == [{"n": 0}]
    [undone] = answer("undo", store, imported["id"])
    assert answer("query", store, counted) == [{"n": 0}]
    assert answer("undo", store, undone["id"])
    assert answer("query", store, counted) == [{"n": 24}]
    answer("undo", store, started[0]["id"])
    answer("redo", store, started[0]["id"])
    assert answer("redo", store, started[0]["id"]) == []
    assert refusal("undo", store, "nonsense") == refusal("at", store, "yesterday", counted) == "ValidationError"
    assert refusal("undo", tmp_path / "none.pystore", started[0]["id"]) == "UnavailableError"
    assert not (tmp_path / "none.pystore").exists()
    assert len(answer("events", store, "--text", "THE")) > 0
    (line,) = pystore("undo", store, started[0]["id"]).stdout.splitlines()
    assert line.startswith("Done. To take it back: undo ")
    assert pystore("undo", store, started[0]["id"]).stdout == "It was so already; nothing was recorded.\n"


def test_events_are_listed_newest_first_and_filtered(store: Path) -> None:
    [imported, *posted] = answer("events", store, "--limit", 3)
    assert [imported["type"], *(event["type"] for event in posted)] == ["$imported", "message.posted", "message.posted"]
    assert len(answer("events", store, "--type", "conversation.started", "--limit", 100)) == 24
    assert answer("events", store, "--after", imported["hlc"]) == []
    assert answer("events", store, "--before", "2020-01-01") == []
    assert len(answer("events", store, "--after", "2020-01-01T12:00:00+02:00", "--limit", 1000)) == 401


def test_rows_are_a_table_for_people(store: Path) -> None:
    result = pystore("query", store, "SELECT ? AS word, NULL AS empty, 7 AS number UNION SELECT 'xyz', 'a\nb', 10", "longest")
    assert result.stdout.splitlines() == [
        "word     empty  number",
        "longest         7",
        "xyz      a b    10",
    ]
    assert pystore("query", store, "SELECT 1 WHERE 0").stdout == "(no rows)\n"
    assert pystore("query", store, "SELECT printf('%.*c', 100, 'x') AS long").stdout.splitlines()[1] == "x" * 59 + "…"


def test_what_is_in_the_data_does_not_reach_the_terminal_as_commands(store: Path) -> None:
    assert "\x1b" not in pystore("query", store, "SELECT char(27) || '[2J' AS clear").stdout


@pytest.mark.parametrize("sql", ["DELETE FROM message", "SELECT", "ATTACH 'x' AS y", "PRAGMA user_version = 2", "SELECT x'00ff'"])
def test_sql_that_does_not_read_rows_is_refused(store: Path, sql: str) -> None:
    result = pystore("query", store, sql, "--json")
    assert (result.exit_code, json.loads(result.stderr)["error"]) == (1, "QueryError")


@pytest.mark.parametrize("command", [["query", "SELECT 1"], ["events"], ["save", "x.jsonl"]])
def test_a_store_that_is_not_there_is_not_made_by_asking(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refusal(command[0], "nowhere.pystore", *command[1:]) == "UnavailableError"
    assert list(tmp_path.iterdir()) == []


def test_another_programs_file_is_not_taken_for_a_store(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello" * 1000)
    assert refusal("query", tmp_path / "notes.txt", "SELECT 1") == "FormatError"
    assert (tmp_path / "notes.txt").read_text() == "hello" * 1000


def test_a_backup_is_not_overwritten_unless_that_is_asked_for(tmp_path: Path, store: Path, backup: Path) -> None:
    file = tmp_path / "kept.jsonl"
    file.write_text("precious")
    assert refusal("save", store, file) == "FormatError"
    assert file.read_text() == "precious"

    answer("save", store, file, "--force")
    assert events_of(file) == events_of(backup)


def test_a_file_that_could_not_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    file.write_text("precious")
    with pytest.raises(OSError, match="disk"), new_file(file) as out:  # noqa: PT012 (the block is what fails)
        out.write(b"half")
        raise OSError("disk full")
    assert file.read_text() == "precious"
    assert list(tmp_path.iterdir()) == [file]


def test_a_folder_that_is_not_there_is_told(tmp_path: Path, store: Path) -> None:
    assert refusal("save", store, tmp_path / "nowhere" / "x.jsonl") == "FileNotFoundError"


@pytest.mark.parametrize("arguments", [
    [], ["fly"], ["query"], ["inspect", "no such file"], ["restore", EXPORT, "x.pystore", "--mode", "guess"],
    ["query", "x.pystore", "SELECT 1", "--schema", "no.such:schema"], ["query", "x.pystore", "SELECT 1", "--schema", "json:dumps"],
    ["events", EXPORT, "--before", "soon"],
])
def test_wrong_usage_is_told_from_refusal(arguments: list[str]) -> None:
    assert pystore(*arguments).exit_code == 2


@pytest.mark.parametrize(("command", "says"), [("import", "had come in until then is kept"), ("verify", "left no trace")])
def test_what_was_stopped_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path, command: str, says: str) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "__call__", stopped)
    arguments = (EXPORT, tmp_path / "new.pystore") if command == "import" else (store,)
    result = pystore(command, *arguments)
    assert result.exit_code == 1
    assert says in result.stderr


def test_another_application_is_named_by_its_schema(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backup: Path) -> None:
    (tmp_path / "diary.py").write_text("from pystore import Schema\nschema = Schema('diary', app=1, views=1)\n")
    monkeypatch.chdir(tmp_path)
    result = pystore("restore", backup, "x.pystore", "--schema", "diary:schema")
    assert result.exit_code == 1
    assert "belongs to another application" in result.stderr
    assert [path.name for path in tmp_path.glob("x*")] == []


def test_a_store_of_another_application_is_not_opened_and_one_is_told_what_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, store: Path
) -> None:
    (tmp_path / "diary.py").write_text("from pystore import Schema\nschema = Schema('diary', app=1, views=1)\n")
    monkeypatch.chdir(tmp_path)
    before = store.read_bytes()
    for arguments in (("save", store, "f.jsonl"), ("import", EXPORT, store), ("query", store, "SELECT 1"), ("verify", store)):
        result = pystore(*arguments, "--schema", "diary:schema")
        assert result.exit_code == 1
        assert "belongs to another application (assistant), not to diary" in result.stderr
        assert "--schema MODULE:ATTRIBUTE" in result.stderr
    assert store.read_bytes() == before
    assert not (tmp_path / "f.jsonl").exists()


@pytest.mark.parametrize("name", [None, "inspect", "verify", "restore", "save", "import", "query", "events"])
def test_every_command_has_help(name: str | None) -> None:
    result = pystore(*([name] if name else []), "--help")
    assert result.exit_code == 0
    assert "Usage" in result.stdout


def test_the_program_ends_with_the_status_of_its_answer(store: Path) -> None:
    def status(*arguments: object) -> int:
        command = [sys.executable, "-m", "pystore.cli", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, check=False).returncode

    assert status("--version") == 0
    assert status("query", store, "DROP TABLE message") == 1
    assert status("query") == 2


def test_progress_is_shown_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pystore.cli", "import", str(EXPORT), str(tmp_path / "x.pystore")]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)

    assert "import ██████████████████████████████ 24 of 24" in shown
    assert done.stdout.decode() == "400 events came in from claude: 24 conversations, 376 messages.\n"
    assert pystore("verify", tmp_path / "x.pystore").stderr == ""


def test_a_file_given_to_the_wrong_command_is_told_with_the_right_one(store: Path, backup: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.pystore"
    assert "pystore verify" in pystore("inspect", store).stderr
    assert "pystore save" in pystore("restore", store, new).stderr
    assert "pystore import" in pystore("inspect", EXPORT).stderr
    assert "pystore import" in pystore("restore", EXPORT, new).stderr
    assert "pystore restore" in pystore("import", backup, new).stderr
    assert "pystore restore" in pystore("import", store, new).stderr
    assert refusal("erase", new, "x:1") == "UnavailableError"
    assert not new.exists()


def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """The command in a process of its own."""
    command = [sys.executable, "-m", "pystore.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ, **environment})


def test_what_a_terminal_cannot_show_stops_no_answer(store: Path) -> None:
    sql = "SELECT 'B\u00fccher \u6f22' AS x"
    shown = run("query", store, sql, PYTHONIOENCODING="cp1252")
    assert (shown.returncode, shown.stdout.split()) == (0, [b"x", b"B\xfccher", b"?"])
    for_programs = run("query", store, sql, "--json", PYTHONIOENCODING="cp1252")
    assert json.loads(for_programs.stdout.decode()) == [{"x": "B\u00fccher \u6f22"}]


def test_a_passphrase_is_read_as_utf_8_on_every_system(store: Path, tmp_path: Path) -> None:
    with_mark, without, latin = tmp_path / "with", tmp_path / "without", tmp_path / "latin"
    with_mark.write_bytes("\ufeffgr\u00fc\u00dfe\r\n".encode())
    without.write_bytes("gr\u00fc\u00dfe".encode())
    latin.write_bytes("gr\u00fc\u00dfe".encode("latin-1"))
    answer("save", store, tmp_path / "x.sealed", "--passphrase-file", with_mark)
    assert answer("verify", tmp_path / "x.sealed", "--passphrase-file", without)["events"] == 401
    assert refusal("verify", tmp_path / "x.sealed", "--passphrase-file", latin) == "PassphraseError"


def test_a_stopped_import_says_what_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("pystore.cli.terminal.Progress.__call__", stop)
        stopped = pystore("import", EXPORT, tmp_path / "x.pystore"), pystore("save", tmp_path / "x.pystore", tmp_path / "x.jsonl")
    assert [result.exit_code for result in stopped] == [1, 1]
    assert "What had come in until then is kept" in stopped[0].stderr
    assert "left no trace" in stopped[1].stderr
    assert len(answer("events", tmp_path / "x.pystore", "--type", "$imported")) == 1
    assert not (tmp_path / "x.jsonl").exists()


def test_restoring_tells_what_does_not_fit(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    folder.mkdir()
    started = {"conversation_id": "c", "title": "One", "created_at": "2026-01-02T03:04:05.678Z"}

    async def write(name: str) -> None:
        async with await Store.open(schema, name, platform=MemoryPlatform()) as store:
            await store.append_json(json.dumps({"type": "conversation.started", "data": started}).encode())
            (folder / name).write_bytes(b"".join([chunk async for chunk in store.save()]))

    for name in ("a.jsonl", "b.jsonl"):
        asyncio.run(write(name))
    new = tmp_path / "x.pystore"
    assert pystore("restore", folder / "a.jsonl", new).stdout == "1 event came in, 0 were there already.\n"
    assert pystore("restore", folder / "b.jsonl", new).stdout.splitlines()[1] == "1 event set aside because it does not fit."
