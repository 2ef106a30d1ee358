"""What `web/worker/indexeddb.js` promises beyond the contract of storages: when it answers, and what it does when the browser fails it."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page

from tests.support.client_page import Client

WATCHED_DATABASE = """
  const bytes = (length) => new Uint8Array(length);
  window.told = [];
  const transaction = IDBDatabase.prototype.transaction;
  IDBDatabase.prototype.transaction = function (stores, mode, options) {
    const tx = transaction.call(this, stores, mode, options);
    if (mode === 'readwrite') {
      tx.addEventListener('success', () => told.push('success'));
      for (const end of ['complete', 'abort']) tx.addEventListener(end, () => told.push(`${end} ${options?.durability}`));
    }
    return tx;
  };
  const change = (number, more) => JSON.stringify(
    { add: [[number, number, 1]], delete: [], meta: ['head'], batches: [`batch ${number}`], durability: 'strict', ...more });
  window.database = new indexeddb.LogDatabase('notes', { create: true });
  window.commit = (number, more = {}, size = 10) => database.commit(change(number, more), [bytes(size), bytes(5), bytes(3)])
    .then(() => told.push('answered'), (error) => told.push(`refused ${error.name}`));
"""


@pytest.fixture
def tab(page: Page, client_site: str) -> Client:
    """A window with a database open, whose writing transactions are watched."""
    tab = Client(page, client_site)
    tab.run(WATCHED_DATABASE)
    return tab


def test_a_strict_commit_is_answered_after_its_transaction_is_complete(tab: Client) -> None:
    told = tab.run("await commit(1); return told")
    assert told == ["success"] * told.count("success") + ["complete strict", "answered"]
    told = tab.run("told.length = 0; await commit(2, { durability: 'relaxed' }); return told")
    assert told[-2:] == ["complete relaxed", "answered"]


def test_a_commit_that_conflicts_changes_nothing(tab: Client) -> None:
    told = tab.run("await commit(1); told.length = 0; await commit(1, { batches: ['other'] }); return told")
    assert told[-1] == "refused ConstraintError"
    assert tab.run("return (await database.batch('other')) ?? null") is None
    told = tab.run("told.length = 0; await commit(2, { delete: [7] }); return told")
    assert told[-1] == "refused ConstraintError"
    assert tab.run("return JSON.parse((await database.segments(0, 1e6))[0])") == [[1, 1, 1]]


def test_a_connection_that_closes_is_opened_again_for_the_next_call(tab: Client) -> None:
    assert tab.run("await commit(1); database.pause(); await commit(2); return told.at(-1)") == "answered"
    assert tab.run("return (await database.segments(0, 1e6))[1].length") == 2


def test_a_database_of_the_same_name_made_later_is_another_one(tab: Client) -> None:
    tab.run(
        """
        await commit(1);
        await new Promise((resolve) => { indexedDB.deleteDatabase('pystore/notes').onsuccess = resolve; });
        const later = new indexeddb.LogDatabase('notes', { create: true });
        await later.open();
        told.length = 0;
        await commit(2);
        """
    )
    assert tab.run("return told") == ["refused NotFoundError"]


def test_a_commit_that_another_tab_holds_up_ends_in_an_error_and_not_in_silence(context: BrowserContext, client_site: str) -> None:
    holder, tab = (Client.in_new_window(context, client_site) for _ in range(2))
    tab.run(WATCHED_DATABASE + "await commit(1);")
    holder.run(
        """
        const database = await new Promise((resolve) => {
          const request = indexedDB.open('pystore/notes'); request.onsuccess = () => resolve(request.result); });
        const meta = database.transaction(['segments', 'meta', 'batches'], 'readwrite').objectStore('meta');
        window.holding = true;
        const hold = () => { if (window.holding) meta.get('head').onsuccess = hold; };
        hold();
        """
    )
    # The clock of the page under test is turned, not waited for.
    tab.page.clock.install()
    tab.run("told.length = 0; window.waiting = commit(2);")
    tab.page.clock.run_for(21_000)
    tab.run("await waiting")
    assert tab.run("return told.at(-1)") == "refused AbortError"
    holder.run("window.holding = false")
    tab.page.clock.resume()
    assert tab.run("told.length = 0; await commit(2); return told.at(-1)") == "answered"
