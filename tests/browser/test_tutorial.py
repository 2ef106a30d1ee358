"""The notes of the README's tutorial, built and used in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import build
from tests.support.chromium import Launch, kill

NOTES = build.ROOT / "examples" / "notes"
PATIENCE_MS = 60_000


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the notes, built as the README says."""
    out = build.build_site(tmp_path_factory.mktemp("notes") / "dist", app="notes:schema", page=NOTES)
    from web.build import server

    with server.serving(out, 0) as address:
        yield address


def open_notes(page: Page, address: str) -> None:
    """Open the page and wait until it can be used."""
    page.goto(address)
    expect(page.get_by_role("status")).to_have_text("Ready", timeout=PATIENCE_MS)


def add(page: Page, text: str) -> None:
    """Write a note and wait until it is saved."""
    page.get_by_label("New note").fill(text)
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_label("New note")).to_have_value("", timeout=PATIENCE_MS)


def shows(page: Page, *texts: str) -> None:
    """Check that these notes are shown, in this order, and no others."""
    expect(page.get_by_role("listitem")).to_have_text([f"{text} Remove" for text in texts], timeout=PATIENCE_MS)


def test_notes_are_added_found_removed_and_there_after_a_restart_of_the_browser(launch: Launch, notes: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    browser = launch(profile)
    page = browser.pages[0]
    open_notes(page, notes)
    add(page, "Buy bread")
    add(page, "Read <b>Emma</b>")
    add(page, "Call the baker")
    shows(page, "Call the baker", "Read <b>Emma</b>", "Buy bread")

    page.get_by_label("Search").fill("bre")
    shows(page, "Buy bread")
    page.get_by_label("Search").fill("")
    page.get_by_role("listitem").filter(has_text="baker").get_by_role("button").click()
    shows(page, "Read <b>Emma</b>", "Buy bread")
    browser.close()

    again = launch(profile).pages[0]
    open_notes(again, notes)
    shows(again, "Read <b>Emma</b>", "Buy bread")


def test_a_note_that_was_saved_is_there_after_the_browser_was_killed(launch: Launch, notes: str, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    saved: list[str] = []
    for text in ("Buy bread", "Call the baker", "Read Emma"):
        page = launch(profile).pages[0]
        open_notes(page, notes)
        shows(page, *saved)
        add(page, text)
        kill(profile)
        saved.insert(0, text)

    page = launch(profile).pages[0]
    open_notes(page, notes)
    shows(page, *saved)


def test_a_note_added_in_one_window_appears_in_the_other(page: Page, notes: str) -> None:
    other = page.context.new_page()
    for each in (page, other):
        open_notes(each, notes)
    add(page, "Buy bread")
    shows(other, "Buy bread")
    add(other, "Call the baker")
    shows(page, "Call the baker", "Buy bread")


def test_a_note_that_fails_its_model_is_refused_with_a_sentence(page: Page, notes: str) -> None:
    open_notes(page, notes)
    page.get_by_label("New note").evaluate("field => field.removeAttribute('maxlength')")
    page.get_by_label("New note").fill("x" * 10_001)
    page.get_by_role("button", name="Add").click()

    expect(page.get_by_role("status")).to_contain_text("note.added was not taken: text", timeout=PATIENCE_MS)
    expect(page.get_by_label("New note")).to_have_value("x" * 10_001)
    shows(page)


def test_the_saved_file_holds_what_was_written(page: Page, notes: str) -> None:
    open_notes(page, notes)
    add(page, "Buy bread")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as a file").click()

    assert download.value.suggested_filename == "my-notes.jsonl"
    header, event, footer = [json.loads(line) for line in Path(download.value.path()).read_bytes().splitlines()]
    assert (header["schema"], header["counts"]["records"]) == ("notes", {"note": 1})
    assert (event["type"], event["data"]["text"]) == ("note.added", "Buy bread")
    assert (footer["pystore"], footer["lines"]) == ("end", 2)
