"""The page by keyboard, on small screens, in both themes, and as a screen reader finds it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support.assistant_page import DATA, AssistantPage, a_conversation
from tests.support.axe import findings
from tests.support.chromium import Launch


@pytest.fixture
def assistant(page: Page, site: str) -> AssistantPage:
    """A first visit."""
    return AssistantPage(page, site).visit()


def focused(page: Page) -> str:
    """The name of what has the focus, or its text."""
    name: str = page.evaluate("document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent.trim()")
    return name


@pytest.mark.parametrize(("theme", "width"), [("light", 1440), ("dark", 1440), ("light", 800), ("dark", 360)])
def test_axe_finds_nothing_in_any_room(launch: Launch, site: str, theme: str, width: int) -> None:
    context = launch(color_scheme=theme, viewport={"width": width, "height": 800})
    assistant = AssistantPage(context.pages[0], site).visit()
    page = assistant.page
    expect(page.get_by_role("button", name="Start empty")).to_be_visible()
    assert findings(page) == []

    assistant.bring_in(DATA / "chatgpt-small.zip", "Bring in my ChatGPT or Claude export")
    assert findings(page) == []
    assistant.close_dialog()
    assert findings(page) == []
    assistant.search("restaurant")
    expect(page.locator("mark").first).to_be_visible()
    assert findings(page) == []
    page.locator(".switcher").click()
    assert findings(page) == []
    page.keyboard.press("Escape")
    assistant.room("Data")
    assistant.give({"name": "noise.zip", "mimeType": "application/zip", "buffer": b"noise"})
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.locator(".events li").first).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Forget this assistant").click()
    assert findings(page) == []
    assistant.close_dialog()
    assistant.room("Conversations")
    assistant.conversations.first.click()
    expect(assistant.messages.first).to_be_attached()
    assert findings(page) == []


def test_the_list_is_walked_with_arrows_home_end_and_by_typing(assistant: AssistantPage) -> None:
    assistant.start_empty()
    for start in range(0, 600, 100):
        assistant.append(
            *(
                a_conversation(f"c{number}", f"Number {number}", at=f"2026-01-02T03:{number // 60:02}:{number % 60:02}.000Z")[0]
                for number in range(start, start + 100)
            )
        )
    page = assistant.page
    expect(page.locator(".list-foot")).to_contain_text("600 conversations")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("Number 599")
    page.keyboard.press("ArrowDown")
    assert focused(page).startswith("Number 598")
    page.keyboard.press("Home")
    assert focused(page).startswith("Number 599")
    expect(page.locator(":focus")).to_be_in_viewport()
    page.keyboard.press("End")
    expect(page.locator(":focus")).to_contain_text("Number 0")
    expect(page.locator(":focus")).to_be_in_viewport()
    assert page.locator(".links li").count() < 60
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Number 0")).to_be_visible()

    assistant.conversations.last.focus()
    page.keyboard.type("number 25")
    expect(page.locator("#search")).to_have_value("number 25")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).to_have_value("")


def test_everything_is_reached_by_tab_with_the_focus_in_sight(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Spring", "Where shall we go?", "To the sea."))
    assistant.conversations.first.click()
    expect(assistant.messages).to_have_count(2)
    page = assistant.page
    page.locator(".switcher").focus()
    reached = []
    for _ in range(12):
        page.keyboard.press("Tab")
        reached.append(focused(page))
        shown = "getComputedStyle(document.activeElement)"
        assert page.evaluate(f"{shown}.outlineStyle !== 'none' && parseFloat({shown}.outlineWidth) >= 2"), reached[-1]
    for name in (
        "Conversations",
        "Timeline",
        "Data",
        "New",
        "Search everything",
        "Rename",
        "Archive",
        "Messages",
        "Write this message anew",
        "Message",
    ):
        assert name in reached, reached


def test_messages_scroll_by_keys_from_end_to_beginning(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Long", *(f"Message {number} " + "and more words " * (number % 40) for number in range(2_000))))
    assistant.conversations.first.click()
    page = assistant.page
    expect(page.locator(".messages li[aria-posinset='2000']")).to_be_in_viewport()
    page.get_by_role("group", name="Messages").focus()
    page.keyboard.press("Home")
    expect(page.locator(".messages li[aria-posinset='1']")).to_be_in_viewport()
    page.keyboard.press("End")
    expect(page.locator(".messages li[aria-posinset='2000']")).to_be_in_viewport()
    assert page.locator(".messages li").count() < 60


def test_a_phone_shows_one_pane_at_a_time_and_nothing_is_cut_off(launch: Launch, site: str) -> None:
    context = launch(viewport={"width": 360, "height": 740})
    assistant = AssistantPage(context.pages[0], site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "A very long name " * 12, "Onelongword" * 60, "Short."))
    page = assistant.page
    expect(page.get_by_role("region", name="Conversations")).to_be_visible()
    expect(page.get_by_role("region", name="Conversation", exact=True)).to_be_hidden()
    assistant.conversations.first.click()
    expect(page.get_by_role("region", name="Conversations")).to_be_hidden()
    expect(page.get_by_label("Message", exact=True)).to_be_in_viewport()
    expect(assistant.chip).to_be_in_viewport()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.get_by_label("Back to the list").click()
    expect(page.get_by_role("region", name="Conversations")).to_be_visible()
    assistant.room("Data")
    expect(page.get_by_role("heading", name="How safe is it")).to_be_visible()
    assert page.locator(".data").evaluate("room => room.scrollWidth <= room.clientWidth")
