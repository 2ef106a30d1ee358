"""Fixtures of the browser tests: a real Chromium with a profile on disk, and a watcher that fails a test behind its back.

`page`, `context` and `launch` give browsers in which an uncaught error, a console error or a request to another origin fails the
test, unless it says beforehand `watch.allow(pattern)`. `site` is the address of the built site.

Playwright's event loop counts as running from its start to its stop, and no async test can run in between. Therefore it is
started for a module, not for the session, and browser tests are plain functions.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Playwright, sync_playwright

import build
from tests.support.chromium import CHROMIUM_OPTIONS, Launch, Proxy, Watch
from tests.support.serving import serving


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests ran inside Pyodide."""
    for report in [*terminalreporter.stats.get("passed", []), *terminalreporter.stats.get("failed", [])]:
        for name, value in report.user_properties:
            if name == "in Pyodide":
                terminalreporter.write_line(f"inside Pyodide: {value}")


@pytest.fixture(scope="session")
def proxy() -> Iterator[Proxy]:
    """The proxy of all browsers, for everything but this machine."""
    proxy = Proxy()
    with serving(proxy.handler) as proxy.address:
        yield proxy


@pytest.fixture
def watch(proxy: Proxy) -> Iterator[Watch]:
    """The watcher of this test's browsers. It is asked when they are closed."""
    proxy.requests.clear()
    watch = Watch()
    yield watch
    watch.check(proxy.requests)


@pytest.fixture(scope="session")
def browser_path() -> str:
    """The path of Chromium or Chrome."""
    return build.set_up_browser()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright, started for this module."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture
def launch(playwright: Playwright, browser_path: str, proxy: Proxy, watch: Watch, tmp_path: Path) -> Iterator[Launch]:
    """Start browsers, each a real one with its data on disk. They are closed when the test ends."""
    with ExitStack() as closing:
        started = 0

        def launch(profile: Path | None = None, *, options: tuple[str, ...] = (), **context: Any) -> BrowserContext:
            nonlocal started
            started += 1
            launched = playwright.chromium.launch_persistent_context(
                profile or tmp_path / f"profile-{started}",
                executable_path=browser_path,
                args=[*CHROMIUM_OPTIONS, *options],
                proxy={"server": proxy.address, "bypass": "127.0.0.1"},
                **context,
            )
            watch.attach(launched)
            closing.callback(functools.partial(_close, launched))
            return launched

        yield launch


def _close(context: BrowserContext) -> None:
    with suppress(Exception):  # killed or closed by the test
        context.close()


@pytest.fixture
def context(launch: Launch) -> BrowserContext:
    """A browser with a new profile."""
    return launch()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """An empty page of a browser with a new profile."""
    return context.pages[0] if context.pages else context.new_page()


@pytest.fixture(scope="session")
def site() -> Iterator[str]:
    """The address of the built site, served as `build.py serve` does."""
    out = build.build_site()
    from web.build.server import serving as serving_site

    with serving_site(out, 0) as address:
        yield address


@pytest.fixture(scope="session")
def client_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a page with nothing but the JavaScript client: see `tests.support.client_page`."""
    page = build.ROOT / "tests" / "browser" / "client_page"
    out = build.build_site(tmp_path_factory.mktemp("client") / "dist", app="notes_under_test:schema", page=page)
    from web.build.server import serving as serving_site

    with serving_site(out, 0) as address:
        yield address
