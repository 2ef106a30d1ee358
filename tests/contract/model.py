"""A log's storage as a plain model, and random histories on which an adapter must agree with it after every step."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

from hypothesis import strategies as st

from pystore.errors import ConflictError
from pystore.ports import Checkpoint, Commit, LogStorage, Segment
from tests.contract.contract import Medium

NUMBERS = st.integers(1, 8)
NAMES = st.sampled_from("abc")
META_NAMES = st.sampled_from(["a", "b", "head"])
BODIES = st.binary(max_size=20)

SEGMENTS = st.tuples(NUMBERS, NUMBERS).flatmap(
    lambda span: st.builds(Segment, st.just(max(span)), st.just(min(span)), NUMBERS, BODIES)
)


@dataclass(frozen=True)
class SaveCheckpoint:
    name: str
    checkpoint: Checkpoint


@dataclass(frozen=True)
class DeleteCheckpoint:
    name: str


@dataclass(frozen=True)
class Flush:
    pass


@dataclass(frozen=True)
class Reopen:
    pass


@dataclass(frozen=True)
class Destroy:
    pass


Step = Commit | SaveCheckpoint | DeleteCheckpoint | Flush | Reopen | Destroy

COMMITS = st.builds(
    Commit,
    add=st.lists(SEGMENTS, max_size=3),
    delete=st.lists(NUMBERS, max_size=3, unique=True),
    meta=st.dictionaries(META_NAMES, BODIES, max_size=2),
    batches=st.dictionaries(NAMES, BODIES, max_size=1),
    durability=st.sampled_from(["strict", "relaxed"]),
)
APPENDS = st.builds(
    Commit,
    add=st.lists(SEGMENTS, min_size=1, max_size=1),
    meta=st.fixed_dictionaries({"head": BODIES}, optional={"a": BODIES}),
    batches=st.dictionaries(NAMES, BODIES, max_size=2),
)
OTHER_STEPS = st.one_of(
    st.builds(SaveCheckpoint, NAMES, st.builds(Checkpoint, BODIES, BODIES)),
    st.builds(DeleteCheckpoint, NAMES),
    st.just(Flush()),
    st.just(Reopen()),
    st.just(Destroy()),
)
HISTORIES = st.lists(st.tuples(st.sampled_from([0, 1]), st.one_of(APPENDS, APPENDS, COMMITS, COMMITS, OTHER_STEPS)), max_size=25)
"""Steps, each with the handle (of two) that takes it."""


@dataclass
class Model:
    segments: list[Segment] = field(default_factory=list)
    meta: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, bytes] = field(default_factory=dict)
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)

    def commit(self, commit: Commit) -> bool:
        """Whether the commit is taken."""
        numbers = [segment.number for segment in self.segments]
        left = [segment for segment in self.segments if segment.number not in commit.delete]
        segments = sorted([*left, *commit.add], key=lambda segment: segment.number)
        if any(number not in numbers for number in commit.delete):
            return False
        if any(one.number >= other.first for one, other in itertools.pairwise(segments)):
            return False
        if any(batch in self.batches for batch in commit.batches):
            return False
        self.segments = segments
        self.meta |= commit.meta
        self.batches |= commit.batches
        return True


async def agrees_with_the_model(medium: Medium, history: Sequence[tuple[int, Step]]) -> None:
    """Take every step on the medium and on the model, and compare all that can be read."""
    handles = [await medium.open(), await medium.open()]
    model = Model()
    for index, step in history:
        storage = handles[index]
        match step:
            case Commit():
                try:
                    await storage.commit(step)
                    is_taken = True
                except ConflictError:
                    is_taken = False
                assert is_taken == model.commit(step)
            case SaveCheckpoint(name, checkpoint):
                await storage.save_checkpoint(name, checkpoint)
                model.checkpoints[name] = checkpoint
            case DeleteCheckpoint(name):
                await storage.delete_checkpoint(name)
                model.checkpoints.pop(name, None)
            case Flush():
                await storage.flush()
            case Reopen():
                await storage.close()
                handles[index] = await medium.open()
            case Destroy():
                await handles[1 - index].close()
                await storage.destroy()
                handles = [await medium.open(), await medium.open()]
                model = Model()
        await _check(handles[1 - index], model)
    for handle in handles:
        await handle.close()


async def _check(storage: LogStorage, model: Model) -> None:
    assert await storage.segments() == model.segments
    assert await storage.meta() == model.meta
    for name in "abc":
        assert await storage.batch(name) == model.batches.get(name)
        assert await storage.load_checkpoint(name) == model.checkpoints.get(name)
    assert await storage.checkpoints() == {name: checkpoint.about for name, checkpoint in model.checkpoints.items()}
    size = await storage.size()
    assert size["log"] >= sum(len(segment.body) for segment in model.segments)
    assert size["checkpoints"] >= sum(len(checkpoint.image) for checkpoint in model.checkpoints.values())
