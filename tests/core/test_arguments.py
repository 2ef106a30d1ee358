"""What a page gives to the verbs of the store is checked by name and type."""

from typing import Any

import pytest

from pystore.browser.arguments import ARGUMENTS, check
from pystore.errors import ValidationError


def test_what_is_left_out_or_as_it_should_be_is_taken() -> None:
    for verb, args in [
        ("stats", {}), ("events", {}), ("events", {"limit": 5, "types": None}), ("at", {"moment": 3}), ("at", {"moment": "2026-01-01"}),
        ("undo", {"ids": ["a:1"], "batch": "b"}), ("query", {"sql": "SELECT 1", "parameters": {"a": 1}}),
        ("backups_configure", {"keep": {"auto": 3}}), ("open", {"recover": True}), ("backups_verify", {"id": None}),
    ]:
        check(verb, args)


@pytest.mark.parametrize("verb", ["stats", *ARGUMENTS])
def test_what_is_no_argument_is_named(verb: str) -> None:
    odd: list[Any] = [None, [], "x", 5, {"nothing": 1}, {**dict.fromkeys(ARGUMENTS.get(verb, {}), object()), "nothing": 1}]
    for args in odd:
        with pytest.raises(ValidationError, match=f"^{verb} was not done: "):
            check(verb, args)
