"""The view: what handlers may do, what queries may not, and full text that is always up to date."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pystore import view as view_module
from pystore.errors import ConstraintError, HandlerError, QueryError
from pystore.schema import Schema
from pystore.view import View

ADD = "INSERT INTO note (note_id, text) VALUES (?, ?)"


def make_schema() -> Schema:
    schema = Schema("notes", app=1, views=1)
    schema.table("CREATE TABLE folder (folder TEXT PRIMARY KEY)")
    schema.table("""
        CREATE TABLE note (
            position INTEGER PRIMARY KEY, note_id TEXT NOT NULL UNIQUE, text TEXT NOT NULL,
            folder TEXT REFERENCES folder ON DELETE CASCADE
        )
    """)
    schema.search("note_search", "note", "text")
    return schema


@pytest.fixture
def view() -> Iterator[View]:
    view = View(make_schema())
    yield view
    view.close()


def write(view: View, sql: str, *parameters: object) -> None:
    view.execute(sql, parameters)
    view.settle()


def found(view: View, typed: str) -> list[str]:
    sql = """
        SELECT note.text FROM note_search JOIN note ON position = note_search.rowid
        WHERE note_search MATCH match_terms(?) ORDER BY position
    """
    return [row["text"] for row in view.read(sql, (typed,))]


# -- what queries may not

HOSTILE = [
    "DELETE FROM note",
    "UPDATE note SET text = ''",
    "INSERT INTO note (note_id, text) VALUES ('1', '')",
    "REPLACE INTO note (note_id, text) VALUES ('1', '')",
    "INSERT INTO note_search (note_search) VALUES ('rebuild')",
    "INSERT INTO note_search (note_search, rank) VALUES ('pgsz', 64)",
    "WITH x AS (SELECT 1) DELETE FROM note",
    "DELETE FROM note RETURNING *",
    "DROP TABLE note",
    "ALTER TABLE note ADD COLUMN x",
    "CREATE TABLE x (x)",
    "CREATE TEMP TABLE x (x)",
    "CREATE VIEW x AS SELECT 1",
    "CREATE TRIGGER x AFTER INSERT ON note BEGIN SELECT 1; END",
    "CREATE VIRTUAL TABLE x USING fts5(x)",
    "CREATE INDEX x ON note (text)",
    "ATTACH ':memory:' AS other",
    "ATTACH 'file.db' AS other",
    "DETACH main",
    "PRAGMA user_version = 3",
    "PRAGMA user_version",
    "PRAGMA foreign_keys = OFF",
    "PRAGMA writable_schema = ON",
    "PRAGMA journal_mode = DELETE",
    "SELECT * FROM pragma_user_version",
    "VACUUM",
    "VACUUM INTO 'file.db'",
    "REINDEX",
    "ANALYZE",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT x",
    "RELEASE append",
    "ROLLBACK TO append",
    "SELECT load_extension('x')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT 1; SELECT 2",
    "SELECT 1; DELETE FROM note",
    "nonsense",
    "SELECT",
    "SELECT * FROM nowhere",
    "SELECT nothing FROM note",
    "SELECT nothing()",
    "SELECT zeroblob(2000000000)",
    "SELECT " + "(" * 1000 + "1" + ")" * 1000,
    "SELECT " + " UNION ALL SELECT ".join("1" * 200),
    "SELECT " + ", ".join("1" * 3000),
    "SELECT '" + "x" * 200_000 + "'",
    "SELECT CAST(x'ff' AS TEXT)",
    "SELECT abs(-9223372036854775807 - 1)",
    "SELECT 'x' LIKE '" + "%" * 5000 + "'",
    "SELECT 1 WHERE 1 = ?",
    "SELECT \x00",
    "SELECT '\ud800'",
]


@pytest.mark.parametrize("sql", HOSTILE, ids=lambda sql: repr(sql[:40]))
def test_a_query_that_does_not_only_read_is_refused_and_changes_nothing(view: View, sql: str) -> None:
    view.savepoint("append")
    write(view, ADD, "1", "one")
    view.index_searches()
    before = view.image()
    for _ in range(2):
        with pytest.raises(QueryError):
            view.read(sql)
    assert view.image() == before
    view.release("append")
    write(view, ADD, "2", "two")
    assert [row["text"] for row in view.read("SELECT text FROM note")] == ["one", "two"]


def test_a_query_is_not_served_a_handlers_compiled_statement(view: View) -> None:
    write(view, ADD, "1", "one")
    with pytest.raises(QueryError, match="only read"):
        view.read(ADD, ("2", "two"))
    for trick in ("/**/" + ADD, ADD + " ", "/*query*/" + ADD, "\n" + ADD, "*/" + ADD):
        with pytest.raises(QueryError):
            view.read(trick, ("2", "two"))
    write(view, ADD, "3", "three")
    assert view.read("SELECT note_id FROM note") == [{"note_id": "1"}, {"note_id": "3"}]


def test_a_handler_is_not_served_a_querys_compiled_statement(view: View) -> None:
    sql = "SELECT note_id FROM note"
    view.read(sql)
    write(view, ADD, "1", "one")
    assert view.select(sql) == [("1",)]
    assert view.read(sql) == [{"note_id": "1"}]


@pytest.mark.parametrize("sql", [
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT 1 FROM r WHERE n < 0",
])
def test_an_endless_query_is_stopped(view: View, sql: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_module, "QUERY_SECONDS", 0.05)
    for _ in range(2):
        with pytest.raises(QueryError, match="stopped"):
            view.read(sql)
    assert view.read("SELECT 1 AS n") == [{"n": 1}]
    write(view, ADD, "1", "one")


@pytest.mark.parametrize("sql", [
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT zeroblob(100000) FROM r",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r",
])
def test_an_answer_that_is_too_large_is_refused_before_it_takes_the_memory(
    view: View, sql: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view_module, "MAX_ANSWER_BYTES", 1 << 20)
    with pytest.raises(QueryError, match="Ask for less"):
        view.read(sql)
    # Nothing of it is left open: the next change can be taken back.
    view.savepoint("append")
    write(view, ADD, "1", "one")
    view.rollback("append")
    assert view.read("SELECT * FROM note") == []


@pytest.mark.parametrize("parameters", [(1 << 63,), ("\ud800",), (object(),), (1, 2), {"x": 1}])
def test_a_parameter_that_sqlite_cannot_take_is_refused(view: View, parameters: tuple[object, ...]) -> None:
    with pytest.raises(QueryError):
        view.read("SELECT ?", parameters)


def test_rows_come_as_objects_and_as_json(view: View) -> None:
    sql = "SELECT 1 AS one, 'é\"' AS text, NULL AS none, 1.5 AS half, 9e999 AS endless"
    assert view.read_json(sql) == '[{"one":1,"text":"é\\"","none":null,"half":1.5,"endless":null}]'.encode()
    assert view.read("SELECT :a AS a", {"a": 3}) == [{"a": 3}]
    with pytest.raises(QueryError, match="blob"):
        view.read_json("SELECT x'00' AS blob")


# -- what handlers do


def test_a_violated_constraint_and_a_wrong_statement_are_told_apart(view: View) -> None:
    write(view, ADD, "1", "one")
    view.savepoint("apply")
    for sql, parameters, error in [
        (ADD, ("1", "again"), ConstraintError),
        ("INSERT INTO note (note_id) VALUES (?)", ("2",), ConstraintError),
        ("INSERT INTO note (note_id, text, folder) VALUES (?, '', 'nowhere')", ("2",), ConstraintError),
        ("INSERT INTO nowhere VALUES (?)", ("2",), HandlerError),
        (ADD, ("2",), HandlerError),
        (ADD, ("2", object()), HandlerError),
        (ADD, ("2", 1 << 70), HandlerError),
        (ADD, ("2", "\ud800"), HandlerError),
    ]:
        with pytest.raises(error):
            write(view, sql, *parameters)
    view.rollback("apply")
    assert view.read("SELECT count(*) AS n FROM note") == [{"n": 1}]


def test_tables_touched_are_known_also_of_a_statement_whose_first_run_failed(view: View) -> None:
    write(view, "INSERT INTO folder VALUES ('f')")
    view.take_touched()
    with pytest.raises(ConstraintError):
        write(view, "INSERT INTO note (note_id, text, folder) VALUES (?, ?, ?)", "1", "one", "nowhere")
    view.take_touched()
    write(view, "INSERT INTO note (note_id, text, folder) VALUES (?, ?, ?)", "1", "one", "f")
    assert "note" in view.take_touched()


def test_tables_touched_by_triggers_and_by_foreign_keys_are_known(view: View) -> None:
    write(view, "INSERT INTO folder VALUES ('f')")
    write(view, "INSERT INTO note (note_id, text, folder) VALUES ('1', 'one', 'f')")
    view.index_searches()
    view.take_touched()
    write(view, "DELETE FROM folder WHERE folder = 'f'")
    assert view.read("SELECT * FROM note") == []
    assert {"folder", "note"} <= view.take_touched()


def test_tables_read_are_known_also_of_a_query_that_was_stopped_at_first(view: View, monkeypatch: pytest.MonkeyPatch) -> None:
    sql = """
        WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 1000000 * (SELECT count(*) = 0 FROM note))
        SELECT max(n) AS n FROM r
    """
    assert view.tables_read(sql) is None
    monkeypatch.setattr(view_module, "QUERY_SECONDS", 0.0)
    with pytest.raises(QueryError):
        view.read(sql)
    monkeypatch.setattr(view_module, "QUERY_SECONDS", 10.0)
    write(view, ADD, "1", "one")
    assert view.read(sql) == [{"n": 1}]
    tables = view.tables_read(sql)
    assert tables is not None
    assert "note" in tables


def test_what_is_derived_is_right_when_settled_and_asked_for_once(view: View) -> None:
    write(view, "INSERT INTO folder VALUES ('0')")
    for _ in range(3):
        view.execute(ADD, ("x", "x"))
        view.execute_once("UPDATE folder SET folder = (SELECT count(*) FROM note)")
        view.execute("DELETE FROM note")
    view.execute(ADD, ("y", "y"))
    view.settle()
    assert view.read("SELECT folder FROM folder") == [{"folder": "1"}]


def test_a_summary_is_run_once_for_each_key_with_how_often_and_the_newest(view: View) -> None:
    add = "UPDATE note SET text = text || ' ' || ?2 || ' ' || ?3 WHERE note_id = ?1"
    for key in ("1", "2"):
        write(view, ADD, key, "text")
    for newest in ("a", "b", "c"):
        view.execute_summary(add, "1", newest)
    view.execute_summary(add, "2", "d")
    view.settle()
    view.execute_summary(add, "1", "e")
    view.settle()
    assert view.read("SELECT text FROM note ORDER BY note_id") == [{"text": "text 3 c 1 e"}, {"text": "text 1 d"}]


def test_nothing_of_what_was_taken_back_is_run_later(view: View) -> None:
    view.savepoint("append")
    view.execute(ADD, ("1", "one"))
    view.execute_once("UPDATE note SET text = 'derived'")
    view.execute_summary("UPDATE note SET text = ?1 || ?2 || ?3", "key", "newest")
    view.rollback("append")
    view.settle()
    assert view.read("SELECT * FROM note") == []


def test_full_text_has_every_row_whatever_its_number_and_whenever_it_was_written(view: View) -> None:
    at = "INSERT INTO note (position, note_id, text) VALUES (?, ?, ?)"
    for position in (-7, 0, 5):
        write(view, at, position, str(position), f"one {position}")
    write(view, "DELETE FROM note WHERE position = 0")
    write(view, "UPDATE note SET text = 'one changed' WHERE position = 5")
    assert found(view, "one") == ["one -7", "one changed"]
    for position in (-9, 3, 9):
        write(view, at, position, str(position), f"one {position}")
    write(view, "DELETE FROM note WHERE position = -7")
    write(view, "UPDATE note SET text = 'two' WHERE position = 5")
    assert found(view, "one") == ["one -9", "one 3", "one 9"]
    assert found(view, "changed") == []
    write(view, "INSERT INTO note_search (note_search, rank) VALUES ('integrity-check', 1)")


# -- images


def test_an_image_holds_everything_also_the_full_text(view: View) -> None:
    write(view, ADD, "1", "one two")
    view.index_searches()
    write(view, ADD, "2", "two three")
    other = View(make_schema(), view.image())
    assert found(other, "two") == ["one two", "two three"]
    with pytest.raises(ConstraintError):
        write(other, "INSERT INTO note (note_id, text, folder) VALUES ('3', '', 'nowhere')")
    assert view.tables() == other.tables() == ["folder", "note"]
    assert other.counts() == {"folder": 0, "note": 2}
    other.close()
    other.close()


def test_an_image_with_nothing_left_to_index_can_be_searched_at_once(view: View) -> None:
    assert found(view, "one") == []
    other = View(make_schema(), view.image())
    assert found(other, "one") == []
    other.close()


# -- full text


def test_full_text_follows_every_change_before_and_after_indexing(view: View) -> None:
    for index in range(5):
        write(view, ADD, str(index), f"word{index} same")
    assert len(found(view, "same")) == 5
    write(view, "UPDATE note SET text = 'changed' WHERE note_id = '1'")
    write(view, "DELETE FROM note WHERE note_id = '2'")
    write(view, ADD, "5", "new same")
    write(view, "UPDATE note SET text = 'newer same' WHERE note_id = '5'")
    write(view, ADD, "6", "gone same")
    write(view, "DELETE FROM note WHERE note_id = '6'")
    write(view, "INSERT OR REPLACE INTO note (note_id, text) VALUES ('0', 'replaced same')")
    assert found(view, "same") == ["word3 same", "word4 same", "newer same", "replaced same"]
    assert found(view, "chang") == ["changed"]
    assert found(view, "word1") == found(view, "word2") == found(view, "word0") == found(view, "gone") == []


def test_full_text_is_indexed_in_slices_and_right_after_each(view: View) -> None:
    for index in range(25):
        write(view, ADD, str(index), f"same number{index}")
    turns = 0
    while not view.index_searches(10):
        turns += 1
        write(view, "DELETE FROM note WHERE position = ?", turns)
    assert turns == 2
    assert len(found(view, "same")) == 23


def test_a_search_taken_back_with_its_rows_is_not_found(view: View) -> None:
    write(view, ADD, "1", "kept word")
    view.index_searches()
    view.savepoint("append")
    write(view, ADD, "2", "lost word")
    view.index_searches()
    view.rollback("append")
    assert found(view, "word") == ["kept word"]
    write(view, ADD, "3", "later word")
    assert found(view, "word") == ["kept word", "later word"]


@pytest.mark.parametrize("typed", [
    "", " ", '"', '""', "*", "AND", "NOT", "NEAR(", "a OR", "text:", "(", ")", "-", "^", "{", "a'b", "\x01", "é", "漢字", "🙂",
    "a" * 5000, "\\",
])
def test_whatever_a_person_types_is_a_search(view: View, typed: str) -> None:
    write(view, ADD, "1", "one two")
    assert isinstance(found(view, typed), list)
    assert found(view, "ONE tw") == ["one two"]
    assert found(view, "two one") == ["one two"]
    assert found(view, "one x") == []
