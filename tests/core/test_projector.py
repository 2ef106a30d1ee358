"""The projector: what it understands it folds, what it does not it leaves out, and nothing stops it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import Field

from pystore import codec
from pystore import projector as projector_module
from pystore.errors import ConstraintError, HandlerError, PyStoreError, StorageError, UnknownTypeError, ValidationError
from pystore.event import Draft, Event, Head, Recorded, parse_line, record
from pystore.input_profile import is_plain, load_plain
from pystore.memory import MemoryPlatform
from pystore.projector import MAX_DATA_DEPTH, Projector, draft, draft_line, draft_lines
from pystore.schema import Schema
from pystore.store import Store
from pystore.view import View
from tests.support.notes import SCHEMA, NoteAdded, NoteEdited, event_lines, folded, make_schema, note, rows, saved, shown


class Unregistered(Event):
    x: int = 0


def events_of(*drafts: Draft, replica: str = "a" * 16) -> list[Recorded]:
    """Recorded events as they come from a segment: not validated yet."""
    recorded, _ = record(drafts, [f"{index:012x}-0000" for index in range(1, len(drafts) + 1)], replica, Head())
    return [parse_line(event.line) for event in recorded]


def fold(*drafts: Draft, schema: Schema = SCHEMA, **options: Any) -> dict[str, list[dict[str, Any]]]:
    view = View(schema)
    projector = Projector(schema, view, **options)
    projector.fold(events_of(*drafts))
    shown = rows(view)
    view.close()
    return shown


def a_draft(data_json: bytes, type_: str = "note.added", v: int = 1) -> Draft:
    return Draft(type_, v, note("unused"), data_json)


# -- what is left out, and what is set aside


@pytest.mark.parametrize("left_out", [
    a_draft(b'{"anything":1}', "never.heard_of"), a_draft(b'{"anything":1}', v=2), a_draft(b"{}", "$from_the_future"),
    a_draft(b"{}", "$named", 2), a_draft(b"{}", "$named", 1),
], ids=lambda left_out: f"{left_out.type} {left_out.v}")
def test_what_is_not_understood_is_left_out(left_out: Draft) -> None:
    expected = fold(draft(SCHEMA, note("1")))
    got = fold(draft(SCHEMA, note("1")), left_out)
    assert got["note"] == expected["note"]
    assert [row["seq"] for row in got["pystore_conflict"]] == ([2] if (left_out.type, left_out.v) == ("$named", 1) else [])


def test_an_erased_event_is_left_out() -> None:
    (event,) = events_of(draft(SCHEMA, note("1")))
    at = event.line.index(b',"salt":')
    erased = parse_line(event.line[:at] + b',"salt":null,"data":null}')
    view = View(SCHEMA)
    Projector(SCHEMA, view).fold([erased])
    assert rows(view)["note"] == rows(view)["pystore_conflict"] == []
    view.close()


@pytest.mark.parametrize("misfit", [
    a_draft(b'{"note_id":"1","text":"again"}'), a_draft(b'{"note_id":"2"}'), a_draft(b'{"note_id":7,"text":""}'), a_draft(b'{"x":1}'),
    a_draft(b'{"note_id":"2","text":"refused"}'), a_draft(b'{"note_id":"2","text":"","folder":"nowhere"}'),
    a_draft(b'{"note_id":"nobody","text":""}', "note.edited"), a_draft(b"{nonsense}"),
], ids=lambda misfit: repr(misfit.data_json))
def test_what_does_not_fit_is_set_aside_and_the_fold_goes_on(misfit: Draft) -> None:
    before, after = draft(SCHEMA, note("1")), draft(SCHEMA, note("3"))
    got = fold(before, misfit, after)
    assert [row["note_id"] for row in got["note"]] == ["1", "3"]
    assert [(row["replica"], row["seq"]) for row in got["pystore_conflict"]] == [("a" * 16, 2)]
    assert got["pystore_conflict"][0]["reason"].endswith(".")


def test_fields_that_a_newer_version_added_are_passed_over() -> None:
    got = fold(a_draft(b'{"note_id":"1","text":"t","colour":"red"}'))
    assert [row["text"] for row in got["note"]] == ["t"]


@pytest.mark.parametrize("misfit", [False, True])
def test_no_memory_is_no_conflict_and_the_fold_fails_whole(misfit: bool) -> None:
    schema, fails = make_schema(), True

    @schema.on(NoteAdded)
    def hungry(view: View, event: Recorded) -> None:
        if fails and event.data.note_id == "3":
            raise MemoryError

    view = View(schema)
    projector = Projector(schema, view)
    events = events_of(*(draft(schema, note(id_)) for id_ in ("1", "2", "1" if misfit else "4", "3")))
    projector.fold(events[:1])
    before = rows(view)
    with pytest.raises(MemoryError):
        projector.fold(events[1:])
    assert rows(view) == before
    fails = False
    projector.fold(events[1:])
    assert [row["note_id"] for row in rows(view)["note"]] == ["1", "2", *([] if misfit else ["4"]), "3"]
    assert [row["seq"] for row in rows(view)["pystore_conflict"]] == ([3] if misfit else [])
    view.close()


async def test_no_room_for_the_view_is_no_conflict_and_what_finds_none_is_refused_whole(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        (one,) = await store.append(note("1"))
        pages = store.view._db.execute("PRAGMA page_count").fetchone()[0]
        store.view._db.execute(f"PRAGMA max_page_count={pages}")
        with pytest.raises(StorageError, match="no room"):
            await store.append(note("2", "text " * 10_000))
        store.view._db.execute(f"PRAGMA max_page_count={pages + 100}")
        await store.append(note("3"))
        assert [row["note_id"] for row in shown(store)["note"]] == ["1", "3"]
        assert await store.conflicts() == []
        assert shown(store) == await folded(store)
        assert (await store.verify())["sound"]
        await store.undo([one.id])
        assert shown(store) == await folded(store)


def test_how_events_are_cut_into_folds_makes_no_difference() -> None:
    drafts = [draft(SCHEMA, event) for event in (
        note("1"), note("1"), NoteEdited(note_id="1", text="one"), NoteEdited(note_id="2", text="early"), note("2", "refused"), note("2"),
        NoteEdited(note_id="2", text="two"),
    )]
    results = []
    for size in range(1, len(drafts) + 1):
        view = View(SCHEMA)
        projector = Projector(SCHEMA, view)
        events = events_of(*drafts)
        for start in range(0, len(events), size):
            projector.fold(events[start : start + size])
        results.append(rows(view))
        view.close()
    assert all(result == results[0] for result in results)


# -- appending


def test_an_append_that_does_not_fit_leaves_nothing_and_names_the_event() -> None:
    view = View(SCHEMA)
    projector = Projector(SCHEMA, view)
    misfits = [(note("1"), ConstraintError), (NoteEdited(note_id="x", text=""), HandlerError), (note("2", "refused"), ConstraintError)]
    for bad, error in misfits:
        with pytest.raises(error) as caught:
            projector.apply(events_of(*(draft(SCHEMA, event) for event in (note("1"), note("3"), bad, note("4")))))
        assert caught.value.details["index"] == 2
        assert caught.value.details["type"] in ("note.added", "note.edited")
        assert rows(view)["note"] == rows(view)["pystore_conflict"] == []
    projector.apply(events_of(draft(SCHEMA, note("1"))))
    assert len(rows(view)["note"]) == 1
    view.close()


def test_before_each_is_told_of_every_event_that_is_projected() -> None:
    told: list[int] = []
    drafts = (draft(SCHEMA, note("1")), a_draft(b"{}", "never.heard_of"), draft(SCHEMA, note("2")))
    fold(*drafts, before_each=lambda event: told.append(event.seq))
    assert told == [1, 3]


def test_an_event_that_is_not_of_the_schema_cannot_be_appended() -> None:
    with pytest.raises(UnknownTypeError, match="Unregistered"):
        draft(SCHEMA, Unregistered())


def test_what_is_recorded_is_what_was_said() -> None:
    line = b'{"type": "note.added", "data": {"text": "\\u00e9", "note_id": "1"}}'
    assert draft_line(SCHEMA, line).data_json == '{"text":"é","note_id":"1"}'.encode()


def lined_up(raw: bytes) -> list[Draft]:
    """What `draft_lines` promises, said plainly."""
    drafts = []
    for index, line in enumerate(raw.split(b"\n")):
        if line:
            try:
                drafts.append(draft_line(SCHEMA, line))
            except ValidationError as error:
                error.details["index"] = index
                raise
    return drafts


def outcome(drafting: Callable[[bytes], list[Draft]], raw: bytes) -> object:
    """The drafts, or the error."""
    try:
        return drafting(raw)
    except PyStoreError as error:
        return type(error), error.message, error.details


GOOD = st.builds(
    lambda added, edited, text: codec.encode({"type": "note.added", "data": {"note_id": added, "text": text}} if edited is None else
                                             {"type": "note.edited", "data": {"note_id": edited, "text": text}}),
    st.text("ab", max_size=3), st.none() | st.text("ab", max_size=3), st.text(st.characters(codec="utf-8"), max_size=9),
)
ODD = st.sampled_from([
    b"", b" ", b"1", b"null", b"[]", b"{}", b'"note.added"',
    b'{"type":"note.added"}', b'{"type":"nobody","data":{}}', b'{"type":7,"data":{}}',
    b'{"type":["note.added"],"data":{}}',
    b'{"type":"note.added","data":null}', b'{"type":"note.added","data":{"note_id":1}}',
    b'{"data":{"note_id":"1","text":"t"},"type":"note.added"}', b'{"type":"note.added","data":{"note_id":"1","text":"t"},"more":1}',
    b'{"type":"note.added","data":{"note_id":"1", "text":"t"}}', b'{"type":"note.added","data":{"note_id":"1","note_id":"2","text":"t"}}',
    b'{"type":"note.added","data":{"note_id":"1","text":"\\u0041"}}', b'{"type":"note.added","data":{"note_id":"1","text":"\xff"}}',
    b'{"type":"note.added","data":{"note_id":"1","text":1e999}}', b'{"type":"note.added","data":' + b"[" * 100 + b"]" * 100 + b"}",
    b'{"type":"note.added","data":{"note_id":"1","text":"' + b"x" * 9000 + b'"}}',
    # One value that is spread over two lines, and two in one line.
    b'{"type":"note.added"', b'"data":{"note_id":"1","text":"t"}}',
    b'{"type":"note.added","data":{"a":[{}', b'{"type":"note.added","data":{}}]}}',
    b'{"type":"note.added","data":{"note_id":"1","text":"t"}},{"type":"note.added","data":{"note_id":"2","text":"t"}}',
])


@given(st.lists(st.one_of(GOOD, GOOD, ODD), max_size=6))
def test_lines_are_drafted_as_each_would_be_by_itself(lines: list[bytes]) -> None:
    raw = b"\n".join(lines)
    assert outcome(partial(draft_lines, SCHEMA), raw) == outcome(lined_up, raw)


def test_the_line_that_is_wrong_is_named_among_many() -> None:
    lines = [codec.encode({"type": "note.added", "data": {"note_id": str(number), "text": ""}}) for number in range(250)]
    lines[233] = b'{"type":"note.added","data":{"note_id":"233"}}'
    with pytest.raises(ValidationError) as caught:
        draft_lines(SCHEMA, b"\n".join(lines))
    assert caught.value.details["index"] == 233


@given(st.lists(GOOD, min_size=2, max_size=6))
def test_lines_as_a_page_writes_them_are_drafted_by_fewer_calls(lines: list[bytes]) -> None:
    raw = b"\n".join(lines)
    assume(is_plain(raw) and isinstance(outcome(lined_up, raw), list))
    values = load_plain(lines, raw, max_depth=MAX_DATA_DEPTH)
    assert values is not None
    assert [projector_module._draft_plain(SCHEMA, *one) for one in zip(lines, values, strict=True)] == lined_up(raw)


async def test_a_field_with_an_alias_is_recorded_as_it_is_read(platform: MemoryPlatform) -> None:
    schema = Schema("aliases", app=1, views=1)

    @schema.event("thing.made")
    class ThingMade(Event):
        class_: str = Field(alias="class")

    schema.table("CREATE TABLE thing (class TEXT NOT NULL)")

    @schema.on(ThingMade)
    def made(view: View, event: Recorded) -> None:
        view.execute("INSERT INTO thing VALUES (?)", (event.data.class_,))

    async with await Store.open(schema, "a", platform=platform) as store:
        await store.append(ThingMade.model_validate({"class": "x"}))
        await store.append_json(b'{"type":"thing.made","data":{"class":"y"}}')
    async with await Store.open(schema, "a", platform=platform) as store:
        assert store.query("SELECT * FROM thing") == [{"class": "x"}, {"class": "y"}]
        assert store.query("SELECT * FROM pystore_conflict") == []


def test_a_model_that_cannot_be_read_back_is_refused() -> None:
    schema = Schema("odd", app=1, views=1)

    @schema.event("odd")
    class Odd(Event):
        number: float

    schema_event = Odd.model_construct(number=float("nan"))
    with pytest.raises(ValidationError):
        draft(schema, schema_event)


# -- upcasters


def versioned(v: int) -> Schema:
    """An application whose notes had a `title` in version 1, a `text` in 2, and `words` beside it in 3."""
    schema = Schema("notes", app=v, views=v)
    models: dict[int, type[Event]] = {}

    class V1(Event):
        title: str

    class V2(Event):
        text: str

    class V3(Event):
        text: str
        words: int

    models = {1: V1, 2: V2, 3: V3}
    schema.event("note.added", v=v)(models[v])
    if v > 1:
        schema.upcast("note.added", 1)(lambda data: {"text": data["title"]})
    if v > 2:
        schema.upcast("note.added", 2)(lambda data: {**data, "words": len(data["text"].split())})
    schema.table("CREATE TABLE note (json TEXT NOT NULL)")

    @schema.on(models[v])
    def added(view: View, event: Recorded) -> None:
        view.execute("INSERT INTO note VALUES (?)", (event.data.model_dump_json(),))

    return schema


async def test_events_of_older_versions_are_brought_up_when_folded_and_stay_as_they_were(platform: MemoryPlatform) -> None:
    for v, data in ((1, b'{"title":"one"}'), (2, b'{"text":"one two"}'), (3, b'{"text":"a b c","words":3}')):
        async with await Store.open(versioned(v), "a", platform=platform) as store:
            await store.append_json(b'{"type":"note.added","data":' + data + b"}")
    async with await Store.open(versioned(3), "a", platform=platform) as store:
        assert [row["json"] for row in store.query("SELECT * FROM note")] == [
            '{"text":"one","words":1}', '{"text":"one two","words":2}', '{"text":"a b c","words":3}',
        ]
        events = [parse_line(line) for line in event_lines(await saved(store))]
        assert [(event.v, event.data_json) for event in events] == [
            (1, b'{"title":"one"}'), (2, b'{"text":"one two"}'), (3, b'{"text":"a b c","words":3}'),
        ]


def finishing(v: int, verdict: str, views: int) -> Schema:
    """An application whose books are finished with a verdict, `verdict` where nothing was said."""
    schema = Schema("books", app=v, views=views)

    class Finished(Event):
        verdict_given: str = verdict

    schema.event("finished", v=v)(Finished)
    schema.table("CREATE TABLE book (verdict TEXT NOT NULL)")
    schema.on(Finished)(lambda view, event: view.execute("INSERT INTO book VALUES (?)", (event.data.verdict_given,)))
    return schema


async def test_another_default_changes_old_events_and_an_upcaster_keeps_what_they_meant(platform: MemoryPlatform) -> None:
    async def verdicts(schema: Schema) -> list[str]:
        async with await Store.open(schema, "a", platform=platform) as store:
            return [row["verdict"] for row in store.query("SELECT verdict FROM book")]

    async with await Store.open(finishing(1, "none", views=1), "a", platform=platform) as store:
        await store.append_json(b'{"type":"finished","data":{}}')
        assert [event["data"] for event in await store.events()] == [{}]
    assert await verdicts(finishing(1, "liked", views=2)) == ["liked"]
    raised = finishing(2, "liked", views=3)
    raised.upcast("finished", 1)(lambda data: {"verdict_given": "none", **data})
    assert await verdicts(raised) == ["none"]


async def test_an_upcaster_that_fails_or_is_missing_sets_the_event_aside(platform: MemoryPlatform) -> None:
    async with await Store.open(versioned(1), "a", platform=platform) as store:
        await store.append_json(b'{"type":"note.added","data":{"title":"one"}}')
    broken = versioned(3)
    for upcasters in ({1: lambda data: data["missing"]}, {1: lambda _: None}, {}, {1: lambda _: {"text": {1, 2}}}):
        broken.types["note.added"].upcasters = upcasters  # type: ignore[assignment]
        broken.views += 1
        async with await Store.open(broken, "a", platform=platform) as store:
            assert store.query("SELECT * FROM note") == []
            assert len(store.query("SELECT * FROM pystore_conflict")) == 1
            assert len(await store.events()) == 1


async def test_an_older_application_reads_what_it_understands_of_a_newer_one(platform: MemoryPlatform) -> None:
    async with await Store.open(SCHEMA, "a", platform=platform) as store:
        await store.append(NoteAdded(note_id="1", text="t"))
        newer = await saved(store)
    older = Schema("notes", app=1, views=1)
    async with await Store.open(older, "b", platform=platform) as store:
        await store.restore([newer])
        assert event_lines(await saved(store)) == event_lines(newer)
    async with await Store.open(SCHEMA, "b", platform=platform) as store:
        assert len(shown(store)["note"]) == 1
