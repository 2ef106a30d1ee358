"""How the site's Python starts: from the snapshot, without it, and what must differ from start to start."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

import build
from pystore.browser.arguments import ARGUMENTS
from tests.support.chromium import Watch
from web.build import server

PROBE = """
import base64, decimal, os, random, secrets, sys, tempfile, time, uuid
import msgspec, pydantic
from pystore.assistant import schema
from pystore.event import new_replica_id

class Row(pydantic.BaseModel):
    n: int

assert Row.model_validate_json('{"n": 1}').n == msgspec.json.decode(b'{"n":1}')["n"]
import colorsys  # what the snapshot does not hold is still found
{
    "random": random.random(), "uuid4": str(uuid.uuid4()), "token": secrets.token_hex(), "urandom": os.urandom(16).hex(),
    "replica": new_replica_id(), "temporary": next(tempfile._get_candidate_names()),
    "language": os.environ["LANG"], "offset": time.localtime().tm_gmtoff, "now": time.time(),
    "schema": schema.name, "origin": sys.modules["pystore"].__file__,
    "warm": sys.modules["pystore.browser.arguments"].model.cache_info().currsize if "pystore.browser.arguments" in sys.modules else 0,
}
"""
WORKER = f"""
try {{
  const {{ boot }} = await import('./boot.js');
  const {{ pyodide, ...booted }} = await boot();
  const probe = pyodide.runPython({json.dumps(PROBE)}).toJs({{ dict_converter: Object.fromEntries }});
  postMessage({{ ...booted, probe }});
}} catch (error) {{
  postMessage({{ failed: error.message.slice(0, 1000) }});
}}
"""


@dataclass
class Site:
    """A copy of the site whose Python a test can ask."""

    folder: Path
    page: Page

    def boot(self, address: str, how: str = "") -> dict[str, Any]:
        """Start a Python in a new worker, ask it, and end it."""
        self.page.goto(f"{address}boot.html")
        answer: dict[str, Any] = self.page.evaluate(
            """(how) => new Promise((resolve, reject) => {
              const policy = trustedTypes.createPolicy('pystore', { createScriptURL: (url) => url });
              const worker = new Worker(policy.createScriptURL(`./assets/probe.js?boot=${how}`), { type: 'module' });
              worker.onmessage = ({ data }) => { worker.terminate(); resolve(data); };
              worker.onerror = (event) => reject(new Error(event.message));
            })""",
            how,
        )
        return answer


@pytest.fixture
def copy(page: Page, tmp_path: Path) -> Site:
    """A site with a page that does nothing, and a worker that boots Python."""
    folder = Path(shutil.copytree(build.build_site(), tmp_path / "site"))
    (folder / "boot.html").write_text('<!doctype html><meta charset="utf-8"><title>boot</title><link rel="icon" href="data:,">')
    # In the site the modules of the boot are part of the worker. They run as they are, told where the site's files stand.
    files = next(folder.glob("assets/assets.*.js")).name
    for name in ("boot.js", "python.js", "snapshot.js"):
        (folder / "assets" / name).write_text((build.WEB / "worker" / name).read_text().replace("./assets.js", f"./{files}"))
    (folder / "assets" / "probe.js").write_text(WORKER)
    return Site(folder, page)


@pytest.fixture
def address(copy: Site) -> Iterator[str]:
    """Where that site is served."""
    with server.serving(copy.folder) as address:
        yield address


def test_two_starts_from_the_snapshot_share_no_random_numbers(copy: Site, address: str) -> None:
    first, second = copy.boot(address), copy.boot(address)

    assert (first["how"], second["how"]) == ("snapshot", "snapshot")
    for name in ("random", "uuid4", "token", "urandom", "replica", "temporary"):
        assert first["probe"][name] != second["probe"][name], name
    assert first["probe"]["now"] < second["probe"]["now"]


def test_the_plain_start_gives_the_same_python(copy: Site, address: str) -> None:
    plain, snapshot = copy.boot(address, "plain"), copy.boot(address, "snapshot")

    assert (plain["how"], plain["reason"]) == ("plain", "asked for")
    assert (snapshot["how"], snapshot["reason"]) == ("snapshot", "")
    for name in ("schema", "origin", "language", "offset"):
        assert plain["probe"][name] == snapshot["probe"][name]
    assert snapshot["timings"]["ready"] > 0


def test_what_is_slow_the_first_time_was_done_when_the_snapshot_was_made(copy: Site, address: str) -> None:
    plain, snapshot = copy.boot(address, "plain"), copy.boot(address, "snapshot")

    assert plain["probe"]["warm"] == 0
    assert snapshot["probe"]["warm"] >= len(ARGUMENTS)


def test_a_damaged_snapshot_gives_way_to_the_plain_start_which_says_so(copy: Site, address: str, watch: Watch) -> None:
    watch.allow("boot.html")
    told: list[str] = []
    copy.page.on("console", lambda message: told.append(message.text))
    snapshot = next(copy.folder.glob("assets/snapshot.*.bin"))
    snapshot.write_bytes(snapshot.read_bytes()[:-1000])

    booted = copy.boot(address)

    assert booted["how"] == "plain"
    assert booted["reason"].startswith("the snapshot cannot be used: ")
    assert booted["probe"]["schema"] == "assistant"
    assert any("starts without its snapshot" in text for text in told)


def test_a_snapshot_of_another_python_gives_way_to_the_plain_start(copy: Site, address: str) -> None:
    assets = next(copy.folder.glob("assets/assets.*.js"))
    text = assets.read_text()
    header = text.index('"header":[') + len('"header":[')
    assets.write_text(text[:header] + "1" + text[header:])

    booted = copy.boot(address)

    assert booted["how"] == "plain"
    assert booted["probe"]["schema"] == "assistant"


def test_without_permission_to_run_webassembly_the_start_fails_and_says_what_to_allow(copy: Site, watch: Watch) -> None:
    watch.allow("wasm|WebAssembly|unsafe-eval|boot.html")
    policy = "default-src 'none'; script-src 'self'; connect-src 'self'; worker-src 'self'; img-src data:"
    with server.serving(copy.folder, headers={"Content-Security-Policy": policy}) as address:
        booted = copy.boot(address)

    assert "wasm-unsafe-eval" in booted["failed"]
