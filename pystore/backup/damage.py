"""What can be read of a damaged log, and how it is kept: as a file, or in the vault.

An event counts as readable if its line has the right form and its content matches its digest. What is kept has them all, also those
behind a gap, and its header has a report of what is missing, under `damage`. So it is never taken for a whole backup: restoring it
means salvaging, and a check does not call it good.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

from pystore import versions
from pystore.backup.format import Header
from pystore.backup.layers import BackupId
from pystore.backup.save import header_for, jsonl
from pystore.backup.vault import Vault
from pystore.clock import ZERO, ms_of
from pystore.erasure import blanked
from pystore.errors import CorruptError, PyStoreError
from pystore.event import Head, Recorded, parse_line
from pystore.log import LogState
from pystore.marks import Span, joined
from pystore.ports import LogStorage, Platform
from pystore.records import Records
from pystore.segment import events_in, unpack_pieces
from pystore.versions import UNKNOWN, VersionDocument, application
from pystore.waiting import KEY as WAITING

PIECE_BYTES = 1 << 20
MOST_NUMBERS = 1 << 16
"""How many records in a row may be unreadable before the search for a further one ends."""


@dataclass(slots=True)
class Readable:
    """What of a log can be read: events by replica and number, its own record, and what is damaged."""

    meta: Records
    state: LogState | None = None
    events: dict[str, dict[int, Recorded]] = field(default_factory=dict)
    numbers: list[int] = field(default_factory=list)
    """Records that are there, readable or not."""
    damaged: dict[int, bytes] = field(default_factory=dict)
    """Bodies that could not be read whole, by number."""
    doubtful: list[Recorded] = field(default_factory=list)
    """Events in those: their content is what was recorded, their envelopes may not be."""
    unsure: set[tuple[str, int]] = field(default_factory=set)
    """Which of `events` are such, by replica and number."""
    unread: list[str] = field(default_factory=list)
    """What of `meta` cannot be read: `head` (the log's own record), `waiting`, `versions`."""
    versions: VersionDocument = field(default_factory=lambda: dict(UNKNOWN))
    """The version document."""
    admitted_ms: int = 0
    """How far the time stamps in the log's records go: what was in the log need not wait again."""

    def take(self, event: Recorded) -> bool:
        """Keep an event, unless its content is not what was recorded; whether it was kept."""
        if not event.digest_holds():
            return False
        self.events.setdefault(event.replica, {}).setdefault(event.seq, event)
        return True

    def take_doubtful(self) -> None:
        """Keep what nothing better was found for, in the places where something is missing."""
        ends = self.ends()
        for event in sorted(self.doubtful, key=lambda event: event.seq):
            end = ends.get(event.replica, 0)
            is_place = event.seq <= end or (self.is_open_ended and self._goes_on(event, end))
            if is_place and event.seq not in self.events.get(event.replica, {}) and self.take(event):
                self.unsure.add((event.replica, event.seq))
                ends[event.replica] = max(end, event.seq)

    @property
    def is_open_ended(self) -> bool:
        """Whether there may have been more than is known of."""
        return self.state is None or WAITING in self.unread

    def _goes_on(self, event: Recorded, end: int) -> bool:
        before = self.events.get(event.replica, {}).get(end)
        return (event.seq - 1, event.prev) == (Head(end, before.hash()) if before is not None else Head())

    def ends(self) -> dict[str, int]:
        """The number of each feed's last event that the log's own record tells of, or that was read."""
        ends = {replica: head.seq for replica, head in self.state.feeds.items()} if self.state is not None else {}
        for replica, events in self.events.items():
            ends[replica] = max(ends.get(replica, 0), *events)
        return ends

    def is_sound(self, replica: str, seq: int) -> bool:
        """Whether an event was read from what is not damaged."""
        return seq in self.events.get(replica, {}) and (replica, seq) not in self.unsure

    def missing(self) -> list[Span]:
        """Events that are known of and cannot be read."""
        return [
            Span(replica, seq, seq) for replica, last in sorted(self.ends().items()) for seq in range(1, last + 1)
            if seq not in self.events.get(replica, {})
        ]


async def readable(storage: LogStorage, breathe: Callable[[], Awaitable[None]]) -> Readable:
    """All that can be read of a log. Other work runs between records."""
    meta = await storage.meta()
    found = Readable(meta)
    try:
        found.state = LogState.from_meta(meta)
    except CorruptError:
        found.unread.append("head")
    after, unreadable = 0, 0
    while unreadable < MOST_NUMBERS:
        try:
            page = await storage.segments(after, 0)
        except CorruptError:
            after, unreadable = after + 1, unreadable + 1  # what is no record at all
            found.numbers.append(after)
            continue
        if not page:
            break
        unreadable = 0
        for segment in page:
            found.numbers.append(segment.number)
            try:
                for event in events_in(segment.body):
                    found.take(event)
            except PyStoreError:
                found.damaged[segment.number] = segment.body
                found.doubtful += _doubtful(segment.body)
            await breathe()
        after = page[-1].number
    stamps = [event.hlc for by_seq in found.events.values() for event in by_seq.values()]
    found.admitted_ms = ms_of(max([*stamps, *([found.state.newest[0]] if found.state is not None else [])], default=ZERO))
    _read_waiting(found)
    try:
        found.versions = versions.from_json(meta["versions"]) if "versions" in meta else found.versions
    except CorruptError:
        found.unread.append("versions")
    return found


def _read_waiting(found: Readable) -> None:
    """Take the events that wait beside the log."""
    raw = found.meta.unchecked(WAITING)
    try:
        for event in events_in(raw) if raw else []:
            found.take(event)
    except PyStoreError:
        found.unread.append(WAITING)
        found.doubtful += _doubtful(raw)


def _doubtful(body: bytes) -> list[Recorded]:
    """What looks like events in a damaged body."""
    found: list[Recorded] = []
    rest = b""
    try:
        for piece in unpack_pieces(body, PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                with suppress(PyStoreError):
                    event = parse_line(line)
                    if event.digest_holds():
                        found.append(event)
    except CorruptError:
        pass  # what came before may be right all the same
    return found


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a damaged log, as it is kept: the header with its report, the life of the log, and events in order."""

    header: Header
    epoch: str
    events: list[Recorded]


def rest_of(found: Readable, log: str, schema: str, platform: Platform) -> Rest:
    """What is left of a damaged log. What is erased is left out of it."""
    found.take_doubtful()
    events = sorted((event for by_seq in found.events.values() for event in by_seq.values()), key=lambda event: event.order)
    ends = {event.replica: Head(event.seq, event.hash()) for event in events}
    state = (found.state or LogState(log, "", "", log))._replace(feeds={}, counts={})
    state = state.after(events, ends, 0)
    header = header_for(state, application(found.versions) or schema, platform.now_ms(), platform.name, found.versions, {})
    damage = {"missing": [str(span) for span in joined(found.missing())], "records": sorted(found.damaged), "meta": found.unread}
    return Rest(header.model_copy(update={"damage": damage}), state.epoch, list(blanked(events, state.erased)))


async def file_of(rest: Rest, platform: Platform) -> AsyncIterator[bytes]:
    """What is left of a damaged log, as a backup file."""
    async for piece in jsonl(rest.header, [event.line + b"\n" for event in rest.events], platform.breathe, None):
        yield piece


async def keep(vault: Vault, storage: LogStorage, log: str, schema: str, platform: Platform, label: str) -> BackupId:
    """Keep what can be read of a damaged log in the vault; all of it was read back on return. For one who holds the vault."""
    rest = rest_of(await readable(storage, platform.breathe), log, schema, platform)
    return await vault.keep(rest.header, rest.epoch, rest.events, label, platform.now_ms())
