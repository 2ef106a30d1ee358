"""Replicas that go apart, undo, jump in time and exchange files in any order come to the same: one order, one view, one set of marks.

Hypothesis makes up what happens. After each step the store it happened to is compared with a model that is as simple as the rules:
the events are a sorted list, what is undone is found by going through all marks, and the view is a fold from nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from hashlib import sha256
from itertools import count
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from pystore import checkpoints, codec, importing, projection
from pystore import log as log_module
from pystore import segment as segment_module
from pystore import upkeep as upkeep_module
from pystore.clock import MAX_FUTURE_MS, iso_of_ms, ms_of, ms_of_iso
from pystore.errors import ConstraintError, HandlerError, ValidationError
from pystore.event import Event, Recorded
from pystore.importing import Imported, ImportFile
from pystore.marks import Span
from pystore.memory import MemoryPlatform
from pystore.projector import Projector
from pystore.store import Store
from pystore.view import View
from tests.support.fake_clock import START_MS, FakeClock
from tests.support.notes import (
    FolderMade,
    NoteEdited,
    NoteRemoved,
    a_part,
    check_chains,
    event_lines,
    lines_of,
    make_schema,
    note,
    rows,
    saved,
    shown,
    stored_events,
)
from tests.support.profiles import schedules
from tests.support.running import Loop

HOUR_MS = 3_600_000
SCHEMA = make_schema()


@SCHEMA.importer
def notes_in_lines(file: ImportFile, query: Callable[[str], list[dict[str, Any]]]) -> Imported:
    """One note for each line of the file, if it is not here yet."""
    here = {row["note_id"] for row in query("SELECT note_id FROM note")}
    ids = dict.fromkeys(file.item(index)["note_id"] for index in range(len(file)))
    return Imported("lines", len(ids), iter([note(id_) for id_ in ids if id_ not in here]))


# -- the model


def undone_in(events: list[Recorded]) -> dict[str, str]:
    """By the rule, of events in order: the ids of those that are undone, each with that of the mark which did it."""
    decided: dict[str, str | None] = {}
    for mark in reversed(events):
        # Every newer mark has had its say: a mark that is undone by now says nothing.
        if mark.type not in {"$undone", "$redone"} or decided.get(mark.id) is not None:
            continue
        data = codec.decode(mark.data_json)
        named = named_by(data["events"])
        for event in events:
            # Whoever made the mark did not have the import, and could not name what it brought in.
            if event.id in data.get("imports", ()) and event.type == "$imported" and event.order < mark.order and not event.is_erased:
                named |= named_by(codec.decode(event.data_json)["events"])
        for event in events:
            # Names and erasures stay, whatever names them.
            if event.id in named and event.order < mark.order and event.type not in {"$named", "$erased"}:
                decided.setdefault(event.id, mark.id if mark.type == "$undone" else None)
    return {id_: by for id_, by in decided.items() if by is not None}


def named_by(spans: list[str]) -> set[str]:
    """The ids of the events that `replica:seq` and `replica:first-last` name."""
    named = set()
    for span in spans:
        replica, numbers = span.split(":")
        first, _, last = numbers.partition("-")
        named |= {f"{replica}:{seq}" for seq in range(int(first), int(last or first) + 1)}
    return named


def fold(events: list[Recorded]) -> dict[str, list[dict[str, Any]]]:
    """What a view shows of events in order: of those that are not undone, folded from nothing, one at a time."""
    undone = undone_in(events)
    view = View(SCHEMA)
    try:
        projector = Projector(SCHEMA, view)
        for event in events:
            if event.id not in undone:
                projector.fold([event])
        return rows(view)
    finally:
        view.close()


def envelopes(lines: Iterable[bytes]) -> set[bytes]:
    """Lines but for salt and data, which may have been erased."""
    return {line.split(b',"salt":')[0] for line in lines}


# -- what happens

NAMES = st.sampled_from("12345")
TEXTS = st.sampled_from(["text", "one two", "three", "refused"])
FOLDERS = st.sampled_from("fg")
EVENTS = st.one_of(
    st.builds(note, NAMES, TEXTS, st.none() | FOLDERS),
    st.builds(NoteEdited, note_id=NAMES, text=TEXTS),
    st.builds(NoteRemoved, note_id=NAMES),
    st.builds(FolderMade, folder=FOLDERS),
)
WHO = st.integers(0, 3)
PICK = st.integers(0, 1000)
"""Chooses from what there is then."""
SPANS = st.lists(st.tuples(PICK, st.integers(0, 3)), min_size=1, max_size=3)


class Replicas(RuleBasedStateMachine):
    """2 to 4 devices with one log each and clocks of their own, and the files that they saved."""

    files = Bundle("files")

    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.patch = pytest.MonkeyPatch()
        self.clocks: list[FakeClock] = []
        self.platforms: list[MemoryPlatform] = []
        self.stores: list[Store] = []
        self.ids: dict[str, Recorded] = {}
        """All that was ever recorded, by anyone."""
        self.apart = 0
        """Steps since all had met."""
        # Small numbers, so that what happens seldom happens often.
        for module, name, value in (
            (log_module, "MERGE_FROM_SEGMENTS", 3), (log_module, "SEGMENT_EVENTS", 8), (projection, "FOLD_SLICE", 3),
            (checkpoints, "NEAR_EVENTS", 1), (checkpoints, "SPACE", 20), (projection, "NEAR_EVENTS", 1), (importing, "BATCH_EVENTS", 2),
            (upkeep_module, "UPKEEP_AFTER_S", 3600.0), (segment_module, "MERGED_EVENTS", 3),
        ):
            self.patch.setattr(module, name, value)
        # The same ids each time: they decide the order of what has the same time stamp.
        numbers = count()
        self.patch.setattr(log_module, "new_replica_id", lambda: sha256(b"%d" % next(numbers)).hexdigest()[:16])

    @initialize(hours=st.lists(st.integers(-6, 6), min_size=2, max_size=4))
    def begin(self, hours: list[int]) -> None:
        self.clocks = [FakeClock(START_MS + ahead * HOUR_MS) for ahead in hours]
        self.platforms = [MemoryPlatform(clock) for clock in self.clocks]
        self.stores = [self.loop.run(Store.open(SCHEMA, "a", platform=platform)) for platform in self.platforms]

    def teardown(self) -> None:
        try:
            if sys.exc_info()[0] is None and self.stores:
                self.meet()
        finally:
            for store in self.stores:
                self.loop.run(store.close())
            self.loop.close()
            self.patch.undo()

    def do(self, who: int, work: Callable[[Store], Coroutine[Any, Any, Any]]) -> Any:
        """What `work` gives for one of the stores, which is right afterwards."""
        store = self.stores[who % len(self.stores)]
        self.apart += 1

        async def done() -> Any:
            result = await work(store)
            await self.check(store)
            return result

        return self.loop.run(done())

    async def check(self, store: Store) -> list[Recorded]:
        """That a store shows and tells what the model says of its events; these."""
        events = await stored_events(store)
        self.ids.update((event.id, event) for event in events)
        check_chains(event.line for event in events)
        for event in [*events, *store.log.waiting.events]:
            assert event.is_erased or not store.log.state.erased.erases(event)
        waiting = {event["id"] for event in await store.waiting()}
        assert waiting.isdisjoint(event.id for event in events)
        assert len(await lines_of(store)) == len(events) + len(waiting)
        expected, undone = fold(events), undone_in(events)
        assert shown(store) == expected
        told = await store.events(limit=1000)
        reasons = {f"{row['replica']}:{row['seq']}": row["reason"] for row in expected["pystore_conflict"]}
        assert [(event["id"], event["undone"], event["undone_by"], event["conflict"]) for event in told] == [
            (event.id, event.id in undone, undone.get(event.id), reasons.get(event.id)) for event in reversed(events)
        ]
        assert {one["id"]: one["reason"] for one in await store.conflicts()} == reasons
        return events

    # -- writing

    @rule(who=WHO, events=st.lists(EVENTS, min_size=1, max_size=3), apart=st.booleans())
    def append(self, who: int, events: list[Event], apart: bool) -> None:
        async def work(store: Store) -> None:
            for some in [[event] for event in events] if apart else [events]:
                with suppress(ConstraintError, HandlerError):
                    await store.append(some)

        self.do(who, work)

    @rule(who=WHO, name=NAMES)
    def rename(self, who: int, name: str) -> None:
        self.do(who, lambda store: store.rename(name))

    @rule(who=WHO, names=st.lists(NAMES, min_size=1, max_size=4))
    def bring_in(self, who: int, names: list[str]) -> None:
        data = "\n".join(f'{{"note_id":"{name}"}}' for name in names).encode()
        self.do(who, lambda store: store.import_file(data, "notes.jsonl"))

    @rule(who=WHO, events=st.lists(EVENTS, min_size=1, max_size=2))
    def write_in_another_tab(self, who: int, events: list[Event]) -> None:
        async def work(store: Store) -> None:
            async with await Store.open(SCHEMA, "a", platform=store.platform) as tab:
                with suppress(ConstraintError, HandlerError):
                    await tab.append(events)
                with suppress(ValidationError):  # a name
                    await tab.undo(list(self.ids)[-1:])
            await store.catch_up()

        self.do(who, work)

    # -- history

    def spans(self, picked: list[tuple[int, int]], types: tuple[str, ...] = ()) -> list[str]:
        """Events of anyone, of `types` if given, whether they have arrived or not; each with some after it."""
        ids = [id_ for id_, event in self.ids.items() if not types or event.type in types] or list(self.ids)
        chosen = []
        for pick, more in picked:
            replica, seq = ids[pick % len(ids)].split(":")
            chosen.append(f"{replica}:{seq}-{int(seq) + more}" if more else f"{replica}:{seq}")
        return chosen

    @precondition(lambda self: self.ids)
    @rule(who=WHO, picked=SPANS, what=st.sampled_from(["undo", "redo"]), marks=st.booleans())
    def undo_or_redo(self, who: int, picked: list[tuple[int, int]], what: str, marks: bool) -> None:
        spans = self.spans(picked, ("$undone", "$redone", "$imported") if marks else ())

        async def work(store: Store) -> None:
            there = {event.id: event for event in await stored_events(store)}
            named = named_by(spans)
            for span in spans:
                if span in there and there[span].type == "$imported" and not there[span].is_erased:
                    named |= named_by(codec.decode(there[span].data_json)["events"])
            try:
                await (store.undo(spans) if what == "undo" else store.redo(spans))
            except ValidationError:
                waiting = {event["id"] for event in await store.waiting()}
                assert any(span in there and there[span].type in {"$named", "$erased"} for span in spans) or named & waiting
                return
            undone = undone_in(await stored_events(store))
            ours = [id_ for id_ in named if id_ in there and there[id_].type not in {"$named", "$erased"}]
            assert {id_ in undone for id_ in ours} <= {what == "undo"}

        self.do(who, work)

    @rule(who=WHO, pick=PICK, kind=st.sampled_from(["id", "order", "time", "ago"]), back=st.booleans())
    def look_at_a_moment(self, who: int, pick: int, kind: str, back: bool) -> None:
        async def work(store: Store) -> None:
            events = await stored_events(store)
            moment, until = moment_of(events, pick, kind)
            expected = fold(until)
            past = await store.at(moment)
            try:
                assert rows(past._open_view()) == expected
                assert past.info["events"] == len(until)
            finally:
                past.close()
            if back:
                later = [event for event in events if event not in until and event.type not in {"$named", "$erased"}]
                assert bool(await store.restore_to(moment)) == bool(later)
                undone = undone_in(await stored_events(store))
                assert {event.id for event in later} <= undone.keys()
                assert shown(store) == expected

        self.do(who, work)

    # -- files

    @rule(target=files, who=WHO)
    def save(self, who: int) -> Any:
        return self.do(who, saved)

    @rule(target=files, who=WHO, without=WHO)
    def save_without_one_feed(self, who: int, without: int) -> Any:
        async def work(store: Store) -> bytes:
            replicas = sorted(store.log.state.feeds)
            return await a_part(store, [replica for place, replica in enumerate(replicas) if place != without])

        return self.do(who, work)

    @rule(who=WHO, file=files, cut=st.integers(0, 100) | st.none())
    def restore(self, who: int, file: bytes, cut: int | None) -> None:
        """Bring a file in, perhaps one that was brought in before, an old one, or (`cut`, in percent) one that was cut off."""
        if cut is not None:
            file = file[: file.index(b"\n") + 1 + len(file) * cut // 100]

        async def work(store: Store) -> None:
            before = await lines_of(store)
            await store.restore([file], salvage=cut is not None)
            assert await none_waits_in_vain(store)
            after = await lines_of(store)
            brought = event_lines(file) if cut is None else file.split(b"\n")
            assert envelopes(before) <= envelopes(after) <= envelopes(before) | envelopes(brought)
            if cut is None:
                assert envelopes(brought) <= envelopes(after)

        self.do(who, work)

    @rule(giver=WHO, taker=WHO)
    def give(self, giver: int, taker: int) -> None:
        self.restore(taker, self.do(giver, saved), None)

    @rule(who=WHO, file=files)
    def restore_instead(self, who: int, file: bytes) -> None:
        async def work(store: Store) -> None:
            await store.restore([file], mode="replace")
            assert await none_waits_in_vain(store)
            more = envelopes(await lines_of(store)) - envelopes(event_lines(file))
            assert {envelope.split(b'"type":"')[1].split(b'"')[0] for envelope in more} <= {b"$erased"}

        self.do(who, work)

    @precondition(lambda self: self.ids)
    @rule(who=WHO, picked=SPANS)
    def erase(self, who: int, picked: list[tuple[int, int]]) -> None:
        spans = self.spans(picked)

        async def work(store: Store) -> None:
            with suppress(ValidationError):  # a mark, a name that is used, or not here
                await store.erase(spans)
                assert all(map(store.log.state.erased.covers, [span for text in spans if (span := Span.parse(text))]))

        self.do(who, work)

    # -- time, and what a device does by itself

    @rule(who=WHO, minutes=st.integers(-360, 360))
    def set_the_clock(self, who: int, minutes: int) -> None:
        self.clocks[who % len(self.clocks)].ms = START_MS + minutes * 60_000

    @rule(who=WHO)
    def reopen(self, who: int) -> None:
        who %= len(self.stores)

        async def work() -> Store:
            await self.stores[who].close()
            self.stores[who] = await Store.open(SCHEMA, "a", platform=self.platforms[who])
            await self.check(self.stores[who])
            assert await none_waits_in_vain(self.stores[who])
            return self.stores[who]

        self.loop.run(work())

    @rule(who=WHO)
    def upkeep(self, who: int) -> None:
        self.do(who, lambda store: store.upkeep(now=True))

    # -- and in the end

    @precondition(lambda self: self.apart > 15)
    @rule()
    def meet(self) -> None:
        """Clocks are set right, everyone gets everything, and all are equal."""
        self.loop.run(self.met())
        self.apart = 0

    @precondition(lambda self: self.apart > 8)
    @rule()
    def exchange_without_what_erases(self) -> None:
        """Everyone gets everything but the feeds that erase something: what anyone has without content, nobody has with it."""
        self.loop.run(self.exchanged_without_what_erases())

    async def exchanged_without_what_erases(self) -> None:
        told = [event for store in self.stores for event in await stored_events(store)]
        told += [event for store in self.stores for event in store.log.waiting.events]
        erasing = {event.replica for event in told if event.type == "$erased"}
        for source, target in there_and_back(len(self.stores)):
            store = self.stores[source]
            await self.stores[target].restore([await a_part(store, store.log.whole.feeds.keys() - erasing)])
        contents: dict[str, set[bytes]] = {}
        for store in self.stores:
            for event in await self.check(store):
                if event.replica not in erasing:
                    contents.setdefault(event.id, set()).add(event.data_json)
        assert all(len(of_one) == 1 for of_one in contents.values())

    async def met(self) -> None:
        newest = [ms_of(store.log.whole.newest[0]) for store in self.stores]
        for clock in self.clocks:
            clock.ms = max(newest + [clock.ms for clock in self.clocks])
        for source, target in there_and_back(len(self.stores)):
            await self.stores[target].restore([await saved(self.stores[source])])
        first, *others = self.stores
        lines, told, conflicts = await lines_of(first), await first.events(limit=1000), await first.conflicts()
        await self.check(first)
        for store in self.stores:
            assert await store.waiting() == []
            assert await store.verify() == {"sound": True, "events": len(lines), "problems": []}
        for store in others:
            assert await lines_of(store) == lines
            assert shown(store) == shown(first)
            assert await store.events(limit=1000) == told
            assert await store.conflicts() == conflicts
            assert (store.log.state.feeds, store.log.state.counts) == (first.log.state.feeds, first.log.state.counts)
            assert store.log.state.named == first.log.state.named
            assert store.log.state.name == first.log.state.name or not first.log.state.named[1]


async def none_waits_in_vain(store: Store) -> bool:
    """Whether each event that waits is from too far in the future, or follows one that is."""
    ahead: set[str] = set()
    for event in await store.waiting():
        replica = event["id"].split(":")[0]
        if ms_of_iso(event["time"]) > store.platform.now_ms() + MAX_FUTURE_MS:
            ahead.add(replica)
        elif replica not in ahead:
            return False
    return True


def moment_of(events: list[Recorded], pick: int, kind: str) -> tuple[str | int, list[Recorded]]:
    """A moment of a log, as it is asked for, and the events up to it."""
    if kind == "ago" or not events:
        ago = pick % (len(events) + 2)
        return ago, events[: max(0, len(events) - ago)]
    chosen = events[pick % len(events)]
    if kind in {"id", "order"}:
        return chosen.id if kind == "id" else "/".join(chosen.order), [event for event in events if event.order <= chosen.order]
    ms = ms_of(chosen.hlc) - pick % 2
    return iso_of_ms(ms), [event for event in events if ms_of(event.hlc) <= ms]


def there_and_back(length: int) -> Iterator[tuple[int, int]]:
    """Who gives to whom, so that in the end everyone has everything."""
    yield from ((who, who + 1) for who in range(length - 1))
    yield from ((who, who - 1) for who in range(length - 1, 0, -1))


def test_replicas_come_to_the_same_whatever_happens_in_which_order() -> None:
    run_state_machine_as_test(Replicas, settings=settings(max_examples=schedules(), stateful_step_count=30))
