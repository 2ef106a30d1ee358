"""What an application may declare, and what is refused when it declares it."""

from __future__ import annotations

import pytest

from pystore.errors import UnknownTypeError
from pystore.event import Event
from pystore.schema import Schema


class Happened(Event):
    x: int


@pytest.mark.parametrize("name", ["", "$own", "Upper", "with space", "ü", "a/b", "x" * 100, "a\n", "a\0"])
def test_what_is_no_event_type_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="event type"):
        Schema("s", app=1, views=1).event(name)


@pytest.mark.parametrize("name", ["a", "message.posted", "a_b-c.1", "x" * 99])
def test_an_event_type_is_declared_with_its_version(name: str) -> None:
    schema = Schema("s", app=1, views=1)
    assert schema.event(name, v=3)(Happened) is Happened
    assert schema.types[name].v == 3
    assert schema.type_of(Happened).name == name


def test_an_event_type_is_declared_once() -> None:
    schema = Schema("s", app=1, views=1)
    schema.event("a")(Happened)
    with pytest.raises(ValueError, match="twice"):
        schema.event("a")


def test_a_handler_is_for_declared_events_only() -> None:
    with pytest.raises(UnknownTypeError):
        Schema("s", app=1, views=1).on(Happened)(lambda _view, _event: None)


@pytest.mark.parametrize(("app", "views"), [(-1, 0), (0, -1)])
def test_versions_are_not_negative(app: int, views: int) -> None:
    with pytest.raises(ValueError, match="unsigned"):
        Schema("s", app=app, views=views)


@pytest.mark.parametrize("how", ["DEFERRABLE INITIALLY DEFERRED", "deferrable  initially\n deferred"])
def test_a_deferred_constraint_is_refused(how: str) -> None:
    with pytest.raises(ValueError, match="deferred"):
        Schema("s", app=1, views=1).table(f"CREATE TABLE a (b TEXT REFERENCES c {how})")
    Schema("s", app=1, views=1).table("CREATE TABLE a (b TEXT REFERENCES c DEFERRABLE INITIALLY IMMEDIATE)")
