"""Events on their way into a log: the one path of all that others recorded.

What they say to be erased (see `erasure`) is erased at once, also if it is known already that they are, and by events that wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from pystore.clock import iso_of_ms
from pystore.erasure import blanked
from pystore.errors import ClockError
from pystore.event import Head, Recorded
from pystore.log import SEGMENT_EVENTS, LogState
from pystore.segment import events_in, pack
from pystore.waiting import MAX_BYTES, Waiting, is_future

SEGMENT_BYTES = 8 << 20
"""A segment ends here even with fewer events: before compression."""


class Merge:
    """What a log in the state `base`, with `waiting` beside it, gets: events whose chains were checked, given in the log's order.

    What comes up to the ends in `admitted` does not wait, whatever its time: it was in the log that this one takes the place of.
    `state` and `waiting` are the log's with them; `bodies` are packed segments of those that go into the log, `sizes` their counts.
    """

    def __init__(
        self, base: LogState, waiting: Waiting, horizon_ms: int, on_new: Callable[[list[Recorded]], None] | None = None,
        admitted: Mapping[str, Head] = MappingProxyType({}),
    ) -> None:
        self.state = base
        self.bodies: list[bytes] = []
        self.sizes: list[int] = []
        self.new = 0
        """How many were not known."""
        self._waiting = list(waiting.events)
        self._waiting_bytes = waiting.size
        self._were_waiting = len(self._waiting)
        self._known = {**base.feeds, **waiting.feeds}
        self._waits = {event.replica for event in self._waiting}
        """Replicas whose next event has to wait, whatever its time: one before it waits."""
        self._horizon_ms = horizon_ms
        self._admitted = admitted
        self._on_new = on_new
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._erased = base.erased

    @property
    def has_news(self) -> bool:
        """Whether the log is to be changed."""
        return bool(self.new) or self.state.erased != self._erased

    @property
    def new_waiting(self) -> int:
        """How many of the new ones wait."""
        return len(self._waiting) - self._were_waiting

    @property
    def waiting(self) -> Waiting:
        """What waits beside the log then."""
        return Waiting.of(self._waiting)

    def take(self, events: Sequence[Recorded]) -> None:
        """Take what is not known: into the log, or what is from too far in the future, and all behind it, to those that wait.

        Raises ClockError if more would wait than may.
        """
        # Of events that are known as well: what is known here with its content may come without.
        self.state = self.state.without(self.state.erased.and_told_by(events))
        admitted = []
        for event in blanked(events, self.state.erased):
            if event.seq <= self._known.get(event.replica, _NO_HEAD).seq:
                continue
            self.new += 1
            is_early = is_future(event, self._horizon_ms) and event.seq > self._admitted.get(event.replica, _NO_HEAD).seq
            if is_early or event.replica in self._waits:
                self._waits.add(event.replica)
                self._waiting.append(event)
                self._waiting_bytes += len(event.line)
                if self._waiting_bytes > MAX_BYTES:
                    raise ClockError(
                        f"More than {MAX_BYTES >> 20} MiB of it is dated after {iso_of_ms(self._horizon_ms)}, too far in the future to be "
                        "taken. Nothing was changed. Check this device's clock.", until=iso_of_ms(self._horizon_ms),
                    )
            else:
                admitted.append(event)
        self.admit(admitted)

    def admit(self, events: list[Recorded]) -> None:
        """Take events into the log that it does not have and whose time has come."""
        if not events:
            return
        ends = {event.replica: event for event in events}
        feeds = {**self.state.feeds, **{replica: Head(event.seq, event.hash()) for replica, event in ends.items()}}
        self.state = self.state.after(events, feeds, self.state.segment)
        if self._on_new is not None:
            self._on_new(events)
        for event in events:
            self._pending.append(event.line)
            self._pending_bytes += len(event.line)
            if len(self._pending) >= SEGMENT_EVENTS or self._pending_bytes >= SEGMENT_BYTES:
                self.pack()

    def end(self) -> None:
        """All is taken: make segments of the rest, and remove the content of what was said to be erased after it was taken."""
        self.pack()
        if self.state.erased != self._erased:
            self.bodies = [pack([event.line for event in blanked(events_in(body), self.state.erased)]) for body in self.bodies]
            self._waiting = list(blanked(self._waiting, self.state.erased))

    def pack(self) -> None:
        """Make a segment of what was taken since the last one."""
        if self._pending:
            self.bodies.append(pack(self._pending))
            self.sizes.append(len(self._pending))
            self._pending, self._pending_bytes = [], 0


_NO_HEAD = Head()
