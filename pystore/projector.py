"""The projector folds events into the view.

The result depends on nothing but the schema and the sequence of events, so a view kept up step by step equals one folded from
nothing. What it does not understand (an unknown type, a newer version, an erased event) it leaves out; the log keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pydantic

from pystore import codec
from pystore.erasure import Erasures
from pystore.errors import HandlerError, PyStoreError, StorageError, UnknownTypeError, ValidationError
from pystore.event import MAX_LINE_BYTES, Draft, Event, Recorded
from pystore.input_profile import SMALL_BYTES, check_limits, grouped, is_plain, load, load_plain, load_structure
from pystore.marks import Marks
from pystore.own_events import OWN_TYPES
from pystore.schema import EventType, Schema
from pystore.view import View

BeforeEach = Callable[[Recorded], None]


def draft(schema: Schema, event: Event) -> Draft:
    """An application's event, ready to be recorded. Raises UnknownTypeError, or ValidationError for what may not be stored."""
    declared = OWN_TYPES.by_model.get(type(event)) or schema.type_of(type(event))
    data_json = _written(declared, event)
    try:
        # As it will be read back: so the view of now is that of every later fold.
        event = declared.model.__pydantic_validator__.validate_json(data_json)
    except pydantic.ValidationError as error:
        raise invalid(declared.name, error) from error
    return Draft(declared.name, declared.v, event, data_json)


def _written(declared: EventType, event: Event) -> bytes:
    """The data of an event that was made in Python. Raises ValidationError if a line with them could not be read again."""
    try:
        data_json = event.__pydantic_serializer__.to_json(event, warnings=False)
    except ValueError as error:
        raise ValidationError(f"The event {declared.name} was not taken: {error}.", type=declared.name) from error
    if len(data_json) > MAX_DATA_BYTES:
        raise _too_large(declared, data_json)
    load(data_json, max_depth=MAX_DATA_DEPTH)
    return data_json


def draft_line(schema: Schema, line: bytes, *, plain: bool = False) -> Draft:
    """An event that came as a line of JSON, `{"type": ..., "data": {...}}`, ready to be recorded.

    What is recorded is what was said, in compact JSON; if the model makes up values (`default_factory`), with these.
    `plain`: the line is part of text that was found to be so (`input_profile.is_plain`). Raises as `draft`, naming field and reason.
    """
    value = load_structure(line, max_bytes=MAX_LINE_BYTES, max_depth=MAX_DATA_DEPTH + 1)
    if type(value) is not dict or value.keys() != _ENVELOPE:
        raise ValidationError("An event is an object with `type` and `data`, and nothing else.")
    name = value["type"]
    declared = schema.types.get(name) if isinstance(name, str) else None
    if declared is None:
        shown = repr(name)[:100]
        raise UnknownTypeError(f"There is no event type {shown} in the schema {schema.name!r}.", type=shown)
    data_json = codec.encode(value["data"])
    try:
        event = declared.model.__pydantic_validator__.validate_json(data_json)
    except pydantic.ValidationError as error:
        raise invalid(name, error) from error
    if declared.has_factories:
        data_json = _written(declared, event)
    elif not plain or len(data_json) > SMALL_BYTES:
        if len(data_json) > MAX_DATA_BYTES:
            raise _too_large(declared, data_json)
        check_limits(data_json)
    return Draft(name, declared.v, event, data_json)


def draft_lines(schema: Schema, raw: bytes) -> list[Draft]:
    """The events of text, one a line, as `draft_line` gives each; an empty line is none. Raises as that, with the line's `index`."""
    drafts: list[Draft] = []
    index = 0
    for lines, text in grouped(raw.split(b"\n")):
        values = load_plain(lines, text, max_depth=MAX_DATA_DEPTH)
        plain = values is not None or is_plain(text)
        for line, value in zip(lines, values or [None] * len(lines), strict=True):
            if line:
                try:
                    drafts.append(_draft_plain(schema, line, value) or draft_line(schema, line, plain=plain))
                except ValidationError as error:
                    error.details["index"] = index
                    raise
            index += 1
    return drafts


def _draft_plain(schema: Schema, line: bytes, value: Any) -> Draft | None:
    """The same by fewer calls, of a line as a page writes it, if its value is known; None of one that has to be looked at closely."""
    try:
        declared = schema.types[value["type"]]
        begin = declared.line_begin
        if len(value) != len(_ENVELOPE) or len(line) > SMALL_BYTES or declared.has_factories or not line.startswith(begin):
            return None
        data_json = line[len(begin) : -1]
        return Draft(declared.name, declared.v, declared.model.__pydantic_validator__.validate_json(data_json), data_json)
    except (LookupError, TypeError, pydantic.ValidationError):
        return None  # why is found when the line is looked at by itself


_ENVELOPE = {"type", "data"}
MAX_DATA_BYTES = MAX_LINE_BYTES - 512
"""The envelope takes less than the rest."""
MAX_DATA_DEPTH = 40
"""How deep what is appended may nest. In WebAssembly pydantic checks 49 levels: what is taken anywhere has to be taken everywhere."""


def _too_large(declared: EventType, data_json: bytes) -> ValidationError:
    return ValidationError(
        f"The event {declared.name} was not taken: {len(data_json):,} bytes are more than one event may have.", type=declared.name
    )


def invalid(type_: str, error: pydantic.ValidationError) -> ValidationError:
    """Pydantic's verdict in one sentence, all of it in `details`."""
    problems = [
        {"field": ".".join(str(part) for part in problem["loc"]) or "data", "reason": problem["msg"]}
        for problem in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    first = problems[0]
    return ValidationError(f"The event {type_} was not taken: {first['field']}: {first['reason']}.", type=type_, problems=problems)


class Projector:
    """Folds events into `view`, but for those that `marks` undo or that are `erased`. `before_each` is told of each before that."""

    def __init__(self, schema: Schema, view: View, before_each: BeforeEach | None = None) -> None:
        self.schema = schema
        self.view = view
        self.before_each = before_each
        self.quarantine: frozenset[str] = frozenset()
        self.marks = Marks()
        self.erased = Erasures()

    def apply(self, events: Sequence[Recorded]) -> None:
        """Fold events that this replica is about to append.

        Raises ConstraintError or HandlerError, with `index` in its details, if one does not fit; nothing of them is in the view then.
        Raises StorageError if there is no room; then whatever else was begun in the view may have been taken back as well.
        """
        self.view.savepoint("apply")
        try:
            for event in events:
                self._apply(event)
            self.view.release("apply")
        except PyStoreError as error:
            self.view.rollback("apply")
            if not _is_conflict(error):
                raise
        else:
            return
        # Statements are run many at once, so which event it was shows when each is folded alone.
        self.view.savepoint("apply")
        index = -1
        try:
            for index, event in enumerate(events):  # noqa: B007
                self._apply(event)
                self.view.settle()
        except PyStoreError as error:
            self.view.rollback("apply")
            error.details.setdefault("index", index)
            error.details.setdefault("type", event.type)
            raise
        self.view.release("apply")

    def fold(self, events: Sequence[Recorded]) -> None:
        """Fold recorded events, in order. One that does not fit is set aside as a conflict, and the fold goes on.

        What another replica need not meet (no memory, no room) is no conflict: it is raised, and nothing of `events` is in the view then.
        """
        self.view.savepoint("fold")
        try:
            for event in events:
                self._apply(event)
            self.view.release("fold")
        except BaseException as error:
            self.view.rollback("fold")
            if not _is_conflict(error):
                raise
        else:
            return
        self.view.savepoint("fold")
        try:
            for event in events:
                self._fold_one(event)
            self.view.release("fold")
        except BaseException:
            self.view.rollback("fold")
            raise

    def _fold_one(self, event: Recorded) -> None:
        self.view.savepoint("event")
        try:
            self._apply(event)
            self.view.release("event")
        except PyStoreError as error:
            if not _is_conflict(error):
                raise
            self.view.rollback("event")
            self._set_aside(event, error.message)

    def _set_aside(self, event: Recorded, reason: str) -> None:
        self.view.execute(
            "INSERT OR REPLACE INTO pystore_conflict (replica, seq, reason) VALUES (?, ?, ?)", (event.replica, event.seq, reason)
        )
        self.view.settle()

    def _apply(self, event: Recorded) -> None:
        # The hot path of every fold: no calls that need not be.
        declared = self.schema.types.get(event.type) or OWN_TYPES.by_type.get(event.type)
        if declared is None or event.v > declared.v or event.data_json == b"null":
            return
        if self.marks.all and self.marks.is_undone(event.replica, event.seq, event.order):
            return
        if self.erased.spans and self.erased.erases(event):
            return
        if self.before_each is not None:
            self.before_each(event)
        if self.quarantine and event.id in self.quarantine:
            self._set_aside(event, "It stopped the program twice and is left out.")
            return
        if event.data is None:
            event.data = self._load(declared, event)
        for handler in declared.handlers:
            try:
                handler(self.view, event)
            except (PyStoreError, MemoryError):
                raise
            except Exception as error:
                raise HandlerError(
                    f"The handler {handler.__name__} failed on {event.type}: {error!r}.", id=event.id, type=event.type
                ) from error

    def _load(self, declared: EventType, event: Recorded) -> Event:
        data_json = event.data_json
        try:
            if event.v < declared.v:
                data = codec.decode(data_json)
                for v in range(event.v, declared.v):
                    data = declared.upcasters[v](data)
                data_json = codec.encode(data)
            # A field that a newer version added is not this version's business.
            model: Event = declared.model.__pydantic_validator__.validate_json(data_json, extra="ignore")
        except pydantic.ValidationError as error:
            raise invalid(event.type, error) from error
        except MemoryError:
            raise
        except Exception as error:
            raise HandlerError(f"{event.type} in version {event.v} could not be brought to version {declared.v}: {error!r}.") from error
        return model



def _is_conflict(error: BaseException) -> bool:
    """Whether an event does not fit, wherever it is folded, and not the place where it was."""
    return isinstance(error, PyStoreError) and not isinstance(error, StorageError)
