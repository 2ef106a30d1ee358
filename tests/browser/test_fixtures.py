"""The watcher of the browser tests sees what it is there to see."""

from __future__ import annotations

import http.server
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import Launch, Proxy, Watch, kill
from tests.support.serving import serving

SCRIPTS = {
    "page.js": "await fetch('http://page.example/').catch(() => {}); document.title = 'done';",
    "worker.js": "const worker = new Worker('/asks-worker.js');",
    "shared.js": "const worker = new SharedWorker('/asks-shared.js');",
    "service.js": "await navigator.serviceWorker.register('/asks-service.js');",
    "asks-worker.js": "fetch('http://worker.example/').catch(() => {});",
    "asks-shared.js": "fetch('http://shared.example/').catch(() => {});",
    "asks-service.js": "fetch('http://service.example/').catch(() => {});",
    "console.js": "console.error('something is wrong'); document.title = 'done';",
    "error.js": "document.title = 'done'; throw new Error('nobody caught this');",
    "rejection.js": "document.title = 'done'; Promise.reject(new Error('nobody caught this either'));",
    "quiet.js": "localStorage.opened = Number(localStorage.opened ?? 0) + 1; document.title = `done ${localStorage.opened}`;",
}


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path[1:]
            if name in SCRIPTS:
                kind, body = "text/javascript", SCRIPTS[name]
            else:
                kind, body = "text/html", f"<!doctype html><link rel=icon href=data:,><script type=module src=/{name}.js></script>"
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: Any) -> None:
            pass

    with serving(Handler) as address:
        yield address


@pytest.mark.parametrize("asker", ["page", "worker", "shared", "service"])
def test_a_request_to_another_machine_is_noticed_whoever_sends_it(
    address: str, launch: Launch, watch: Watch, proxy: Proxy, asker: str
) -> None:
    watch.allow(rf"{asker}\.example|net::ERR")
    launch().pages[0].goto(f"{address}/{asker}")
    seen = proxy.wait_for(f"{asker}.example")
    with pytest.raises(AssertionError, match=f"{asker}.example"):
        Watch().check([seen])


@pytest.mark.parametrize(("cause", "words"), [("console", "is wrong"), ("error", "caught this"), ("rejection", "this either")])
def test_an_error_on_a_page_is_noticed(address: str, launch: Launch, watch: Watch, cause: str, words: str) -> None:
    watch.allow(words)
    page = launch().pages[0]
    page.goto(f"{address}/{cause}")
    page.wait_for_function("document.title === 'done'")
    page.evaluate("0")  # a turn later the error was reported
    assert [words in trouble for trouble in watch.trouble] == [True]


def test_a_killed_browser_comes_back_on_its_profile(address: str, launch: Launch, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    context = launch(profile)
    page = context.pages[0]
    page.goto(f"{address}/quiet")
    page.wait_for_function("document.title === 'done 1'")
    with context.expect_event("close"):
        kill(profile)
    page = launch(profile).pages[0]
    page.goto(f"{address}/quiet")
    page.wait_for_function("document.title.startsWith('done')")
