"""The assistant's page as a person uses it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect

DATA = Path(__file__).parents[1] / "data"

PATIENCE_MS = 60_000
"""For what waits for Python on a busy machine."""


class AssistantPage:
    """One window with the page."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        self.site = site
        page.set_default_timeout(PATIENCE_MS)

    def visit(self) -> AssistantPage:
        """Go to the page."""
        self.page.goto(self.site)
        return self

    # -- what is there

    @property
    def chip(self) -> Locator:
        """The state chip's word."""
        return self.page.locator(".chip-label")

    @property
    def conversations(self) -> Locator:
        """The conversations, or what was found, as far as they are in the document."""
        return self.page.locator(".links li a")

    @property
    def messages(self) -> Locator:
        """The messages of the open conversation, as far as they are in the document."""
        return self.page.locator(".message .text")

    @property
    def dialog(self) -> Locator:
        """The open dialog."""
        return self.page.get_by_role("dialog")

    @property
    def notices(self) -> Locator:
        """What the page tells above the room."""
        return self.page.locator(".notice")

    def told(self, name: str) -> Locator:
        """The figure beside `name` in the open dialog."""
        name_of = self.page.locator("dt", has_text=re.compile(f"^{name}$"))
        return self.dialog.locator(".figures > div").filter(has=name_of).locator("dd")

    def query(self, sql: str, *parameters: object) -> Any:
        """The rows of a query."""
        return self.page.evaluate("([sql, parameters]) => pystore.store.query(sql, parameters)", [sql, list(parameters)])

    def append(self, *events: dict[str, Any]) -> None:
        """Append events past the page."""
        self.page.evaluate("(events) => pystore.store.append(events)", list(events))

    def in_step(self) -> None:
        """Wait until Python has answered."""
        expect(self.chip).to_have_text("Saved", timeout=PATIENCE_MS)

    # -- what one does

    def start_empty(self) -> None:
        """Make the first assistant."""
        self.page.get_by_role("button", name="Start empty").click()
        self.in_step()

    def give(self, file: Path | dict[str, Any], button: str = "Restore or bring in") -> None:
        """Choose a file."""
        with self.page.expect_file_chooser() as chooser:
            self.page.get_by_role("button", name=button).click()
        chooser.value.set_files(file)  # type: ignore[arg-type]

    def bring_in(self, file: Path, button: str = "Restore or bring in") -> None:
        """Choose an export and wait for the report."""
        self.give(file, button)
        expect(self.dialog).to_be_visible(timeout=PATIENCE_MS)

    def close_dialog(self) -> None:
        """Leave the dialog."""
        self.page.keyboard.press("Escape")
        expect(self.dialog).to_have_count(0)

    def room(self, name: str) -> None:
        """Go to a room."""
        self.page.get_by_role("navigation", name="Rooms").get_by_role("link", name=name).click()

    def write(self, text: str) -> None:
        """Write a message in the open conversation."""
        self.page.get_by_label("Message", exact=True).fill(text)
        self.page.keyboard.press("Enter")

    def search(self, words: str) -> None:
        """Type into the search."""
        self.page.get_by_label("Search everything").fill(words)

    def saved_file(self, folder: Path, button: str = "Save as a file") -> Path:
        """Save a file and return it."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name=button).click()
        path = folder / download.value.suggested_filename
        download.value.save_as(path)
        return path


def a_conversation(conversation_id: str, title: str, *texts: str, at: str = "2026-01-02T03:04:05.678Z") -> list[dict[str, Any]]:
    """The events of a conversation in which `texts` follow each other."""
    events: list[dict[str, Any]] = [
        {"type": "conversation.started", "data": {"conversation_id": conversation_id, "title": title, "created_at": at}}
    ]
    for number, text in enumerate(texts):
        data = {
            "message_id": f"{conversation_id}-{number}",
            "conversation_id": conversation_id,
            "role": ("user", "assistant")[number % 2],
            "content": [{"type": "text", "text": text}],
            "created_at": at,
        }
        if number:
            data["parent_id"] = f"{conversation_id}-{number - 1}"
        events.append({"type": "message.posted", "data": data})
    return events
