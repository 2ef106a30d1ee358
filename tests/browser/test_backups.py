"""Backups in a real browser: in the private file system, on the page, and in a folder."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.support.assistant_page import DATA, PATIENCE_MS, AssistantPage, a_conversation
from tests.support.axe import findings
from tests.support.chromium import Launch, kill
from tests.support.client_page import Client, note

BRING_IN = "Bring in my ChatGPT or Claude export"
FILES_OF_THE_VAULT = """
    const found = [];
    const walk = async (at, path) => {
      for await (const [name, handle] of at.entries()) {
        if (handle.kind === 'directory') await walk(handle, `${path}/${name}`);
        else found.push(`${path}/${name}`);
      }
    };
    await walk(await navigator.storage.getDirectory(), '');
    return found.sort();
"""


def test_a_backup_outlives_a_killed_browser_and_brings_everything_back(launch: Launch, client_site: str, tmp_path: Path) -> None:
    client = Client(launch(tmp_path).pages[0], client_site)
    client.open()
    client.append(note("1"), note("2"))
    made = client.run("return store.backups.create('by hand')")
    assert (made["label"], made["events"], made["layer"]) == ("by hand", 2, "manual")
    kill(tmp_path)
    client = Client(launch(tmp_path).pages[0], client_site)
    client.open()
    assert client.run("return store.backups.stats()")["where"] == "opfs"
    client.append(note("3"))
    (found,) = client.run("return store.backups.list()")
    assert found["id"] == made["id"]
    client.run("return store.backups.restore(a, 'replace')", made["id"])
    assert client.notes() == ["1", "2"]
    assert [one["layer"] for one in client.run("return store.backups.list()")] == ["before-restore", "manual"]
    assert client.run("return store.backups.verify()")["damaged"] == {}


def test_a_backup_as_a_file_is_what_saving_gives(page: Page, client_site: str) -> None:
    client = Client(page, client_site)
    client.open()
    client.append(*(note(str(number)) for number in range(100)))
    made = client.run("return store.backups.create()")
    assert client.run("return (await store.backups.file(a)).text()", made["id"]).splitlines()[1:-1] == client.run(
        "return (await store.save()).text()"
    ).splitlines()[1:-1]
    zipped = "(await store.backups.file(a, { gzip: true })).stream().pipeThrough(new DecompressionStream('gzip'))"
    assert client.run(f"return (await new Response({zipped}).text()).length", made["id"]) > 100


def test_a_flipped_bit_in_the_vault_is_found_and_that_backup_refused(page: Page, client_site: str) -> None:
    client = Client(page, client_site)
    client.open()
    client.append(*(note(str(number)) for number in range(100)))
    made = client.run("return store.backups.create()")
    client.run("""
        let at = await navigator.storage.getDirectory();
        for (const name of ['pystore-vault', 'log-notes', 'chunks']) at = await at.getDirectoryHandle(name);
        const handles = [];
        for await (const handle of at.values()) handles.push(handle);
        for (const handle of handles) {
          const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
          bytes[bytes.length >> 1] ^= 1;
          const file = await handle.createWritable();
          await file.write(bytes);
          await file.close();
        }
    """)
    assert list(client.run("return store.backups.verify()")["damaged"]) == [made["id"]]
    assert client.refused("store.backups.restore(a)", made["id"])["code"] == "CorruptBackupError"
    assert len(client.notes()) == 100
    client.run("return store.backups.create()")
    assert client.run("return store.backups.verify()")["damaged"] == {}, "what was damaged is made anew from the log"


def test_forgetting_leaves_no_file_of_the_log(page: Page, client_site: str) -> None:
    client = Client(page, client_site)
    client.open()
    client.append(note("1"))
    client.run("return store.backups.create()")
    assert any("log-notes/chunks/" in name for name in client.run(FILES_OF_THE_VAULT))
    client.run("return store.forget()")
    assert not any("log-notes" in name for name in client.run(FILES_OF_THE_VAULT))


def test_two_windows_each_with_a_python_make_backups_at_once(context: BrowserContext, client_site: str) -> None:
    windows = [Client.in_new_window(context, client_site, "dedicated") for _ in range(2)]
    for window in windows:
        window.open()
    windows[0].append(*(note(str(number)) for number in range(200)))
    windows[1].wait("(await store.query('SELECT count(*) AS n FROM note'))[0].n === 200")
    for window in windows:
        window.run("window.made = Promise.all([1, 2, 3].map((n) => store.backups.create(`${n}`)))")
    ids = {one["id"] for window in windows for one in window.run("return window.made")}
    assert len(ids) == 6
    assert len(windows[0].run("return store.backups.verify()")["good"]) == 6


def test_backups_are_copied_into_a_folder_by_themselves(page: Page, client_site: str) -> None:
    client = Client(page, client_site)
    client.open()
    client.append(note("1"))
    # A picker cannot be driven from here. What it gives is a handle of this very kind.
    client.run("""
        const root = await navigator.storage.getDirectory();
        await store.backups.mirrorTo(await root.getDirectoryHandle('mine', { create: true }));
    """)
    state = client.run("return store.backups.mirror()")
    assert (state["folder"], state["error"], state["allowed"]) == ("mine", None, True)
    files = [name for name in client.run(FILES_OF_THE_VAULT) if name.startswith("/mine/")]
    assert len(files) == 1
    assert files[0].endswith(".jsonl.gz")
    client.append(note("2"))
    newest = client.run("return store.backups.create()")
    client.visit()
    client.open()  # what was chosen is remembered
    client.wait("(await store.backups.mirror()).copied === a", newest["id"])
    client.run("await store.forget()")
    client.open("another")
    mirrored = "(await (await (await navigator.storage.getDirectory()).getDirectoryHandle('mine')).getFileHandle(a)).getFile()"
    assert client.run(f"return store.restore(await {mirrored})", files[0].removeprefix("/mine/"))["new"] == 2


def test_a_new_backup_is_copied_at_the_next_look_while_the_page_stays_open(page: Page, client_site: str) -> None:
    client = Client(page, client_site)
    client.run("""
        const { setInterval } = window;
        window.looks = [];
        window.setInterval = (look, ms) => { if (ms === 60_000) window.looks.push(look); return setInterval(look, ms); };
    """)
    client.open()
    client.append(note("1"))
    client.run("""
        const root = await navigator.storage.getDirectory();
        await store.backups.mirrorTo(await root.getDirectoryHandle('mine', { create: true }));
    """)
    client.append(note("2"))
    newest = client.run("return store.backups.create()")
    client.run("for (const look of window.looks) look()")  # a minute is over
    client.wait("(await store.backups.mirror()).copied === a", newest["id"])


def test_the_folder_keeps_thirty_days_and_what_is_not_ours(page: Page, client_site: str) -> None:
    client = Client(page, client_site)
    client.open()
    client.append(note("1"))
    days = [f"notes-2026-{month:02}-{day:02}.jsonl.gz" for month in (1, 2) for day in range(1, 21)]
    client.run(
        """
        const mine = await (await navigator.storage.getDirectory()).getDirectoryHandle('mine', { create: true });
        for (const name of [...a, ...b]) await mine.getFileHandle(name, { create: true });
        await store.backups.mirrorTo(mine);
        """,
        days,
        others := ["notes-of-mine.jsonl.gz", "notes-2-2026-01-01.jsonl.gz"],
    )
    names = [name.removeprefix("/mine/") for name in client.run(FILES_OF_THE_VAULT) if name.startswith("/mine/")]
    ours = [name for name in names if name.startswith("notes-2026")]
    assert len(ours) == 30
    assert ours[:-1] == days[-29:]
    assert set(others) < set(names)


def test_a_copy_that_cannot_be_read_back_as_it_was_is_told(page: Page, client_site: str) -> None:
    client = Client(page, client_site)
    client.open()
    client.append(note("1"))
    client.run("""
        const { write } = FileSystemWritableFileStream.prototype;
        FileSystemWritableFileStream.prototype.write = async function (blob) { // a bad disk
          const bytes = new Uint8Array(await blob.arrayBuffer());
          bytes[bytes.length >> 1] ^= 1;
          return write.call(this, bytes);
        };
        window.mine = await (await navigator.storage.getDirectory()).getDirectoryHandle('mine', { create: true });
    """)
    assert client.refused("store.backups.mirrorTo(window.mine)")["code"] == "StorageError"
    assert client.run("return store.backups.mirror()") is None


@pytest.fixture
def assistant_with_folder(page: Page, site: str) -> AssistantPage:
    """A page whose backups are copied into a folder, in its Data room."""
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    page.evaluate("""async () => {
      const root = await navigator.storage.getDirectory();
      await pystore.store.backups.create('before');
      await pystore.store.backups.mirrorTo(await root.getDirectoryHandle('mine', { create: true }));
    }""")
    assistant.room("Data")
    expect(page.locator(".safety[data-level=good]")).to_contain_text("copied into your folder “mine”", timeout=PATIENCE_MS)
    return assistant


MIRRORED = """async ([log, change]) => {
  const settled = (request) => new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  const database = await settled(indexedDB.open('pystore-mirrors'));
  const mirrors = database.transaction('mirrors', 'readwrite').objectStore('mirrors');
  await settled(mirrors.put({ ...await settled(mirrors.get(log)), ...change, ...window.mirrored }, log));
  database.close();
}"""


def test_a_folder_that_may_not_be_written_is_told(assistant_with_folder: AssistantPage, tmp_path: Path) -> None:
    page = assistant_with_folder.page
    # A folder that was dropped may be read, and written only after the browser has asked: as one chosen at an earlier visit.
    page.evaluate("""() => {
      for (const type of ['dragenter', 'dragover', 'drop']) {
        document.addEventListener(type, (event) => {
          event.preventDefault();
          event.stopImmediatePropagation();
          if (type === 'drop') window.dropped = event.dataTransfer.items[0].getAsFileSystemHandle();
        }, true);
      }
    }""")
    (tmp_path / "my folder").mkdir()
    data = {"items": [], "files": [str(tmp_path / "my folder")], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        devtools.send("Input.dispatchDragEvent", {"type": kind, "x": 200, "y": 200, "data": data})
    assert page.evaluate("async () => (await dropped).queryPermission({ mode: 'readwrite' })") == "prompt"
    page.evaluate("async () => { window.mirrored = { directory: await dropped }; }")
    page.evaluate(MIRRORED, [page.evaluate("pystore.store.log"), {}])
    page.reload()
    expect(page.locator(".safety[data-level=fair]")).to_contain_text("folder “my folder” gets no new copies", timeout=PATIENCE_MS)
    expect(page.locator(".safety")).to_contain_text("Choose the folder again")
    assert findings(page) == []


def test_a_folder_that_is_gone_is_told_and_a_person_reminded_of_a_file(assistant_with_folder: AssistantPage) -> None:
    page = assistant_with_folder.page
    page.evaluate("""async () => {
      await (await navigator.storage.getDirectory()).removeEntry('mine', { recursive: true });
      await pystore.store.backups.create('later');
      const at = new Date(Date.now() - 40 * 86_400_000).toISOString();
      localStorage.setItem(`pystore/saved/${pystore.store.log}`, JSON.stringify({ at, events: 1 }));
    }""")
    page.reload()
    expect(page.locator(".safety[data-level=fair]")).to_contain_text("The last copy failed: The folder is not there.", timeout=PATIENCE_MS)
    expect(assistant_with_folder.notices).to_contain_text("Your last file is from 40 days ago.", timeout=PATIENCE_MS)


def test_a_person_is_reminded_of_a_file_when_the_last_is_old(assistant_with_folder: AssistantPage) -> None:
    assistant, page = assistant_with_folder, assistant_with_folder.page
    page.evaluate("pystore.store.backups.stop()")
    assistant.append(*a_conversation("two", "Two", "Hello"))
    old = page.evaluate("new Date(Date.now() - 40 * 86_400_000).toISOString()")
    page.evaluate(MIRRORED, [page.evaluate("pystore.store.log"), {"at": old}])
    page.evaluate("(at) => localStorage.setItem(`pystore/saved/${pystore.store.log}`, JSON.stringify({ at, events: 1 }))", old)
    page.reload()
    expect(page.locator(".safety[data-level=fair]")).to_contain_text("The last copy was made 40 days ago", timeout=PATIENCE_MS)
    reminder = assistant.notices.filter(has_text="Your last file is from 40 days ago.")
    with page.expect_download():
        reminder.get_by_role("button", name="Save a file").click()
    expect(page.locator(".safety[data-level=good]")).to_contain_text("It holds everything.")


def test_a_person_backs_up_goes_on_and_gets_it_back(page: Page, site: str, tmp_path: Path) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.bring_in(DATA / "chatgpt-small.zip", BRING_IN)
    assistant.close_dialog()
    assistant.room("Data")
    page.get_by_role("button", name="Back up now").click()
    assistant.dialog.get_by_label("What is it for?").fill("before the summer")
    assistant.dialog.get_by_role("button", name="Back up").click()
    row = page.get_by_role("list", name="Backups").get_by_role("listitem").filter(has_text="before the summer")
    expect(row).to_contain_text("good")
    before = assistant.query("SELECT count(*) AS n FROM conversation")
    assistant.append(*a_conversation("later", "What came later", "Hello"))
    expect(page.get_by_role("region", name="Backups", exact=True)).to_contain_text("2 changes came after it", timeout=PATIENCE_MS)
    expect(page.locator(".safety")).to_contain_text("before the newest 2 changes")
    row.get_by_role("button", name="Look at the backup").click()
    expect(assistant.dialog).to_contain_text("every line was checked", timeout=PATIENCE_MS)
    assistant.dialog.get_by_text("Replace everything here").click()
    assistant.dialog.get_by_label("To go on, type the name").fill("ChatGPT")
    assistant.dialog.get_by_role("button", name="Replace everything").click()
    expect(assistant.notices.filter(has_text="restored")).to_be_visible(timeout=PATIENCE_MS)
    assert assistant.query("SELECT count(*) AS n FROM conversation") == before
    assistant.room("Data")
    expect(page.get_by_role("list", name="Backups")).to_contain_text("Before a restore")
    page.get_by_role("button", name="Check all").click()
    expect(assistant.notices.filter(has_text="are good")).to_be_visible(timeout=PATIENCE_MS)
    with page.expect_download() as download:
        row.get_by_role("button", name="as a file").click()
    assert download.value.suggested_filename.endswith(".jsonl")
    row.get_by_role("button", name="Remove the backup").click()
    expect(assistant.dialog).to_contain_text("become free. It cannot be brought back.")
    assistant.dialog.get_by_role("button", name="Remove it").click()
    expect(row).to_have_count(0)


AS_IF_MADE = """async ([log, made]) => {
  let at = await navigator.storage.getDirectory();
  for (const name of ['pystore-vault', `log-${log}`, 'backups']) at = await at.getDirectoryHandle(name);
  const [[name, handle]] = await Array.fromAsync(at.entries());
  const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
  await at.removeEntry(name);
  for (const [i, { layer, hours, damaged }] of made.entries()) {
    const ms = (Date.now() - hours * 3_600_000).toString(16).padStart(12, '0');
    const file = await (await at.getFileHandle(`${String(i + 1).padStart(6, '0')}-${layer}-${ms}`, { create: true })).createWritable();
    await file.write(damaged ? bytes.slice(1) : bytes);
    await file.close();
  }
}"""
"""Let the one backup that there is be several, made so many hours ago."""


def test_backups_stand_by_layer_on_a_line_of_time_the_newest_at_its_end_the_damaged_marked(page: Page, site: str) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    page.evaluate("pystore.store.backups.stop()")
    assistant.append(*a_conversation("one", "One", "Hello"))
    page.evaluate("pystore.store.backups.create('before')")
    made = [("weekly", 200, False), ("daily", 30, True), ("daily", 26, False), ("hourly", 2, False), ("manual", 0, False)]
    told = [{"layer": layer, "hours": hours, "damaged": damaged} for layer, hours, damaged in made]
    page.evaluate(AS_IF_MADE, [page.evaluate("pystore.store.log"), told])
    assistant.room("Data")
    plot = page.get_by_role("img", name="Backups by layer")
    expect(plot).to_have_accessible_name(
        re.compile(r"Backups by layer\. Hourly: 1, [\d.]+ kB; Daily: 2, [\d.]+ kB; Weekly: 1, [\d.]+ kB; By hand: 1, [\d.]+ kB$"),
        timeout=PATIENCE_MS,
    )
    expect(plot.locator(".layer-name")).to_have_text(["Hourly", "Daily", "Weekly", "By hand"])
    expect(plot.locator(".layer-marks i")).to_have_text(["now", "1 hour", "1 day", "1 week"])

    def places(marks: str) -> list[float]:
        middles = "(all) => all.map((one) => one.getBoundingClientRect()).map(({ left, width }) => left + width / 2)"
        found: list[float] = plot.locator(marks).evaluate_all(middles)
        return found

    lines = plot.locator(".layer-line")
    assert [lines.nth(row).locator("i").count() for row in range(4)] == [1, 2, 1, 1]
    (hourly, *daily, weekly, by_hand) = places(".layer-line i")
    now, hour, day, week = places(".layer-marks i")
    assert weekly < week < min(daily) < max(daily) < day < hourly < hour < by_hand <= now + 1
    assert lines.locator("i.bad").count() == 1
    assert places(".layer-line i.bad") == [min(daily)]


FLIP_STATE = """async ([log, name]) => {
  let at = await navigator.storage.getDirectory();
  for (const folder of ['pystore-vault', `log-${log}`, 'state']) at = await at.getDirectoryHandle(folder);
  const handle = await at.getFileHandle(name);
  const bytes = new Uint8Array(await (await handle.getFile()).arrayBuffer());
  bytes[bytes.length >> 1] ^= 1;
  const file = await handle.createWritable();
  await file.write(bytes);
  await file.close();
}"""


def test_a_person_is_told_that_what_they_chose_cannot_be_read_until_they_choose_again(page: Page, site: str) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    page.evaluate("pystore.store.backups.configure({ running: false, keep: { manual: 200 } })")
    page.evaluate("pystore.store.backups.create('before')")
    log = page.evaluate("pystore.store.log")
    page.evaluate(FLIP_STATE, [log, "settings"])
    page.evaluate(FLIP_STATE, [log, "verified"])
    assistant.room("Data")
    card = page.get_by_role("region", name="Backups", exact=True)
    told = card.get_by_text("What you had chosen about backups cannot be read any more.")
    expect(told).to_be_visible(timeout=PATIENCE_MS)
    expect(card.get_by_role("listitem").filter(has_text="before")).to_contain_text("Not checked yet.")
    assert findings(page) == []
    card.get_by_label("Remind me to save a file").select_option("7")
    expect(told).to_have_count(0)
    assert page.evaluate("pystore.store.backups.stats()")["remind_days"] == 7
    page.get_by_role("button", name="Check all").click()
    expect(card.get_by_role("listitem").filter(has_text="before")).to_contain_text("good")


def test_a_person_stops_backups_and_has_them_made_again(page: Page, site: str) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    assistant.room("Data")
    card = page.get_by_role("region", name="Backups", exact=True)
    card.get_by_role("button", name="Stop making them").click()
    expect(card).to_contain_text("They are not made by themselves: you stopped that.", timeout=PATIENCE_MS)
    card.get_by_role("button", name="Make them again").click()
    expect(card).to_contain_text("They are made by themselves every 15 minutes")
    expect(page.get_by_role("list", name="Backups").get_by_role("listitem").first).to_be_visible(timeout=2 * PATIENCE_MS)


def test_without_a_private_file_system_backups_are_made_restored_and_what_they_are_worth_is_told(launch: Launch, site: str) -> None:
    context = launch(options=("--disable-blink-features=FileSystemAccess,FileSystemAccessLocal,FileSystemAccessOriginPrivate",))
    assistant = AssistantPage(context.pages[0], f"{site}?worker=dedicated").visit()
    page = assistant.page
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    (worker,) = page.workers
    has_none = "typeof FileSystemFileHandle === 'undefined' && !('getDirectory' in navigator.storage)"
    assert page.evaluate(has_none)
    assert worker.evaluate(has_none)
    assistant.room("Data")
    card = page.get_by_role("region", name="Backups", exact=True)
    expect(card).to_contain_text("only beside your data: what befalls the one may befall the other.", timeout=PATIENCE_MS)
    expect(card.get_by_role("button", name="Choose a folder")).to_have_count(0)
    page.get_by_role("button", name="Back up now").click()
    assistant.dialog.get_by_label("What is it for?").fill("before the summer")
    assistant.dialog.get_by_role("button", name="Back up").click()
    row = card.get_by_role("listitem").filter(has_text="before the summer")
    expect(row).to_contain_text("good", timeout=PATIENCE_MS)
    assert findings(page) == []
    assistant.append(*a_conversation("later", "What came later", "Hello"))
    page.reload()
    row.get_by_role("button", name="Look at the backup").click()
    assistant.dialog.get_by_text("Replace everything here").click()
    assistant.dialog.get_by_label("To go on, type the name").fill("My assistant")
    assistant.dialog.get_by_role("button", name="Replace everything").click()
    expect(assistant.notices.filter(has_text="restored")).to_be_visible(timeout=PATIENCE_MS)
    assert assistant.query("SELECT title FROM conversation") == [{"title": "One"}]
    assert page.evaluate("pystore.store.backups.verify()")["damaged"] == {}


def test_backups_are_made_by_the_clock_from_the_start(page: Page, site: str) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    assistant.room("Data")
    expect(page.get_by_role("list", name="Backups").get_by_role("listitem").first).to_be_visible(timeout=2 * PATIENCE_MS)


def test_what_a_killed_browser_left_half_written_does_not_survive_erasing(launch: Launch, client_site: str, tmp_path: Path) -> None:
    client = Client(launch(tmp_path).pages[0], client_site)
    client.open()
    (secret,) = client.append(note("1"))
    client.run("return store.backups.create()")
    client.run("""
        let vault = await navigator.storage.getDirectory();
        for (const name of ['pystore-vault', 'log-notes']) vault = await vault.getDirectoryHandle(name);
        for (const [folder, name] of [['chunks', '0'.repeat(64)], ['backups', '000002-auto-0192f3a4b5c6']]) {
          const file = await (await (await vault.getDirectoryHandle(folder)).getFileHandle(name, { create: true })).createWritable();
          await file.write('half of it');
        }
    """)
    assert client.run("return store.backups.stats()")["count"] == 1, "while it is being written"
    kill(tmp_path)
    client = Client(launch(tmp_path).pages[0], client_site)
    left = client.run(FILES_OF_THE_VAULT)
    assert any(name.endswith(".crswap") for name in left), left
    client.open()
    assert len(client.run("return store.backups.list()")) == 1
    client.run("return store.erase(a)", secret["id"])
    files = client.run(FILES_OF_THE_VAULT)
    assert len(left) > len(files)
    assert not [name for name in files if "crswap" in name or "0" * 64 in name or "000002" in name]


def test_the_data_room_shows_what_takes_space_by_kind_and_how_much_there_is(page: Page, site: str) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    page.evaluate("pystore.store.backups.create('before')")
    assistant.room("Data")
    card = page.get_by_role("region", name="Space used")
    kinds = card.get_by_role("term")
    expect(kinds.filter(has_text="What you wrote and brought in")).to_be_visible(timeout=PATIENCE_MS)
    expect(kinds.filter(has_text="Backups")).to_be_visible(timeout=PATIENCE_MS)
    shares = card.locator(".bar").first.locator("span")
    expect(shares).to_have_count(2)
    assert all(share.evaluate("(share) => share.getBoundingClientRect().width > 0") for share in shares.all())
    expect(card.get_by_role("img")).to_have_attribute("aria-label", re.compile("[0-9] .?B used of [0-9]"))
