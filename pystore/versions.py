"""The version document of a data set: which application wrote its events, in which version, and that of its views.

Unsigned integers; 0 is development. Keys that nobody here knows are kept as they are, at any depth. Beside it stands what that
version showed of the data, by numbers: a newer one must not show less.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import pydantic

from pystore import codec
from pystore.errors import CorruptError, FormatError, NewerVersionError
from pystore.schema import Schema

__version__ = "0.1.0"

META_VERSION = 1
VERSIONS, SHOWN = "versions", "shown"
"""Where they stand in a log's metadata."""
VersionDocument = dict[str, Any]
UNKNOWN: Mapping[str, Any] = {"meta_version": META_VERSION}
"""The document of a log of which nothing tells the versions any more. Each event tells in which form it is, so it counts as older."""


def program(platform: str) -> str:
    """The program and its version as it stands in documents: `pystore-indexeddb:0.1.0`."""
    return f"pystore-{platform}:{__version__}"


def new_document(schema: Schema, by: str) -> VersionDocument:
    """The document of a data set that `schema` begins."""
    return {
        "meta_version": META_VERSION,
        "schema": schema.name,
        "app": {"version": schema.app, "last_migrated_by": by, "last_written_by": by},
        "views": {"version": schema.views, "last_migrated_by": by, "last_written_by": by},
    }


class Shown(pydantic.BaseModel):
    """What version `app` showed of a log: how many rows its tables had (`records`), and the events that it had set aside (`conflicts`).

    As of the moment that `epoch` and `segment` name: see `LogState`.
    """

    model_config = pydantic.ConfigDict(extra="allow", frozen=True)

    epoch: str
    segment: int
    app: int
    records: dict[str, int]
    conflicts: list[str]

    @classmethod
    def from_meta(cls, meta: Mapping[str, bytes]) -> Self | None:
        """What is noted; None if nothing is, or it cannot be read: then nothing is known."""
        try:
            return cls.model_validate_json(meta[SHOWN])
        except (KeyError, pydantic.ValidationError, CorruptError):
            return None

    def is_of(self, epoch: str, segment: int) -> bool:
        """Whether nothing was changed since."""
        return (self.epoch, self.segment) == (epoch, segment)

    def to_meta(self) -> dict[str, bytes]:
        """As it is kept in the log's metadata."""
        return {SHOWN: codec.encode(self.model_dump(mode="json"))}


@dataclass(frozen=True, slots=True)
class Reading:
    """What a document means for a schema: why the data set may only be read (None: it may be written), and whether it is older."""

    read_only: str | None
    is_older: bool


def read(document: VersionDocument, schema: Schema) -> Reading:
    """Compare a document with the schema.

    Raises FormatError if it is another application's, and NewerVersionError if production meets development data or the reverse.
    """
    if (name := application(document)) not in (None, schema.name):
        raise FormatError(
            f"These data belong to another application ({name}), not to {schema.name}. Nothing was changed. Open them with that one.",
            schema=name,
        )
    if document == UNKNOWN:
        return Reading(None, is_older=True)
    meta_version = document.get("meta_version")
    is_newer = not isinstance(meta_version, int) or meta_version > META_VERSION
    stored = app_version(document)
    # A newer pystore may say the version in another way: then it is not known to be one of development.
    if (not is_newer or _named_version(document) is not None) and (stored == 0) != (schema.app == 0):
        raise NewerVersionError(
            "These data were written by a development version of the application and are not for this one."
            if stored == 0
            else "This is a development version of the application; it does not open real data.",
            stored=stored, supported=schema.app,
        )
    if is_newer:
        return Reading("The data were written by a newer pystore. You can read and save them, but not change them here.", False)
    if stored > schema.app:
        return Reading(
            "The data were written by a newer version of this application. You can read and save them, but not change them here.", False
        )
    return Reading(None, stored < schema.app)


def written(document: VersionDocument, schema: Schema, by: str) -> VersionDocument:
    """The document after this program has written to the data set: the same object if nothing in it changes. Unknown keys stay."""
    if application(document) == schema.name and all(
        isinstance(entry := document.get(key), dict) and entry.get("version") == version and entry.get("last_written_by") == by
        for key, version in (("app", schema.app), ("views", schema.views))
    ):
        return document
    document = copy.deepcopy(document)
    document["schema"] = schema.name
    for key, version in (("app", schema.app), ("views", schema.views)):
        if not isinstance(document.get(key), dict):
            document[key] = {}
        entry = document[key]
        if entry.get("version") != version:
            entry["version"] = version
            entry["last_migrated_by"] = by
        entry["last_written_by"] = by
    return document


def application(document: VersionDocument) -> str | None:
    """The name of the schema whose data set it is; None where that was not noted yet."""
    name = document.get("schema")
    return name if isinstance(name, str) else None


def development(meta: Mapping[str, bytes], schema: Schema) -> bool:
    """Whether a log's metadata say that a development version of this application wrote it: only then may it be destroyed at will."""
    try:
        document = codec.decode(meta["versions"])
    except (KeyError, ValueError, CorruptError):
        return False
    return isinstance(document, dict) and application(document) in (None, schema.name) and _named_version(document) == 0


def from_json(raw: bytes) -> VersionDocument:
    """The document as it is kept. Raises CorruptError."""
    try:
        document = codec.decode(raw)
    except ValueError as error:
        raise CorruptError("The version document is damaged. Restore the log from a backup.") from error
    if not isinstance(document, dict):
        raise CorruptError("The version document is damaged. Restore the log from a backup.")
    return document


def app_version(document: VersionDocument) -> int:
    """The version of the application that a document names; 0 if it names none."""
    return _named_version(document) or 0


def _named_version(document: VersionDocument) -> int | None:
    entry = document.get("app")
    version = entry.get("version") if isinstance(entry, dict) else None
    return version if isinstance(version, int) and version >= 0 else None
