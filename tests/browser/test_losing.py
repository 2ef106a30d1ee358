"""What a person finds when the browser has lost what was kept, and how it comes back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.assistant_page import PATIENCE_MS, AssistantPage, a_conversation
from tests.support.axe import findings
from tests.support.chromium import Launch, Watch
from tests.support.client_page import Client, note

DELETE = """
await new Promise((resolve, reject) => {
  const request = indexedDB.deleteDatabase(`pystore/${a}`);
  request.onsuccess = resolve;
  request.onerror = reject;
});
"""
NOTED = """
const noted = async () => {
  let at = await navigator.storage.getDirectory();
  for (const name of ['pystore-vault', `log-${a}`, 'state']) at = await at.getDirectoryHandle(name);
  return JSON.parse(await (await (await at.getFileHandle('witness.json')).getFile()).text()).events;
};
while (await noted().catch(() => 0) < b) await new Promise((resolve) => setTimeout(resolve, 100));
"""

PARTS = """
async ([log, removed]) => {
  let at = await navigator.storage.getDirectory();
  for (const name of ['pystore-vault', `log-${log}`, 'chunks']) at = await at.getDirectoryHandle(name);
  for (const name of removed) await at.removeEntry(name);
  return Array.fromAsync(at.keys());
}
"""
"""The parts of which backups are made, without those that are to be removed."""


def delete(page: Page, log: str) -> None:
    page.evaluate(f"async ([a]) => {{ {DELETE} }}", [log])


def noted(page: Page, log: str, events: int) -> None:
    """Wait until the witness tells of so many events."""
    page.evaluate(f"async ([a, b]) => {{ {NOTED} }}", [log, events])


def test_a_deleted_database_is_told_and_nothing_begins_by_itself(context: BrowserContext, client_site: str) -> None:
    client = Client.in_new_window(context, client_site, "dedicated")
    client.open()
    client.append(note("1"), note("2"))
    backup = client.run("return store.backups.create()")
    noted(client.page, "notes", 2)
    client.page.close()
    client = Client.in_new_window(context, client_site, "dedicated")
    delete(client.page, "notes")
    assert client.run("return client.listLogs()") == [{"log": "notes", "name": "notes", "events": 2, "lost": True}]
    error = client.refused("client.openStore('notes', { schema: 'notes_under_test:schema' })")
    assert error["code"] == "StoreLostError"
    assert [one["id"] for one in error["details"]["backups"]] == [backup["id"]]
    client.open(recover=True)
    assert client.run("return store.backups.restore(a)", backup["id"])["new"] == 2
    client.visit()
    client.open()
    assert client.notes() == ["1", "2"]


FLIP_HEAD = """
const database = await settled(indexedDB.open('pystore/notes'));
const tx = database.transaction(['segments', 'meta'], 'readwrite');
const cursor = await settled(tx.objectStore('segments').openCursor(null, 'prev'));
const head = cursor.value.head ?? await settled(tx.objectStore('meta').get('head'));
head[new TextDecoder('latin1').decode(head).indexOf('My notes')] ^= 1;
await settled(cursor.value.head ? cursor.update({ ...cursor.value, head }) : tx.objectStore('meta').put(head, 'head'));
database.close();
"""
FLIP_WITNESS = """
let at = await navigator.storage.getDirectory();
for (const name of ['pystore-vault', 'log-notes', 'state']) at = await at.getDirectoryHandle(name);
const handle = await at.getFileHandle('witness.json');
const text = await (await handle.getFile()).text();
const file = await handle.createWritable();
await file.write(text.replace('My notes', 'Ly notes'));
await file.close();
"""


@pytest.mark.parametrize("what", ["the log", "the witness"])
def test_no_flipped_bit_in_what_an_assistant_is_listed_by_is_shown(context: BrowserContext, client_site: str, what: str) -> None:
    client = Client.in_new_window(context, client_site, "dedicated")
    client.open()
    client.append(note("1"))
    client.run("return store.rename('My notes')")
    noted(client.page, "notes", 2)
    client.page.close()
    client = Client.in_new_window(context, client_site, "dedicated")
    if what == "the witness":
        delete(client.page, "notes")
    assert [row["name"] for row in client.run("return client.listLogs()")] == ["My notes"]
    client.run(f"""
        const settled = (request) => new Promise((resolve, reject) => {{
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        }});
        {FLIP_HEAD if what == "the log" else FLIP_WITNESS}
    """)
    assert [row["name"] for row in client.run("return client.listLogs()")] == ["notes"], "by what its store is called"


def kept_and_lost(context: BrowserContext, site: str, meanwhile: Callable[[AssistantPage], None]) -> AssistantPage:
    """A page whose assistant was lost. One conversation of it is in a backup, a later one is not; `meanwhile` the page is asked more."""
    assistant = AssistantPage(context.new_page(), f"{site}?worker=dedicated").visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    expect(assistant.conversations.first).to_contain_text("One")
    log: str = assistant.page.evaluate("pystore.store.log")
    assistant.page.evaluate("pystore.store.backups.create('before')")
    meanwhile(assistant)
    assistant.append(*a_conversation("two", "Two", "Hello"))
    noted(assistant.page, log, 5)
    assistant.page.close()
    page = context.new_page()
    page.goto(f"{site}manifest.webmanifest")  # a page of the same origin that opens nothing
    delete(page, log)
    return AssistantPage(page, f"{site}?worker=dedicated")


@pytest.fixture
def lost_assistant(context: BrowserContext, site: str, watch: Watch, tmp_path: Path) -> AssistantPage:
    """A page whose assistant was lost. One conversation of it is in a backup and in a file, a later one in neither."""
    watch.allow(r"favicon\.ico")

    def save(assistant: AssistantPage) -> None:
        assistant.room("Data")
        assistant.saved_file(tmp_path)

    return kept_and_lost(context, site, save).visit()


MIRROR = """async () => {
  // A picker cannot be driven from here. What it gives is a handle of this very kind.
  const root = await navigator.storage.getDirectory();
  await pystore.store.backups.mirrorTo(await root.getDirectoryHandle('mine', { create: true }));
}"""
WITHOUT_BACKUPS = """async () => {
  const vaults = await (await navigator.storage.getDirectory()).getDirectoryHandle('pystore-vault');
  for await (const vault of vaults.values()) {
    for (const name of ['backups', 'chunks']) await vault.removeEntry(name, { recursive: true });
  }
}"""


def mirror(assistant: AssistantPage) -> None:
    """Let backups be copied into a folder."""
    assistant.page.evaluate(MIRROR)


def test_a_person_brings_back_the_newest_backup_of_what_was_lost(lost_assistant: AssistantPage) -> None:
    assistant, page = lost_assistant, lost_assistant.page
    expect(page.get_by_role("heading", name="What was kept of My assistant is gone")).to_be_visible(timeout=PATIENCE_MS)
    offered = page.get_by_role("listitem").filter(has_text="newest good backup")
    expect(offered).to_contain_text("At most 2 changes made after it are not in it.")
    assert findings(page) == []
    page.get_by_role("button", name="Bring it back").click()
    expect(assistant.conversations.first).to_contain_text("One", timeout=PATIENCE_MS)
    expect(assistant.notices.filter(has_text="3 changes are back")).to_contain_text("2 changes are still missing")
    page.reload()
    expect(assistant.conversations.first).to_contain_text("One", timeout=PATIENCE_MS)
    assistant.in_step()


def test_a_backup_the_folder_a_file_and_starting_over_are_offered_in_this_order(context: BrowserContext, site: str, watch: Watch) -> None:
    watch.allow(r"favicon\.ico")
    assistant = kept_and_lost(context, site, mirror).visit()
    choices = assistant.page.locator(".lost").get_by_role("listitem")
    in_order = ["newest good backup", "newest file of your folder mine", "Restore a file that you saved", "Start over with nothing"]
    expect(choices).to_contain_text(in_order, timeout=PATIENCE_MS)
    assert findings(assistant.page) == []


@pytest.mark.parametrize("has_backups", [True, False], ids=["with its backups", "without its backups"])
def test_a_lost_assistant_comes_back_from_the_folder_and_what_is_missing_is_told(
    context: BrowserContext, site: str, watch: Watch, *, has_backups: bool
) -> None:
    watch.allow(r"favicon\.ico")
    assistant = kept_and_lost(context, site, mirror)
    page = assistant.page
    if not has_backups:
        page.evaluate(WITHOUT_BACKUPS)
    assistant.visit()
    expect(page.get_by_role("heading", name="What was kept of My assistant is gone")).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("button", name="Bring it back")).to_have_count(1 if has_backups else 0)
    page.get_by_role("button", name="Look at it").click()
    expect(assistant.dialog).to_contain_text("every line was checked", timeout=PATIENCE_MS)
    expect(assistant.dialog).to_contain_text("2 changes of the 5 that were last seen here are not in it.")
    assistant.dialog.get_by_role("button", name="Restore").click()
    expect(assistant.conversations.first).to_contain_text("One", timeout=PATIENCE_MS)
    expect(assistant.notices.filter(has_text="3 changes restored")).to_contain_text("2 changes are still missing")
    page.reload()
    expect(assistant.conversations.first).to_contain_text("One", timeout=PATIENCE_MS)
    assistant.in_step()


def test_choosing_no_file_or_not_restoring_it_begins_nothing(lost_assistant: AssistantPage, tmp_path: Path) -> None:
    assistant, page = lost_assistant, lost_assistant.page
    lost = page.get_by_role("heading", name="What was kept of My assistant is gone")
    with page.expect_file_chooser():  # and nothing is chosen
        page.get_by_role("button", name="Choose a file").click()
    expect(lost).to_be_visible()
    expect(assistant.chip).not_to_have_text("Saved")

    (file,) = tmp_path.glob("*.jsonl")
    assistant.give(file, "Choose a file")
    expect(assistant.dialog).to_contain_text("Restore this backup?", timeout=PATIENCE_MS)
    assistant.close_dialog()
    expect(lost).to_be_visible()
    page.reload()
    expect(lost).to_be_visible(timeout=PATIENCE_MS)


def test_who_went_elsewhere_while_a_backup_came_back_is_not_taken_away(lost_assistant: AssistantPage) -> None:
    assistant, page = lost_assistant, lost_assistant.page
    expect(page.get_by_role("button", name="Bring it back")).to_be_visible(timeout=PATIENCE_MS)
    page.evaluate("""() => {
      const { databases } = IDBFactory.prototype;
      const goOn = new Promise((resolve) => { window.goOn = resolve; });
      IDBFactory.prototype.databases = async function () { await goOn; return databases.call(this); };
    }""")
    page.get_by_role("button", name="Bring it back").click()
    expect(assistant.conversations.first).to_contain_text("One", timeout=PATIENCE_MS)
    assistant.room("Data")
    page.evaluate("goOn()")
    expect(assistant.notices.filter(has_text="3 changes are back")).to_be_visible()
    expect(page.get_by_role("list", name="Backups")).to_be_visible()
    assert page.evaluate("location.hash").endswith("/data")


def test_a_backup_that_is_found_to_be_damaged_gives_way_to_the_one_before_it(context: BrowserContext, site: str, watch: Watch) -> None:
    watch.allow(r"favicon\.ico")
    assistant = AssistantPage(context.new_page(), f"{site}?worker=dedicated").visit()
    assistant.start_empty()
    page = assistant.page
    log: str = page.evaluate("pystore.store.log")
    page.evaluate("pystore.store.backups.stop()")
    kept: list[set[str]] = []
    for name in ("One", "Two"):
        assistant.append(*a_conversation(name.lower(), name, "Hello"))
        expect(assistant.conversations.filter(has_text=name)).to_be_visible()
        page.evaluate("pystore.store.backups.create('before')")
        kept.append(set(page.evaluate(PARTS, [log, []])))
    noted(page, log, 5)
    page.close()
    page = context.new_page()
    page.goto(f"{site}manifest.webmanifest")
    delete(page, log)
    page.evaluate(PARTS, [log, sorted(kept[1] - kept[0])])
    assistant = AssistantPage(page, f"{site}?worker=dedicated").visit()

    offered = page.get_by_role("listitem").filter(has_text="newest good backup")
    expect(offered).to_contain_text("holds 5 changes", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Bring it back").click()
    expect(assistant.notices).to_contain_text("damaged", timeout=PATIENCE_MS)
    expect(offered).to_contain_text("holds 3 changes")
    page.reload()
    expect(offered).to_contain_text("holds 3 changes", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Bring it back").click()
    expect(assistant.conversations.first).to_contain_text("One", timeout=PATIENCE_MS)
    assistant.room("Data")
    expect(page.get_by_role("list", name="Backups").get_by_role("listitem").filter(has_text="damaged")).to_be_visible(timeout=PATIENCE_MS)


def test_a_backup_that_cannot_be_brought_back_leaves_the_choice(lost_assistant: AssistantPage) -> None:
    assistant, page = lost_assistant, lost_assistant.page
    bring = page.get_by_role("button", name="Bring it back")
    expect(bring).to_be_visible(timeout=PATIENCE_MS)
    log = page.evaluate("location.hash").split("/")[1]
    page.evaluate(
        """async (log) => {
          let at = await navigator.storage.getDirectory();
          for (const name of ['pystore-vault', `log-${log}`]) at = await at.getDirectoryHandle(name);
          await at.removeEntry('chunks', { recursive: true });
        }""",
        log,
    )
    others = page.get_by_role("button", name="Choose a file")
    while bring.is_visible():
        bring.click()
        expect(assistant.notices.first).to_be_visible(timeout=PATIENCE_MS)
        assistant.notices.first.get_by_role("button", name="Close this notice").click()
        expect(others).to_be_visible()
    page.reload()
    expect(others).to_be_visible(timeout=PATIENCE_MS)
    expect(bring).not_to_be_visible()


def test_a_person_may_start_over_and_restore_later(lost_assistant: AssistantPage) -> None:
    assistant, page = lost_assistant, lost_assistant.page
    page.get_by_role("button", name="Start over").click()
    assistant.dialog.get_by_label("To go on, type the name").fill("My assistant")
    assistant.dialog.get_by_role("button", name="Start over").click()
    assistant.in_step()
    assistant.room("Data")
    expect(page.get_by_role("list", name="Backups")).to_contain_text("before", timeout=PATIENCE_MS)


def test_a_profile_with_everything_cleared_but_a_file_comes_back(launch: Launch, site: str, tmp_path: Path) -> None:
    first = AssistantPage(launch(tmp_path / "one").pages[0], site).visit()
    first.start_empty()
    first.append(*a_conversation("one", "One", "Hello"))
    first.room("Data")
    file = first.saved_file(tmp_path)
    second = AssistantPage(launch(tmp_path / "two").pages[0], site).visit()
    second.give(file, "Bring in my ChatGPT or Claude export")
    second.dialog.get_by_role("button", name="Restore").click()
    expect(second.conversations.first).to_contain_text("One", timeout=PATIENCE_MS)


def damage(page: Page, log: str, how: str, *, first: bool = True) -> None:
    """Do something to the first record of a log, or the last, behind the store's back."""
    page.evaluate(f"""async ([log, direction]) => {{
        const settled = (request) => new Promise((resolve, reject) => {{
          request.onsuccess = () => resolve(request.result);
          request.onerror = () => reject(request.error);
        }});
        const database = await settled(indexedDB.open(`pystore/${{log}}`));
        await settled(database.transaction('checkpoints', 'readwrite').objectStore('checkpoints').clear());
        const records = database.transaction('segments', 'readwrite').objectStore('segments');
        const cursor = await settled(records.openCursor(null, direction));
        {how}
        database.close();
    }}""", [log, "next" if first else "prev"])


FLIP = "const { body } = cursor.value; body[body.length >> 1] ^= 1; await settled(cursor.update({ ...cursor.value, body }));"


@pytest.mark.parametrize("how", [FLIP, "await settled(cursor.delete());"], ids=["flipped", "missing"])
def test_a_damaged_record_is_named_and_comes_back_from_a_backup(context: BrowserContext, client_site: str, how: str) -> None:
    client = Client.in_new_window(context, client_site, "dedicated")
    client.open()
    client.append(*(note(f"a{number}") for number in range(500)))
    client.append(*(note(f"b{number}") for number in range(500)))
    client.run("return store.backups.create()")
    client.page.close()
    client = Client.in_new_window(context, client_site, "dedicated")
    damage(client.page, "notes", how)
    assert client.refused("client.openStore('notes', { schema: 'notes_under_test:schema' })")["code"] == "CorruptError"
    readable = client.run("return (await client.saveDamaged('notes', { schema: 'notes_under_test:schema' })).text()")
    assert '"damage"' in readable.split("\n")[0]
    assert readable.count("\n") >= 502
    assert client.run("return client.repairLog('notes')")["lost"] == []
    client.open()
    assert len(client.notes()) == 1000
    assert client.run("return store.verify()")["sound"]


def test_a_damaged_checkpoint_costs_a_fold_and_nothing_else(context: BrowserContext, client_site: str) -> None:
    client = Client.in_new_window(context, client_site, "dedicated")
    client.open()
    client.append(*(note(f"a{number}") for number in range(700)))
    client.run("while (!(await store.stats()).bytes.checkpoints) await new Promise((resolve) => setTimeout(resolve, 100))")
    client.page.close()
    client = Client.in_new_window(context, client_site, "dedicated")
    client.run("""
        const settled = (request) => new Promise((resolve) => { request.onsuccess = () => resolve(request.result); });
        const database = await settled(indexedDB.open('pystore/notes'));
        const [record] = await settled(database.transaction('checkpoints').objectStore('checkpoints').getAll());
        const image = new Uint8Array(await record.image.arrayBuffer());
        image[image.length >> 1] ^= 1;
        const checkpoints = database.transaction('checkpoints', 'readwrite').objectStore('checkpoints');
        await settled(checkpoints.put({ ...record, image: new Blob([image]) }));
        database.close();
    """)
    client.open()
    assert len(client.notes()) == 700
    assert client.run("return store.verify()")["sound"]


def test_a_person_goes_on_without_what_is_damaged_only_by_name_and_after_a_file(
    context: BrowserContext, site: str, watch: Watch, tmp_path: Path
) -> None:
    watch.allow(r"favicon\.ico")
    assistant = AssistantPage(context.new_page(), f"{site}?worker=dedicated").visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    assistant.append(*a_conversation("two", "Two", "Hello"))
    log = assistant.page.evaluate("pystore.store.log")
    assistant.page.close()
    page = context.new_page()
    page.goto(f"{site}manifest.webmanifest")  # a page of the same origin that opens nothing
    damage(page, log, FLIP, first=False)
    page.evaluate("async () => (await navigator.storage.getDirectory()).removeEntry('pystore-vault', { recursive: true }).catch(() => {})")
    assistant = AssistantPage(page, f"{site}?worker=dedicated").visit()
    page.get_by_role("button", name="Repair from backups").click()
    page.get_by_role("button", name="Go on without what is damaged").click()
    expect(assistant.dialog).to_contain_text("2 events are damaged and in no backup", timeout=PATIENCE_MS)
    go_on = assistant.dialog.get_by_role("button", name="Go on without it")
    expect(go_on).to_be_disabled()
    assert findings(page) == []
    assistant.dialog.get_by_label("To go on, type the name").fill("My assistant")
    with page.expect_download() as download:
        go_on.click()
    download.value.save_as(tmp_path / "readable.jsonl")
    assert "Hello" in (tmp_path / "readable.jsonl").read_text()
    expect(assistant.notices.filter(has_text="2 changes could not be brought back.")).to_be_visible(timeout=PATIENCE_MS)
    expect(assistant.conversations).to_have_count(1)
    expect(assistant.conversations.first).to_contain_text("One")
    assistant.room("Data")
    kept = page.get_by_role("listitem").filter(has_text="What could be read")
    kept.get_by_role("button", name="restore it").click()
    expect(assistant.dialog.get_by_role("button", name="Restore the whole part")).to_be_enabled(timeout=PATIENCE_MS)
