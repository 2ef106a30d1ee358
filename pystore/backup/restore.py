"""Reading a backup: checking all of it, and what of it a log does not have yet. Nothing here changes anything."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from pystore.backup.format import BLOB_MARK, NOT_WHOLE, Header, footer_of, header_of
from pystore.backup.lines import LineReader, Source
from pystore.clock import MAX_FUTURE_MS, iso_of
from pystore.erasure import NEVER_ERASED
from pystore.errors import AlteredError, ChainError, CorruptBackupError, ForkError, FormatError, NewerVersionError, PyStoreError
from pystore.event import ENVELOPE_KEYS, Head, Recorded, check_feed, parse_line
from pystore.input_profile import load_lines
from pystore.log import MAX_NAME, EventLog, LogState
from pystore.merging import Merge
from pystore.progress import Progress
from pystore.waiting import Waiting

MAX_PROBLEMS = 100
MAX_DAMAGED_LINES = 10_000
"""A file with more of them is not read to its end: it is another one, or made to keep us busy."""
HELD_SLICE = 500


@dataclass(slots=True)
class Verified:
    """A backup that was read to its end.

    `merge` has the events that the log did not have. `problems`, with line numbers, is empty unless damage was to be salvaged or only
    looked at.
    """

    header: Header
    merge: Merge
    on_all: Callable[[Header, list[Recorded]], None] | None = None
    events: int = 0
    first: str = ""
    last: str = ""
    by_type: dict[str, int] = field(default_factory=dict)
    problems: list[dict[str, Any]] = field(default_factory=list)
    unfit: list[dict[str, Any]] = field(default_factory=list)
    """What of a file of an older version cannot be brought to this one."""

    def take(self, events: list[Recorded]) -> None:
        """Count events that were checked, and merge them."""
        self.events += len(events)
        self.first = self.first or events[0].hlc
        self.last = events[-1].hlc
        for event in events:
            self.by_type[event.type] = self.by_type.get(event.type, 0) + 1
        if self.on_all is not None:
            self.on_all(self.header, events)
        self.merge.take(events)

    def summary(self) -> dict[str, Any]:
        """What the file holds, and what restoring it would do, for people and programs."""
        header = self.header
        return {
            "log": header.log, "name": header.name, "schema": header.application, "saved_at": header.saved_at, "saved_by": header.saved_by,
            "versions": header.versions, "events": self.events, "by_type": self.by_type, "records": header.counts.records,
            "first": iso_of(self.first) if self.first else None, "last": iso_of(self.last) if self.last else None,
            "new": self.merge.new, "known": self.events - self.merge.new, "waiting": self.merge.new_waiting, "problems": self.problems,
            "conflicts": max(header.counts.conflicts, sum(problem["id"] is not None for problem in self.unfit)), "unfit": self.unfit,
        }


async def verify(
    source: Source, log: EventLog | None, base: LogState, waiting: Waiting, *, horizon_ms: int,
    admitted: Mapping[str, Head] = MappingProxyType({}), salvage: bool = False,
    breathe: Callable[[], Awaitable[None]], on_progress: Progress | None = None, on_new: Callable[[list[Recorded]], None] | None = None,
    on_all: Callable[[Header, list[Recorded]], None] | None = None,
) -> Verified:
    """Read a backup to its end and check every line: form, limits, digests, chains, order, footer.

    `base` and `waiting` are what the file is compared with: the log's to merge, empty ones to replace; `log` gives its events. What is
    dated after the horizon will wait, but for what comes up to the ends in `admitted`. `on_new` is given the events that will go into
    the log, in order, a few hundred at a time, before it is known that all of the file is sound; `on_all`, in the same way, all that
    the file has. Raises FormatError (not a backup), NewerVersionError, CorruptBackupError (damaged, with `line` in the details),
    ForkError, or ClockError (too much would wait). With `salvage` a damaged line costs the rest of its replica's feed, and the event
    before it unless something undamaged names that one, and is listed; all else is taken, up to the first line that is too long to be
    read.
    """
    reader = LineReader(source)
    result: Verified | None = None
    check: _Feeds | None = None
    held: list[Recorded] = []
    number = 0
    try:
        async for lines in reader.blocks():
            if result is None or check is None:
                header = header_of(lines[0])
                if header.damage is not None and not salvage:
                    raise CorruptBackupError(
                        f"This backup is damaged. {NOT_WHOLE} Nothing was changed. You can ask to salvage the good part.", line=1
                    )
                # A log without events takes the file's name; `$named` events in it say the same, later ones win.
                state = base if base.events or not 0 < len(header.name) <= MAX_NAME else base._replace(name=header.name)
                result = Verified(header, Merge(state, waiting, horizon_ms, on_new, admitted), on_all)
                check = _Feeds({**base.feeds, **waiting.feeds}, salvage=salvage)
                number = 1
                del lines[0]
            events = check.take(lines, number + 1)
            number += len(lines)
            if salvage:
                held += events
            elif events:
                result.take(events)
            if on_progress is not None:
                on_progress("verify", number - 1, result.header.counts.events)
            await breathe()
    except FormatError as error:
        if not salvage or result is None or check is None:
            raise
        check.problems.append({"line": error.details.get("line", number + 1), "why": error.message})
    if result is None or check is None:
        raise FormatError("This file is empty or has no complete line: it is not a pystore backup.", line=1)
    is_only_cut_off = reader.footer is None and not check.problems
    _check_end(reader, result, check, salvage=salvage)
    if salvage:
        if check.problems and not is_only_cut_off:
            check.retract_unconfirmed(result.header)
        held = [event for event in held if event.id not in check.retracted]
        for start in range(0, len(held), HELD_SLICE):
            result.take(held[start : start + HELD_SLICE])
            await breathe()
    result.merge.end()
    if result.header.damage is not None:
        check.problems.insert(0, {"line": 1, "why": NOT_WHOLE})
    result.problems = check.problems[:MAX_PROBLEMS]
    if log is not None:
        await _check_against(check, log, waiting)
    return result


async def check_file(
    source: Source, now_ms: int, breathe: Callable[[], Awaitable[None]], on_progress: Progress | None = None, *, salvage: bool = False
) -> dict[str, Any]:
    """What a backup holds, compared with nothing. Raises as `verify`."""
    verified = await verify(
        source, None, LogState("", "", "", ""), Waiting(), horizon_ms=now_ms + MAX_FUTURE_MS, salvage=salvage, breathe=breathe,
        on_progress=on_progress,
    )
    summary = verified.summary()
    del summary["new"], summary["known"]
    return summary


class _Feeds:
    """Checks lines one by one against the feeds they continue."""

    def __init__(self, known: Mapping[str, Head], *, salvage: bool) -> None:
        self.heads: dict[str, Head] = {}
        self.problems: list[dict[str, Any]] = []
        self.known = known
        self.at_known: dict[str, bytes] = {}
        """The file's hash at the number where the log's own feed ends, by replica."""
        self.continuing: dict[str, Recorded] = {}
        """The file's first event by replica, where it is the one after the log's last."""
        self.retracted: set[str] = set()
        """Ids of events that were given and then found doubtful: only what follows an event tells that its envelope is as it was."""
        self._newest: dict[str, tuple[Recorded, int]] = {}
        self._confirmed: set[str] = set()
        """Replicas whose newest event is named by the damaged one after it."""
        self._last = ("", "")
        self._broken: set[str] = set()
        self._salvage = salvage

    def take(self, lines: list[bytes], number: int) -> list[Recorded]:
        """The events of lines, the first of which is line `number` of the file; without damaged ones if these are to be salvaged."""
        if not self._broken:
            try:
                return self._take_all(lines, number)
            except PyStoreError:
                pass  # looked at line by line, it is known which one it is
        events = (self._take_one(line, at) for at, line in enumerate(lines, number))
        return [event for event in events if event is not None]

    def _take_all(self, lines: list[bytes], number: int) -> list[Recorded]:
        check_json(lines)
        events = [parse_line(line) for line in lines]
        heads = dict(self.heads)
        self._check(events, heads)
        self.heads = heads
        self._newest.update((event.replica, (event, at)) for at, event in enumerate(events, number))
        return events

    def _check(self, events: list[Recorded], heads: dict[str, Head]) -> None:
        last = self._last
        at_known, continuing = {}, {}
        for event in events:
            order = event.order
            if order <= last:
                raise FormatError(f"Event {event.id} stands in the wrong place.")
            last = order
            if event.is_erased and event.type in NEVER_ERASED:
                raise AlteredError(f"Event {event.id} has no content, and a {event.type} is never erased.", id=event.id)
            known = self.known.get(event.replica)
            if known is None:
                continue
            if event.replica not in heads and 1 < event.seq <= known.seq + 1:
                # A feed that is not told from its beginning. If it does not fit to the log's that is a fork, unless the file is damaged:
                # told at its end.
                heads[event.replica] = Head(event.seq - 1, event.prev)
                if event.seq == known.seq + 1:
                    continuing[event.replica] = event
            if event.seq == known.seq:
                at_known[event.replica] = event.hash()
        check_feed(events, heads)
        self._last = last
        self.at_known.update(at_known)
        self.continuing.update(continuing)

    def _take_one(self, line: bytes, number: int) -> Recorded | None:
        if line.startswith(BLOB_MARK):
            raise NewerVersionError("This backup holds attachments, which this version cannot keep yet. Update pystore.", line=number)
        event = None
        try:
            event = parse_line(line)
            if event.replica in self._broken:
                return None
            check_json([line])
            self._check([event], self.heads)
        except PyStoreError as error:
            reason = error.message
            about = {"kind": error.code, **({"id": event.id} if event is not None else {})}
            if event is not None:
                self._broken.add(event.replica)
                before, _ = self._newest.get(event.replica, (None, 0))
                if before is not None and event.seq == before.seq + 1 and event.prev == before.hash():
                    self._confirmed.add(event.replica)
            if not self._salvage:
                raise CorruptBackupError(
                    f"Line {number} of this backup is damaged: {reason} Nothing was changed. You can ask to salvage the good part.",
                    line=number, reason=reason, **about,
                ) from error
            self.problems.append({"line": number, "why": reason, **about})
            if len(self.problems) > MAX_DAMAGED_LINES:
                raise CorruptBackupError("Too many lines of this backup are damaged. The rest was not read.", line=number) from error
            return None
        self._newest[event.replica] = (event, number)
        return event

    def retract_unconfirmed(self, header: Header) -> None:
        """Take back the last event of each feed, unless the one after it or the header names it."""
        for replica, (event, number) in self._newest.items():
            end = header.replicas.get(replica)
            is_end = end is not None and (end.seq, end.hash.encode()) == (event.seq, event.hash())
            if is_end or replica in self._confirmed:
                continue
            self.retracted.add(event.id)
            self.heads[replica] = Head(event.seq - 1, event.prev)
            self.at_known.pop(replica, None)
            self.problems.append({"line": number, "why": f"Event {event.id} cannot be verified: nothing undamaged names it."})


def check_json(lines: Sequence[bytes]) -> None:
    """Check that lines are JSON within the limits, and have the keys of an event and no more. Raises FormatError or ValidationError."""
    for value in load_lines(lines):
        if not isinstance(value, dict) or len(value) != ENVELOPE_KEYS:  # a key after `data` would pass for a part of it
            raise FormatError("A line is not an event as pystore records it.")


def _check_end(reader: LineReader, result: Verified, check: _Feeds, *, salvage: bool) -> None:
    footer = footer_of(reader.footer) if reader.footer is not None else None
    if footer is None:
        why = "Its last line is missing: the file is cut off, or was not saved to its end."
    elif footer.lines != reader.lines:
        why = f"It has {reader.lines:,} lines where it should have {footer.lines:,}."
    elif footer.sha256 != reader.sha256_hex:
        why = "Its checksum does not match: something in it was changed."
    elif reader.after_footer:
        why = "There is something after its end."
    elif not salvage and result.events != result.header.counts.events:
        why = f"It holds {result.events:,} events where its first line says {result.header.counts.events:,}."
    else:
        return
    if not salvage:
        raise CorruptBackupError(
            f"This backup is damaged. {why} Nothing was changed. You can ask to salvage the good part.", line=reader.lines + 1
        )
    check.problems.append({"line": reader.lines + 1, "why": why})


async def _check_against(check: _Feeds, log: EventLog, waiting: Waiting) -> None:
    """Check that the file and what is here are parts of the same feeds."""
    met = check.known.keys() & check.heads.keys()
    wanted = [(replica, check.heads[replica].seq) for replica in met if replica not in check.at_known and replica not in check.continuing]
    wanted += [(event.replica, event.seq - 1) for event in check.continuing.values()]
    # In one go: that costs as much as to look for the oldest of them.
    there = await log.events_by_id(f"{replica}:{seq}" for replica, seq in wanted if waiting.find(replica, seq) is None)

    def here(replica: str, seq: int) -> Recorded | None:
        return waiting.find(replica, seq) or there.get(f"{replica}:{seq}")

    for replica, known in check.known.items():
        in_file = check.heads.get(replica)
        if in_file is None:
            continue
        if replica in check.at_known:
            same = check.at_known[replica] == known.hash
        elif replica in check.continuing:
            first = check.continuing[replica]
            same = first.prev == known.hash or first.id in check.retracted
        else:
            ours = here(replica, in_file.seq)
            same = ours is None or ours.hash() == in_file.hash
        if not same:
            raise ForkError(
                f"This backup and your data disagree about what {replica} recorded: the same event has two contents. Nothing was changed.",
                id=f"{replica}:{min(in_file.seq, known.seq)}", replica=replica, seq=min(in_file.seq, known.seq),
            )
    for event in check.continuing.values():
        before = here(event.replica, event.seq - 1)
        if before is not None and event.order <= before.order:
            raise CorruptBackupError(
                f"Event {event.id} of this backup is dated before the one it follows. Nothing was changed.",
                id=event.id, kind=ChainError.__name__,
            )
