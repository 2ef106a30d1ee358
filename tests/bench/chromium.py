"""A real Chromium with a profile on disk: in a private window IndexedDB lives in memory and durability costs nothing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, CDPSession, ConsoleMessage, Page, sync_playwright

ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]
TEN_MINUTES_MS = 600_000


@contextmanager
def chromium(executable: str | None) -> Iterator[Browser]:
    """A browser with a fresh profile, which is gone afterwards."""
    with sync_playwright() as playwright, tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        context = playwright.chromium.launch_persistent_context(profile, executable_path=executable, headless=True, args=ARGUMENTS)
        context.set_default_timeout(TEN_MINUTES_MS)
        try:
            yield Browser(context, Path(profile))
        finally:
            context.close()


class Browser:
    """Pages, and what only the debugging protocol tells."""

    def __init__(self, context: BrowserContext, profile: Path) -> None:
        self.context = context
        self.profile = profile
        self._blank = context.pages[0]
        self._protocol: CDPSession = context.new_cdp_session(self._blank)

    @property
    def version(self) -> str:
        """Its product name and version."""
        return str(self._protocol.send("Browser.getVersion")["product"])

    def open(self, url: str) -> Page:
        """A new page, whose errors end the benchmark."""
        page = self.context.new_page()

        def on_error(error: Any) -> None:
            raise RuntimeError(f"{url}: {error}")

        def on_console(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"}:
                print(f"    {message.type}: {message.text[:300]}")

        page.on("pageerror", on_error)
        page.on("console", on_console)
        page.goto(url)
        return page

    def targets(self, kind: str, origin: str) -> list[str]:
        """What runs of an origin: ids of its pages, shared workers, ..."""
        targets = self._protocol.send("Target.getTargets", {"filter": [{"type": kind, "exclude": False}]})["targetInfos"]
        return [target["targetId"] for target in targets if target["url"].startswith(origin)]

    def close(self, page: Page, origin: str) -> None:
        """Close a page, and wait until its shared workers are gone: the next visit is one to a site that is not running."""
        page.close()
        wait_until(lambda: not self.targets("page", origin) and not self.targets("shared_worker", origin))

    def heap_bytes(self, page: Page) -> float:
        """What a page's own JavaScript holds."""
        session = self.context.new_cdp_session(page)
        session.send("Performance.enable")
        metrics = {metric["name"]: metric["value"] for metric in session.send("Performance.getMetrics")["metrics"]}
        session.detach()
        return float(metrics["JSHeapUsedSize"])

    def renderer_bytes(self) -> int:
        """Memory that all renderer processes have for themselves (Linux: private pages in RAM)."""
        # The browser process alone may ask; a session of a page is not told.
        browser = self.context.browser
        session = browser.new_browser_cdp_session() if browser else self._protocol
        processes = session.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(_private_bytes(process["id"]) for process in processes if process["type"] == "renderer")

    def settled_renderer_bytes(self) -> int:
        """`renderer_bytes` once processes of closed pages are gone: service workers, which outlive them, are ended here."""
        self._protocol.send("ServiceWorker.enable")
        self._protocol.send("ServiceWorker.stopAllWorkers")
        lowest, falling = self.renderer_bytes(), True
        while falling:
            time.sleep(2)
            now = self.renderer_bytes()
            lowest, falling = min(now, lowest), now < lowest - (1 << 20)
        return lowest


def wait_until(is_so: Callable[[], bool], timeout_s: float = 60) -> None:
    """Return as soon as `is_so()`. Raises TimeoutError."""
    until = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError(f"Not so after {timeout_s} s.")
        time.sleep(0.02)


def _private_bytes(pid: int) -> int:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))
