"""What a schema declares, as one JSON value: event types, tables, indexes.

Kept in a file for each version of the application, it shows when a schema changed and its version did not.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from pystore.schema import Schema
from pystore.view import View

_OBJECTS = "SELECT name, sql FROM sqlite_master WHERE type = ? AND sql IS NOT NULL ORDER BY name"


def described(schema: Schema) -> dict[str, Any]:
    """All that `schema` declares, but for what its functions do.

    `events` has, by type, the version `v` and the JSON Schema of its data; `tables`, `indexes`, `triggers` and `checks` have their
    SQL by name.
    """
    with closing(View(schema)) as view:
        objects = {kind: {str(name): str(sql) for name, sql in view.select(_OBJECTS, (kind,))} for kind in ("table", "index", "trigger")}
        tables = {name: objects["table"][name] for name in view.tables()}
    return {
        "schema": schema.name, "app": schema.app, "views": schema.views,
        "events": {name: {"v": declared.v, "data": declared.model.model_json_schema()} for name, declared in sorted(schema.types.items())},
        "checks": dict(sorted(schema.checks.items())), "tables": tables, "indexes": objects["index"], "triggers": objects["trigger"],
        "searches": {
            search.name: {"table": search.table, "columns": list(search.columns), "tokenize": search.tokenize} for search in schema.searches
        },
    }


def not_raised(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, list[str]]:
    """By version number (`app`, `views`) that is the same in both descriptions: what changed all the same, as `events.note.added`."""
    covered = {"app": ("events",), "views": ("tables", "indexes", "triggers", "searches", "checks")}
    found = {
        version: [f"{part}.{name}" for part in parts for name in _differing(before.get(part, {}), now.get(part, {}))]
        for version, parts in covered.items()
        if before.get(version) == now.get(version)
    }
    return {version: names for version, names in found.items() if names}


def _differing(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
