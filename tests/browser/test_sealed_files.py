"""A file that was protected in a browser is opened outside of it, and the other way round."""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Page, expect

from pystore.native.platform import NativePlatform
from pystore.store import Store
from tests.browser.client_page.notes_under_test import schema
from tests.support.assistant_page import PATIENCE_MS, AssistantPage, a_conversation
from tests.support.chromium import Launch
from tests.support.client_page import Client, note
from tests.support.raw_storage import raw_storage

SECRET = "nobody else may read this"
PASSPHRASE = "correct horse \u00e9"


def natively(work: object) -> object:
    """Playwright's own loop runs in this thread."""
    with ThreadPoolExecutor() as pool:
        return pool.submit(lambda: asyncio.run(work)).result()  # type: ignore[arg-type]


def test_browser_and_command_line_open_each_others_protected_files(page: Page, client_site: str, tmp_path: Path) -> None:
    client = Client(page, client_site)
    client.open()
    client.append(*(note(f"b{number}", "from the browser") for number in range(5000)))
    encoded = client.run(
        "const bytes = new Uint8Array(await (await store.save({ gzip: true, passphrase: a })).arrayBuffer());"
        "let text = ''; for (const byte of bytes) text += String.fromCharCode(byte); return btoa(text)", PASSPHRASE,
    )
    file = base64.b64decode(encoded)
    assert file.startswith(b'{"pystore":"sealed-backup"')

    async def outside() -> bytes:
        async with await Store.open(schema, "a", platform=NativePlatform(tmp_path)) as store:
            assert (await store.restore([file], passphrase=PASSPHRASE))["new"] == 5000
            await store.append(schema.types["note.added"].model.model_validate({"note_id": "n", "text": "from outside"}))
            return b"".join([part async for part in store.save(passphrase=PASSPHRASE)])

    back = natively(outside())
    assert isinstance(back, bytes)
    blob = "new Blob([Uint8Array.from(atob(a), (letter) => letter.charCodeAt(0))])"
    encoded = base64.b64encode(back).decode()
    assert client.refused(f"store.inspect({blob})", encoded)["code"] == "PassphraseError"
    assert client.refused(f"store.restore({blob}, {{ passphrase: 'wrong' }})", encoded)["code"] == "PassphraseError"
    assert client.run(f"return store.restore({blob}, {{ passphrase: b }})", encoded, PASSPHRASE)["new"] == 1
    assert len(client.notes()) == 5001


def test_a_protected_file_is_saved_and_looked_at_with_its_content_in_no_store_of_the_browser(
    page: Page, client_site: str, launch: Launch, tmp_path: Path
) -> None:
    client = Client(page, client_site)
    client.open()
    client.append(note("1", SECRET))
    before = raw_storage(page).count(SECRET.encode())
    assert before, "in the log"
    encoded = client.run(
        "const bytes = new Uint8Array(await (await store.save({ passphrase: a })).arrayBuffer());"
        "let text = ''; for (const byte of bytes) text += String.fromCharCode(byte); return btoa(text)", PASSPHRASE,
    )
    assert raw_storage(page).count(SECRET.encode()) == before
    elsewhere = Client(launch(tmp_path / "elsewhere").pages[0], client_site)
    elsewhere.open()
    blob = "new Blob([Uint8Array.from(atob(a), (letter) => letter.charCodeAt(0))])"
    assert elsewhere.run(f"return store.inspect({blob}, {{ passphrase: b }})", encoded, PASSPHRASE)["events"] == 1
    assert SECRET.encode() not in raw_storage(elsewhere.page)
    elsewhere.run(f"return store.restore({blob}, {{ passphrase: b }})", encoded, PASSPHRASE)
    assert raw_storage(elsewhere.page).count(SECRET.encode()) == before, "in the log, and nowhere else"


def test_a_person_saves_a_protected_file_and_restores_it_elsewhere(page: Page, launch: Launch, site: str, tmp_path: Path) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    assistant.room("Data")
    page.get_by_role("button", name="Save a protected file").click()
    assistant.dialog.get_by_label("Passphrase").fill("correct horse")
    assistant.dialog.get_by_label("The same again").fill("correct horse")
    with page.expect_download() as download:
        assistant.dialog.get_by_role("button", name="Save the file").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert b"Hello" not in file.read_bytes()
    other = AssistantPage(launch(tmp_path / "other").pages[0], site).visit()
    other.give(file, "Bring in my ChatGPT or Claude export")
    other.dialog.get_by_label("Passphrase").fill("battery staple")
    other.dialog.get_by_role("button", name="Open it").click()
    expect(other.dialog).to_contain_text("That was not its passphrase", timeout=PATIENCE_MS)
    other.dialog.get_by_label("Passphrase").fill("correct horse")
    other.dialog.get_by_role("button", name="Open it").click()
    expect(other.dialog).to_contain_text("every line was checked", timeout=PATIENCE_MS)
    other.dialog.get_by_role("button", name="Restore").click()
    expect(other.conversations.first).to_contain_text("One", timeout=PATIENCE_MS)


def test_a_protected_file_goes_to_the_assistant_it_was_saved_from(page: Page, site: str, tmp_path: Path) -> None:
    assistant = AssistantPage(page, site).visit()
    assistant.start_empty()
    assistant.append(*a_conversation("one", "One", "Hello"))
    assistant.room("Data")
    page.get_by_role("button", name="Save a protected file").click()
    assistant.dialog.get_by_label("Passphrase").fill(PASSPHRASE)
    assistant.dialog.get_by_label("The same again").fill(PASSPHRASE)
    with page.expect_download() as download:
        assistant.dialog.get_by_role("button", name="Save the file").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    saved_from = page.evaluate("pystore.store.log")
    page.locator(".switcher").click()
    page.get_by_role("button", name="New assistant").click()
    assistant.dialog.get_by_label("Name").fill("Another")
    assistant.dialog.get_by_role("button", name="Create").click()
    expect(page.locator(".switcher")).to_contain_text("Another")
    assistant.in_step()
    assistant.room("Data")
    assistant.give(file)
    assistant.dialog.get_by_label("Passphrase").fill(PASSPHRASE)
    assistant.dialog.get_by_role("button", name="Open it").click()
    expect(assistant.dialog).to_contain_text("All of it is here already", timeout=PATIENCE_MS)
    assert page.evaluate("pystore.store.log") == saved_from
    assistant.close_dialog()
    assert sorted(row["name"] for row in page.evaluate("pystore.listLogs()")) == ["Another", "My assistant"]
