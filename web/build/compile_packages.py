"""Runs inside Pyodide at build time: turns /packages into one archive of compiled modules, and names the extensions."""

import importlib.util
import io
import marshal
import zipfile
from pathlib import Path

PACKAGES = Path("/packages")
SUFFIX = ".cpython-314-wasm32-emscripten.so"
BEGINNING = (1980, 1, 1, 0, 0, 0)


def compiled(path: Path) -> bytes:
    """The `.pyc` of a source file, to be taken without looking for the source. Docstrings stay: pydantic shows them."""
    name = str(path.relative_to(PACKAGES))
    code = compile(path.read_bytes(), name, "exec", dont_inherit=True)
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code)


def module_name(path: Path) -> str:
    """The name under which an extension is imported."""
    return ".".join(path.relative_to(PACKAGES).parts).removesuffix(SUFFIX)


def archive() -> bytes:
    """All modules and data files, in order of their names, none compressed: zipimport then only copies."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as target:
        for path in sorted(path for path in PACKAGES.rglob("*") if path.is_file()):
            name = str(path.relative_to(PACKAGES))
            if path.suffix == ".py":
                target.writestr(zipfile.ZipInfo(name + "c", BEGINNING), compiled(path))
            elif path.suffix not in {".so", ".pyi", ".pyc"}:
                target.writestr(zipfile.ZipInfo(name, BEGINNING), path.read_bytes())
    return made.getvalue()


extensions = [(module_name(path), str(path)) for path in sorted(PACKAGES.rglob(f"*{SUFFIX}"))]
(archive(), extensions)
