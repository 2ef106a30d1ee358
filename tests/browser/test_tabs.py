"""Several tabs of one browser on one log: nothing lost, nothing twice, and each sees what the others wrote."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext

from tests.support.client_page import NEWER_SCHEMA, Client, note

WRITE = """
window.finished = (async () => {
  for (let i = 0; i < singles; i++) await store.append([{ type: 'note.added', data: { note_id: `${tab}-single-${i}`, text: 'hello' } }]);
  await Promise.all(Array.from({ length: batches }, (_, i) => store.append(
    Array.from({ length: 50 }, (_, j) => ({ type: 'note.added', data: { note_id: `${tab}-batch-${i}-${j}`, text: 'hello' } })),
  )));
})();
"""
SINGLES, BATCHES = 60, 8


@pytest.fixture(params=["shared", "dedicated", "both"])
def tabs(request: pytest.FixtureRequest, context: BrowserContext, client_site: str) -> list[Client]:
    """Two windows with one log open."""
    arrangements = {"shared": ("shared", "shared"), "dedicated": ("dedicated", "dedicated"), "both": ("shared", "dedicated")}
    tabs = [Client.in_new_window(context, client_site, worker) for worker in arrangements[request.param]]
    for tab in tabs:
        tab.open()
    return tabs


def ids_of(tab: int) -> list[str]:
    """What one tab writes."""
    return [f"{tab}-single-{i}" for i in range(SINGLES)] + [f"{tab}-batch-{i}-{j}" for i in range(BATCHES) for j in range(50)]


def test_two_tabs_that_write_at_once_lose_nothing_and_double_nothing(tabs: list[Client]) -> None:
    for number, tab in enumerate(tabs):
        tab.run(f"const [tab, singles, batches] = [a, b, c]; {WRITE}", number, SINGLES, BATCHES)
    for tab in tabs:
        tab.run("await window.finished")
    expected = sorted(ids_of(0) + ids_of(1))
    for tab in tabs:
        tab.wait("(await store.query('SELECT count(*) AS n FROM note'))[0].n === a", len(expected))
        assert tab.notes() == expected

    lines = tabs[0].saved_lines()
    assert sorted(line["data"]["note_id"] for line in lines) == expected
    for replica in {line["replica"] for line in lines}:
        feed = [line["seq"] for line in lines if line["replica"] == replica]
        assert feed == list(range(1, len(feed) + 1))
    tabs[1].visit()
    tabs[1].open()
    assert tabs[1].notes() == expected


def test_a_tab_is_told_of_what_another_one_wrote(tabs: list[Client]) -> None:
    writer, reader = tabs
    reader.run("window.told = []; store.watch('SELECT note_id FROM note', [], (rows) => told.push(rows.length))")
    reader.wait("told.length === 1")
    writer.append(note("1"), note("2"))
    reader.wait("told.at(-1) === 2")
    reader.append(note("3"))
    writer.wait("(await store.query('SELECT count(*) AS n FROM note'))[0].n === 3")


@pytest.mark.parametrize("worker", ["shared", "dedicated"])
def test_a_tab_says_so_while_it_cannot_read_what_another_wrote(context: BrowserContext, client_site: str, worker: str) -> None:
    tab = Client.in_new_window(context, client_site, worker)
    tab.open()
    tab.append(note("1"))
    tab.run("""
      const change = { add: [[2, 2, 1]], delete: [], meta: [], batches: [], durability: 'strict' };
      window.database = new indexeddb.LogDatabase('notes');
      await database.commit(JSON.stringify(change), [new TextEncoder().encode('noise')]);
    """)
    tab.wait("states.at(-1).state === 'behind'")
    assert tab.run("return states.at(-1).message").startswith("Changes of another window cannot be read: ")
    assert tab.notes() == ["1"]
    other = Client.in_new_window(context, client_site, worker)
    if worker == "shared":
        assert other.open()["behind"] == tab.run("return states.at(-1).message")

    tab.run("""
      await database.commit(JSON.stringify({ add: [], delete: [2], meta: [], batches: [], durability: 'strict' }), []);
      new BroadcastChannel('pystore/notes').postMessage(2);
    """)
    tab.wait("states.at(-1).state === 'ready'")
    tab.append(note("2"))
    assert tab.states()[-1] == "saved"


@pytest.mark.parametrize("worker", ["shared", "dedicated"])
def test_a_tab_of_an_older_version_says_so_and_only_reads_once_a_newer_one_has_the_data(
    context: BrowserContext, client_site: str, worker: str
) -> None:
    old, new = Client.in_new_window(context, client_site, worker), Client.in_new_window(context, client_site, "dedicated")
    old.open()
    old.append(note("old"))
    assert old.states()[-1] == "saved"
    new.open(schema=NEWER_SCHEMA)
    old.wait("states.at(-1).state === 'read-only'")
    assert "newer version" in old.run("return states.at(-1).message")
    new.append(note("new"))
    old.wait("(await store.query('SELECT count(*) AS n FROM note'))[0].n === 2")
    assert old.refused("store.append(a)", note("too late"))["code"] == "ReadOnlyError"
    assert old.states()[-1] == "read-only"
    assert new.notes() == old.notes() == ["new", "old"]
    assert old.saved_lines() == new.saved_lines()


def test_a_log_that_one_tab_forgot_and_made_anew_stays_open_when_another_tab_goes(context: BrowserContext, client_site: str) -> None:
    stays, goes = (Client.in_new_window(context, client_site, idle=50) for _ in range(2))
    for tab in (stays, goes):
        tab.open()
    stays.run("return store.forget()")
    stays.open()
    goes.run("store.close()")
    stays.append(note("1"))
    asked = stays.run("const end = Date.now() + 1000; let n = 0; while (Date.now() < end) { await store.query('SELECT 1'); n++ } return n")
    assert asked > 0
    assert stays.notes() == ["1"]
    assert "restarting" not in stays.states()


def test_all_tabs_share_one_python_where_they_can(context: BrowserContext, client_site: str) -> None:
    tabs = [Client.in_new_window(context, client_site) for _ in range(2)]
    for tab in tabs:
        tab.open()
    assert [target["type"] for target in targets(context)].count("shared_worker") == 1
    assert tabs[1].run("return store.stats()")["worker"] == "shared"


def test_closing_a_tab_ends_its_live_queries_and_leaves_the_others(context: BrowserContext, client_site: str) -> None:
    stays, goes = (Client.in_new_window(context, client_site) for _ in range(2))
    for tab in (stays, goes):
        tab.open()
        tab.run("window.told = []; store.watch('SELECT count(*) AS n FROM note', [], (rows) => told.push(rows[0].n))")
        tab.wait("told.length === 1")
    goes.page.close()
    stays.append(note("1"))
    stays.wait("told.at(-1) === 1")
    assert stays.notes() == ["1"]


def targets(context: BrowserContext) -> list[dict[str, str]]:
    """What runs in the browser: pages and workers."""
    session = context.new_cdp_session(context.pages[0])
    found: list[dict[str, str]] = session.send("Target.getTargets")["targetInfos"]
    return found
