"""The verbs of a store that a page may call: a closed list. Each gets the open store, and the call."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import js
from pyodide.ffi import JsException, to_js

from pystore.backup.save import gzipped
from pystore.errors import FormatError
from pystore.store import Store

FILE_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a verb: its arguments, the file or bytes that came with it, where chunks of an answer go, whom to tell of progress."""

    args: dict[str, Any]
    body: Any
    sink: Callable[[Any], None]
    progress: Callable[[str, int, int], None]


async def _stats(store: Store, _: Call) -> Any:
    return await store.stats()


async def _versions(store: Store, _: Call) -> Any:
    return await store.versions()


async def _flush(store: Store, _: Call) -> None:
    await store.flush()


async def _rename(store: Store, call: Call) -> None:
    await store.rename(call.args["name"])


async def _events(store: Store, call: Call) -> Any:
    return await store.events(**call.args)


async def _undo(store: Store, call: Call) -> Any:
    return await store.undo(call.args["ids"], batch=call.args["batch"])


async def _redo(store: Store, call: Call) -> Any:
    return await store.redo(call.args["ids"], batch=call.args["batch"])


async def _migrate(store: Store, call: Call) -> Any:
    return await store.migrate(dry_run=call.args["dry_run"], on_progress=call.progress)


async def _start_over(store: Store, _: Call) -> Any:
    return await store.start_over()


async def _erase(store: Store, call: Call) -> Any:
    return await store.erase(call.args["ids"], batch=call.args["batch"])


async def _restore_to(store: Store, call: Call) -> Any:
    return await store.restore_to(call.args["moment"])


async def _activity(store: Store, call: Call) -> Any:
    return await store.activity(**call.args)


async def _conflicts(store: Store, _: Call) -> Any:
    return await store.conflicts()


async def _waiting(store: Store, _: Call) -> Any:
    return await store.waiting()


async def _verify(store: Store, call: Call) -> Any:
    return await store.verify(on_progress=call.progress)


async def _save(store: Store, call: Call) -> None:
    await _give(store.save(gzip=call.args["gzip"], passphrase=call.args["passphrase"], on_progress=call.progress), call)


async def _inspect(store: Store, call: Call) -> Any:
    return await store.inspect(_chunks(call.body), passphrase=call.args["passphrase"], on_progress=call.progress)


async def _restore(store: Store, call: Call) -> Any:
    return await store.restore(_chunks(call.body), **call.args, on_progress=call.progress)


async def _import_file(store: Store, call: Call) -> Any:
    data = b"".join([chunk async for chunk in _chunks(call.body)])
    return await store.import_file(data, call.args["name"], on_progress=call.progress)


async def _backups_list(store: Store, _: Call) -> Any:
    return await store.backups.list()


async def _backups_stats(store: Store, _: Call) -> Any:
    return await store.backups.stats()


async def _backups_create(store: Store, call: Call) -> Any:
    return await store.backups.create(call.args["label"])


async def _backups_verify(store: Store, call: Call) -> Any:
    return await store.backups.verify(call.args["id"], on_progress=call.progress)


async def _backups_restore(store: Store, call: Call) -> Any:
    id_, mode, salvage = (call.args[name] for name in ("id", "mode", "salvage"))
    return await store.backups.restore(id_, mode=mode, salvage=salvage, on_progress=call.progress)


async def _backups_file(store: Store, call: Call) -> None:
    pieces = store.backups.file(call.args["id"], call.progress)
    await _give(gzipped(pieces) if call.args["gzip"] else pieces, call)


async def _backups_remove(store: Store, call: Call) -> None:
    await store.backups.remove(call.args["id"])


async def _backups_configure(store: Store, call: Call) -> Any:
    return await store.backups.configure(**call.args)


async def _backups_start(store: Store, _: Call) -> None:
    await store.backups.start()


async def _backups_stop(store: Store, _: Call) -> None:
    await store.backups.stop()


VERBS: dict[str, Callable[[Store, Call], Awaitable[Any]]] = {
    "stats": _stats,
    "versions": _versions,
    "flush": _flush,
    "rename": _rename,
    "events": _events,
    "undo": _undo,
    "redo": _redo,
    "erase": _erase,
    "migrate": _migrate,
    "start_over": _start_over,
    "restore_to": _restore_to,
    "activity": _activity,
    "conflicts": _conflicts,
    "waiting": _waiting,
    "verify": _verify,
    "save": _save,
    "inspect": _inspect,
    "restore": _restore,
    "import_file": _import_file,
    "backups_list": _backups_list,
    "backups_stats": _backups_stats,
    "backups_create": _backups_create,
    "backups_verify": _backups_verify,
    "backups_restore": _backups_restore,
    "backups_file": _backups_file,
    "backups_remove": _backups_remove,
    "backups_configure": _backups_configure,
    "backups_start": _backups_start,
    "backups_stop": _backups_stop,
    # Then sync.
}
KEPT = {
    "import_file": "What had come in until then is kept: undo the import to take it out again, or bring the file in again for the rest.",
    "save": "No file was made. Nothing was changed.",
    "backups_file": "No file was made. Nothing was changed.",
}
"""What is there after a verb was stopped, where it is not as it was before."""


async def _give(pieces: AsyncIterator[bytes], call: Call) -> None:
    async for piece in pieces:
        call.sink(to_js(piece))


async def _chunks(blob: Any) -> AsyncIterator[bytes]:
    """The bytes of a Blob or File, of which two chunks are in memory at once: the next is read while one is worked on."""

    def part(start: int) -> Awaitable[Any]:
        reading: Awaitable[Any] = js.pystore_host.part(blob, start, start + FILE_CHUNK_BYTES)
        return reading

    ahead = part(0)
    for start in range(0, blob.size, FILE_CHUNK_BYTES):
        try:
            buffer = await ahead
        except JsException as error:
            raise FormatError("The file could not be read: it was changed or moved since you chose it. Choose it again.") from error
        ahead = part(start + FILE_CHUNK_BYTES)
        yield buffer.to_bytes()
