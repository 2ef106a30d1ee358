"""What a log's past is good for: undoing and bringing back, looking at any moment, and going back to it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from pystore import codec
from pystore.clock import MAX_COUNTER, MAX_MS, ZERO, iso_of, iso_of_ms, ms_of, ms_of_iso, stamp
from pystore.erasure import ERASED, NAMED, blanked
from pystore.errors import ClosedError, ConflictError, ValidationError
from pystore.event import Event, Head, Recorded
from pystore.log import EventLog, LogState
from pystore.marks import Order, Span, joined
from pystore.own_events import Redone, Undone
from pystore.projection import Projection
from pystore.segment import unpack_bytes
from pystore.view import Parameters, View

Moment = str | int
"""A moment of a log: a time (UTC, ISO 8601), the id or the `order` of an event, or how many events ago."""

_AFTER_ALL_OF_ITS_TIME = "~"
_ORDER = re.compile(r"[0-9a-f]{12}-[0-9a-f]{4}/[0-9a-z]{0,16}")
_PLACE = re.compile(r"[0-9a-f]{12}-[0-9a-f]{4}(/[0-9a-z]{0,16})?")
_MAX_BUCKETS = 1000
_STAMPS = re.compile(rb'^\{"replica":"[^"]*","seq":[0-9]+,"hlc":"([0-9a-f]{12})-[0-9a-f]{4}","type":"([^"]*)"', re.MULTILINE)


class Past:
    """The view as it was at a moment, for reading only, while the store goes on. Close it: it takes as much memory as the view did.

    It closes itself when something is erased that it shows.
    """

    def __init__(self, view: View, state: LogState, projection: Projection) -> None:
        self._view: View | None = view
        self._state = state
        self._projection = projection
        self.info = {"events": state.events, "time": iso_of(state.newest[0]) if state.events else None, "order": said(state.newest)}
        """How many events it shows, when the last of them was recorded (None: there was none), and that one's place in the order."""

    def query(self, sql: str, parameters: Parameters = ()) -> list[dict[str, Any]]:
        """The rows of a read-only query, each a dict by column name. Raises QueryError."""
        return self._open_view().read(sql, parameters)

    def query_json(self, sql: str, parameters: Parameters = ()) -> bytes:
        """The rows of `query` as a JSON array of objects."""
        return self._open_view().read_json(sql, parameters)

    def close(self) -> None:
        """Free it. Repeated calls do nothing."""
        if self._view is not None:
            self._view.close()
            self._view = None

    def _open_view(self) -> View:
        if not self._projection.log.state.erased.agree(self._state.erased, {one: head.seq for one, head in self._state.feeds.items()}):
            self.close()
        if self._view is None:
            raise ClosedError("This moment is closed, or something was erased since it was opened. Open it again.")
        return self._view


def said(order: Order) -> str:
    """A place in the order as text: `hlc/replica`."""
    return "/".join(order)


def _order(text: str, *, after: bool = False) -> Order:
    """The place that `said` gave; of a bare time stamp, or a time, the one before its events, or `after` them. Raises ValidationError."""
    if not isinstance(text, str):
        raise ValidationError("A place is the order of an event, a time stamp, or a time like 2026-05-03T14:02:00Z.")
    if _PLACE.fullmatch(text) is None:
        return (stamp(_ms(text), MAX_COUNTER if after else 0), _AFTER_ALL_OF_ITS_TIME if after else "")
    hlc, _, replica = text.partition("/")
    return (hlc, replica or (_AFTER_ALL_OF_ITS_TIME if after else ""))


# -- moments


async def order_at(log: EventLog, moment: Moment) -> Order:
    """The place up to which the events are those of `moment`, inclusive. Raises ValidationError."""
    if type(moment) not in (str, int):  # it may come from JSON
        raise ValidationError("A moment is a time, the id or the order of an event, or how many events ago it was.")
    if isinstance(moment, int):
        return await _order_events_ago(log, moment)
    if _ORDER.fullmatch(moment):
        return _order(moment)
    if Span.parse(moment) is not None:
        found = await log.events_by_id([moment])
        if moment not in found:
            raise ValidationError(f"There is no event {moment} here.", moment=moment)
        return found[moment].order
    return (stamp(_ms(moment), MAX_COUNTER), _AFTER_ALL_OF_ITS_TIME)


async def _order_events_ago(log: EventLog, ago: int) -> Order:
    if ago < 0:
        raise ValidationError("A moment is at least 0 events ago.", moment=ago)
    async for events in log.newest_first(skip=ago):
        return events[0].order
    return (ZERO, "")


async def open_past(projection: Projection, moment: Moment) -> Past:
    """The view as it was at `moment`, with what was undone then left out. Raises ValidationError, or ConflictError."""
    until = await order_at(projection.log, moment)
    folded = await projection.fold(projection.log.state.marks.until(until), until)
    if folded is None:
        raise ConflictError("Everything was replaced in this moment. Try again.")
    return Past(folded.view, folded.shown, projection)


# -- undoing


async def undone_or_redone(projection: Projection, ids: Sequence[str], max_future_ms: int, *, undone: bool) -> list[Event]:
    """What to append so that the events named by `ids` are undone, or are no more; nothing if that is so already.

    An import stands for all that it brought in, also if it is not here yet. Raises ValidationError for what is not an id, or waits:
    what is appended now would come before it.
    """
    spans, named = await spans_of(projection, ids)
    for waiting in projection.log.waiting.events:
        if any(span.replica == waiting.replica and span.first <= waiting.seq <= span.last for span in spans):
            until = iso_of_ms(ms_of(waiting.hlc) - max_future_ms)
            raise ValidationError(
                f"Event {waiting.id} waits until {until}, because it is dated in the future: it cannot be undone or brought back before. "
                "Nothing was changed.", id=waiting.id, until=until,
            )
    state = projection.log.state
    # Of what an import brought in single events may be otherwise.
    is_so = len(named) == len(spans) and all(state.is_undone(event) == undone for event in named.values())
    for event in named.values():
        if event.type == NAMED:
            raise ValidationError("A name is not undone: give the assistant another one.", id=event.id)
        if event.type == ERASED:
            raise ValidationError("What was erased is gone for good: that cannot be undone.", id=event.id)
    if is_so:
        return []
    not_here = sorted({str(span) for span in spans if span.first == span.last > state.feeds.get(span.replica, Head()).seq})
    return [(Undone if undone else Redone)(events=[str(span) for span in joined(spans)], imports=not_here)]


async def spans_of(projection: Projection, ids: Sequence[str]) -> tuple[list[Span], dict[str, Recorded]]:
    """The events that `ids` name, with all that imports among them brought in; and those that are named one by one, as far as here.

    Raises ValidationError for what is not an id.
    """
    spans = []
    for text in ids:
        span = Span.parse(text)
        if span is None:
            raise ValidationError(f"{str(text)[:100]!r} is not the id of an event.", id=str(text)[:100])
        spans.append(span)
    if not spans:
        raise ValidationError("Name at least one event.")
    named = await projection.log.events_by_id(str(span) for span in spans if span.first == span.last)
    imports = projection.log.state.marks.imports
    brought_in = [imports[event.replica, event.seq].spans for event in named.values() if (event.replica, event.seq) in imports]
    return [*spans, *chain.from_iterable(brought_in)], named


async def undone_since(projection: Projection, moment: Moment) -> list[Event]:
    """What to append so that everything after `moment` is undone, but for names and erasures; nothing if there is nothing."""
    until = await order_at(projection.log, moment)
    spans: list[Span] = []
    async for events in projection.log.newest_first():
        later = [event for event in events if event.order > until]
        undone = [Span(event.replica, event.seq, event.seq) for event in later if event.type not in (NAMED, ERASED)]
        spans = joined([*spans, *undone])
        if len(later) < len(events):
            break
    return [Undone(events=[str(span) for span in spans])] if spans else []


# -- looking


async def timeline(
    projection: Projection, *, before: str | None, after: str | None, types: Sequence[str] | None, text: str | None, limit: int
) -> list[dict[str, Any]]:
    """See `Store.events`."""
    marks = projection.log.state.marks
    begin = _order(after, after=True) if after else None
    end = _order(before) if before else None
    found: list[dict[str, Any]] = []
    async for events in projection.log.newest_first():
        for event in blanked(events, projection.log.state.erased):
            if begin is not None and event.order <= begin:
                return found
            if (end is not None and event.order >= end) or (types is not None and event.type not in types):
                continue
            data = codec.decode(event.data_json)
            if text and not _has(data, text.casefold()):
                continue
            if len(found) >= limit:
                return found
            by = marks.undone_by(event.replica, event.seq, event.order) if projection.log.state.is_undone(event) else None
            found.append({
                **told(event), "data": data, "undone": by is not None, "undone_by": by.id if by else None,
                "conflict": _reason(projection, event),
            })
        await projection.platform.breathe()
    return found


def told(event: Recorded) -> dict[str, Any]:
    """What an event's envelope says, for people and programs."""
    return {
        "id": event.id, "order": said(event.order), "hlc": event.hlc, "time": event.time, "type": event.type, "v": event.v,
        "erased": event.is_erased,
    }


def _has(value: Any, text: str) -> bool:
    """Whether `text` stands in a text of a JSON value."""
    if isinstance(value, str):
        return text in value.casefold()
    if isinstance(value, dict):
        value = value.values()
    return isinstance(value, Iterable) and any(_has(member, text) for member in value)


def _reason(projection: Projection, event: Recorded) -> str | None:
    rows = projection.view.select("SELECT reason FROM pystore_conflict WHERE replica = ? AND seq = ?", (event.replica, event.seq))
    return rows[0][0] if rows else None


async def conflicts(projection: Projection) -> list[dict[str, Any]]:
    """See `Store.conflicts`."""
    rows = projection.view.select("SELECT replica || ':' || seq, reason FROM pystore_conflict")
    found = await projection.log.events_by_id(id_ for id_, _ in rows)
    events = {event.id: event for event in blanked(list(found.values()), projection.log.state.erased)}
    there = [{**told(events[id_]), "data": codec.decode(events[id_].data_json), "reason": reason} for id_, reason in rows if id_ in events]
    return sorted(there, key=lambda one: str(one["order"]), reverse=True)


async def activity(projection: Projection, *, buckets: int, since: str | None, until: str | None) -> dict[str, Any]:
    """See `Store.activity`."""
    if not 0 < buckets <= _MAX_BUCKETS:
        raise ValidationError(f"Ask for 1 to {_MAX_BUCKETS} buckets.", buckets=buckets)
    stamps: dict[bytes, list[int]] = {}
    for segment in await projection.log.all_segments():
        for hex_ms, type_ in _STAMPS.findall(unpack_bytes(segment.body)):
            stamps.setdefault(type_, []).append(int(hex_ms, 16))
        await projection.platform.breathe()
    all_ms = [ms for of_type in stamps.values() for ms in of_type]
    first = _ms(since) if since else min(all_ms, default=0)
    last = _ms(until) if until else max(all_ms, default=0)
    bucket_ms = max(1, -(-(last - first + 1) // buckets))
    counts: dict[str, list[int]] = {}
    for type_, of_type in stamps.items():
        counted = counts.setdefault(type_.decode(), [0] * buckets)
        for ms in of_type:
            if first <= ms <= last:
                counted[(ms - first) // bucket_ms] += 1
    return {"since": iso_of_ms(first), "until": iso_of_ms(last), "bucket_ms": bucket_ms, "counts": counts}


def _ms(text: str) -> int:
    try:
        return min(max(ms_of_iso(text), 0), MAX_MS)
    except ValueError as error:
        raise ValidationError(f"{text[:100]!r} is no time: write one like 2026-05-03T14:02:00Z.", time=text[:100]) from error
