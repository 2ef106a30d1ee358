"""A wheel of an application that is one module beside its page, so that a small application needs no packaging of its own."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from pathlib import Path

LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same files make the same wheel


def make(source: Path, wheel: Path) -> None:
    """Make the file `wheel` of the module or package at `source`."""
    name = source.stem
    files = {path.relative_to(source.parent).as_posix(): path.read_bytes() for path in modules(source)}
    files |= {
        f"{name}-0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0\n".encode(),
        f"{name}-0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: pystore\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{name}-0.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(content)},{len(content)}\n" for path, content in files.items()]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    wheel.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, content in files.items():
            archive.writestr(zipfile.ZipInfo(path, LONG_AGO), content)


def modules(source: Path) -> list[Path]:
    """The files of a module or package, sorted."""
    if source.is_file():
        return [source]
    return sorted(path for path in source.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
