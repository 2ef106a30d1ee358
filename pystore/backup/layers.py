"""The layers of automatic backups: which is due when, and how many of each are kept."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Annotated, Any, NamedTuple

import pydantic

from pystore.errors import ValidationError

DAMAGED = "damaged"
"""What could be read of a damaged log: see `pystore.backup.damage`."""
KEPT = {
    "auto": 10, "hourly": 24, "daily": 7, "weekly": 4, "manual": 100, "before-migration": 10, "before-restore": 10, DAMAGED: 10,
}
"""How many backups each layer keeps, unless told otherwise."""
EVERY = {"auto": 15, "hourly": 1, "daily": 1, "weekly": 1}
"""The layers that are made by the clock, and how often, unless told otherwise: every so many minutes, hours, days, weeks."""
TIMED = tuple(EVERY)
MOST_EVERY = 24 * 60
_ID = re.compile(r"([0-9]{6,12})-([a-z-]{1,30})-([0-9a-f]{12})")


class Settings(pydantic.BaseModel):
    """What people choose about the backups of a log."""

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    running: bool = True
    """Whether backups are made by the clock."""
    every: dict[str, Annotated[int, pydantic.Field(ge=1, le=MOST_EVERY)]] = {}
    """How often one of a layer is made, if something changed, where that is not as in `EVERY`."""
    keep: dict[str, pydantic.NonNegativeInt] = {}
    """How many of a layer are kept, where that is not as in `KEPT`; 0, for one that the clock makes: the layer is not made."""
    remind_days: int = pydantic.Field(default=30, ge=0, le=3650)
    """After how many days without a file outside the store people are reminded to download one; 0: never."""

    is_lost: bool = pydantic.Field(default=False, exclude=True)
    """Whether what people chose cannot be read: these are the defaults, and nothing is superfluous until they choose anew."""

    def interval(self, layer: str) -> int:
        """How often one of a layer is made: in its own unit, see `EVERY`."""
        return self.every.get(layer, EVERY[layer])

    def kept(self, layer: str) -> int:
        """How many of a layer are kept: at least one, unless the clock makes them."""
        return max(self.keep.get(layer, KEPT.get(layer, 0)), 0 if layer in TIMED else 1)

    def changed(self, changes: dict[str, Any]) -> Settings:
        """These settings with some changed. Raises ValidationError for what cannot be."""
        layers = {"every": EVERY, "keep": KEPT}
        unknown = [key for key in changes if key not in Settings.model_fields or key == "is_lost"]
        unknown += [f"{key}.{layer}" for key, known in layers.items() for layer in changes.get(key, {}) if layer not in known]
        if unknown:
            raise ValidationError(f"There is no setting {min(unknown)!r} of backups.", setting=min(unknown))
        merged = {key: {**getattr(self, key), **changes[key]} for key in layers if key in changes}
        try:
            settings = Settings.model_validate({**self.model_dump(), **changes, **merged})
        except pydantic.ValidationError as error:
            problem = error.errors(include_url=False)[0]
            raise ValidationError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}.") from error
        if never := [layer for layer in changes.get("keep", {}) if not settings.keep[layer] and layer not in TIMED]:
            raise ValidationError(
                f"The layer {never[0]} keeps at least one: its backups are made for somebody who relies on them. Only those that the clock "
                f"makes can be left out: {', '.join(TIMED)}.", setting=f"keep.{never[0]}",
            )
        return settings


class BackupId(NamedTuple):
    """What the id of a backup tells: its place among all, its layer, and when it was made (milliseconds since 1970)."""

    number: int
    layer: str
    made_ms: int

    def __str__(self) -> str:
        return f"{self.number:06d}-{self.layer}-{self.made_ms:012x}"

    @classmethod
    def parse(cls, text: str) -> BackupId | None:
        """The id that a text is, or None."""
        match = _ID.fullmatch(text)
        return cls(int(match[1]), match[2], int(match[3], 16)) if match else None


def period(layer: str, ms: int, every: int) -> object:
    """What of the clock a time falls into: a backup of the layer is due once in each.

    Those of several hours, days or weeks are counted from a Sunday's midnight. Hours, days and weeks are those of the local time.
    """
    if layer == "auto":
        return ms // (every * 60_000)
    local = time.localtime(ms / 1000)
    day = date(local.tm_year, local.tm_mon, local.tm_mday).toordinal()  # one with 7 | ordinal is a Sunday
    return {"hourly": day * 24 + local.tm_hour, "daily": day, "weekly": day // 7}[layer] // every


def due(made: Iterable[BackupId], settings: Settings, now_ms: int) -> list[str]:
    """The layers of which a backup is due now: however many fell due meanwhile, once each."""
    newest: dict[str, BackupId] = {}
    for one in sorted(made):
        newest[one.layer] = one  # by number: the clock may have been wrong

    def is_over(layer: str) -> bool:
        every = settings.interval(layer)
        return layer not in newest or period(layer, newest[layer].made_ms, every) != period(layer, now_ms, every)

    return [layer for layer in TIMED if settings.kept(layer) and is_over(layer)]


def superfluous(made: Sequence[BackupId], settings: Settings) -> list[BackupId]:
    """Those that are more than their layer keeps: the oldest. None while it is not known how many that is."""
    gone: list[BackupId] = []
    if settings.is_lost:
        return gone
    for layer in {one.layer for one in made}:
        of_layer = sorted(one for one in made if one.layer == layer)
        gone += of_layer[: max(0, len(of_layer) - settings.kept(layer))] if layer in KEPT else []
    return gone
