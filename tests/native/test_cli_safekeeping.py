"""The command line: backups, what was lost or damaged, erasing and forgetting, migrations, protected files."""

from __future__ import annotations

import asyncio
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pystore.assistant import schema
from pystore.memory import MemoryPlatform
from pystore.native.platform import NativePlatform
from pystore.segment import unpack_bytes
from pystore.store import Store
from tests.support.cli import DATA, EXPORT, answer, pystore, refusal
from tests.support.fake_clock import FakeClock


def test_backups_are_made_listed_checked_restored_and_removed(saved: Path, tmp_path: Path) -> None:
    store = tmp_path / "alice.pystore"
    shutil.copy(saved / "alice.pystore", store)
    made = answer("backup", "create", store, "--label", "before the move")
    assert (made["label"], made["layer"]) == ("before the move", "manual")
    assert "before the move" in pystore("backup", "list", store).stdout
    assert answer("backup", "verify", store)["good"] == [made["id"]]
    assert answer("backup", "verify", store, made["id"])["events"] == made["events"]
    answer("import", DATA / "chatgpt-small.zip", store)
    assert len(answer("backup", "due", store)) == 4
    assert answer("backup", "due", store) == []
    answer("backup", "restore", store, made["id"], "--mode", "replace")
    assert answer("query", store, "SELECT count(*) AS n FROM conversation") == [{"n": 24}]
    assert answer("backup", "list", store)[0]["layer"] == "before-restore"
    file = tmp_path / "out.jsonl.gz"
    answer("backup", "export", store, made["id"], file)
    assert answer("inspect", file)["events"] == made["events"]
    assert refusal("backup", "export", store, made["id"], file) == "FormatError"
    answer("backup", "remove", store, made["id"])
    assert made["id"] not in [one["id"] for one in answer("backup", "list", store)]
    assert refusal("backup", "restore", store, made["id"]) == "ValidationError"
    assert answer("backup", "stats", store)["count"] == 5


def test_a_damaged_backup_ends_the_check_with_status_1(saved: Path, tmp_path: Path) -> None:
    store = tmp_path / "alice.pystore"
    shutil.copy(saved / "alice.pystore", store)
    made = answer("backup", "create", store)
    chunk = next((tmp_path / "alice.pystore.vault" / "chunks").iterdir())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"?")
    assert "was altered" in pystore("backup", "verify", store).stderr
    assert refusal("backup", "verify", store) == "CorruptBackupError"  # once more: it was put aside
    assert refusal("backup", "restore", store, made["id"]) == "CorruptBackupError"
    assert "damaged" in pystore("backup", "list", store).stdout


def raw_bytes(folder: Path) -> bytes:
    """Every byte of every file in a folder, and of what is packed in stores and chunks among them."""
    found = []
    for path in (path for path in folder.rglob("*") if path.is_file()):
        found.append(path.read_bytes())
        if path.parent.name == "chunks":
            found.append(unpack_bytes(path.read_bytes()))
        if path.suffix == ".pystore":
            with closing(sqlite3.connect(path)) as db:
                found += [unpack_bytes(body) for (body,) in db.execute("SELECT body FROM segment")]
                found += [image for (image,) in db.execute("SELECT image FROM checkpoint")]
    return b"\n".join(found)


def test_what_is_erased_is_in_no_file_any_more(saved: Path, tmp_path: Path) -> None:
    store = tmp_path / "alice.pystore"
    shutil.copy(saved / "alice.pystore", store)
    answer("backup", "create", store)
    (row, *_) = answer("query", store, "SELECT message_id, text FROM message WHERE length(text) BETWEEN 40 AND 90")
    words = row["text"].encode()
    (event,) = answer("events", store, "--text", row["text"], "--type", "message.posted", "--limit", "1")
    assert words in raw_bytes(tmp_path)
    assert refusal("erase", store, event["id"]) == "ValidationError"
    assert words in raw_bytes(tmp_path), "nobody said --yes"
    answer("erase", store, event["id"], "--yes")
    assert words not in raw_bytes(tmp_path)
    assert answer("verify", store)["sound"]
    assert answer("backup", "verify", store)["damaged"] == {}
    assert answer("erase", store, event["id"], "--yes") == []


def test_a_forgotten_store_and_its_backups_are_gone(saved: Path, tmp_path: Path) -> None:
    store = tmp_path / "alice.pystore"
    shutil.copy(saved / "alice.pystore", store)
    answer("backup", "create", store)
    assert refusal("forget", store) == "ValidationError"
    answer("forget", store, "--yes")
    assert list(tmp_path.iterdir()) == []
    assert refusal("forget", store, "--yes") == "UnavailableError"


APPLICATION = """
from pystore import Event, Schema
schema = Schema("texts", app={app}, views={app})
@schema.event("text.written", {app})
class TextWritten(Event):
    {field}: str
schema.upcast("text.written", 1)(lambda data: {upcaster}) if {app} == 2 else None
schema.table("CREATE TABLE text (text TEXT)")
@schema.on(TextWritten)
def written(view, event):
    view.execute("INSERT INTO text VALUES (?)", (event.data.{field},))
"""


def test_a_store_of_an_older_version_is_migrated_when_asked_and_not_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "texts_one.py").write_text(APPLICATION.format(app=1, field="text", upcaster="data"))
    (tmp_path / "texts_two.py").write_text(APPLICATION.format(app=2, field="title", upcaster='{"title": data["text"]}'))
    (tmp_path / "texts_bad.py").write_text(APPLICATION.format(app=2, field="title", upcaster="data"))

    async def write() -> None:
        monkeypatch.syspath_prepend(tmp_path)
        from texts_one import TextWritten  # type: ignore[import-not-found]
        from texts_one import schema as one

        async with await Store.open(one, "a", platform=NativePlatform(tmp_path)) as store:
            await store.append(TextWritten(text="hello"))

    asyncio.run(write())
    two, bad = ("a.pystore", "--schema", "texts_two:schema"), ("a.pystore", "--schema", "texts_bad:schema")
    assert answer("query", two[0], "SELECT * FROM text", *two[1:]) == [{"text": "hello"}]
    assert answer("migrate", *two, "--dry-run")["problems"] == []
    assert refusal("migrate", *bad, "--dry-run") == "MigrationError"
    assert "It would not work:\n  event " in pystore("migrate", *bad, "--dry-run").stderr
    assert refusal("migrate", *bad) == "MigrationError"
    assert answer("migrate", *two, "--dry-run")["from"] == 1
    assert answer("migrate", *two)["backup"]
    assert "already" in pystore("migrate", *two).stdout
    assert refusal("migrate", "a.pystore", "--schema", "texts_one:schema") == "NewerVersionError"
    assert refusal("backup", "restore", "a.pystore", "000001-manual-000000000000", "--schema", "texts_one:schema") == "ReadOnlyError"


def test_a_protected_backup_needs_its_passphrase(saved: Path, tmp_path: Path) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text("correct horse\n")
    wrong.write_text("battery staple\n")
    file, store = tmp_path / "sealed.jsonl.gz", tmp_path / "new.pystore"
    answer("save", saved / "alice.pystore", file, "--passphrase-file", right)
    assert file.read_bytes().startswith(b'{"pystore":"sealed-backup"')
    assert answer("inspect", file, "--passphrase-file", right)["events"] == answer("inspect", saved / "alice.jsonl")["events"]
    for command in (("inspect", file), ("verify", file), ("restore", file, store)):
        assert refusal(*command) == "PassphraseError"
        assert refusal(*command, "--passphrase-file", wrong) == "PassphraseError"
    assert not store.exists()
    answer("restore", file, store, "--passphrase-file", right)
    assert answer("query", store, "SELECT count(*) AS n FROM conversation") == [{"n": 24}]
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    assert refusal("verify", file, "--passphrase-file", right) == "CorruptBackupError"
    assert refusal("save", saved / "alice.pystore", tmp_path / "x", "--protect") == "PassphraseError"


def test_a_damaged_store_is_repaired_from_its_backups_or_saved_as_far_as_it_goes(saved: Path, tmp_path: Path) -> None:
    store = tmp_path / "alice.pystore"
    shutil.copy(saved / "alice.pystore", store)
    events = answer("backup", "create", store)["events"]
    with closing(sqlite3.connect(store)) as db:
        db.execute("DELETE FROM checkpoint")
        db.execute("DELETE FROM segment WHERE number = (SELECT min(number) FROM segment)")
        db.commit()
    assert refusal("query", store, "SELECT 1") == "CorruptError"
    answer("repair", store, "--save", tmp_path / "rest.jsonl")
    assert json.loads((tmp_path / "rest.jsonl").read_text().split("\n")[0])["damage"]["missing"]
    assert answer("repair", store)["events"] == events
    assert answer("verify", store)["sound"]
    assert answer("query", store, "SELECT count(*) AS n FROM conversation") == [{"n": 24}]


@pytest.fixture
def lost(saved: Path, tmp_path: Path) -> Path:
    """A store whose file is gone, and whose backups are not."""
    store = tmp_path / "lost.pystore"
    shutil.copy(saved / "alice.pystore", store)
    answer("backup", "create", store)
    store.unlink()
    return store


def vault_of(store: Path) -> dict[str, bytes]:
    vault = store.with_name(f"{store.name}.vault")
    return {str(path): path.read_bytes() for path in vault.rglob("*") if path.is_file() and path.name not in ("lock", "verified")}


@pytest.fixture
def from_the_future(tmp_path: Path) -> Path:
    """A backup whose events all wait."""

    async def write() -> None:
        clock = FakeClock()
        clock.advance(100 * 365 * 86_400_000)
        async with await Store.open(schema, "f", platform=MemoryPlatform(clock)) as store:
            await store.rename("later")
            (tmp_path / "future.jsonl").write_bytes(b"".join([chunk async for chunk in store.save()]))

    asyncio.run(write())
    return tmp_path / "future.jsonl"


def test_what_is_refused_leaves_the_backups_of_a_lost_store_as_they_were(lost: Path, tmp_path: Path) -> None:
    before = vault_of(lost)
    (tmp_path / "bad.jsonl").write_text('{"pystore":"backup","bad')
    assert refusal("restore", tmp_path / "bad.jsonl", lost) == "FormatError"
    assert refusal("import", tmp_path / "bad.jsonl", lost) == "FormatError"
    assert not lost.exists()
    assert vault_of(lost) == before


def test_events_that_wait_are_kept_in_a_store_made_for_them(from_the_future: Path, lost: Path) -> None:
    before = vault_of(lost)
    assert answer("restore", from_the_future, lost)["waiting"] == 1
    assert answer("save", lost, lost.with_name("again.jsonl"))["events"] == 1
    assert vault_of(lost) == before


def test_a_lost_store_is_restored_from_its_backups(lost: Path, tmp_path: Path) -> None:
    assert "backup list" in pystore("query", lost, "SELECT 1").stderr
    assert "backup list" in pystore("repair", lost).stderr
    (backup,) = answer("backup", "list", lost)
    assert answer("backup", "stats", lost)["count"] == 1
    assert answer("backup", "verify", lost)["good"] == [backup["id"]]
    assert answer("backup", "verify", lost, backup["id"])["events"] == 401
    assert answer("backup", "export", lost, backup["id"], tmp_path / "out.jsonl")["bytes"] > 0
    assert refusal("backup", "restore", lost, "000007-manual-000000000000") == "ValidationError"
    assert not lost.exists()
    assert answer("backup", "restore", lost, backup["id"])["new"] == 401
    assert answer("verify", lost)["sound"]
    assert refusal("backup", "list", tmp_path / "none.pystore") == "UnavailableError"
    assert refusal("backup", "restore", tmp_path / "none.pystore", backup["id"]) == "UnavailableError"
    assert not list(tmp_path.glob("none*"))


def test_a_store_whose_loss_was_noted_is_restored_from_its_backups(lost: Path, backup: Path) -> None:
    async def note() -> None:
        async with await Store.open(schema, "lost", platform=NativePlatform(lost.parent), recover=True) as store:
            await store.backups.restore((await store.backups.list())[0]["id"])
            store.backups.follow_clock()
            await store.upkeep()

    asyncio.run(note())
    lost.unlink()
    assert refusal("import", EXPORT, lost) == "StoreLostError"
    assert not lost.exists()
    assert answer("backup", "restore", lost, answer("backup", "list", lost)[0]["id"])["new"] == 401
    lost.unlink()
    assert answer("restore", backup, lost)["new"] == 401
    assert answer("query", lost, "SELECT count(*) AS n FROM conversation") == [{"n": 24}]


def test_the_backups_of_a_damaged_store_can_be_listed_and_checked(lost: Path) -> None:
    lost.write_bytes(b"SQLite format 3\0" + b"?" * 5000)
    assert pystore("query", lost, "SELECT 1").exit_code == 1
    (backup,) = answer("backup", "list", lost)
    assert answer("backup", "verify", lost, backup["id"])["events"] == 401
