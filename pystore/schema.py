"""What an application declares: event types, upcasters, the view's tables, handlers, and two version numbers."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from pystore.errors import UnknownTypeError
from pystore.event import TYPE_PATTERN, Event, Recorded

if TYPE_CHECKING:
    from pystore.view import View

_DEFERRED = re.compile(r"\bINITIALLY\s+DEFERRED\b", re.IGNORECASE)

Handler = Callable[["View", Recorded], None]
Upcaster = Callable[[dict[str, Any]], dict[str, Any]]
EventModel = TypeVar("EventModel", bound=type[Event])
HandlerFunction = TypeVar("HandlerFunction", bound=Handler)
UpcasterFunction = TypeVar("UpcasterFunction", bound=Upcaster)


_MADE_UP = re.compile(r"'default_factory'|'type': 'default', 'schema': \{'type': 'literal'")


@dataclass(slots=True)
class EventType:
    """A declared event type: its current version, its model, and what is done with it."""

    name: str
    v: int
    model: type[Event]
    handlers: list[Handler] = field(default_factory=list)
    upcasters: dict[int, Upcaster] = field(default_factory=dict)
    has_factories: bool = field(init=False)
    """Whether the model makes up values that have to be recorded: by `default_factory`, or as a tag (a Literal with a default)."""
    line_begin: bytes = field(init=False)
    """How a line begins in which a page appends one."""

    def __post_init__(self) -> None:
        self.line_begin = b'{"type":"%b","data":' % self.name.encode()
        self.has_factories = _MADE_UP.search(repr(self.model.__pydantic_core_schema__)) is not None


@dataclass(frozen=True, slots=True)
class Search:
    """A full-text index over text columns of a table; searched as the table `name` (FTS5)."""

    name: str
    table: str
    columns: tuple[str, ...]
    tokenize: str


class Schema:
    """An application: what it can record and what is shown of it.

    `name` goes into backups. `app` is the version of the events, `views` that of tables and handlers: raise `views` and every
    view is regenerated at its next open; raise `app` when recorded events need upcasters. 0 is for development.
    """

    def __init__(self, name: str, *, app: int, views: int) -> None:
        if app < 0 or views < 0:
            raise ValueError("Versions are unsigned integers.")
        self.name = name
        self.app = app
        self.views = views
        self.types: dict[str, EventType] = {}
        self.tables: list[str] = []
        self.searches: list[Search] = []
        self.checks: dict[str, str] = {}
        self.shrinking: set[str] = set()
        self.importers: list[Callable[..., Any]] = []
        self._by_model: dict[type[Event], EventType] = {}

    def event(self, type: str, v: int = 1) -> Callable[[EventModel], EventModel]:  # noqa: A002
        """Declare the decorated model as the event type `type` in its version `v`."""
        if TYPE_PATTERN.fullmatch(type) is None or type.startswith("$"):
            raise ValueError(f"{type!r} is not an event type: use a-z, 0-9, _ . - (at most 99 characters).")
        if type in self.types:
            raise ValueError(f"The event type {type!r} is declared twice.")

        def declare(model: EventModel) -> EventModel:
            self.types[type] = self._by_model[model] = EventType(type, v, model)
            return model

        return declare

    def upcast(self, type: str, v: int) -> Callable[[UpcasterFunction], UpcasterFunction]:  # noqa: A002
        """Let the decorated pure function turn the data of `type` in version `v` into that of version `v + 1`."""

        def declare(function: UpcasterFunction) -> UpcasterFunction:
            self.types[type].upcasters[v] = function
            return function

        return declare

    def table(self, sql: str) -> None:
        """Add DDL (tables, indexes, triggers; one or more statements) to the view.

        Raises ValueError for a deferred constraint: an event is refused when it is appended, not when its group is stored.
        """
        if _DEFERRED.search(sql) is not None:
            raise ValueError("A constraint of the view cannot be deferred: it is checked with each append.")
        self.tables.append(sql)

    def check(self, name: str, sql: str) -> None:
        """Declare what must hold of the view as a whole: a query that gives no rows as long as it does. A migration relies on it."""
        self.checks[name] = sql

    def may_shrink(self, *tables: str) -> None:
        """Let these tables have fewer rows than the version before showed. Of any other table a migration takes that for a loss."""
        self.shrinking.update(tables)

    def search(self, name: str, table: str, *columns: str, tokenize: str = "unicode61 remove_diacritics 2") -> None:
        """Keep a full-text index `name` (FTS5) over `columns` of `table`, which needs an INTEGER PRIMARY KEY.

        It is brought up to date before the first query that reads it, in bulk: appending does not wait for it.
        """
        self.searches.append(Search(name, table, columns, tokenize))

    def on(self, *models: type[Event]) -> Callable[[HandlerFunction], HandlerFunction]:
        """Let the decorated function fold events of `models` into the view.

        It must be deterministic: no clock, no randomness, no input but the view and the event.
        """

        def declare(function: HandlerFunction) -> HandlerFunction:
            for model in models:
                self.type_of(model).handlers.append(function)
            return function

        return declare

    def importer(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Let the decorated function read files of another program: see `pystore.importing.Importer`."""
        self.importers.append(function)
        return function

    def type_of(self, model: type[Event]) -> EventType:
        """The declared type of a model. Raises UnknownTypeError."""
        try:
            return self._by_model[model]
        except KeyError:
            raise UnknownTypeError(f"{model.__name__} is not an event of the schema {self.name!r}.") from None
