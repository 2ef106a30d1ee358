"""Events and their recorded form: one JSON line, written once, hash-chained within its replica.

    {"replica":R,"seq":N,"hlc":H,"type":T,"v":V,"prev":P,"digest":D,"salt":S,"data":{...}}

The bytes of a line are made here, by `record()`, and never again: storage, backups and sync carry the very same bytes.
`digest` is SHA-256 over the bytes of salt and data; an event's hash is SHA-256 over the line up to and including `digest`; and
`prev` is the hash of the replica's event before. So salt and data can be erased and the chain still verifies.
"""

from __future__ import annotations

import binascii
import os
import re
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from pystore.clock import iso_of
from pystore.errors import AlteredError, ChainError, FormatError, GapError

MAX_LINE_BYTES = 1 << 20
NO_HASH = b"A" * 43
"""`prev` of a replica's first event."""

ENVELOPE_KEYS = 9
"""How many keys a line has; `data` is the last."""

TYPE_PATTERN = re.compile(r"\$?[a-z0-9_.-]{1,99}")
REPLICA_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford base32, lower case
REPLICA_PATTERN = re.compile(rf"[{REPLICA_ALPHABET}]{{16}}")
_LINE = re.compile(
    rb'\{"replica":"([0-9abcdefghjkmnpqrstvwxyz]{16})","seq":([1-9][0-9]{0,14}),"hlc":"([0-9a-f]{12}-[0-9a-f]{4})",'
    rb'"type":"(\$?[a-z0-9_.-]{1,99})","v":([1-9][0-9]{0,8}),"prev":"[A-Za-z0-9_-]{43}","digest":"[A-Za-z0-9_-]{43}"'
    rb'(?P<salt>,"salt":"[A-Za-z0-9_-]{16}","data":(?=\{)|,"salt":null,"data":(?=null\}))'
)


class Event(BaseModel):
    """What an application appends: an immutable fact. Subclass it and register it with `Schema.event`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, serialize_by_alias=True)


class Recorded:
    """An event as it stands in the log: its envelope, and its line byte for byte.

    `data_json` is the JSON of `data` as bytes, `b"null"` once erased. `data` is the application's model, set by whoever validated
    it (None before that); a handler gets a Recorded with `data` set.
    """

    __slots__ = ("_hashed", "data", "data_json", "hlc", "line", "replica", "seq", "type", "v")

    def __init__(
        self, line: bytes, replica: str, seq: int, hlc: str, type: str, v: int, data_json: bytes, hashed: int, data: Any = None  # noqa: A002
    ) -> None:
        self.line = line
        self.replica = replica
        self.seq = seq
        self.hlc = hlc
        self.type = type
        self.v = v
        self.data_json = data_json
        self.data = data
        self._hashed = hashed  # how many bytes of the line its hash covers: up to the closing quote of the digest

    # ..."prev":"<43>","digest":"<43>","salt":"<16>","data":...
    @property
    def prev(self) -> bytes:
        """The hash of the replica's event before, as it stands in the line."""
        return self.line[self._hashed - 99 : self._hashed - 56]

    @property
    def hashed(self) -> bytes:
        """The part of the line that its hash covers: all before salt and data."""
        return self.line[: self._hashed]

    @property
    def digest(self) -> bytes:
        """The hash of salt and data, as it stands in the line."""
        return self.line[self._hashed - 44 : self._hashed - 1]

    @property
    def salt(self) -> bytes:
        """What keeps the digest from telling the data, as it stands in the line; empty once erased."""
        return b"" if self.is_erased else self.line[self._hashed + 9 : self._hashed + 25]

    @property
    def id(self) -> str:
        """`replica:seq`, unique in the world."""
        return f"{self.replica}:{self.seq}"

    @property
    def order(self) -> tuple[str, str]:
        """The place in the log's one total order."""
        return (self.hlc, self.replica)

    @property
    def time(self) -> str:
        """When it was recorded: UTC, ISO 8601 with milliseconds and `Z`."""
        return iso_of(self.hlc)

    @property
    def is_erased(self) -> bool:
        """Whether its content was erased."""
        return self.data_json == b"null"

    def hash(self) -> bytes:
        """What the next event of the replica carries as `prev`."""
        return b64(sha256(self.line[: self._hashed]).digest())

    def digest_holds(self) -> bool:
        """Whether salt and data are those that were recorded. True of an erased event: nothing is left to be wrong."""
        line, hashed = self.line, self._hashed
        return self.data_json == b"null" or b64(sha256(line[hashed + 9 : hashed + 25] + self.data_json).digest()) == self.digest

    def __repr__(self) -> str:
        return f"<Recorded {self.id} {self.type} {self.hlc}>"


class Head(NamedTuple):
    """The newest event of one replica's feed: its number and its hash."""

    seq: int = 0
    hash: bytes = NO_HASH


class Draft(NamedTuple):
    """An event that has been validated and not yet recorded; `data_json` are the bytes that will stand in the line."""

    type: str
    v: int
    data: Event
    data_json: bytes


_URL_SAFE = bytes.maketrans(b"+/", b"-_")


def b64(raw: bytes) -> bytes:
    """base64url without padding, as ASCII bytes."""
    return binascii.b2a_base64(raw, newline=False).translate(_URL_SAFE, b"=")


def _b64_of_each(digests: Iterable[bytes]) -> list[bytes]:
    """`b64` of each SHA-256 digest, in one call: a call costs as much as a hash."""
    # A zero byte fills each up to a multiple of three, so that its base64 is that of the digest alone and one character more.
    joined = b64(b"".join([digest + b"\0" for digest in digests]))
    return [joined[at : at + 43] for at in range(0, len(joined), 44)]


def new_replica_id() -> str:
    """16 characters of random Crockford base32."""
    return "".join(REPLICA_ALPHABET[byte & 31] for byte in os.urandom(16))


def record(drafts: Sequence[Draft], stamps: Sequence[str], replica: str, head: Head) -> tuple[list[Recorded], Head]:
    """The recorded events that continue the feed after `head`, one a draft, and the new head. The only place where lines are made."""
    seq, prev = head
    salts = binascii.b2a_base64(os.urandom(12 * len(drafts)), newline=False).translate(_URL_SAFE)
    salted = [salts[at : at + 16] for at in range(0, len(salts), 16)]
    digests = _b64_of_each(sha256(salt + draft.data_json).digest() for salt, draft in zip(salted, drafts, strict=True))
    begin = f'{{"replica":"{replica}","seq":'
    recorded = []
    for (type_, v, data, data_json), hlc, salt, digest in zip(drafts, stamps, salted, digests, strict=True):
        seq += 1
        about = f'{begin}{seq},"hlc":"{hlc}","type":"{type_}","v":{v},"prev":"'.encode()
        hashed = b'%b%b","digest":"%b"' % (about, prev, digest)
        line = b'%b,"salt":"%b","data":%b}' % (hashed, salt, data_json)
        recorded.append(Recorded(line, replica, seq, hlc, type_, v, data_json, len(hashed), data))
        prev = b64(sha256(hashed).digest())
    return recorded, Head(seq, prev)


def parse_line(line: bytes) -> Recorded:
    """The recorded event of a line (no newline at its end). Raises FormatError if it has not exactly the form above.

    The JSON of `data` is not looked at: that is `input_profile`'s for lines from outside.
    """
    match = _LINE.match(line)
    if match is None or line[-1:] != b"}":
        raise FormatError("A line is not an event as pystore records it.")
    replica, seq, hlc, type_, v = match.group(1, 2, 3, 4, 5)
    return Recorded(
        line, replica.decode(), int(seq), hlc.decode(), type_.decode(), int(v), line[match.end() : -1], match.start("salt")
    )


def check_feed(events: Sequence[Recorded], heads: dict[str, Head]) -> None:
    """Check that `events`, in order, continue the feeds in `heads`, which are moved on; digests included.

    Raises GapError, ChainError or AlteredError, with the `id` of the first event that is out of number, breaks its chain or was
    altered; then `heads` stand after the last good one.
    """
    # The hot path of every read: no calls that need not be.
    placed = [(event.line, event._hashed) for event in events]  # noqa: SLF001
    hashes = _b64_of_each(sha256(line[:hashed]).digest() for line, hashed in placed)
    digests = _b64_of_each(
        sha256(line[hashed + 9 : hashed + 25] + event.data_json).digest() for event, (line, hashed) in zip(events, placed, strict=True)
    )
    for event, (line, hashed), hash_, digest in zip(events, placed, hashes, digests, strict=True):
        seq, prev = heads.get(event.replica, _NO_HEAD)
        if event.seq > seq + 1:
            raise GapError(f"Event {event.id} does not follow: number {seq + 1} is missing.", id=event.id, expected=seq + 1)
        if event.seq <= seq:
            raise ChainError(f"Event {event.id} comes again: number {seq + 1} was expected.", id=event.id, expected=seq + 1)
        if line[hashed - 99 : hashed - 56] != prev:
            raise ChainError(f"Event {event.id} breaks its chain: the event before it is not the one it names.", id=event.id)
        if line[hashed - 44 : hashed - 1] != digest and not event.is_erased:
            raise AlteredError(f"Event {event.id} was altered: its content does not match its digest.", id=event.id)
        heads[event.replica] = Head(event.seq, hash_)


_NO_HEAD = Head()
