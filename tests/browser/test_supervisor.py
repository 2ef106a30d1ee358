"""A Python that dies, hangs or is ended: what was acknowledged stays, no call waits for ever, and the page goes on with a new one."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from playwright.sync_api import BrowserContext, Page, Route

from tests.support.chromium import Watch
from tests.support.client_page import DEADLY_SCHEMA, Client, note

DEADLY = "deadly"


@pytest.fixture
def watch(watch: Watch) -> Watch:
    """A dying Python says so on the console."""
    watch.allow('Pyodide|fatal error|[Tt]raceback|RangeError|call stack|File "|^console error: (Python|Stack|Current|  )')
    return watch


@pytest.fixture(params=["shared", "dedicated"])
def worker(request: pytest.FixtureRequest) -> str:
    """One Python for all tabs, or one for each."""
    arrangement: str = request.param
    return arrangement


@pytest.fixture
def client(page: Page, client_site: str, worker: str) -> Client:
    """A window with a new log open, in the version of the application that one word kills."""
    client = Client(page, client_site, worker)
    client.open(schema=DEADLY_SCHEMA, hangMs=2_000)
    return client


def in_worker(context: BrowserContext, client: Client, script: str) -> None:
    """Run a script in the worker, without waiting for its end."""
    if client.worker == "dedicated":
        client.page.workers[-1].evaluate(f"() => {{ setTimeout(() => {{ {script} }}, 0); }}")
        return
    session = context.new_cdp_session(client.page)
    # The browser's own target, since a page's session does not reach shared workers.
    browser = context.browser.new_browser_cdp_session() if context.browser else session
    target = [each for each in browser.send("Target.getTargets")["targetInfos"] if each["type"] == "shared_worker"][-1]
    attached = browser.send("Target.attachToTarget", {"targetId": target["targetId"], "flatten": False})["sessionId"]
    message: dict[str, Any] = {"id": 1, "method": "Runtime.evaluate", "params": {"expression": f"setTimeout(() => {{ {script} }}, 0)"}}
    browser.send("Target.sendMessageToTarget", {"sessionId": attached, "message": json.dumps(message)})


def test_after_an_event_that_kills_python_all_that_was_acknowledged_is_there(client: Client) -> None:
    client.append(note("1"), note("2"))
    client.run("window.told = []; store.watch('SELECT count(*) AS n FROM note', [], (rows) => told.push(rows[0].n))")
    error = client.refused("store.append([a, b])", note("good"), note("bad", DEADLY))
    assert error["code"] == "OutcomeUnknownError"
    assert client.notes() == ["1", "2"]
    assert "restarting" in client.states()
    client.append(note("3"))
    client.wait("told.at(-1) === 3")
    assert client.states()[-1] == "saved"
    assert [line["data"]["note_id"] for line in client.saved_lines()] == ["1", "2", "3"]


def test_calls_that_were_open_when_python_died_are_answered_by_the_next_one(client: Client) -> None:
    client.append(note("1"))
    answers = client.run(
        """
        const settled = await Promise.allSettled([
          store.append([a]),
          store.append([b]),
          store.query('SELECT count(*) AS n FROM note'),
          store.stats(),
          store.save(),
          store.append([c]),
        ]);
        return settled.map(({ status, reason }) => reason?.code ?? status);
        """,
        note("before"), note("bad", DEADLY), note("after"),
    )
    # Whether those that came with the deadly one went through depends on whether they met it again.
    assert answers[1] == "OutcomeUnknownError"
    assert {answers[0], answers[5]} <= {"fulfilled", "OutcomeUnknownError"}
    assert set(answers[2:5]) <= {"fulfilled", "UnavailableError"}
    there = {"1"} | {name for name, answer in (("before", answers[0]), ("after", answers[5])) if answer == "fulfilled"}
    assert there <= set(client.notes()) <= {"1", "before", "after"}


def test_an_event_that_kills_python_twice_is_kept_out_of_the_view_and_stays_in_the_log(
    page: Page, client_site: str, worker: str
) -> None:
    client = Client(page, client_site, worker)
    client.open()
    client.append(note("1"))
    (poison,) = client.append(note("2", DEADLY))
    client.append(note("3"))

    client.visit()
    client.run("localStorage.setItem('pystore-generation', '100')")  # not the worker that has the log open, harmless
    assert client.open(schema=DEADLY_SCHEMA)["quarantined"] == [poison["id"]]
    assert client.notes() == ["1", "3"]
    assert "restarting" in client.states()
    assert client.run("return store.stats()")["conflicts"] == 1
    assert [line["data"]["note_id"] for line in client.saved_lines()] == ["1", "2", "3"]
    client.append(note("4"))

    client.visit()
    assert client.open(schema=DEADLY_SCHEMA)["quarantined"] == [poison["id"]]
    assert "restarting" not in client.states()
    assert client.notes() == ["1", "3", "4"]


def test_when_the_worker_is_ended_the_page_goes_to_a_new_one(client: Client) -> None:
    client.append(note("1"))
    client.run("window.told = []; store.watch('SELECT count(*) AS n FROM note', [], (rows) => told.push(rows[0].n))")
    in_worker(client.page.context, client, "self.close()")
    client.append(note("2"))
    assert client.notes() == ["1", "2"]
    client.wait("told.at(-1) === 2")


def test_a_past_moment_is_opened_again_at_the_same_place_by_the_next_python(client: Client) -> None:
    client.append(note("1"))
    client.append(note("2"))
    client.run("window.past = await store.at(1)")
    client.append(note("3"))
    in_worker(client.page.context, client, "self.close()")
    assert client.run("return past.query('SELECT note_id FROM note')") == [{"note_id": "1"}]
    assert client.notes() == ["1", "2", "3"]


def test_a_python_that_has_grown_and_is_idle_is_begun_afresh_and_nobody_minds(page: Page, client_site: str, worker: str) -> None:
    client = Client(page, client_site, worker, idle=500, heap=0)
    client.open()
    client.run("window.told = []; store.watch('SELECT count(*) AS n FROM note', [], (rows) => told.push(rows[0].n))")
    client.append(note("1"))
    at_first = client.run("return (await store.stats()).heap_bytes")
    much = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 50) SELECT hex(zeroblob(500000)) FROM r"
    client.run("await store.query(a)", much)
    client.wait("states.some(({ state }) => state === 'restarting')")
    client.append(note("2"))
    client.wait("told.at(-1) === 2")
    assert client.notes() == ["1", "2"]
    assert client.run("return (await store.stats()).heap_bytes") < 2 * at_first
    assert "error" not in client.states()


def test_a_worker_that_hangs_is_left_behind(page: Page, client_site: str, worker: str) -> None:
    client = Client(page, client_site, worker)
    client.open(hangMs=2_000)
    client.append(note("1"))
    client.run("window.hanging = new Promise((resolve) => { new BroadcastChannel('test').onmessage = resolve; })")
    tell = "new BroadcastChannel('test').postMessage(0);"
    in_worker(page.context, client, f"{tell} const end = Date.now() + 240_000; while (Date.now() < end);")
    # Only then: a worker that hangs in the middle of a transaction keeps the browser from beginning another one.
    client.run("await hanging")
    began = time.monotonic()
    client.append(note("2"))
    assert time.monotonic() - began < 200  # the busier the machine the longer, but it is not waited for
    assert client.notes() == ["1", "2"]
    assert "restarting" in client.states()


def test_all_tabs_go_on_together_when_their_python_dies(context: BrowserContext, client_site: str) -> None:
    tabs = [Client.in_new_window(context, client_site) for _ in range(2)]
    for tab in tabs:
        tab.open(schema=DEADLY_SCHEMA)
    tabs[1].run("window.told = []; store.watch('SELECT count(*) AS n FROM note', [], (rows) => told.push(rows[0].n))")
    assert tabs[0].refused("store.append([a])", note("bad", DEADLY))["code"] == "OutcomeUnknownError"
    tabs[0].append(note("1"))
    tabs[1].wait("told.at(-1) === 1")
    tabs[1].append(note("2"))
    assert tabs[0].notes() == ["1", "2"]


def test_a_python_that_does_not_start_is_an_error_that_says_so(page: Page, client_site: str, watch: Watch) -> None:
    watch.allow("Failed to load resource|net::ERR|Failed to fetch")
    page.context.route("**/*site-packages*", lambda route: route.abort())
    client = Client(page, client_site, "dedicated")
    error = client.refused("client.openStore('notes')")
    assert error["code"] == "UnavailableError"
    assert "did not start" in error["message"]
    page.context.unroute("**/*site-packages*")
    client.open()
    client.append(note("1"))
    assert client.notes() == ["1"]


@pytest.mark.timeout(400)
def test_a_python_that_comes_slowly_is_waited_for_and_one_that_does_not_come_is_an_error_that_says_so(page: Page, client_site: str) -> None:
    slow: list[Route] = []

    def hold(route: Route) -> None:
        if "msgspec" in route.request.url:
            slow.append(route)

    for held in ("msgspec*.wasm", "site-packages*"):
        page.context.route(f"**/*{held}", hold)
    client = Client(page, client_site, "dedicated")
    client.run("window.refused(client.openStore('notes')).then((told) => { window.told = told; })")
    page.wait_for_timeout(40_000)
    assert len(slow) == 1
    slow.pop().continue_()
    page.wait_for_timeout(40_000)
    assert client.run("return window.told === undefined"), "something arrived in the last minute"
    client.wait("window.told")
    told = client.run("return window.told")
    assert told["code"] == "UnavailableError"
    assert "nothing happened for a minute" in told["message"]
    page.context.unroute_all()
    client.open()
    client.append(note("1"))
    assert client.notes() == ["1"]
