"""What a model adds to what was said is recorded where it would be missed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from pystore import Event, Schema, Store
from pystore.memory import MemoryPlatform

schema = Schema("shapes", app=1, views=1)


class Circle(Event):
    kind: Literal["circle"] = "circle"
    radius: int


class Square(Event):
    kind: Literal["square"] = "square"
    side: int


@schema.event("drawn")
class Drawn(Event):
    shapes: list[Annotated[Circle | Square, Field(discriminator="kind")]]


async def test_a_tag_with_a_default_is_recorded_so_that_the_event_can_be_read_again(platform: MemoryPlatform) -> None:
    async with await Store.open(schema, "a", platform=platform) as store:
        await store.append(Drawn(shapes=[Circle(radius=1), Square(side=2)]))

        [event] = await store.events()
        assert event["data"] == {"shapes": [{"kind": "circle", "radius": 1}, {"kind": "square", "side": 2}]}
    async with await Store.open(schema, "a", platform=platform) as store:
        assert store.query("SELECT * FROM pystore_conflict") == []
