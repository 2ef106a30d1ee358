"""Chromium as the browser tests use it, and what is watched of it."""

from __future__ import annotations

import http.server
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, WebError

CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
CHROMIUMS_OWN_HOSTS = re.compile(
    r"\b((accounts|clients2|android\.clients)\.google\.com|(content-autofill|update|optimizationguide-pa)\.googleapis\.com"
    r"|(redirector|edgedl\.me)\.gvt1\.com)\b"
)
"""Whom Chromium itself asks, whatever page is open."""


class Proxy:
    """What the browsers send to other machines: it comes here, is noted, and refused.

    Playwright does not see the requests of shared workers and service workers; this does.
    """

    def __init__(self) -> None:
        self.requests: list[str] = []
        self.address = ""
        self._noted = threading.Condition()

    def note(self, request: str) -> None:
        """Remember a request."""
        with self._noted:
            self.requests.append(request)
            self._noted.notify_all()

    def wait_for(self, text: str, timeout_s: float = 20) -> str:
        """The first request that has `text` in it, waited for if it did not come yet."""
        with self._noted:
            assert self._noted.wait_for(lambda: any(text in request for request in self.requests), timeout_s), (
                f"no request to {text}"
            )
            return next(request for request in self.requests if text in request)

    def handler(self, *arguments: Any) -> http.server.BaseHTTPRequestHandler:
        """Answer one connection."""
        note = self.note

        class Refusal(http.server.BaseHTTPRequestHandler):
            def handle_one_request(self) -> None:
                self.raw_requestline = self.rfile.readline(65537)
                if self.raw_requestline and self.parse_request():
                    note(f"{self.command} {self.path}")
                    self.send_error(502)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        return Refusal(*arguments)


class Watch:
    """What went wrong in the browsers of one test while nobody looked."""

    def __init__(self) -> None:
        self.trouble: list[str] = []
        self.requests: list[str] = []
        """Addresses that pages and dedicated workers asked for."""
        self._allowed: list[str] = []

    def allow(self, pattern: str) -> None:
        """Trouble that matches the regular expression is what the test wants."""
        self._allowed.append(pattern)

    def attach(self, context: BrowserContext) -> None:
        """Watch all pages of a context."""
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)

    def check(self, foreign: list[str]) -> None:
        """Fail if there was trouble, or a request to another machine."""
        foreign = [request for request in foreign if not CHROMIUMS_OWN_HOSTS.search(request)]
        trouble = [*self.trouble, *(f"request to another machine: {request}" for request in foreign)]
        trouble = [one for one in trouble if not any(re.search(pattern, one) for pattern in self._allowed)]
        assert not trouble, "\n".join(trouble)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.trouble.append(f"console error: {message.text[:2000]} ({message.location.get('url')})")

    def _on_error(self, error: WebError) -> None:
        self.trouble.append(f"uncaught error: {error.error!s:.2000}")

    def _on_request(self, request: Request) -> None:
        self.requests.append(request.url)
        page = request.headers.get("referer") or request.url  # empty under a policy that tells no referrer
        if not request.url.startswith(("data:", "blob:", "chrome:", _origin(page))):
            self.trouble.append(f"request to another origin: {request.url} from {page}")


def _origin(url: str) -> str:
    return "/".join(url.split("/")[:3]) + "/"


class Launch(Protocol):
    """Starts one more browser."""

    def __call__(self, profile: Path | None = None, *, options: tuple[str, ...] = (), **context: Any) -> BrowserContext:
        """A browser on a profile folder, by default a new one; `options` are Chromium's, `context` Playwright's."""
        ...


def kill(profile: Path) -> None:
    """End the browser on a profile like a power switch: no handler runs, nothing is flushed."""
    lock = profile / "SingletonLock"  # a link to `host-pid`
    os.kill(int(lock.readlink().name.rpartition("-")[2]), signal.SIGKILL)
    lock.unlink(missing_ok=True)
