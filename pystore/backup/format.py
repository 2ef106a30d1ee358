"""The backup file: JSONL, UTF-8, a newline after every line, or the same gzipped.

{"pystore":"backup","format":1,...}              header
{"replica":...}                                  recorded events in the log's order, bytes as recorded
{"pystore":"end","lines":N,"sha256":"..."}       footer: lines before it, and the hash of every byte before it
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import pydantic

from pystore import codec
from pystore.errors import FormatError, NewerVersionError, PassphraseError, ValidationError
from pystore.event import MAX_LINE_BYTES, Head
from pystore.input_profile import load

FORMAT = 1
END_MARK = b'{"pystore":"end"'
BLOB_MARK = b'{"blob":'
GZIP_MARK = b"\x1f\x8b"
NOT_WHOLE = "It was saved from a damaged log: not everything is in it."


class FeedHead(pydantic.BaseModel):
    """How far one replica's feed goes in the file."""

    seq: int
    hash: str


class Counts(pydantic.BaseModel):
    """What the file holds, counted."""

    model_config = pydantic.ConfigDict(extra="allow")

    events: int
    by_type: dict[str, int] = {}
    records: dict[str, int] = {}
    conflicts: int = 0
    """How many events were set aside where it was saved."""


class Header(pydantic.BaseModel):
    """The first line. Keys that this version does not know are kept and passed over."""

    model_config = pydantic.ConfigDict(extra="allow", populate_by_name=True)

    kind: str = pydantic.Field(alias="pystore")
    format: Literal[1]
    log: str
    name: str
    application: str = pydantic.Field(alias="schema")
    saved_at: str
    saved_by: str
    versions: dict[str, Any]
    replicas: dict[str, FeedHead]
    counts: Counts

    @property
    def damage(self) -> Any:
        """The report of what is missing, if this is what could be read of a damaged log; None if nothing is."""
        damage = (self.model_extra or {}).get("damage")
        return damage if isinstance(damage, dict) and any(damage.values()) else None

    def line(self) -> bytes:
        """The header as it stands in a file, newline included."""
        return codec.encode(self.model_dump(mode="json", by_alias=True)) + b"\n"


class Footer(pydantic.BaseModel):
    """The last line: how many lines come before it, and the SHA-256 of their bytes in hex."""

    kind: str = pydantic.Field(alias="pystore")
    lines: int
    sha256: str


def header_of(line: bytes) -> Header:
    """The header of a file's first line. Raises FormatError (not a backup) or NewerVersionError."""
    try:
        value = load(line, max_keys=MAX_LINE_BYTES)  # replicas and types may be many: how long a line may be bounds them
    except ValidationError as error:
        raise FormatError("This file is not a pystore backup.", line=1, reason=error.message) from error
    kind = value.get("pystore") if isinstance(value, dict) else None
    if kind == "sealed-backup":
        raise PassphraseError("This backup is protected by a passphrase. Give the passphrase to open it.", missing=True)
    if kind != "backup":
        raise FormatError("This file is not a pystore backup.", line=1)
    version = value.get("format")
    if isinstance(version, int) and not isinstance(version, bool) and version > FORMAT:
        raise NewerVersionError("This backup was made by a newer pystore. Update pystore to read it.", format=version, supported=FORMAT)
    try:
        return Header.model_validate(value)
    except pydantic.ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise FormatError(f"The first line of this backup is damaged: {field}: {problem['msg']}.", line=1) from error


def footer_line(lines: int, sha256_hex: str) -> bytes:
    """The footer as it stands in a file, newline included."""
    return codec.encode({"pystore": "end", "lines": lines, "sha256": sha256_hex}) + b"\n"


def footer_of(line: bytes) -> Footer | None:
    """The footer of a line, or None if it is damaged."""
    try:
        return Footer.model_validate(load(line))
    except (ValidationError, pydantic.ValidationError):
        return None


def feed_heads(feeds: Mapping[str, Head]) -> dict[str, FeedHead]:
    """The feeds of a log as a header lists them."""
    return {replica: FeedHead(seq=head.seq, hash=head.hash.decode()) for replica, head in feeds.items()}
