"""Data of an older version of the application opened by a newer one, and the other way round, in a real browser."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import build
from tests.support import assistant_to_come
from tests.support.assistant_page import PATIENCE_MS, AssistantPage, a_conversation
from tests.support.chromium import Launch

Deploy = Callable[[str], None]


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The assistant's page as it is, and twice with a newer application: one that fits, and one that does not."""
    page = tmp_path_factory.mktemp("page")
    shutil.copy(build.WEB / "index.html", page)
    shutil.copy(str(assistant_to_come.__file__), page)
    return {
        "today": build.build_site(),
        **{name: build.build_site(page.with_name(name), app=f"assistant_to_come:{name}", page=page) for name in ("schema", "unfit")},
    }


@pytest.fixture
def place(builds: dict[str, Path], tmp_path: Path) -> Iterator[tuple[str, Deploy]]:
    """An address, and what puts a build there."""
    from web.build import server

    folder = tmp_path / "site"
    deployed = itertools.count()

    def deploy(name: str) -> None:
        folder.unlink(missing_ok=True)
        folder.symlink_to(builds[name])
        newer = time.time() + 2 * next(deployed)  # else the browser is told that it has this page already
        os.utime(folder / "index.html", (newer, newer))

    deploy("today")
    with server.serving(folder, 0) as address:
        yield address, deploy


@pytest.fixture
def visit(place: tuple[str, Deploy], launch: Launch) -> Callable[[str], AssistantPage]:
    """Deploy a build and visit it, in a browser that stays the same."""
    address, deploy = place
    context = launch(service_workers="block", accept_downloads=True)
    pages: list[Page] = list(context.pages)

    def visit(name: str) -> AssistantPage:
        deploy(name)
        pages.append(context.new_page())
        pages.pop(0).close()  # and with it the worker
        return AssistantPage(pages[0], address).visit()

    return visit


BACKED_UP = """async () => {
  const { id } = await pystore.store.backups.create('by hand');
  return (await pystore.store.backups.file(id)).text();
}"""


def begin(page: AssistantPage) -> None:
    page.start_empty()
    page.append(*a_conversation("c", "About bread", "Hello", "Hello yourself"))
    page.page.evaluate("pystore.store.flush()")


def said(page: AssistantPage) -> list[str]:
    return [row["text"] for row in page.query("SELECT text FROM message ORDER BY position")]


def test_a_newer_page_takes_over_what_an_older_one_wrote_and_keeps_a_backup(visit: Callable[[str], AssistantPage]) -> None:
    begin(visit("today"))
    page = visit("schema")
    page.in_step()
    assert page.query("SELECT folder FROM in_folder") == [{"folder": "Unsorted"}]
    assert said(page) == ["Hello", "Hello yourself"]
    (backup,) = page.page.evaluate("pystore.store.backups.list()")
    assert (backup["layer"], backup["versions"]["app"]["version"], backup["verified"]["good"]) == ("before-migration", 1, True)
    page.append({"type": "folder.coloured", "data": {"folder": "Unsorted", "colour": "red"}})
    expect(page.chip).to_have_text("Saved")


def test_what_cannot_be_brought_to_a_newer_version_is_told_saved_and_tried_again(
    visit: Callable[[str], AssistantPage], tmp_path: Path
) -> None:
    begin(visit("today"))
    page = visit("unfit")
    expect(page.chip).to_have_text("Read-only", timeout=PATIENCE_MS)
    page.room("Data")
    versions = page.page.get_by_role("region", name="Versions")
    expect(versions).to_contain_text("could not be brought from version 1 to 2: event")
    saved = json.loads(gzip.decompress(page.saved_file(tmp_path, "Save a file").read_bytes()).splitlines()[0])
    assert (saved["counts"]["events"], saved["versions"]["app"]["version"]) == (4, 1)
    versions.get_by_role("button", name="Try again").click()
    expect(page.notices).to_contain_text("could not be brought from version 1 to 2")
    expect(page.chip).to_have_text("Read-only")

    page = visit("schema")  # one that was put right
    page.in_step()
    assert said(page) == ["Hello", "Hello yourself"]


def test_starting_over_takes_the_name_typed_and_leaves_all_backups(visit: Callable[[str], AssistantPage]) -> None:
    begin(visit("today"))
    page = visit("unfit")
    page.room("Data")
    page.page.get_by_role("button", name="Start over").click()
    expect(page.dialog.get_by_role("button", name="Start over, empty")).to_be_disabled()
    page.dialog.get_by_role("textbox").fill(page.page.evaluate("document.querySelector('dialog b').textContent"))
    page.dialog.get_by_role("button", name="Start over, empty").click()
    expect(page.notices).to_contain_text("It is empty now.", timeout=PATIENCE_MS)
    expect(page.chip).to_have_text("Saved")
    assert said(page) == []
    page.append({"type": "folder.coloured", "data": {"folder": "New", "colour": "red"}})

    page = visit("schema")
    page.room("Data")
    page.page.get_by_role("button", name="Look at the backup of").last.click()
    page.dialog.get_by_role("button", name="Restore", exact=True).click()
    expect(page.notices).to_contain_text("restored", timeout=PATIENCE_MS)
    assert said(page) == ["Hello", "Hello yourself"]


def test_data_of_a_newer_version_are_read_and_saved_but_not_changed(visit: Callable[[str], AssistantPage], tmp_path: Path) -> None:
    begin(visit("today"))
    page = visit("schema")
    page.in_step()
    started, *_ = a_conversation("d", "About cakes")
    started["data"]["folder"] = "Baking"
    page.append(started, {"type": "folder.coloured", "data": {"folder": "Baking", "colour": "red"}})

    page = visit("today")
    expect(page.chip).to_have_text("Read-only", timeout=PATIENCE_MS)
    assert said(page) == ["Hello", "Hello yourself"]
    page.room("Data")
    versions = page.page.get_by_role("region", name="Versions")
    expect(versions).to_contain_text("written by a newer version")
    expect(versions.get_by_role("button", name="Start over")).to_have_count(0)
    refused = page.page.evaluate("pystore.store.rename('x').catch(({ code }) => code)")
    assert refused == "ReadOnlyError"
    saved = page.saved_file(tmp_path).read_text()
    backup = page.page.evaluate(BACKED_UP)
    for text in (saved, backup):
        header, *lines = map(json.loads, text.splitlines())
        assert header["versions"]["app"]["version"] == 2
        assert {"folder": "Baking", "colour": "red"} in [line.get("data") for line in lines]
        assert started["data"] in [line.get("data") for line in lines]
    assert saved.splitlines()[1:-1] == backup.splitlines()[1:-1]
