"""A window whose page has nothing but the JavaScript client."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import BrowserContext, Page

PATIENCE_MS = 60_000
"""For what waits for Python on a busy machine."""
SCHEMA = "notes_under_test:schema"
LATER_SCHEMA = "notes_under_test:later"
DEADLY_SCHEMA = "notes_under_test:deadly"
NEWER_SCHEMA = "notes_under_test:newer"


def note(note_id: str, text: str = "hello", **more: Any) -> dict[str, Any]:
    """An event."""
    return {"type": "note.added", "data": {"note_id": note_id, "text": text, **more}}


class Client:
    """One window. What it is asked is JavaScript, run in the page."""

    def __init__(self, page: Page, site: str, worker: str = "shared", **asked: Any) -> None:
        self.page = page
        self.site = site
        self.worker = worker
        self.asked = "".join(f"&{name}={value}" for name, value in asked.items())
        page.set_default_timeout(PATIENCE_MS)
        self.visit()

    @classmethod
    def in_new_window(cls, context: BrowserContext, site: str, worker: str = "shared", **asked: Any) -> Client:
        """A further window of the same browser."""
        return cls(context.new_page(), site, worker, **asked)

    def visit(self) -> None:
        """Load the page, or load it anew."""
        self.page.goto(f"{self.site}?worker={self.worker}{self.asked}")
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def run(self, body: str, *arguments: Any) -> Any:
        """What the body of an async function of `store` and the arguments `a`, `b`, ... returns."""
        names = "abcdef"[: len(arguments)]
        return self.page.evaluate(f"async ([{','.join(names)}]) => {{ const {{ store, client }} = window; {body} }}", list(arguments))

    def wait(self, condition: str, *arguments: Any) -> None:
        """Wait until a JavaScript expression is true. (Playwright's own way to wait needs `unsafe-eval`.)"""
        self.run(f"while (!({condition})) await new Promise((resolve) => setTimeout(resolve, 20))", *arguments)

    def open(self, log: str = "notes", schema: str = SCHEMA, **options: Any) -> Any:
        """Open a log; what is known of it."""
        return self.page.evaluate("([log, options]) => window.open(log, options)", [log, {"schema": schema, **options}])

    def put_clock_forward(self, ms: int) -> None:
        """Let the clock of this window's own worker be so far ahead, or behind. Nothing of a log may be open yet that is to notice."""
        self.open("another")  # so that there is a worker
        (worker,) = self.page.workers
        worker.evaluate("(ahead) => { const now = Date.now; Date.now = () => now() + ahead; }", ms)

    def refused(self, expression: str, *arguments: Any) -> Any:
        """The error with which a promise is rejected: `name`, `code`, `message`, `details`."""
        told = self.run(f"return window.refused({expression})", *arguments)
        assert "answer" not in told, f"it was not refused: {told['answer']}"
        return told

    def append(self, *events: dict[str, Any], **options: Any) -> list[dict[str, str]]:
        """Append events; their ids and stamps."""
        appended: list[dict[str, str]] = self.run("return store.append(a, b)", list(events), options)
        return appended

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        """The rows of a query."""
        rows: list[dict[str, Any]] = self.run("return store.query(a, b)", sql, list(parameters))
        return rows

    def notes(self) -> list[str]:
        """The ids of all notes, sorted."""
        return [row["note_id"] for row in self.query("SELECT note_id FROM note ORDER BY note_id")]

    def states(self) -> list[str]:
        """The states that were shown so far."""
        states: list[str] = self.page.evaluate("window.states.map(({ state }) => state)")
        return states

    def saved_lines(self) -> list[dict[str, Any]]:
        """The recorded events of a saved file."""
        text = self.run("return (await store.save()).text()")
        return [json.loads(line) for line in text.splitlines()[1:-1]]
