"""Live queries: told again when a table they read was written to and their answer is no longer the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from pystore.errors import QueryError
from pystore.view import Parameters, View

_log = logging.getLogger(__name__)

Listener = Callable[[bytes], None]
"""Gets the rows of the answer as a JSON array of objects."""


@dataclass(slots=True, eq=False)
class _Watch:
    sql: str
    parameters: Parameters
    listener: Listener
    answer: bytes = b""


class LiveQueries:
    """The queries that are being watched."""

    def __init__(self) -> None:
        self._watches: dict[int, _Watch] = {}
        self._next = 0

    def add(self, view: View, sql: str, parameters: Parameters, listener: Listener) -> Callable[[], None]:
        """Tell `listener` the answer, now and whenever it changed, until the returned function is called. Raises QueryError."""
        watch = _Watch(sql, parameters, listener, view.read_json(sql, parameters))
        listener(watch.answer)
        key = self._next
        self._next += 1
        self._watches[key] = watch

        def stop() -> None:
            self._watches.pop(key, None)

        return stop

    def changed(self, view: View, tables: frozenset[str] | None) -> None:
        """Tell those whose answer changed with what was written to `tables` (None: anything may have changed)."""
        for key, watch in list(self._watches.items()):
            if key not in self._watches:
                continue  # a listener before it ended it
            sources = self._sources(view, watch.sql)
            if tables is not None and sources is not None and tables.isdisjoint(sources):
                continue
            try:
                answer = view.read_json(watch.sql, watch.parameters)
            except QueryError:
                # It ran once and is only too slow now. The next change asks again.
                continue
            if answer != watch.answer:
                watch.answer = answer
                try:
                    watch.listener(answer)
                except Exception:  # noqa: BLE001  # one listener's failure is not the others'
                    _log.exception("A listener of a live query failed: %s", watch.sql)

    @staticmethod
    def _sources(view: View, sql: str) -> frozenset[str] | None:
        tables = view.tables_read(sql)
        if not tables:
            return tables
        # A full-text index changes with the table it is over.
        return tables | {search.table for search in view.schema.searches if any(t.startswith(search.name) for t in tables)}
