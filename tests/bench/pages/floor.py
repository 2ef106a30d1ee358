"""What libraries in C and Rust take for an event, and nothing around them: less than this no Python in a browser can take for it.

Run in a plain Pyodide by `floor_worker.js`. Each call below is one that an event needs once: it is read, checked, hashed twice (its
content, and its place in the chain), packed, written to tables with the assistant's indexes, and put into the full-text index.
"""

import json
import sqlite3
import time
from collections.abc import Callable
from hashlib import sha256
from typing import Annotated, Any, Literal

import msgspec
from compression import zstd
from pydantic import BaseModel, ConfigDict, Field

ROUNDS = 30
ENVELOPE_BYTES = 260

Id = Annotated[str, Field(min_length=1, max_length=200)]


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TextPart(Model):
    type: Literal["text"]
    text: str


class Message(Model):
    message_id: Id
    conversation_id: Id
    parent_id: Id | None = None
    role: Literal["system", "user", "assistant", "tool"]
    content: list[TextPart]
    model: Id | None = None
    created_at: str


def measure(lines: str) -> str:
    """Microseconds an event, by what is done, as JSON: the best of the rounds. `lines` are JSON of the data of messages."""
    datas = lines.encode().split(b"\n")
    decode, encode = msgspec.json.Decoder().decode, msgspec.json.Encoder().encode
    validate = Message.__pydantic_validator__.validate_json
    envelope = b"e" * ENVELOPE_BYTES
    joined = b"\n".join([envelope + data for data in datas])
    rows = [
        (*(value[key] for key in ("message_id", "conversation_id", "parent_id", "role", "created_at")), value["content"][0]["text"])
        for value in map(decode, datas)
    ]
    best = {
        "read: JSON to values and back, by msgspec": _best(lambda: [encode(decode(data)) for data in datas]),
        "check: pydantic": _best(lambda: [validate(data) for data in datas]),
        "hash: two SHA-256": _best(lambda: [(sha256(data).digest(), sha256(envelope).digest()) for data in datas]),
        "pack: zstd, level 1": _best(lambda: zstd.compress(joined, level=1)),
    }
    written = [_written(rows) for _ in range(ROUNDS)]
    best["write: SQLite, in one call"] = min(insert for insert, _ in written)
    best["index: FTS5, in one call"] = min(index for _, index in written)
    best["all of it"] = sum(best.values())
    return json.dumps({what: seconds * 1e6 / len(datas) for what, seconds in best.items()})


def _best(work: Callable[[], Any]) -> float:
    return min(_timed(work) for _ in range(ROUNDS))


def _timed(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _written(rows: list[tuple[Any, ...]]) -> tuple[float, float]:
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.executescript("""
        CREATE TABLE message (
            position INTEGER PRIMARY KEY, message_id TEXT NOT NULL UNIQUE, conversation_id TEXT NOT NULL, parent_id TEXT,
            role TEXT NOT NULL, text TEXT NOT NULL, created_at TEXT NOT NULL
        );
        CREATE INDEX message_by_time ON message (conversation_id, created_at);
        CREATE VIRTUAL TABLE search USING fts5(text, content='message', content_rowid='position', tokenize='unicode61 remove_diacritics 2');
        BEGIN;
    """)
    insert = "INSERT INTO message (message_id, conversation_id, parent_id, role, created_at, text) VALUES (?, ?, ?, ?, ?, ?)"
    index = "INSERT INTO search (rowid, text) SELECT position, text FROM message"
    times = _timed(lambda: db.executemany(insert, rows)), _timed(lambda: (db.execute(index), db.execute("COMMIT")))
    db.close()
    return times
