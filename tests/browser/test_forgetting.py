"""What was erased or forgotten is in none of the stores that a browser gives a page: all of them are read, byte for byte."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from pystore.records import packed
from tests.support.assistant_page import DATA, PATIENCE_MS, AssistantPage, a_conversation
from tests.support.chromium import Launch, kill
from tests.support.client_page import Client, note
from tests.support.raw_storage import raw_storage

SECRET = "nobody must ever read this again"
ERASE = "async (secret) => pystore.store.erase((await pystore.store.events({ text: secret }))[0].id)"
MIRROR = """async () => {
  const root = await navigator.storage.getDirectory();
  await pystore.store.backups.mirrorTo(await root.getDirectoryHandle('mine', { create: true }));
}"""
FILES_OF_MINE = "async () => Array.fromAsync((await (await navigator.storage.getDirectory()).getDirectoryHandle('mine')).keys())"
UNTIL_REMEMBERED = """
async ([secret, is_there]) => {
  while (JSON.stringify(localStorage).includes(secret) !== is_there) await new Promise((resolve) => setTimeout(resolve, 20));
}
"""


def test_erased_words_are_nowhere_in_the_browser_before_and_after_a_restart(launch: Launch, client_site: str, tmp_path: Path) -> None:
    client = Client(launch(tmp_path).pages[0], client_site)
    client.open()
    client.append(*(note(f"a{number}") for number in range(700)))
    (appended,) = client.append(note("secret", SECRET))
    client.append(*(note(f"b{number}") for number in range(700)))
    client.run("return store.backups.create()")
    client.run("while (!(await store.stats()).bytes.checkpoints) await new Promise((resolve) => setTimeout(resolve, 100))")
    assert raw_storage(client.page).count(SECRET.encode()) >= 3, "in the log, a checkpoint and a backup"
    client.run("return store.erase(a)", appended["id"])
    assert SECRET.encode() not in raw_storage(client.page)
    kill(tmp_path)
    client = Client(launch(tmp_path).pages[0], client_site)
    client.open()
    assert len(client.notes()) == 1400
    assert SECRET.encode() not in raw_storage(client.page)
    assert client.run("return store.verify()")["sound"]
    assert client.run("return store.backups.verify()")["damaged"] == {}
    newest = client.run("return store.backups.list()")[0]["id"]
    client.run("return store.backups.restore(a, 'replace')", newest)
    assert SECRET.encode() not in raw_storage(client.page)


def test_a_browser_that_dies_while_it_erases_goes_on_with_it(launch: Launch, client_site: str, tmp_path: Path) -> None:
    client = Client(launch(tmp_path).pages[0], client_site)
    client.open()
    client.append(*(note(f"a{number}") for number in range(3000)))
    (appended,) = client.append(note("secret", SECRET))
    client.run("return store.backups.create()")
    # Not waited for: the browser is killed as soon as the change is recorded.
    client.run("window.recorded = new Promise((resolve) => store.watchEvents((events) => events > 3001 && resolve()))")
    client.run("void store.erase(a); await window.recorded", appended["id"])
    kill(tmp_path)
    client = Client(launch(tmp_path).pages[0], client_site)
    client.open()
    assert len(client.notes()) == 3000
    verified = client.run("return store.backups.verify()")
    assert verified["good"]
    assert verified["damaged"] == {}
    assert SECRET.encode() not in raw_storage(client.page)


def test_another_window_shows_erased_words_no_more(context: BrowserContext, client_site: str) -> None:
    windows = [Client.in_new_window(context, client_site, "dedicated") for _ in range(2)]
    for window in windows:
        window.open()
    (appended,) = windows[0].append(note("secret", SECRET))
    windows[1].wait("(await store.query('SELECT count(*) AS n FROM note'))[0].n === 1")
    windows[0].run("return store.erase(a)", appended["id"])
    windows[1].wait("(await store.query('SELECT count(*) AS n FROM note'))[0].n === 0")
    assert SECRET not in windows[1].run("return JSON.stringify(await store.events())")


def test_a_second_window_brings_nothing_back_of_what_was_forgotten(context: BrowserContext, client_site: str) -> None:
    windows = [Client.in_new_window(context, client_site, "dedicated") for _ in range(2)]
    for window in windows:
        window.open()
    windows[0].append(note("secret", SECRET))
    windows[0].run("return store.backups.create()")
    windows[1].wait("(await store.query('SELECT count(*) AS n FROM note'))[0].n === 1")
    windows[1].append(note("another", SECRET))
    windows[0].run("return store.forget()")
    for work in ("store.append(a)", "store.backups.create()", "store.backups.configure({ remind_days: 5 })", "store.erase('x:1')"):
        assert windows[1].refused(work, [note("late", SECRET)])["code"] in {"ClosedError", "ValidationError", "StorageError"}, work
    raw = raw_storage(windows[0].page)
    assert SECRET.encode() not in raw
    assert b"notes" not in raw
    assert windows[0].run("return client.listLogs()") == []
    windows[0].visit()
    windows[0].open()
    assert windows[0].notes() == []


def test_what_was_being_forgotten_when_the_browser_died_is_gone_at_the_next_look(page: Page, client_site: str) -> None:
    client = Client(page, client_site, "dedicated")
    client.open()
    client.append(note("secret", SECRET))
    client.run("return store.backups.create()")
    client.run("store.close()")
    client.visit()
    mark = packed({"forgotten": b"yes"})["forgotten"]
    client.run("""
        const database = await new Promise((resolve, reject) => {
          const request = indexedDB.open('pystore/notes');
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        });
        await new Promise((resolve) => {
          const tx = database.transaction('meta', 'readwrite', { durability: 'strict' });
          tx.objectStore('meta').put(new Uint8Array(a), 'forgotten');
          tx.oncomplete = resolve;
        });
        database.close();
    """, list(mark))
    assert client.run("return client.listLogs()") == []
    raw = raw_storage(page)
    assert SECRET.encode() not in raw
    assert b"log-notes" not in raw
    client.open()
    assert client.notes() == []


def test_a_forgotten_assistant_leaves_no_trace(page: Page, site: str) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", SECRET, f"Hello, {SECRET}"))
    expect(assistant.conversations.first).to_contain_text("nobody")
    page.evaluate("pystore.store.backups.create('before')")
    log = page.evaluate("pystore.store.log")
    raw = raw_storage(page)
    assert SECRET.encode() in raw
    assistant.room("Data")
    page.get_by_role("button", name="Forget this assistant").click()
    expect(assistant.dialog).to_contain_text(re.compile(r"1 conversation, 1 message, and \d+ backups? of it"))
    assistant.dialog.get_by_label("To go on, type the name").fill("My assistant")
    assistant.dialog.get_by_role("button", name="Forget it for good").click()
    expect(page.get_by_role("button", name="Start empty")).to_be_visible(timeout=PATIENCE_MS)
    raw = raw_storage(page)
    assert SECRET.encode() not in raw
    assert log.encode() not in raw


def test_a_forgotten_assistant_leaves_no_trace_after_a_restart_either_and_the_files_in_the_folder_stay(
    launch: Launch, site: str, tmp_path: Path
) -> None:
    context = launch(tmp_path / "profile")
    assistant = AssistantPage(context.pages[0], site).visit()
    page = assistant.page
    assistant.start_empty()
    assistant.append(*a_conversation("one", SECRET, f"Hello, {SECRET}"))
    expect(assistant.conversations.first).to_contain_text("nobody")
    page.evaluate("pystore.store.backups.create('before')")
    page.evaluate(MIRROR)
    log = page.evaluate("pystore.store.log")
    page.evaluate(UNTIL_REMEMBERED, [SECRET, True])
    raw = raw_storage(page, but="mine")
    assert SECRET.encode() in raw
    assert log.encode() in raw
    assistant.room("Data")
    page.get_by_role("button", name="Forget this assistant").click()
    expect(assistant.dialog).to_contain_text("the copies in your folder mine, are not touched", timeout=PATIENCE_MS)
    assistant.dialog.get_by_label("To go on, type the name").fill("My assistant")
    assistant.dialog.get_by_role("button", name="Forget it for good").click()
    expect(page.get_by_role("button", name="Start empty")).to_be_visible(timeout=PATIENCE_MS)
    for is_again in (False, True):
        if is_again:
            context.close()
            page = AssistantPage(launch(tmp_path / "profile").pages[0], site).visit().page
            expect(page.get_by_role("button", name="Start empty")).to_be_visible(timeout=PATIENCE_MS)
        raw = raw_storage(page, but="mine")
        assert SECRET.encode() not in raw
        assert log.encode() not in raw
        assert page.evaluate(FILES_OF_MINE) == [f"{log}-{datetime.now(UTC):%Y-%m-%d}.jsonl.gz"]


def test_words_of_a_forgotten_assistant_that_the_browser_remembers_once_more_go_at_the_next_visit(page: Page, site: str) -> None:
    assistant = with_a_secret_that_is_remembered(page, site)
    before = remembered(page)
    assistant.room("Data")
    page.get_by_role("button", name="Forget this assistant").click()
    assistant.dialog.get_by_label("To go on, type the name").fill("My assistant")
    assistant.dialog.get_by_role("button", name="Forget it for good").click()
    expect(page.get_by_role("button", name="Start empty")).to_be_visible(timeout=PATIENCE_MS)
    # Browsers write localStorage late: one that dies has it as it was before.
    page.evaluate("(kept) => Object.assign(localStorage, JSON.parse(kept))", before)
    assistant.visit()
    assistant.in_step()
    page.evaluate(UNTIL_REMEMBERED, [SECRET, False])
    expect(page.get_by_text(SECRET)).to_have_count(0)
    assert SECRET.encode() not in raw_storage(page)


def test_what_is_forgotten_leaves_no_trace_where_there_is_no_private_file_system(launch: Launch, client_site: str) -> None:
    context = launch(options=("--disable-blink-features=FileSystemAccess,FileSystemAccessLocal,FileSystemAccessOriginPrivate",))
    client = Client(context.pages[0], client_site, "dedicated")
    client.open("secret-log")
    client.append(note("secret", SECRET))
    client.run("return store.backups.create()")
    assert client.run("return store.backups.stats()")["where"] in ("bucket", "indexeddb")
    assert raw_storage(client.page).count(SECRET.encode()) >= 2, "in the log and a backup"
    client.run("return store.forget()")
    raw = raw_storage(client.page)
    assert SECRET.encode() not in raw
    assert b"secret-log" not in raw


def test_looking_at_a_file_and_leaving_it_removes_no_backup(page: Page, site: str, tmp_path: Path) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    assistant.room("Data")
    saved = assistant.saved_file(tmp_path)
    page.evaluate("""async () => {
        const other = await pystore.openStore('other', { schema: 'pystore.assistant:schema' });
        const nothing = await other.save();
        await other.forget();
        await pystore.store.restore(nothing, { mode: 'replace' });
    }""")
    assistant.visit()
    assistant.in_step()
    backups = page.evaluate("pystore.store.backups.list()")
    assert backups
    assistant.room("Data")
    assistant.give(saved)
    assistant.dialog.get_by_role("button", name="Cancel").click()
    expect(assistant.dialog).to_have_count(0)
    page.evaluate("pystore.store?.stats()")
    assert page.evaluate("pystore.store.backups.list()") == backups


def remembered(page: Page) -> str:
    """What the page keeps to be painted at the next visit."""
    kept: str = page.evaluate("JSON.stringify(localStorage)")
    return kept


def with_a_secret_that_is_remembered(page: Page, site: str) -> AssistantPage:
    """The page with a conversation open that holds the secret."""
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello", SECRET))
    assistant.conversations.first.click()
    expect(assistant.messages).to_have_count(2)
    page.evaluate(UNTIL_REMEMBERED, [SECRET, True])
    return assistant


def test_a_person_erases_a_message_on_the_timeline(page: Page, site: str) -> None:
    assistant = with_a_secret_that_is_remembered(page, site)
    page.evaluate("pystore.store.backups.create('before')")
    assert SECRET in remembered(page)
    assistant.room("Timeline")
    page.locator(".change", has_text=SECRET).click()
    page.get_by_role("button", name="Erase", exact=True).click()
    assistant.dialog.get_by_role("button", name="Erase it for good").click()
    expect(page.locator(".change", has_text="Messages: erased")).to_be_visible(timeout=PATIENCE_MS)
    assistant.room("Conversations")
    expect(page.get_by_text(SECRET)).to_have_count(0)
    assert SECRET.encode() not in raw_storage(page)


def test_a_person_erases_a_whole_import_only_by_name(page: Page, site: str) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.bring_in(DATA / "chatgpt-small.zip", "Bring in my ChatGPT or Claude export")
    assistant.close_dialog()
    assistant.room("Timeline")
    page.locator(".change", has_text="Imported").click()
    page.get_by_role("button", name="Erase all of it").click()
    erase = assistant.dialog.get_by_role("button", name="Erase all of it for good")
    expect(assistant.dialog).to_contain_text("chatgpt-small.zip")
    expect(assistant.dialog).to_contain_text("Damaged backups go as a whole")
    expect(erase).to_be_disabled()
    assistant.dialog.get_by_label("To go on, type the name").fill("ChatGPT")
    erase.click()
    expect(page.locator(".change", has_text="Erased for good")).to_be_visible(timeout=PATIENCE_MS)
    assert assistant.query("SELECT count(*) AS n FROM message") == [{"n": 0}]


def test_what_another_window_erases_is_remembered_in_none(context: BrowserContext, site: str) -> None:
    page = context.new_page()
    assistant = with_a_secret_that_is_remembered(page, site)
    before = remembered(page)
    other = AssistantPage(context.new_page(), site).visit()
    other.in_step()
    other.page.evaluate(ERASE, SECRET)
    expect(page.get_by_text(SECRET)).to_have_count(0)
    page.evaluate(UNTIL_REMEMBERED, [SECRET, False])
    # A window that died, or slept meanwhile, leaves what it had kept: it is not kept on.
    page.evaluate("(kept) => Object.assign(localStorage, JSON.parse(kept))", before)
    assistant.visit()
    assistant.in_step()
    expect(page.get_by_text(SECRET)).to_have_count(0)
    assert SECRET not in remembered(page)
    assert SECRET.encode() not in raw_storage(page)


def test_a_moment_that_is_looked_at_shows_erased_words_no_more(page: Page, site: str) -> None:
    assistant = with_a_secret_that_is_remembered(page, site)
    assistant.room("Timeline")
    page.locator(".change", has_text=SECRET).click()
    page.get_by_role("button", name="See everything as of then").click()
    assistant.room("Conversations")
    assistant.conversations.first.click()
    expect(assistant.messages).to_have_text(["Hello", SECRET])
    page.evaluate(ERASE, SECRET)
    expect(page.get_by_text(SECRET)).to_have_count(0)
    expect(assistant.notices).to_have_count(0)
