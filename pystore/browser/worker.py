"""What a page may ask of Python: a closed list of verbs, each answered by the `Store` it means.

JavaScript calls the functions here; questions and answers cross as JSON text and bytes, never as live objects. An answer that
begins with `!` is an error: `!{"code": ..., "message": ..., "details": {...}}`.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import traceback
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pyodide.ffi import to_js

from pystore import codec, recovery
from pystore.appender import Appended
from pystore.browser.arguments import check
from pystore.browser.loop import run_now, shorten_turns
from pystore.browser.questions import questions
from pystore.browser.verbs import KEPT, VERBS, Call
from pystore.errors import ClosedError, PyStoreError, StorageError, ValidationError
from pystore.event import Recorded
from pystore.forgetting import forget_log
from pystore.input_profile import load
from pystore.platform import default_platform
from pystore.ports import Durability
from pystore.schema import Schema
from pystore.store import Store

TELL_AT_MOST_EVERY_S = 0.1
COLLECT_AFTER_OBJECTS = 50_000
_MARKED_BYTES = 64

marker = bytearray(512)
"""The beginning of the line of the event that is being projected, then its log's name, zeros after it; all zeros while none is.

JavaScript reads it where it lies in memory, also when the interpreter is dead: so it is known which event was the last.
"""


class _Marking:
    """Notes in `marker` the events of one log while those are projected that the log already holds."""

    def __init__(self, log: str) -> None:
        self._log = log.encode()[: len(marker) - _MARKED_BYTES - 1]
        self._on = False

    def __call__(self, event: Recorded) -> None:
        if self._on:
            marker[:_MARKED_BYTES] = event.line[:_MARKED_BYTES]

    def __enter__(self) -> None:
        marker[:] = bytes(len(marker))
        marker[_MARKED_BYTES : _MARKED_BYTES + len(self._log)] = self._log
        self._on = True

    def __exit__(self, *_: object) -> None:
        self._on = False
        marker[:] = bytes(len(marker))


@dataclass(slots=True)
class _Opened:
    schema: str
    marking: _Marking
    quarantined: list[str]
    store: asyncio.Task[Store]
    stops: dict[int, Callable[[], None]] = field(default_factory=dict)
    counters: dict[int, Callable[[str], None]] = field(default_factory=dict)
    moments: dict[int, Any] = field(default_factory=dict)
    telling: asyncio.TimerHandle | None = None
    news: bool = False
    standing: dict[str, str | None] = field(default_factory=dict)
    """What was told last: why the changes of other contexts could not be read (`behind`), and why nothing can be written (`read_only`)."""

    @property
    def ready(self) -> Store | None:
        """The store, once it is open."""
        return self.store.result() if self.store.done() and not self.store.cancelled() and self.store.exception() is None else None

    def listen(self, opening: asyncio.Task[Store]) -> None:
        """Hear of every commit of the store, once it is open."""
        if not opening.cancelled() and opening.exception() is None:
            self.standing = {"behind": None, "read_only": opening.result().read_only}
            opening.result().on_commit(self.tell_counters)

    def tell_counters(self) -> None:
        """Tell those who watch how many events there are, soon, and once for many."""
        if self.counters and self.telling is None:
            self.telling = asyncio.get_running_loop().call_later(TELL_AT_MOST_EVERY_S, self._tell_now)

    def _tell_now(self) -> None:
        self.telling = None
        for listener in list(self.counters.values()):
            listener(self.counted())

    def counted(self) -> str:
        """How many events the log holds, as a row of a query would say it."""
        return codec.encode([{"events": self.store.result().log.state.events}]).decode()

    def close_moments(self) -> None:
        """Let go of the past moments of this log, and tell nobody any more."""
        self.counters.clear()
        while self.moments:
            self.moments.popitem()[1].close()

    async def close(self) -> None:
        """Close the store, and its past moments."""
        self.close_moments()
        await (await self.store).close()


_opened: dict[str, _Opened] = {}
_calls: dict[int, asyncio.Task[Any]] = {}
"""Calls that are being answered, by the numbers under which they can be cancelled."""


# -- what JavaScript calls


def start() -> None:
    """Make this Python ready to answer."""
    # Events come by the thousand and make no cycles: collecting as often as Python does by itself costs a tenth of an import.
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    shorten_turns(asyncio.get_event_loop())


async def open_store(log: str, schema: str, options: str, quarantine: str, progress: Callable[[str, int, int], None]) -> str:
    """Open a log, or find it open; what is known of it at once.

    `options`: JSON of what `Store.open` takes of `recover` and `max_future_ms`. `quarantine`: JSON of `{event id: views version}`.
    """
    return await _answer(_open(log, schema, codec.decode(options), codec.decode(quarantine), progress))


def query(log: str, sql: str, parameters: str) -> str:
    """The rows of a query. Synchronous: no turn of the event loop between question and answer."""
    try:
        return _store(log).query_json(sql, _parameters(sql, parameters)).decode()
    except Exception as error:  # noqa: BLE001
        return _failure(error)


def watch(log: str, key: int, sql: str, parameters: str, listener: Callable[[str], None]) -> str:
    """Tell `listener` the rows as JSON, now and whenever they changed, until `unwatch`."""
    try:
        store = _store(log)
        _opened[log].stops[key] = store.watch(sql, _parameters(sql, parameters), lambda rows: listener(rows.decode()))
    except Exception as error:  # noqa: BLE001
        return _failure(error)
    return "null"


def watch_events(log: str, key: int, listener: Callable[[str], None]) -> str:
    """Tell `listener` how many events there are, as rows, now and whenever some came, whoever appended them, until `unwatch`."""
    try:
        _store(log)
    except ClosedError as error:
        return _failure(error)
    opened = _opened[log]
    opened.counters[key] = listener

    def stop() -> None:
        opened.counters.pop(key, None)

    opened.stops[key] = stop
    listener(opened.counted())
    return "null"


def unwatch(log: str, key: int) -> None:
    """End a `watch` or `watch_events`. One that is unknown, or over, is no error."""
    if (opened := _opened.get(log)) is not None and (stop := opened.stops.pop(key, None)) is not None:
        stop()


async def call(
    log: str, verb: str, args: str, body: Any, sink: Callable[[Any], None], progress: Callable[[str, int, int], None], key: int
) -> str:
    """Answer one of `VERBS`. Stopped by `cancel(key)`, the answer is an error that says what is kept."""
    task = _calls[key] = asyncio.ensure_future(_call(log, verb, Call(codec.decode(args), body, sink, progress)))
    try:
        return await _answer(task)
    except asyncio.CancelledError:
        kept = KEPT.get(verb, "Nothing was changed.")
        return _failed("CancelledError", f"It was stopped before it was done. {kept}")
    finally:
        del _calls[key]


def cancel(key: int) -> None:
    """Stop a call. One that is unknown, or over, is no error."""
    if (task := _calls.get(key)) is not None:
        task.cancel()


async def at(log: str, key: int, moment: str) -> str:
    """Open a past moment (JSON: a time, an event's id, or a number of events ago), for `query_at` until `close_at`; what is known of it."""
    return await _answer(_at(log, key, codec.decode(moment)))


def query_at(log: str, key: int, sql: str, parameters: str) -> str:
    """The rows of a query, on what was there at a past moment."""
    try:
        rows: bytes = _moment(log, key).query_json(sql, _parameters(sql, parameters))
        return rows.decode()
    except Exception as error:  # noqa: BLE001
        return _failure(error)


def close_at(log: str, key: int) -> None:
    """Let go of a past moment. One that is unknown, or closed, is no error."""
    if (opened := _opened.get(log)) is not None and (moment := opened.moments.pop(key, None)) is not None:
        moment.close()


def append(log: str, events: Any, batch: str | None, durability: Any, answer: Callable[[str], None]) -> None:
    """Append events that came as UTF-8 bytes of JSON, one event a line. `answer` is called with the answer.

    Not a coroutine: for JavaScript to await one costs as much as to check and to record an event.
    """

    async def answered() -> None:
        answer(await _answer(_append(log, events.to_bytes(), batch, durability)))

    run_now(answered())


async def catch_up(log: str) -> str | None:
    """Take in what another context has committed; the hint may come too late or in vain.

    If the log stands otherwise than was told before: `{"behind": ..., "read_only": ...}`, why what was committed cannot be read, and why
    nothing can be written, or null. Queries show what was known until then.
    """
    opened = _opened.get(log)
    if opened is None or opened.news or (store := opened.ready) is None:
        return None
    opened.news = True  # hints that come before the catching up begins are one
    try:
        async with store.projection.exclusive:
            opened.news = False
            with opened.marking:
                if await store.projection.catch_up():
                    opened.tell_counters()
        behind = None
    except Exception as error:  # noqa: BLE001
        behind = f"Changes of another window cannot be read: {error}"
    finally:
        opened.news = False
    before, opened.standing = opened.standing, {"behind": behind, "read_only": store.read_only}
    return None if opened.standing == before else codec.encode(opened.standing).decode()


async def close(log: str) -> str:
    """Close a log, if it is open."""
    return await _answer(_close(log))


async def forget(log: str) -> str:
    """Remove a log for good, open or not, readable or not."""
    return await _answer(_forget(log))


async def repair(log: str, schema: str, accept_loss: bool) -> str:
    """Make a damaged log whole again with its backups; it is closed for that. See `pystore.recovery`."""
    return await _answer(_repair(log, load_schema(schema), accept_loss=accept_loss))


async def damaged_file(log: str, schema: str, sink: Callable[[Any], None]) -> str:
    """Give all that can be read of a log to `sink`, as a file in chunks; also where it cannot be opened."""
    return await _answer(_damaged_file(log, load_schema(schema).name, sink))


async def _repair(log: str, schema: Schema, *, accept_loss: bool) -> Any:
    await _close(log)
    return await recovery.repair(default_platform(), log, schema, accept_loss=accept_loss)


async def _damaged_file(log: str, schema: str, sink: Callable[[Any], None]) -> None:
    async for piece in recovery.damaged_file(default_platform(), log, schema):
        sink(to_js(piece))


# -- stores


async def _call(log: str, verb: str, call: Call) -> Any:
    check(verb, call.args)
    answer = await VERBS[verb](await _opened_store(log), call)
    return {**answer, "moments": len(_opened[log].moments)} if verb == "stats" and log in _opened else answer


async def _open(
    log: str, schema: str, options: dict[str, Any], quarantine: dict[str, int], progress: Callable[[str, int, int], None]
) -> dict[str, Any]:
    check("open", options)
    await _drop_if_lost(log)
    opened = _opened.get(log)
    if opened is None:
        marking = _Marking(log)
        loaded = load_schema(schema)
        # An event stopped that version of the views; a later one may cope with it.
        quarantined = sorted(event for event, views in quarantine.items() if views == loaded.views)
        opening = asyncio.ensure_future(_open_anew(log, loaded, options, marking, quarantined, progress))
        opened = _opened[log] = _Opened(schema, marking, quarantined, opening)
        opening.add_done_callback(opened.listen)
    try:
        store = await asyncio.shield(opened.store)
    except BaseException:
        if _opened.get(log) is opened and opened.store.done():
            del _opened[log]
        raise
    if opened.schema != schema:
        raise ValidationError(f"The log {log!r} is open as {opened.schema}. Close it before it is opened as {schema}.")
    if store.lost is not None and not options.get("recover"):
        raise store.lost  # somebody only looks at what is left
    state = store.log.state
    return {
        "log": log, "name": state.name, "events": state.events, "replica": state.writer, "quarantined": opened.quarantined,
        **opened.standing, "read_only": store.read_only, "erased": state.erased.stamp,
    }


async def _at(log: str, key: int, wanted: str | int) -> Any:
    check("at", {"moment": wanted})
    store: Store = await _opened_store(log)
    moment = await store.at(wanted)
    if (opened := _opened.get(log)) is None or not opened.store.done() or opened.store.result() is not store:
        moment.close()
        raise ClosedError("The log was closed meanwhile. Open it again.")
    opened.moments[key] = moment
    return moment.info


async def _drop_if_lost(log: str) -> None:
    """Close an open log whose database is gone (the browser cleared it, or someone did), so that it can be opened anew."""
    opened = _opened.get(log)
    if opened is None or (store := opened.ready) is None:
        return
    try:
        await store.log.storage.meta()
    except StorageError:
        if _opened.get(log) is opened:
            del _opened[log]
        await opened.close()


async def _open_anew(
    log: str, schema: Schema, options: dict[str, Any], marking: _Marking, quarantined: list[str],
    progress: Callable[[str, int, int], None],
) -> Store:
    with marking:
        store = await Store.open(
            schema, log, platform=default_platform(), before_each=marking, quarantine=quarantined, on_progress=progress, **options
        )
    store.backups.follow_clock()
    return store


def views_version(schema: str) -> int:
    """The version of a schema's views, to which what is known of events that stopped them belongs; 0 if there is no such schema."""
    try:
        return load_schema(schema).views
    except PyStoreError:
        return 0  # opening tells


def load_schema(name: str) -> Schema:
    """The schema that `module:attribute` names. Raises ValidationError."""
    module, _, attribute = name.partition(":")
    try:
        schema = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValidationError(
            f"There is no schema {name!r}: write module:attribute, and see that its wheel is part of the site."
        ) from error
    if not isinstance(schema, Schema):
        raise ValidationError(f"{name!r} is not a Schema.")
    return schema


async def _close(log: str) -> None:
    opened = _opened.pop(log, None)
    if opened is not None:
        with suppress(StorageError):  # it could not even be opened
            await opened.close()


async def _forget(log: str) -> None:
    opened = _opened.pop(log, None)
    if opened is not None:
        opened.close_moments()
        await (await opened.store).forget()
    else:
        await forget_log(default_platform(), log)


def _store(log: str) -> Store:
    opened = _opened.get(log)
    if opened is None or not opened.store.done():
        raise ClosedError("The log is not open.")
    return opened.store.result()


async def _opened_store(log: str) -> Store:
    opened = _opened.get(log)
    if opened is None:
        raise ClosedError("The log is not open.")
    return await asyncio.shield(opened.store)


def _moment(log: str, key: int) -> Any:
    opened = _opened.get(log)
    if opened is None or key not in opened.moments:
        raise ClosedError("This past moment is not open any more. Open it again.")
    return opened.moments[key]


async def _append(log: str, events: bytes, batch: str | None, durability: Durability) -> list[Appended]:
    check("append", {"batch": batch, "durability": durability})
    return await (await _opened_store(log)).append_json(events, batch=batch, durability=durability)


# -- crossing


async def _answer(answer: Awaitable[Any]) -> str:
    with questions.one():
        try:
            return codec.encode(await answer).decode()
        except Exception as error:  # noqa: BLE001
            return _failure(error)


def _failure(error: Exception) -> str:
    if isinstance(error, PyStoreError):
        return _failed(error.code, error.message, error.details)
    return _failed(
        "InternalError", f"Something is wrong in the program itself: {error!r}. What was saved is safe.",
        {"traceback": "".join(traceback.format_exception(error))},
    )


def _failed(code: str, message: str, details: Any = None) -> str:
    told = {"code": code, "message": message, "details": details or {}}
    try:
        return "!" + codec.encode(told).decode()
    except (TypeError, ValueError):
        return "!" + codec.encode({**told, "details": {"repr": repr(details)}}).decode()


def _parameters(sql: Any, parameters: str) -> Any:
    if parameters == "[]" and isinstance(sql, str):
        return ()
    given = load(parameters.encode())
    check("query", {"sql": sql, "parameters": given})
    return given
