"""Functions of SQL in place of SQLite's own: the same answers, in a time in proportion to what they look at."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pystore.errors import QueryError
from pystore.schema import Schema
from pystore.sql_functions import Value, install, match_terms
from pystore.view import View

letters = st.text(st.sampled_from("aab.1\0éé漢🙂"), max_size=8)
values = st.one_of(
    st.none(), letters, letters.map(str.encode), st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-20, 20),
    st.floats(allow_nan=False), st.sampled_from([0.5, 1.0, -1.5, 1e20, 1e15, 1e-5, 0.1, -0.0]),
)


@given(call=st.sampled_from(["instr(?, ?)", "replace(?, ?, ?)", "trim(?, ?)", "ltrim(?, ?)", "rtrim(?, ?)"]),
       arguments=st.tuples(values, values, values))
@example(call="instr(?, ?)", arguments=("é", b"\xa9", None))
@example(call="instr(?, ?)", arguments=(b"\xa9a", "a", None))
@example(call="instr(?, ?)", arguments=("aéa", b"a", None))
@example(call="replace(?, ?, ?)", arguments=(b"a", "", None))
@example(call="replace(?, ?, ?)", arguments=(1.5, "", None))
def test_they_answer_as_those_of_sqlite(call: str, arguments: tuple[Value, Value, Value]) -> None:
    sql = f"SELECT typeof({call}) AS type, {call} AS value"
    asked = arguments[: call.count("?")] * 2
    with closing(sqlite3.connect(":memory:")) as own, closing(sqlite3.connect(":memory:")) as ours:
        install(ours)
        try:
            expected = own.execute(sql, asked).fetchall()
        except sqlite3.Error:
            return  # bytes that are no text
        assert ours.execute(sql, asked).fetchall() == expected


@pytest.fixture
def view() -> Iterator[View]:
    view = View(Schema("nothing", app=1, views=1))
    yield view
    view.close()


LONG, OTHER = "hex(zeroblob(1000000))", "replace(hex(zeroblob(1000000)), '0', '1')"


@pytest.mark.parametrize("sql", [
    f"instr({LONG}, substr({LONG}, 1, 1000000) || '1')",
    f"length(replace({LONG}, substr({LONG}, 1, 1000000) || '1', ''))",
    f"length(replace({LONG}, '00', {LONG}))",
    f"length(trim({LONG}, {OTHER} || '0'))",
    f"length(ltrim({LONG}, {OTHER} || '0'))",
    f"length(rtrim({LONG}, {OTHER} || '0'))",
    f"{LONG} LIKE '%{'0' * 197}1'",
    f"{LONG} GLOB '*{'0' * 197}1'",
    f"{LONG} GLOB '*[{'1' * 194}0]2'",
    f"{LONG} LIKE '%{'0' * 1000}1'",
    f"length(json_patch('{{}}', {LONG}))",
    f"length(unhex({LONG}, {OTHER}))",
])
def test_no_call_of_a_function_takes_long(view: View, sql: str) -> None:
    began = time.process_time()
    with suppress(QueryError):  # or it is refused
        view.read(f"SELECT {sql} AS n")
    assert time.process_time() - began < 10


def test_a_query_is_told_which_function_it_may_not_use(view: View) -> None:
    with pytest.raises(QueryError, match="may not use the function json_patch"):
        view.read("SELECT json_patch('{}', '{}')")


def test_match_terms_quotes_what_full_text_would_take_for_an_operator() -> None:
    assert match_terms('say "no" NOT') == '"say" """no""" "NOT"*'
    assert match_terms(None) == match_terms("  ") == '""'
