"""The core suite and the storage contract once more, inside Pyodide in a real browser: the same files."""

from __future__ import annotations

import http.server
import io
import os
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

import build
from tests.support.chromium import Watch
from tests.support.serving import serving

HERE = Path(__file__).parent / "pyodide_suite"
TIMEOUT_S = 600 if os.environ.get("HYPOTHESIS_PROFILE", "normal") == "normal" else 7000
MOUNTED = [
    "pystore",
    "tests/core",
    "tests/contract",
    "tests/support",
    "tests/data",
    "tests/conftest.py",
    "tests/browser/pyodide_suite",
]
PARTS = {
    "contract": "tests/contract/test_*.py",
    "a to e": "tests/core/test_[a-e]*.py",
    "f to m": "tests/core/test_[f-m]*.py",
    "n to z": "tests/core/test_[n-z]*.py",
}
"""Each in a page of its own: a browser that has worked for minutes is not what most people have."""
NATIVE_ONLY = {"tests/contract/test_sqlite.py"}
PYTEST_INI = """\
[pytest]
addopts = --strict-markers --import-mode=importlib -p no:cacheprovider -p no:faulthandler -q
pythonpath = .
xfail_strict = true
filterwarnings = error
markers = long: only in the long run
"""


def repository() -> bytes:
    """A zip of the Python that the suites need."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("pyodide.ini", PYTEST_INI)
        for name in MOUNTED:
            path = build.ROOT / name
            for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
                if file.is_file() and "__pycache__" not in file.parts:
                    zipped.write(file, file.relative_to(build.ROOT))
    return archive.getvalue()


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A server of the suite's page, Pyodide, the wheels and the repository's Python."""
    build.set_up_node()
    wheels = [build.set_up_site_wheels(), build.set_up_site_test_wheels()]
    folders = {"pyodide": [build.ROOT / "node_modules" / "pyodide"], "wheels": wheels, "web": [build.ROOT / "web"], "suite": [HERE]}
    archive = repository()

    class Handler(http.server.SimpleHTTPRequestHandler):
        extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | {
            ".js": "text/javascript",
            ".mjs": "text/javascript",
            ".wasm": "application/wasm",
            ".html": "text/html; charset=utf-8",
        }

        def translate_path(self, path: str) -> str:
            _, top, name = path.partition("?")[0].split("/", 2)
            found = [folder / name for folder in folders.get(top, []) if (folder / name).is_file()]
            return str(found[0] if found else HERE / "no such file")

        def do_GET(self) -> None:
            if self.path != "/repository.zip":
                super().do_GET()
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(archive)))
            self.end_headers()
            self.wfile.write(archive)

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler) as address:
        yield address


def files_of(part: str) -> set[str]:
    return {str(path.relative_to(build.ROOT)) for path in build.ROOT.glob(PARTS[part])}


def test_every_file_of_the_suite_is_in_one_part() -> None:
    files = [*build.ROOT.glob("tests/core/test_*.py"), *build.ROOT.glob("tests/contract/test_*.py")]
    assert Counter(str(path.relative_to(build.ROOT)) for path in files) == Counter(file for part in PARTS for file in files_of(part))


@pytest.mark.timeout(TIMEOUT_S + 60)
@pytest.mark.parametrize("part", PARTS)
def test_the_core_suite_passes_inside_pyodide(
    page: Page, address: str, watch: Watch, request: pytest.FixtureRequest, part: str
) -> None:
    wheels = [wheel.name for folder in (build.SITE_WHEELS, build.SITE_TEST_WHEELS) for wheel in sorted(folder.glob("*.whl"))]
    profile = os.environ.get("HYPOTHESIS_PROFILE", "normal")
    order = {
        "wheels": wheels,
        "args": [*sorted(files_of(part) - NATIVE_ONLY), *(() if profile == "long" else ("-m", "not long"))],
        "environment": {"HYPOTHESIS_PROFILE": profile},
    }
    page.goto(f"{address}/suite/index.html")
    messages: list[dict[str, Any]] = page.evaluate(
        """([order, timeoutMs]) => new Promise((resolve) => {
            const messages = [];
            const worker = new Worker('/suite/worker.js', { type: 'module' });
            const end = () => { worker.terminate(); resolve(messages); };
            setTimeout(end, timeoutMs);
            worker.onerror = (event) => { messages.push({ kind: 'death', line: event.message }); end(); };
            worker.onmessage = ({ data }) => {
                messages.push(data);
                if (data.kind === 'end' || data.kind === 'death') end();
            };
            worker.postMessage(order);
        })""",
        [order, TIMEOUT_S * 1000],
    )
    tests = [message for message in messages if message["kind"] == "test"]
    counts = Counter(message["outcome"] for message in tests)
    slowest = sorted(tests, key=lambda message: -message["seconds"])[:5]
    summary = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
    summary += "; slowest: " + ", ".join(f"{message['test'].rpartition('::')[2]} {message['seconds']:.1f} s" for message in slowest)
    request.node.user_properties.append(("in Pyodide", summary))
    problems = [f"{message['test']}\n{message['text']}" for message in tests if message["outcome"] == "failed"]
    problems += [f"Pyodide died: {message['line']}" for message in messages if message["kind"] == "death"]
    if messages[-1]["kind"] not in {"end", "death"}:
        begun = [message["test"] for message in messages if message["kind"] == "begin"]
        problems.append(f"not done after {TIMEOUT_S} s, in {begun[-1] if begun else 'the boot'}")
    for message in messages:
        if message["kind"] == "output" and message["line"].strip(".sxF"):  # pytest's dots come one by one
            print(message["line"][:300])
    assert not problems, f"{len(problems)} problems inside Pyodide ({dict(counts)}):\n\n" + "\n\n".join(problems)
    assert messages[-1]["status"] == 0
    assert {message["test"].partition("::")[0] for message in tests} == files_of(part) - NATIVE_ONLY
