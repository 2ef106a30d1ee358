"""What a person does with the page, from the first visit on, in a real browser."""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from tests.support.assistant_page import DATA, PATIENCE_MS, AssistantPage, a_conversation
from tests.support.chromium import Launch, kill

BRING_IN = "Bring in my ChatGPT or Claude export"
EVERYTHING = (
    "SELECT * FROM conversation ORDER BY conversation_id",
    "SELECT * FROM message ORDER BY position",
    "SELECT rowid FROM message_search WHERE message_search MATCH 'restaurant' ORDER BY rowid",
    "SELECT rowid FROM conversation_search WHERE conversation_search MATCH 'restaurant' ORDER BY rowid",
    "SELECT * FROM pystore_import ORDER BY event_id",
    "SELECT * FROM pystore_conflict ORDER BY replica, seq",
)


@pytest.fixture
def assistant(page: Page, site: str) -> AssistantPage:
    """A first visit."""
    return AssistantPage(page, site).visit()


def test_both_exports_come_in_and_go_to_a_fresh_profile_as_one_file(launch: Launch, site: str, tmp_path: Path) -> None:
    first = AssistantPage(launch(tmp_path / "one").pages[0], site).visit()
    first.bring_in(DATA / "chatgpt-export.zip", BRING_IN)
    expect(first.told("Conversations")).to_have_text("500")
    expect(first.told("Messages")).to_have_text("7,503")
    expect(first.dialog).to_contain_text("Everything in it was understood")
    first.close_dialog()
    first.room("Data")
    first.bring_in(DATA / "claude-export.zip")
    expect(first.told("Conversations")).to_have_text("250")
    first.close_dialog()

    first.bring_in(DATA / "claude-export.zip")
    expect(first.dialog).to_contain_text("is here already")
    first.close_dialog()

    first.room("Conversations")
    first.search("bourbon steak")
    first.conversations.filter(has_text="Assistant").first.click()
    expect(first.messages.first).to_be_attached()
    first.write("And a table for three?")
    expect(first.page.locator(".unsaved")).to_have_count(0)
    kill(tmp_path / "one")
    first = AssistantPage(launch(tmp_path / "one").pages[0], site).visit()
    first.in_step()
    first.search("table for three")
    expect(first.conversations.first).to_contain_text("And a table for three?")
    first.room("Data")
    saved = first.saved_file(tmp_path)
    small = first.saved_file(tmp_path, "Save as a small file")
    rows = [first.query(sql) for sql in EVERYTHING]
    assert len(rows[0]) == 750
    assert len(rows[1]) == 10_894
    assert rows[2]
    lines = saved.read_bytes().splitlines()
    assert gzip.decompress(small.read_bytes()).splitlines()[1:-1] == lines[1:-1]
    first.page.context.close()

    second = AssistantPage(launch(tmp_path / "two").pages[0], site).visit()
    second.give(small, BRING_IN)
    expect(second.dialog).to_contain_text("every line was checked", timeout=PATIENCE_MS)
    second.page.get_by_role("button", name="Restore", exact=True).click()
    expect(second.notices).to_contain_text("restored from", timeout=PATIENCE_MS)

    assert [second.query(sql) for sql in EVERYTHING] == rows
    second.room("Data")
    assert second.saved_file(tmp_path / "again").read_bytes().splitlines()[1:-1] == lines[1:-1]


def test_what_is_written_is_there_after_a_reload_and_in_another_window(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.page.get_by_role("link", name="New").click()
    assistant.write("Where shall we go in spring?")
    expect(assistant.messages).to_have_text(["Where shall we go in spring?"])
    assistant.write("Somewhere by the sea.")
    expect(assistant.messages).to_have_count(2)
    expect(assistant.page.locator(".unsaved")).to_have_count(0)
    expect(assistant.conversations).to_contain_text("Where shall we go in spring?")

    assistant.page.reload()
    expect(assistant.messages).to_have_text(["Where shall we go in spring?", "Somewhere by the sea."])
    assistant.in_step()
    other = AssistantPage(assistant.page.context.new_page(), assistant.site)
    other.page.goto(assistant.page.url)
    expect(other.messages).to_have_count(2)
    assistant.write("Or in the hills.")
    expect(other.messages).to_have_text(["Where shall we go in spring?", "Somewhere by the sea.", "Or in the hills."])


def test_the_composer_stays_under_the_hands_of_who_writes_the_first_messages(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.page.get_by_role("link", name="New").click()
    assistant.write("The first.")
    expect(assistant.messages).to_have_text(["The first."])
    assistant.page.locator(".composer textarea").evaluate("""(input) => {
        window.lost = document.activeElement === input ? [] : ['after the first'];
        new MutationObserver(() => {
            if (document.activeElement !== input) window.lost.push(document.querySelector('.detail').textContent);
        }).observe(document.body, { childList: true, subtree: true });
    }""")
    for number in range(2, 12):
        assistant.page.keyboard.type(f"Number {number}.")
        assistant.page.keyboard.press("Enter")
    expect(assistant.messages).to_have_text(["The first.", *(f"Number {number}." for number in range(2, 12))])
    assistant.in_step()
    assert assistant.page.evaluate("window.lost") == []


def test_the_last_known_state_is_painted_and_what_is_written_is_kept_before_python_is_there(launch: Launch, site: str) -> None:
    context = launch(service_workers="block")
    before = AssistantPage(context.pages[0], site).visit()
    before.start_empty()
    before.append(*a_conversation("c1", "Spring", "Where shall we go?", "To the sea."))
    before.conversations.first.click()
    expect(before.messages).to_have_count(2)
    before.page.close()

    held: list[Route] = []
    page = context.new_page()
    page.route("**/assets/dedicated.*.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks what it is given
    assistant = AssistantPage(page, f"{site}?worker=dedicated").visit()
    expect(assistant.conversations).to_contain_text("Spring")
    assistant.conversations.first.click()
    expect(assistant.messages).to_have_text(["Where shall we go?", "To the sea."])
    assistant.write("By train.")
    assistant.page.get_by_label("Message", exact=True).fill("And then")
    expect(assistant.messages).to_have_text(["Where shall we go?", "To the sea.", "By train."])
    expect(assistant.page.locator(".unsaved")).to_have_text("waiting to be saved")
    expect(assistant.chip).to_have_text("Opening")

    assistant.page.reload()
    expect(assistant.page.locator(".unsaved")).to_have_count(1)
    expect(assistant.page.get_by_label("Message", exact=True)).to_have_value("And then")
    held[-1].continue_()
    expect(assistant.page.locator(".unsaved")).to_have_count(0, timeout=PATIENCE_MS)
    assert assistant.query("SELECT text, parent_id FROM message ORDER BY position DESC LIMIT 1") == [
        {"text": "By train.", "parent_id": "c1-1"}
    ]


def test_of_what_was_kept_for_the_first_paint_nothing_is_shown_once_a_bit_of_it_flipped(launch: Launch, site: str) -> None:
    context = launch(service_workers="block")
    before = AssistantPage(context.pages[0], site).visit()
    before.start_empty()
    before.append(*a_conversation("c1", "Spring", "Where shall we go?"))
    before.conversations.first.click()
    before.page.evaluate(WHAT_IS_KEPT)
    before.page.evaluate("""() => {
      const [[key, kept]] = Object.entries(localStorage).filter(([name]) => name.startsWith('pystore/seen/'));
      localStorage.setItem(key, kept.replaceAll('Spring', 'Sprinf'));
    }""")
    before.page.close()

    held: list[Route] = []
    page = context.new_page()
    page.route("**/assets/dedicated.*.js", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks what it is given
    assistant = AssistantPage(page, f"{site}?worker=dedicated").visit()
    expect(assistant.chip).to_have_text("Opening")
    expect(page.locator("body")).not_to_contain_text("Sprin")
    held[-1].continue_()
    expect(assistant.conversations).to_contain_text("Spring", timeout=PATIENCE_MS)


def test_a_message_written_again_is_a_second_version_and_the_first_stays(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Spring", "Where shall we go?", "To the sea."))
    assistant.conversations.first.click()
    assistant.page.get_by_label("Write this message anew").first.click()
    expect(assistant.page.get_by_label("Message", exact=True)).to_have_value("Where shall we go?")
    assistant.write("Where shall we go in June?")

    expect(assistant.messages).to_have_text(["Where shall we go in June?"])
    expect(assistant.page.locator(".versions")).to_have_text("2 of 2")
    assistant.page.get_by_label("Version before").click()
    expect(assistant.messages).to_have_text(["Where shall we go?", "To the sea."])


def test_branches_of_an_export_are_all_reachable(assistant: AssistantPage) -> None:
    assistant.bring_in(DATA / "chatgpt-small.zip", BRING_IN)
    assistant.close_dialog()
    [branch] = assistant.query(
        "SELECT conversation_id, parent_id, count(*) AS n FROM message GROUP BY 1, 2 HAVING n > 1 AND parent_id IS NOT NULL LIMIT 1"
    )
    versions = assistant.query(
        "SELECT message_id, text FROM message WHERE parent_id = ? ORDER BY created_at, position", branch["parent_id"]
    )
    log = assistant.page.evaluate("location.hash.split('/')[1]")
    for version in versions:
        assistant.page.evaluate(
            "([log, id, message]) => { location.hash = `#/${log}/conversations/${id}?message=${encodeURIComponent(message)}` }",
            [log, branch["conversation_id"], version["message_id"]],
        )
        expect(assistant.page.locator(".message[data-wanted=true] .text")).to_have_text(version["text"])
        expect(assistant.page.locator(".message[data-wanted=true] .versions")).to_have_text(
            f"{versions.index(version) + 1} of {len(versions)}"
        )


def test_messages_without_parents_follow_each_other_and_a_circle_hides_nothing(assistant: AssistantPage) -> None:
    assistant.start_empty()
    plain = a_conversation("plain", "Plain", "One", "Two", "Three")
    circle = a_conversation("circle", "Circle", "Red", "Green", "Blue")
    for event in plain:
        event["data"].pop("parent_id", None)
    circle[1]["data"]["parent_id"] = "circle-2"
    assistant.append(*plain, *circle)
    assistant.conversations.filter(has_text="Plain").click()
    expect(assistant.messages).to_have_text(["One", "Two", "Three"])
    assistant.page.get_by_label("Write this message anew").last.click()
    assistant.write("Three again")
    expect(assistant.messages).to_have_text(["One", "Two", "Three again"])
    assistant.conversations.filter(has_text="Circle").click()
    expect(assistant.messages).to_have_text(["Red", "Green", "Blue"])


WHAT_IS_KEPT = """async () => {
    for (;;) {
        const [, kept] = Object.entries(localStorage).find(([key]) => key.startsWith('pystore/seen/')) ?? [];
        if (kept && JSON.parse(kept.slice(8)).open) return kept; // behind its checksum
        await new Promise(requestAnimationFrame);
    }
}"""


def test_what_is_kept_for_the_first_paint_is_bounded_and_newest(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Long", *(f"{number} " + "x" * 30_000 for number in range(10))))
    assistant.conversations.first.click()
    expect(assistant.messages.last).to_contain_text("9 ")
    kept = assistant.page.evaluate(WHAT_IS_KEPT)
    assert len(kept) <= 100_000
    assert [message["text"][:2] for message in json.loads(kept[8:])["open"]["messages"]] == ["7 ", "8 ", "9 "]


def test_search_finds_as_one_types_and_opens_the_message(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Spring", *(f"Message {number}" for number in range(300)), "A lighthouse by the sea"))
    assistant.append(*a_conversation("c2", "The lighthouse keeper", "Hello"))
    assistant.page.keyboard.press("/")
    assistant.page.keyboard.type("lightho")
    expect(assistant.conversations).to_have_count(2)
    expect(assistant.page.locator(".links mark")).to_have_text(["lighthouse", "lighthouse"])

    assistant.conversations.filter(has_text="by the sea").click()
    expect(assistant.page.locator(".message[data-wanted=true] .text")).to_be_in_viewport()
    assistant.search("message 7")
    assistant.conversations.filter(has_text="Message 7").first.click()
    expect(assistant.page.locator(".message[data-wanted=true] .text")).to_be_in_viewport()
    assistant.search("nothing like this")
    expect(assistant.page.locator(".list-foot")).to_contain_text("Nothing found")


def test_assistants_are_made_renamed_switched_and_kept_apart(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Only with the first", "Hello"))
    expect(assistant.conversations).to_have_count(1)
    page = assistant.page
    page.locator(".switcher").click()
    page.get_by_role("button", name="New assistant").click()
    page.get_by_role("textbox", name="Name").fill("Kitchen")
    page.keyboard.press("Enter")
    expect(page.locator(".switcher .name")).to_have_text("Kitchen")
    assistant.in_step()
    expect(page.locator(".list-pane .nothing")).to_have_text("No conversations yet.")

    page.locator(".switcher").click()
    page.get_by_role("button", name="Rename this one").click()
    page.get_by_role("textbox", name="Name").fill("Cooking")
    page.keyboard.press("Enter")
    expect(page.locator(".switcher .name")).to_have_text("Cooking")
    page.locator(".switcher").click()
    expect(page.get_by_role("list", name="Assistants").get_by_role("link")).to_have_text(["Cooking", "My assistant"])
    page.get_by_role("link", name="My assistant").click()
    expect(assistant.conversations).to_contain_text("Only with the first")


def test_forgetting_asks_for_the_name_and_leaves_nothing_in_local_storage(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Secret", "The word is swordfish"))
    assistant.conversations.first.click()
    expect(assistant.messages).to_have_count(1)
    assistant.page.get_by_label("Message", exact=True).fill("a draft about swordfish")
    assistant.room("Data")
    assistant.page.get_by_role("button", name="Forget this assistant").click()
    forget = assistant.dialog.get_by_role("button", name="Forget it for good")
    expect(forget).to_be_disabled()
    assistant.dialog.get_by_role("textbox").fill("My assistant")
    forget.click()

    expect(assistant.page.get_by_role("button", name="Start empty")).to_be_visible()
    assert "swordfish" not in assistant.page.evaluate("JSON.stringify(localStorage)")
    assert assistant.page.evaluate("pystore.listLogs()") == []


def test_a_file_whose_log_cannot_be_named_here_never_goes_into_the_assistant_that_is_open(assistant: AssistantPage, tmp_path: Path) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Theirs", "One"))
    assistant.room("Data")
    header, *lines, footer = assistant.saved_file(tmp_path).read_bytes().splitlines(keepends=True)
    assistant.append(*a_conversation("c2", "Mine", "Two"))
    mine = assistant.page.evaluate("window.pystore.store.log")
    body = json.dumps({**json.loads(header), "log": "Über uns"}).encode() + b"\n" + b"".join(lines)
    end = json.dumps({**json.loads(footer), "sha256": hashlib.sha256(body).hexdigest()}, separators=(",", ":")).encode() + b"\n"

    assistant.give({"name": "theirs.jsonl", "mimeType": "application/jsonl", "buffer": body + end})
    expect(assistant.dialog).to_contain_text("every line was checked", timeout=PATIENCE_MS)
    assistant.page.get_by_role("button", name="Restore", exact=True).click()
    expect(assistant.notices).to_contain_text("restored from")
    assert assistant.page.evaluate("window.pystore.store.log") != mine
    assert assistant.query("SELECT title FROM conversation") == [{"title": "Theirs"}]


FIRST_IN_OUTBOX = """async ([events, batch]) => {
  const { store } = window.pystore;
  const empty = await store.save();
  await store.append(events, { batch });
  await store.restore(empty, { mode: 'replace' });
  const message = { message_id: 'c1-0', parent_id: null, role: 'user', text: 'Gone', parts: null, model: null, created_at: '2026-01-02' };
  const waiting = { conversation: 'c1', title: 'Gone', message, events, batch };
  localStorage.setItem(`pystore/outbox/${store.log}/${batch}`, JSON.stringify(waiting));
}"""


def test_a_message_that_went_with_what_was_replaced_can_be_discarded_and_holds_up_no_other(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.page.evaluate(FIRST_IN_OUTBOX, [a_conversation("c1", "Gone", "Gone"), "once"])
    assistant.page.reload()
    expect(assistant.notices).to_contain_text("gone since a saved file took the place of everything", timeout=PATIENCE_MS)
    assistant.append(*a_conversation("c2", "Here", "One"))
    assistant.conversations.filter(has_text="Here").click()
    assistant.write("Two")
    expect(assistant.page.locator(".unsaved")).to_have_count(1)
    assistant.page.get_by_role("button", name="Discard this message").first.click()
    expect(assistant.page.locator(".unsaved")).to_have_count(0)
    assert assistant.query("SELECT text FROM message ORDER BY position") == [{"text": "One"}, {"text": "Two"}]


def test_a_message_for_which_the_browser_has_no_room_meanwhile_says_so(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Here", "One"))
    assistant.conversations.filter(has_text="Here").click()
    assistant.page.evaluate("""() => {
      for (let size = 1 << 22; size >= 1; size >>= 1) {
        for (let n = 0; ; n++) try { localStorage.setItem(`full ${size} ${n}`, 'x'.repeat(size)); } catch { break; }
      }
    }""")
    assistant.write("Two")
    expect(assistant.notices).to_contain_text("Keep this window open until your message is saved")
    expect(assistant.page.locator(".unsaved")).to_have_count(0)
    assert len(assistant.query("SELECT 1 FROM message")) == 2


def test_a_python_that_is_ended_is_told_of_and_one_goes_on(page: Page, site: str) -> None:
    assistant = AssistantPage(page, f"{site}?worker=dedicated").visit()
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Before", "One"))
    page.evaluate("""() => {
      window.told = [];
      const chip = document.querySelector('.chip-label');
      new MutationObserver(() => told.push(chip.textContent)).observe(chip, { childList: true, characterData: true, subtree: true });
    }""")
    with page.expect_event("worker", timeout=PATIENCE_MS):
        page.workers[-1].evaluate("() => { setTimeout(() => self.close(), 0); }")
    assistant.in_step()
    assert "Restarting" in page.evaluate("told")
    assistant.append(*a_conversation("c2", "After", "Two"))
    expect(assistant.conversations).to_have_count(2)


def test_a_browser_that_gives_no_storage_is_told_of_on_the_page(page: Page, site: str) -> None:
    def without_storage(route: Route) -> None:
        with urllib.request.urlopen(route.request.url) as response:
            script = response.read().decode()
        script = "Object.defineProperty(self, 'indexedDB', { value: undefined });" + script
        route.fulfill(body=script, content_type="text/javascript")

    page.context.route("**/shared.*.js", without_storage)
    assistant = AssistantPage(page, site).visit()
    page.get_by_role("button", name="Start empty").click()
    expect(assistant.chip).to_have_text("Cannot save", timeout=PATIENCE_MS)
    expect(assistant.notices.first).to_contain_text("storage")


@pytest.mark.parametrize(("promised", "says"), [(True, "which promised not to clear it"), (False, "it may clear it when space runs short")])
def test_the_browser_is_asked_to_keep_the_data_once_there_are_some(page: Page, site: str, *, promised: bool, says: str) -> None:
    page.add_init_script(f"""
      navigator.storage.persisted = async () => Boolean(window.asked) && {json.dumps(promised)};
      navigator.storage.persist = async () => {{ window.asked = (window.asked ?? 0) + 1; return {json.dumps(promised)}; }};
    """)
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assert page.evaluate("window.asked") is None
    page.get_by_role("link", name="New").click()
    assistant.write("Where shall we go?")
    expect(page.locator(".unsaved")).to_have_count(0)
    assistant.write("By the sea?")
    expect(page.locator(".unsaved")).to_have_count(0)
    assistant.room("Data")
    expect(page.locator(".safety .sentence")).to_contain_text(says)
    assert page.evaluate("window.asked") == 1
    if not promised:
        page.get_by_role("button", name="Ask the browser to keep it").click()
        expect(assistant.notices).to_contain_text("The browser did not promise it")


def test_restoring_into_what_is_there_adds_or_replaces_as_chosen(assistant: AssistantPage, tmp_path: Path) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Before", "One"))
    assistant.room("Data")
    saved = assistant.saved_file(tmp_path)
    assistant.append(*a_conversation("c2", "After", "Two"))

    assistant.give(saved)
    expect(assistant.dialog).to_contain_text("nothing would change")
    assistant.page.get_by_role("button", name="Restore", exact=True).click()
    expect(assistant.notices).to_contain_text("was here already")
    assert len(assistant.query("SELECT 1 FROM conversation")) == 2

    assistant.room("Data")
    assistant.give(saved)
    assistant.page.get_by_text("Replace everything here").click()
    replace = assistant.dialog.get_by_role("button", name="Replace everything")
    expect(replace).to_be_disabled()
    assistant.dialog.get_by_role("textbox").fill("My assistant")
    replace.click()
    expect(assistant.conversations).to_have_count(1)
    assert assistant.query("SELECT title FROM conversation") == [{"title": "Before"}]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("empty.jsonl", b"", "Nothing here was changed"),
        ("noise.zip", bytes(range(256)) * 40, "Nothing here was changed"),
        ("deep.json", b"[" * 100_000, "Nothing here was changed"),
    ],
)
def test_a_file_that_is_none_is_refused_with_a_sentence(assistant: AssistantPage, name: str, content: bytes, told: str) -> None:
    assistant.start_empty()
    assistant.room("Data")
    assistant.give({"name": name, "mimeType": "application/octet-stream", "buffer": content})

    expect(assistant.notices).to_contain_text(told)
    expect(assistant.notices.get_by_role("button", name="Choose another file")).to_be_visible()
    assert assistant.query("SELECT count(*) AS n FROM conversation") == [{"n": 0}]


def test_of_a_damaged_backup_the_whole_part_is_offered(assistant: AssistantPage, tmp_path: Path) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Spring", "One", "Two", "Three"))
    assistant.room("Data")
    content = assistant.saved_file(tmp_path).read_bytes()
    assistant.give({"name": "cut.jsonl", "mimeType": "application/jsonl", "buffer": content[: content.rindex(b"\n", 0, -300)]})

    expect(assistant.dialog).to_contain_text("The file is damaged")
    expect(assistant.dialog.get_by_role("button", name="Restore the whole part")).to_be_visible()


ALTER_WHAT_IS_STORED = """(log) => new Promise((resolve, reject) => {
    const opening = indexedDB.open(`pystore/${log}`);
    opening.onsuccess = () => {
        const tx = opening.result.transaction('segments', 'readwrite');
        tx.objectStore('segments').openCursor(null, 'prev').onsuccess = ({ target: { result } }) => {
            const body = result.value.body;
            body[body.length >> 1] ^= 1;
            result.update({ ...result.value, body });
        };
        tx.oncomplete = () => { opening.result.close(); resolve(); };
        tx.onabort = reject;
    };
})"""


def test_everything_is_checked_and_what_is_damaged_is_told(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Spring", "One", "Two", "Three"))
    assistant.room("Data")
    assistant.page.get_by_role("button", name="Check everything").click()
    expect(assistant.notices).to_contain_text("Everything is sound: 5 changes checked.")

    assistant.page.evaluate(ALTER_WHAT_IS_STORED, assistant.page.evaluate("pystore.store.log"))
    assistant.page.get_by_role("button", name="Check everything").click()
    expect(assistant.dialog).to_contain_text("Something is damaged")
    expect(assistant.dialog.get_by_role("list").get_by_role("listitem").first).to_be_visible()
    assert assistant.query("SELECT count(*) AS n FROM message") == [{"n": 3}]


REFUSE_APPENDS = """() => {
    const { store } = pystore;
    const error = Object.assign(new Error('Free some space on this device, then try again.'), { code: 'QuotaError' });
    store.append = () => Promise.reject(error);
    window.makeRoom = () => { delete store.append; };
}"""


def test_a_message_that_finds_no_space_is_told_waits_and_is_sent_again(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Spring", "Hello"))
    assistant.conversations.first.click()
    assistant.page.evaluate(REFUSE_APPENDS)
    assistant.write("Is there room for this?")
    expect(assistant.notices).to_contain_text("There is no space left. Everything saved before is safe. Free some space")
    expect(assistant.page.locator(".unsaved")).to_have_count(1)

    assistant.page.evaluate("makeRoom()")
    assistant.notices.get_by_role("button", name="Try again").click()
    expect(assistant.page.locator(".unsaved")).to_have_count(0)
    expect(assistant.notices).to_have_count(0)
    assert assistant.query("SELECT text FROM message ORDER BY position") == [{"text": "Hello"}, {"text": "Is there room for this?"}]


CLEAR_DATA = """async () => {
    for (const { name } of await indexedDB.databases()) {
        await new Promise((done, failed) => {
            const request = indexedDB.deleteDatabase(name);
            request.onsuccess = done;
            request.onerror = failed;
        });
    }
}"""


def test_data_cleared_behind_the_page_is_told_at_once_and_at_the_next_visit(launch: Launch, site: str, tmp_path: Path) -> None:
    assistant = AssistantPage(launch(tmp_path / "profile").pages[0], site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("c1", "Spring", "Hello"))
    assistant.conversations.first.click()
    expect(assistant.messages).to_have_count(1)
    assistant.room("Data")
    expect(assistant.page.locator(".figures > div").filter(has_text="Changes in all")).to_contain_text("3")
    assistant.page.go_back()
    assistant.page.evaluate(CLEAR_DATA)
    assistant.write("Is anybody there?")
    expect(assistant.notices).to_contain_text("Your data cannot be reached.")
    expect(assistant.chip).to_have_text("Cannot save")
    assistant.page.context.close()

    again = AssistantPage(launch(tmp_path / "profile").pages[0], site).visit()
    # By the witness if there was time to note one, else by what the page remembers.
    main = again.page.get_by_role("main")
    expect(main).to_contain_text(re.compile(r"What was kept (here|of My assistant) is gone"), timeout=PATIENCE_MS)
    expect(main).to_contain_text("3 changes")
