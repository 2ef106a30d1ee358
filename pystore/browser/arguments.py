"""What a page may give to a verb of the store: names and types, checked before anything is done."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

import pydantic

from pystore.errors import ValidationError

_REQUIRED: Any = ...
_Mode = Literal["merge", "replace"]
_Text = str | None
_IDS = {"ids": (list[str], _REQUIRED), "batch": (_Text, None)}
_Moment = str | int

ARGUMENTS: dict[str, dict[str, tuple[Any, Any]]] = {
    "open": {"recover": (bool, False), "max_future_ms": (pydantic.NonNegativeInt, 0)},
    "append": {"batch": (_Text, None), "durability": (Literal["strict", "relaxed"], _REQUIRED)},
    "query": {"sql": (str, _REQUIRED), "parameters": (list[Any] | dict[str, Any], _REQUIRED)},
    "at": {"moment": (_Moment, _REQUIRED)},
    "rename": {"name": (str, _REQUIRED)},
    "events": {
        "before": (_Text, None), "after": (_Text, None), "types": (list[str] | None, None), "text": (_Text, None),
        "limit": (pydantic.NonNegativeInt, 0),
    },
    "activity": {"buckets": (pydantic.PositiveInt, 1), "since": (_Text, None), "until": (_Text, None)},
    "undo": _IDS,
    "redo": _IDS,
    "erase": _IDS,
    "restore_to": {"moment": (_Moment, _REQUIRED)},
    "migrate": {"dry_run": (bool, _REQUIRED)},
    "save": {"gzip": (bool, _REQUIRED), "passphrase": (_Text, None)},
    "inspect": {"passphrase": (_Text, None)},
    "restore": {"mode": (_Mode, _REQUIRED), "salvage": (bool, _REQUIRED), "passphrase": (_Text, None)},
    "import_file": {"name": (str, _REQUIRED)},
    "backups_create": {"label": (str, _REQUIRED)},
    "backups_verify": {"id": (_Text, None)},
    "backups_restore": {"id": (str, _REQUIRED), "mode": (_Mode, _REQUIRED), "salvage": (bool, _REQUIRED)},
    "backups_file": {"id": (str, _REQUIRED), "gzip": (bool, _REQUIRED)},
    "backups_remove": {"id": (str, _REQUIRED)},
    "backups_configure": {"running": (bool, True), "every": (dict[str, int], {}), "keep": (dict[str, int], {}), "remind_days": (int, 0)},
}
"""By verb, the type of each argument, and what stands for it where it may be left out. A verb that is not here takes none."""


@cache
def model(verb: str) -> type[pydantic.BaseModel]:
    """What the arguments of a verb have to be."""
    fields: dict[str, Any] = {**ARGUMENTS.get(verb, {})}
    return pydantic.create_model(verb, __config__=pydantic.ConfigDict(strict=True, extra="forbid"), **fields)


def check(verb: str, args: Any) -> None:
    """Raise ValidationError, naming it, if an argument of a call is not what it should be."""
    try:
        model(verb).model_validate(args)
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = ".".join(str(part) for part in problem["loc"]) or "arguments"
        raise ValidationError(f"{verb} was not done: {field}: {problem['msg']}.", verb=verb, field=field, reason=problem["msg"]) from error
