"""The timeline: every change in words, undo and redo, and what was here at any moment."""

from __future__ import annotations

import asyncio
import json
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from pystore.assistant import schema
from pystore.memory import MemoryPlatform
from pystore.store import Store
from tests.support.assistant_page import DATA, PATIENCE_MS, AssistantPage, a_conversation
from tests.support.axe import findings
from tests.support.chromium import Launch

MESSAGES = "SELECT text FROM message ORDER BY position"


@pytest.fixture
def assistant(page: Page, site: str) -> AssistantPage:
    """A new assistant."""
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    return assistant


def change(assistant: AssistantPage, text: str) -> Locator:
    """A change of the timeline, by its words."""
    return assistant.page.locator(".change", has_text=text)


def deed(assistant: AssistantPage, text: str, name: str) -> None:
    """Open a change, and do something with it."""
    if change(assistant, text).get_attribute("aria-expanded") == "false":
        change(assistant, text).click()
    assistant.page.locator(".details").get_by_role("button", name=name).click()


def texts(assistant: AssistantPage) -> list[str]:
    """What all messages say that are shown."""
    return [row["text"] for row in assistant.query(MESSAGES)]


def in_another_moment(assistant: AssistantPage) -> None:
    """Wait until the clock that stamps events has moved on."""
    assistant.page.evaluate("""async () => {
        const then = Date.now() + 20;
        while (Date.now() < then) await new Promise((next) => setTimeout(next));
    }""")


def an_export(path: Path, conversations: int, messages: int) -> Path:
    """A ChatGPT export in which nothing branches."""
    exported: list[dict[str, Any]] = []
    for c in range(conversations):
        mapping: dict[str, Any] = {f"{c}-root": {"id": f"{c}-root", "parent": None, "message": None, "children": [f"{c}-0"]}}
        for m in range(messages):
            mapping[f"{c}-{m}"] = {
                "id": f"{c}-{m}", "parent": f"{c}-{m - 1 if m else 'root'}", "children": [f"{c}-{m + 1}"] if m + 1 < messages else [],
                "message": {
                    "id": f"{c}-{m}", "author": {"role": ("user", "assistant")[m % 2]}, "create_time": 1_700_000_000 + m,
                    "content": {"content_type": "text", "parts": [f"Message {m} of {c}. " + "And more words. " * 20]}, "metadata": {},
                },
            }
        exported.append({
            "conversation_id": f"c{c}", "id": f"c{c}", "title": f"Number {c}", "create_time": 1_700_000_000, "mapping": mapping,
            "current_node": f"{c}-{messages - 1}",
        })
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("conversations.json", json.dumps(exported))
    return path


def test_every_change_is_told_in_words_newest_first_and_found_by_kind_and_text(assistant: AssistantPage) -> None:
    assistant.append(*a_conversation("c1", "Spring", "Where shall we go?", "To the sea."))
    assistant.append({"type": "conversation.retitled", "data": {"conversation_id": "c1", "title": "Summer"}})
    assistant.append({"type": "conversation.archived", "data": {"conversation_id": "c1", "archived": True}})
    assistant.room("Timeline")
    told = assistant.page.locator(".told-of")
    expect(told).to_have_text([
        "Conversation archived", "Conversation renamed: Summer", "The assistant wrote: To the sea.", "You wrote: Where shall we go?",
        "Conversation started: Spring", "Assistant named: My assistant",
    ])
    assistant.page.get_by_label("Kind of change").select_option(label="Messages (2)")
    expect(told).to_have_text(["The assistant wrote: To the sea.", "You wrote: Where shall we go?"])
    assistant.page.get_by_label("Find in changes").fill("WHERE")
    expect(told).to_have_text(["You wrote: Where shall we go?"])
    assistant.page.get_by_label("Find in changes").fill("nowhere to be found")
    expect(assistant.page.get_by_text("No change is like that.")).to_be_visible()


def test_a_long_timeline_is_loaded_page_by_page_and_walked_by_keys(assistant: AssistantPage) -> None:
    for start in range(0, 900, 300):
        assistant.append(*(a_conversation(f"c{number}", f"Number {number}")[0] for number in range(start, start + 300)))
    assistant.room("Timeline")
    page = assistant.page
    expect(page.locator(".changes li[aria-posinset='1']")).to_contain_text("Number 899")
    expect(page.locator(".changes li").first).to_have_attribute("aria-setsize", "901")
    page.keyboard.press("/")
    page.keyboard.press("ArrowDown")
    expect(page.locator(":focus")).to_contain_text("Number 899")
    for last in (700, 500, 300, 100):
        page.keyboard.press("End")
        expect(page.locator(":focus")).to_contain_text(f"Number {last}")
        expect(page.locator(":focus")).to_be_in_viewport()
        expect(page.locator(f".changes li[aria-posinset='{901 - last}']")).to_be_attached()  # the next page is there
    assert page.locator(".changes li").count() < 60
    page.keyboard.press("Home")
    expect(page.locator(":focus")).to_contain_text("Number 899")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator(":focus")).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("See everything as of then")


def test_a_change_is_undone_and_brought_back(assistant: AssistantPage) -> None:
    assistant.append(*a_conversation("c1", "Spring", "Where shall we go?", "To the sea."))
    assistant.room("Timeline")
    deed(assistant, "To the sea.", "Undo")
    expect(assistant.page.locator("[data-undone=true]")).to_contain_text("The assistant wrote: To the sea.")
    expect(change(assistant, "Undone: The assistant wrote: To the sea.")).to_have_count(1)
    assert texts(assistant) == ["Where shall we go?"]
    assistant.page.get_by_role("button", name="Bring back").click()
    expect(change(assistant, "Brought back: The assistant wrote: To the sea.")).to_have_count(1)
    expect(assistant.page.locator("[data-undone=true]")).to_have_count(0)
    assert texts(assistant) == ["Where shall we go?", "To the sea."]


@pytest.mark.parametrize("worker", ["shared", "dedicated"])
def test_what_one_tab_undoes_the_other_shows_undone_and_can_bring_back(context: BrowserContext, site: str, worker: str) -> None:
    one = AssistantPage(context.pages[0], f"{site}?worker={worker}").visit()
    one.start_empty()
    one.append(*a_conversation("c1", "Spring", "Where shall we go?", "To the sea."))
    other = AssistantPage(context.new_page(), f"{site}?worker={worker}").visit()
    other.in_step()
    other.room("Timeline")
    expect(change(other, "To the sea.")).to_have_attribute("data-undone", "false")
    one.conversations.first.click()
    expect(one.messages).to_have_count(2)
    other.page.bring_to_front()

    deed(other, "To the sea.", "Undo")
    expect(one.messages).to_have_text(["Where shall we go?"])
    one.room("Timeline")
    expect(one.page.locator("[data-undone=true]")).to_contain_text("To the sea.")
    deed(one, "Undone: The assistant wrote", "Undo")
    expect(other.page.locator("[data-undone=true]")).to_contain_text("Undone: The assistant wrote: To the sea.")
    assert texts(other) == ["Where shall we go?", "To the sea."]


def test_an_import_is_undone_as_a_whole_from_its_notice_and_brought_back_from_the_timeline(assistant: AssistantPage) -> None:
    assistant.room("Data")
    assistant.bring_in(DATA / "chatgpt-small.zip")
    assistant.close_dialog()
    expect(assistant.notices).to_contain_text("24 conversations came in from chatgpt-small.zip.")
    assistant.notices.get_by_role("button", name="Undo").click()
    assistant.room("Timeline")
    imported = "Imported 24 conversations from ChatGPT: chatgpt-small.zip"
    expect(assistant.page.locator("[data-undone=true]", has_text=imported)).to_have_count(1)
    expect(change(assistant, imported)).to_contain_text("with 341 other changes")
    assert texts(assistant) == []
    deed(assistant, imported, "Bring back all of it")
    expect(assistant.page.locator("[data-undone=true]", has_text=imported)).to_have_count(0)
    assert len(texts(assistant)) == 314


def test_one_looks_at_a_moment_by_keys_while_what_another_tab_writes_arrives(assistant: AssistantPage) -> None:
    for number in range(4):
        assistant.append(*a_conversation(f"c{number}", f"Number {number}", f"Message {number}"))
        in_another_moment(assistant)
    page = assistant.page
    other = AssistantPage(page.context.new_page(), assistant.site)
    other.page.goto(page.url)
    other.in_step()
    page.bring_to_front()
    assistant.room("Timeline")
    slider = page.get_by_role("slider", name="Moment")
    expect(slider).to_have_attribute("aria-valuetext", "Now")
    slider.focus()
    page.keyboard.press("Home")
    expect(page.locator(".banner")).to_contain_text("1 of 9 changes were made by then", timeout=PATIENCE_MS)
    expect(page.get_by_text("There were no conversations yet.")).to_be_visible()
    expect(slider).to_be_focused()
    assert "at" in (slider.get_attribute("aria-valuetext") or "")

    for _ in range(120):
        page.keyboard.press("ArrowRight")
        if (page.locator(".banner").text_content() or "").find("5 of 9") > 0:
            break
        page.evaluate("() => new Promise((next) => setTimeout(next, 200))")
    expect(assistant.conversations).to_have_count(2)
    expect(page.get_by_role("link", name="New")).to_have_count(0)

    other.append(*a_conversation("c9", "Number 9", "Written meanwhile"))
    expect(page.locator(".banner")).to_contain_text("5 of 11 changes")
    expect(assistant.conversations).to_have_count(2)
    assistant.search("message")
    expect(assistant.conversations).to_have_count(2)
    assistant.conversations.first.click()
    expect(assistant.messages).to_have_count(1)
    expect(page.get_by_label("Message", exact=True)).to_have_count(0)
    expect(page.get_by_label("Rename")).to_have_count(0)

    page.reload()
    expect(page.locator(".banner")).to_contain_text("5 of 11 changes", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Back to now").click()
    expect(change(assistant, "Written meanwhile")).to_have_count(1)
    assistant.room("Conversations")
    expect(assistant.conversations).to_have_count(5)


def test_a_moment_is_chosen_by_dragging(assistant: AssistantPage) -> None:
    for number in range(5):
        assistant.append(*a_conversation(f"c{number}", f"Number {number}"))
        in_another_moment(assistant)
    page = assistant.page
    assistant.room("Timeline")
    box = page.get_by_role("slider").bounding_box()
    assert box is not None
    middle = box["y"] + box["height"] / 2
    expect(page.locator(".uplot canvas")).to_be_visible()
    page.mouse.move(box["x"] + box["width"] - 13, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, middle, steps=10)
    expect(page.locator(".banner")).to_contain_text("of 6 changes were made by then")
    page.mouse.move(box["x"] - 13, middle, steps=10)  # beyond the left end: a few pixels before it the first ones may be there
    page.mouse.up()
    expect(page.get_by_text("There were no conversations yet.")).to_be_visible()
    page.go_back()
    expect(change(assistant, "Number 4")).to_be_visible()


def test_going_back_says_what_it_undoes_and_can_itself_be_undone(assistant: AssistantPage) -> None:
    assistant.append(*a_conversation("c1", "Spring", "Where shall we go?", "To the sea."))
    assistant.append(*a_conversation("c2", "Autumn", "And then?"))
    page = assistant.page
    assistant.room("Timeline")
    deed(assistant, "Conversation started: Autumn", "See everything as of then")
    expect(assistant.conversations).to_have_count(2)
    page.go_back()
    deed(assistant, "To the sea.", "See everything as of then")
    expect(assistant.conversations).to_have_count(1)
    page.get_by_role("button", name="Go back to here").click()
    expect(assistant.dialog).to_contain_text("The 2 changes made since then are undone.")
    expect(assistant.dialog.get_by_role("row", name="Conversations")).to_have_text("Conversations21")
    expect(assistant.dialog.get_by_role("row", name="Messages")).to_have_text("Messages32")
    assistant.dialog.get_by_role("button", name="Go back to here").click()
    expect(assistant.notices).to_contain_text("2 changes are undone.")
    expect(page.locator("[data-undone=true]")).to_have_count(2)
    assert texts(assistant) == ["Where shall we go?", "To the sea."]

    assistant.notices.get_by_role("button", name="Undo this").click()
    expect(page.locator("[data-undone=true]")).to_have_count(1)
    expect(page.locator("[data-undone=true]")).to_contain_text("Undone: 2 changes")
    assert texts(assistant) == ["Where shall we go?", "To the sea.", "And then?"]


def test_what_could_not_be_applied_is_listed_with_its_reason_and_what_one_can_do(assistant: AssistantPage) -> None:
    assistant.append(*a_conversation("c1", "Spring", "Where shall we go?"))
    page = assistant.page
    assistant.room("Timeline")
    deed(assistant, "Conversation started: Spring", "Undo")
    expect(change(assistant, "You wrote")).to_contain_text("It belongs to something that is not here, or was undone.")
    page.get_by_role("link", name="See which, and why").click()
    expect(page.locator(".conflict")).to_contain_text("You wrote: Where shall we go?")
    expect(page.locator(".conflict")).to_contain_text("It belongs to something that is not here, or was undone.")
    assert findings(page) == []
    page.locator(".conflict").get_by_role("button", name="Undo").click()
    expect(page.get_by_text("There are none.")).to_be_visible()
    page.get_by_label("Back to the timeline").click()
    expect(page.get_by_role("link", name="See which, and why")).to_have_count(0)
    expect(page.locator("[data-undone=true]")).to_have_count(2)


def test_a_long_import_is_cancelled_and_what_came_in_is_kept_told_and_undone(assistant: AssistantPage, tmp_path: Path) -> None:
    page = assistant.page
    assistant.room("Data")
    assistant.give(an_export(tmp_path / "long.zip", 200, 100))
    expect(page.locator(".work")).to_contain_text("saved", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Cancel: Bringing in long.zip").click()
    expect(assistant.notices).to_contain_text("Stopped. It was stopped before it was done.", timeout=PATIENCE_MS)
    expect(page.locator(".work")).to_have_count(0)
    expect(assistant.chip).to_have_text("Saved")
    kept = len(texts(assistant))
    assert 0 < kept < 20_000
    assistant.notices.get_by_role("button", name="Undo").click()
    assistant.room("Timeline")
    expect(page.locator("[data-undone=true]", has_text="Imported")).to_have_count(1, timeout=PATIENCE_MS)
    assert texts(assistant) == []


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 360)])
def test_axe_finds_nothing_in_the_timeline_and_nothing_is_cut_off(launch: Launch, site: str, theme: str, width: int) -> None:
    context = launch(color_scheme=theme, viewport={"width": width, "height": 800})
    assistant = AssistantPage(context.pages[0], site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "A very long name " * 12, "Onelongword" * 60, "Short."))
    page = assistant.page
    assistant.room("Timeline")
    expect(page.locator(".uplot canvas")).to_be_visible()
    assert findings(page) == []
    deed(assistant, "Onelongword", "Undo")
    expect(page.locator(".mark")).to_be_visible()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width
    deed(assistant, "Short.", "See everything as of then")
    expect(assistant.conversations).to_have_count(1)
    assert findings(page) == []
    assistant.conversations.first.click()
    expect(assistant.messages.first).to_be_attached()
    assert findings(page) == []
    page.get_by_role("button", name="Go back to here").click()
    expect(assistant.dialog.get_by_role("table")).to_be_visible()
    assert findings(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") == width


async def a_file_from_the_future(ahead_ms: int) -> bytes:
    """What an assistant with one conversation saves on a device whose clock is ahead."""
    platform = MemoryPlatform(lambda: time.time_ns() // 1_000_000 + ahead_ms)
    async with await Store.open(schema, "other", platform=platform) as store:
        lines = "\n".join(json.dumps(event) for event in a_conversation("c-later", "From tomorrow", "Hello"))
        await store.append_json(lines.encode())
        return b"".join([chunk async for chunk in store.save()])


def test_changes_from_a_clock_that_is_ahead_are_told_and_wait(assistant: AssistantPage) -> None:
    with ThreadPoolExecutor(1) as pool:  # an event loop runs in this thread
        file = pool.submit(lambda: asyncio.run(a_file_from_the_future(86_400_000))).result()
    assistant.append(*a_conversation("c", "From today"))
    found = assistant.page.evaluate("(text) => pystore.store.restore(new Blob([text]))", file.decode())
    assert (found["new"], found["waiting"]) == (2, 2)
    assistant.room("Timeline")
    told = assistant.page.locator(".aside")
    expect(told).to_contain_text("2 changes from a clock that is ahead wait until their time comes, the first: ")
    expect(change(assistant, "From today")).to_be_visible()
    expect(change(assistant, "From tomorrow")).to_have_count(0)
