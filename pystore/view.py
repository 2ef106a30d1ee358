"""The view: an SQLite database in memory, written by handlers, read by read-only SQL, always regenerable from the log.

One connection serves both. What a statement may do is decided when SQLite compiles it (the authorizer): in a query only reading,
elsewhere the tables a handler's statement writes are noted, so that it is known which live queries a change can touch.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from itertools import chain
from typing import Any

from pystore import codec, sql_functions
from pystore.errors import ConstraintError, HandlerError, QueryError, StorageError
from pystore.schema import Schema, Search

Parameters = Sequence[Any] | dict[str, Any]

QUERY_SECONDS = 1.0
"""How long a query may run before it is stopped. One thread serves everything."""
MAX_ANSWER_BYTES = 64 << 20
"""How large an answer may be, as the text in it and ROW_BYTES for each row: memory that a browser's Python takes, it never gives back."""
ROW_BYTES = 100
_STEPS_BETWEEN_CHECKS = 20_000

_OWN_TABLES = """
CREATE TABLE pystore_conflict (replica TEXT NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (replica, seq)) WITHOUT ROWID;
CREATE TABLE pystore_import (
    event_id TEXT PRIMARY KEY, time TEXT NOT NULL, name TEXT NOT NULL, kind TEXT NOT NULL, sha256 TEXT NOT NULL, counts TEXT NOT NULL
);
CREATE TABLE pystore_search (name TEXT PRIMARY KEY, upto INTEGER NOT NULL) WITHOUT ROWID;
"""
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 4 << 20,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 200,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 200,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 32,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 25,
}
# Beyond SQLite's "high-security" list (sqlite.org/security.html) only where a text of 1 MiB has to pass. A pattern may be compared
# with a text as long as that at every place of it.

_READING = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_RECURSIVE})
_WRITING = frozenset({sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE})
_UNSAFE = frozenset({"load_extension", "fts3_tokenizer", "readfile", "writefile", "edit"})
_SLOW = frozenset({"json_patch", "jsonb_patch", "unhex"})  # see `sql_functions`
_REFUSED_FUNCTIONS = _UNSAFE | _SLOW


def _empty() -> bytes:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA user_version=1")  # one page; nothing at all cannot be taken over
        return database.serialize()


_EMPTY = _empty()
"""Also an empty view begins as an image: SQLite keeps those in one piece, of which `View.image` is one copy."""


class View:
    """The tables of `schema`, empty, or as they stand in `image`: what `image()` gave for a schema with the same tables."""

    def __init__(self, schema: Schema, image: bytes | bytearray | None = None) -> None:
        self.schema = schema
        self._db = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512, check_same_thread=False)
        self._cursor = self._db.cursor()
        self._run_sql = ""
        self._run: list[Parameters] = []
        self._once: dict[tuple[str, tuple[Any, ...]], None] = {}
        self._summaries: dict[tuple[str, Any], tuple[int, Any]] = {}
        self._writes: dict[str, frozenset[str]] = {}
        self._touched: set[frozenset[str]] = set()
        self._reads: dict[str, frozenset[str]] = {}
        self._compiling: set[str] = set()
        self._querying = False
        self._deadline = 0.0
        self.folding: str | None = None
        """The id of the event that is being folded, if rows are noted: see `note_touched`."""
        self._db.deserialize(_EMPTY if image is None else image)
        # Not trusted_schema=OFF: the schema is the application's own, and its triggers write to the full-text indexes.
        # temp_store: a large sort would otherwise be put into a file, in plain text and out of reach of erasing.
        self._db.executescript("PRAGMA foreign_keys=ON; PRAGMA recursive_triggers=ON; PRAGMA temp_store=MEMORY;")
        for limit, value in _LIMITS.items():
            self._db.setlimit(limit, value)
        sql_functions.install(self._db)
        if image is None:
            self._create_tables()
        for search in schema.searches:
            # A full-text table sets itself up when it is first used, by statements that a query may not run.
            self._db.execute(f"SELECT rowid FROM {search.name} LIMIT 0")
        # Tables of this kind are declared at their first use, which the authorizer would not let a query do.
        self._db.execute("SELECT 1 FROM json_each('[]'), json_tree('[]')").close()
        self._db.set_authorizer(self._authorize)
        self._db.set_progress_handler(self._is_late, _STEPS_BETWEEN_CHECKS)

    def _create_tables(self) -> None:
        self._db.executescript(_OWN_TABLES)
        for sql in self.schema.tables:
            self._db.executescript(sql)
        for search in self.schema.searches:
            self._create_search(search)

    # -- what handlers use

    def execute(self, sql: str, parameters: Parameters = ()) -> None:
        """Run one writing statement, in its turn: it reaches SQLite together with others of the same SQL, before anything is read.

        So ConstraintError (a constraint refuses it) and HandlerError (it is wrong) may be raised by a later call, or by `settle`;
        StorageError if there is no room for the view.
        """
        if sql == self._run_sql:
            self._run.append(parameters)
            return
        if self._run:
            self._send()
        self._run_sql = sql
        self._run.append(parameters)

    def execute_once(self, sql: str, *parameters: Any) -> None:
        """Run a writing statement when the events at hand are all folded, once however often it was asked for.

        For what is derived from rows and need not be right in between: the counts and newest items of a group. The statement must
        compute them from the rows.
        """
        self._once[sql, parameters] = None

    def execute_summary(self, sql: str, key: Any, newest: Any) -> None:
        """Run a writing statement once for each `key` when the events at hand are all folded, whatever a group holds already.

        Its parameters are the key, how often this was asked for since it last ran, and the `newest` of the last time.
        """
        summary = self._summaries.get((sql, key))
        self._summaries[sql, key] = (summary[0] + 1 if summary else 1, newest)

    def select(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """Rows as a handler sees them in the middle of the fold. Raises as `execute`."""
        if self._run:
            self._send()
        try:
            return self._db.execute(sql, parameters).fetchall()
        except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
            raise _statement_error(error) from error

    def broken_constraints(self) -> list[str]:
        """What of the view does not hold: SQLite's own structure, its foreign keys, and the checks that the schema declares."""
        self.settle()
        self._db.set_authorizer(None)
        try:
            found = [str(row[0]) for row in self._db.execute("PRAGMA integrity_check") if row[0] != "ok"]
            found += [f"a row of {table} refers to none of {to}" for table, _, to, _ in self._db.execute("PRAGMA foreign_key_check")]
        finally:
            self._db.set_authorizer(self._authorize)
        for name, sql in self.schema.checks.items():
            if rows := self.select(sql):
                found.append(f"the check {name!r} finds {len(rows):,} rows, the first: {rows[0]!r}"[:300])
        return found

    def settle(self) -> None:
        """Everything asked for so far has been run. Raises ConstraintError or HandlerError."""
        if self._run:
            self._send()
        while self._once or self._summaries:
            once, self._once = self._once, {}
            summaries, self._summaries = self._summaries, {}
            for sql, parameters in once:
                self.execute(sql, parameters)
            for (sql, key), (times, newest) in summaries.items():
                self.execute(sql, (key, times, newest))
            self._send()

    def _send(self) -> None:
        sql, run = self._run_sql, self._run
        self._run_sql, self._run = "", []
        try:
            writes = self._writes.get(sql)
            if writes is None:
                self._compiling = set()
                try:
                    self._cursor.execute(sql, run[0])
                finally:
                    # Also when its first run is refused: it is not compiled again.
                    writes = self._writes[sql] = frozenset(self._compiling)
                del run[0]
            if len(run) == 1:
                self._cursor.execute(sql, run[0])
            elif run:
                self._cursor.executemany(sql, run)
        except sqlite3.IntegrityError as error:
            raise ConstraintError(f"The data do not fit together: {error}.") from error
        except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
            raise _statement_error(error) from error
        self._touched.add(writes)

    # -- what the projector uses

    def savepoint(self, name: str) -> None:
        """Begin a change that `rollback` takes back; they nest. What came before is settled first."""
        self.settle()
        self._db.execute(f"SAVEPOINT {name}")

    def release(self, name: str) -> None:
        """Let the change since `savepoint` stand, settled. Raises as `settle`; the change is still open then."""
        self.settle()
        self._db.execute(f"RELEASE {name}")

    def rollback(self, name: str) -> None:
        """Take back everything since `savepoint`, which is over then."""
        self._run_sql, self._run = "", []
        self._once.clear()
        self._summaries.clear()
        if not self._db.in_transaction:
            return  # SQLite found no room, and has taken back everything already
        self._db.execute(f"ROLLBACK TO {name}")
        self._db.execute(f"RELEASE {name}")

    def take_touched(self) -> frozenset[str]:
        """The tables written to since this was last asked (also by statements that were taken back)."""
        touched = frozenset().union(*self._touched)
        self._touched.clear()
        return touched

    def size(self) -> int:
        """How many bytes `image` has, about."""
        (pages,), (bytes_each,) = (self._db.execute(f"PRAGMA {what}").fetchone() for what in ("page_count", "page_size"))
        return int(pages * bytes_each)

    def image(self) -> bytes:
        """The whole database as bytes."""
        self.settle()
        return self._db.serialize()

    # -- what queries use

    def read(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """The rows of a query, each a dict by column name.

        Raises QueryError if the SQL is wrong, would change anything, runs longer than QUERY_SECONDS (which is found out
        between two of SQLite's steps), or answers more than MAX_ANSWER_BYTES.
        """
        # Statements are cached by their text: the mark keeps a query from being served a handler's compiled statement.
        marked = "/*query*/" + sql
        self._querying = True
        try:
            if any(search.name in sql for search in self.schema.searches):
                self._querying = False
                self.index_searches()
                self._querying = True
            self._compiling = set()
            self._deadline = time.monotonic() + QUERY_SECONDS
            try:
                cursor = self._db.execute(marked, parameters)
            finally:
                # Also when it is stopped in its first step: it is not compiled again.
                if self._compiling or marked not in self._reads:
                    self._reads[marked] = frozenset(self._compiling)
            with closing(cursor):
                return _rows(cursor)
        except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
            raise _query_error(error) from error
        finally:
            self._querying = False
            self._deadline = 0.0

    def read_json(self, sql: str, parameters: Parameters = ()) -> bytes:
        """The rows of a query as a JSON array of objects. Raises as `read`, and QueryError for a blob."""
        rows = self.read(sql, parameters)
        # Not left to the codec: msgspec would write a blob as base64.
        if bytes in set(map(type, chain.from_iterable(map(dict.values, rows)))):
            raise QueryError("A value of the answer is not text, number or NULL: select hex(...) of a blob.")
        return codec.encode(rows)

    def tables_read(self, sql: str) -> frozenset[str] | None:
        """The tables that `sql` reads; None if it was never read."""
        return self._reads.get("/*query*/" + sql)

    def tables(self) -> list[str]:
        """The application's tables, sorted: without pystore's own and without those of the full-text indexes."""
        searches = tuple(search.name + "_" for search in self.schema.searches)
        names = [row[0] for row in self._db.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        virtual = {search.name for search in self.schema.searches}
        return [
            name for name in names
            if not name.startswith(("pystore_", "sqlite_", *searches)) and name not in virtual
        ]

    def key_of(self, table: str) -> list[str]:
        """The columns of a table's primary key; all its columns if it declares none."""
        columns = self._db.execute(f'PRAGMA table_info("{table}")').fetchall()
        return [name for pk, name in sorted((row[5], row[1]) for row in columns) if pk] or [row[1] for row in columns]

    def pages(self, table: str, size: int) -> Generator[list[dict[str, Any]]]:
        """All rows of a table, in the order of its key if it has one, `size` at a time. Nothing may be written meanwhile."""
        key = ", ".join(f'"{name}"' for name in self.key_of(table))
        with closing(self._db.execute(f'SELECT * FROM "{table}" ORDER BY {key}')) as cursor:
            names = [column[0] for column in cursor.description]
            while rows := cursor.fetchmany(size):
                yield [dict(zip(names, row, strict=True)) for row in rows]

    def note_touched(self, rows: Iterable[tuple[str, Sequence[Any]]]) -> Callable[[], list[str | None]]:
        """Note from now on which event is `folding` when one of `rows` is inserted, updated or deleted: each a table and a key.

        What is returned tells of each the last one, None if there was none.
        """
        self._db.create_function("pystore_folding", 0, lambda: self.folding)
        self._db.executescript("""
            CREATE TEMP TABLE pystore_touched (place INTEGER PRIMARY KEY, name TEXT, key TEXT, event TEXT);
            CREATE INDEX temp.pystore_touched_key ON pystore_touched (name, key);
        """)
        tables = set()
        for table, key in rows:
            tables.add(table)
            self._db.execute(f"INSERT INTO pystore_touched (name, key) VALUES (?, {_quoted('?' for _ in key)})", (table, *key))
        for table in tables:
            old, new = (_quoted(f'{row}."{column}"' for column in self.key_of(table)) for row in ("old", "new"))
            for change, keys in (("INSERT", new), ("UPDATE", f"{old}, {new}"), ("DELETE", old)):
                self._db.execute(
                    f'CREATE TEMP TRIGGER "pystore_{change}_{table}" AFTER {change} ON main."{table}" BEGIN '
                    f"UPDATE pystore_touched SET event = pystore_folding() WHERE name = '{table}' AND key IN ({keys}); END"
                )
        return lambda: [event for (event,) in self.select("SELECT event FROM pystore_touched ORDER BY place")]

    def counts(self) -> dict[str, int]:
        """Rows by table of the application."""
        return {table: self.select(f'SELECT count(*) FROM "{table}"')[0][0] for table in self.tables()}

    def conflicts(self) -> list[tuple[str, int, str]]:
        """The events that were set aside: replica, number, and the reason."""
        return self.select("SELECT replica, seq, reason FROM pystore_conflict ORDER BY replica, seq")

    def close(self) -> None:
        """Free the memory. Repeated calls do nothing."""
        self._db.close()

    # -- full text

    def _create_search(self, search: Search) -> None:
        # An external-content index. Rows wait for `index_searches`.
        keys = [row[1] for row in self._db.execute(f'PRAGMA table_info("{search.table}")') if row[5] and row[2].upper() == "INTEGER"]
        key = keys[0] if len(keys) == 1 else "rowid"
        source = f"content='{search.table}', content_rowid='{key}', tokenize='{search.tokenize}'"
        self._db.execute(f"CREATE VIRTUAL TABLE {search.name} USING fts5({', '.join(search.columns)}, {source})")

    def _begin_search(self, search: Search, before: int) -> None:
        """Let triggers keep right what is indexed: so far nothing, all rows come after number `before`.

        Not earlier: a trigger takes as long as the row that fires it.
        """
        columns = ", ".join(search.columns)
        old, new = (", ".join(f"{row}.{column}" for column in search.columns) for row in ("old", "new"))
        indexed = f"(SELECT upto FROM pystore_search WHERE name = '{search.name}')"
        forget = f"INSERT INTO {search.name} ({search.name}, rowid, {columns}) VALUES ('delete', old.rowid, {old});"
        add = f"INSERT INTO {search.name} (rowid, {columns}) VALUES (new.rowid, {new});"
        for change, when, then in [
            ("INSERT", "new", add), ("DELETE", "old", forget), (f"UPDATE OF {columns}", "old", f"{forget} {add}"),
        ]:
            self._db.execute(
                f"CREATE TRIGGER {search.name}_{change.split()[0].lower()} AFTER {change} ON {search.table} "
                f"WHEN {when}.rowid <= {indexed} BEGIN {then} END"
            )
        self._db.execute("INSERT INTO pystore_search VALUES (?, ?)", (search.name, before))

    def index_searches(self, most: int = 1 << 60) -> bool:
        """Bring the full-text indexes up to date, at most `most` rows of each; whether all are now."""
        complete = True
        for search in self.schema.searches:
            begun = self._db.execute("SELECT upto FROM pystore_search WHERE name = ?", (search.name,)).fetchone()
            oldest, newest = self._db.execute(
                f"SELECT (SELECT min(rowid) FROM {search.table}), (SELECT max(rowid) FROM {search.table})"
            ).fetchone()
            if newest is None or (begun and newest <= begun[0]):
                continue
            columns = ", ".join(search.columns)
            self.savepoint("search")
            upto = begun[0] if begun else oldest - 1
            if not begun:
                self._begin_search(search, upto)
            until = min(newest, upto + most)
            self._db.execute(
                f"INSERT INTO {search.name} (rowid, {columns}) "
                f"SELECT rowid, {columns} FROM {search.table} WHERE rowid > ? AND rowid <= ? ORDER BY rowid",
                (upto, until),
            )
            self._db.execute("UPDATE pystore_search SET upto = ? WHERE name = ?", (until, search.name))
            self.release("search")
            complete = complete and until == newest
        return complete

    # -- callbacks of SQLite

    def _authorize(self, action: int, first: str | None, second: str | None, _database: str | None, _trigger: str | None) -> int:
        if not self._querying:
            if action in _WRITING and first is not None:
                self._compiling.add(first)
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ and first is not None:
            self._compiling.add(first)
        if action in _READING:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and second not in _REFUSED_FUNCTIONS:
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_PRAGMA and first == "data_version" and second is None:
            return sqlite3.SQLITE_OK  # full text asks for it
        return sqlite3.SQLITE_DENY

    def _is_late(self) -> int:
        return 1 if self._deadline and time.monotonic() > self._deadline else 0


def _quoted(values: Iterable[str]) -> str:
    """SQL for several values as one text, another one for other values."""
    return " || ',' || ".join(f"quote({value})" for value in values)


def _rows(cursor: sqlite3.Cursor) -> list[dict[str, Any]]:
    if cursor.description is None:
        return []
    names = [column[0] for column in cursor.description]
    rows = []
    size = 0
    for row in cursor:
        size += ROW_BYTES
        for value in row:
            if value.__class__ is str or value.__class__ is bytes:
                size += len(value)
        if size > MAX_ANSWER_BYTES:
            raise QueryError(f"The answer is larger than {MAX_ANSWER_BYTES >> 20} MiB. Ask for less: LIMIT, or fewer columns.")
        rows.append(dict(zip(names, row, strict=True)))
    return rows


def _statement_error(error: Exception) -> HandlerError | StorageError:
    """Whether the statement is at fault, which is so wherever it is run, or the place where it was run."""
    if getattr(error, "sqlite_errorcode", 0) & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOMEM):
        return StorageError(f"There is no room for the view here: {error}. Nothing is lost by it; close what else is open.")
    return HandlerError(f"A handler's statement failed: {error}.")


def _query_error(error: Exception) -> QueryError:
    text = str(error)
    if "interrupted" in text:
        return QueryError(f"The query was stopped after {QUERY_SECONDS:g} s. Ask for less, or add an index.")
    if match := re.search("not authorized to use function: (\\w+)", text):
        return QueryError(f"A query may not use the function {match[1]}.")
    if "not authorized" in text or "prohibited" in text:
        return QueryError("A query may only read. To change data, append an event.")
    return QueryError(f"The query is wrong: {text.rstrip('.')}.")
