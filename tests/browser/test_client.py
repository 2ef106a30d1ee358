"""The JavaScript client and the store behind it, in a real browser, with one Python for all tabs and with one for each."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.support.chromium import Launch
from tests.support.client_page import LATER_SCHEMA, Client, note


@pytest.fixture(params=["shared", "dedicated"])
def client(request: pytest.FixtureRequest, page: Page, client_site: str) -> Client:
    """A window with a new log open."""
    client = Client(page, client_site, request.param)
    client.open()
    return client


@pytest.fixture
def one_client(page: Page, client_site: str) -> Client:
    """A window with a new log open, where the arrangement makes no difference."""
    client = Client(page, client_site)
    client.open()
    return client


def test_what_was_appended_is_found_and_there_after_a_reload(client: Client) -> None:
    appended = client.append(note("1"), note("2", "Grüße 👋 \u2028"))
    assert [one["id"].partition(":")[2] for one in appended] == ["1", "2"]
    rows = [{"note_id": "1", "text": "hello"}, {"note_id": "2", "text": "Grüße 👋 \u2028"}]
    assert client.query("SELECT * FROM note ORDER BY note_id") == rows
    assert client.run("return store.stats()")["worker"] == client.worker

    client.visit()
    assert client.open()["events"] == 2
    assert client.query("SELECT * FROM note WHERE text <> ? ORDER BY note_id", "") == rows
    assert client.states()[-1] == "ready"


@pytest.mark.parametrize("worker", ["shared", "dedicated"])
def test_one_is_told_how_python_was_started(page: Page, client_site: str, worker: str) -> None:
    client = Client(page, client_site, worker, boot="plain")
    client.open()
    boot = client.run("return (await store.stats()).boot")
    assert (boot["how"], boot["reason"]) == ("plain", "asked for")
    assert boot["timings"]["ready"] > 0


def test_a_repeated_batch_is_stored_once(client: Client) -> None:
    first = client.append(note("1"), batch="only-once")
    assert client.append(note("1"), batch="only-once") == first
    assert client.notes() == ["1"]


def test_a_watched_query_tells_now_and_when_its_answer_changes(client: Client) -> None:
    client.run("window.told = []; window.stop = store.watch('SELECT count(*) AS n FROM note', [], (rows) => told.push(rows[0].n))")
    client.wait("window.told.length === 1")
    client.append(note("1"))
    client.append(note("2"))
    client.wait("window.told.length === 3")
    client.run("stop()")
    client.append(note("3"))
    assert client.run("return told") == [0, 1, 2]


def test_a_query_that_cannot_be_watched_says_so(one_client: Client) -> None:
    one_client.run("window.failed = null; store.watch('SELECT nothing', [], () => {}, (error) => { window.failed = error.code; })")
    one_client.wait("window.failed === 'QueryError'")


NESTED = "JSON.parse('['.repeat(2000) + ']'.repeat(2000))"
BAD: list[tuple[str, str]] = [
    ("{ type: 'note.removed', data: {} }", "UnknownTypeError"),
    ("{ type: 'note.added', data: { note_id: '1' } }", "ValidationError"),
    ("{ type: 'note.added', data: { note_id: '1', text: 5 } }", "ValidationError"),
    ("{ type: 'note.added', data: { note_id: '1', text: '' } }", "ConstraintError"),
    ("{ type: 'note.added', data: { note_id: '1', text: 'a', number: NaN } }", "ValidationError"),
    ("{ type: 'note.added', data: { note_id: '1', text: 'a', more: { n: -Infinity } } }", "ValidationError"),
    ("{ type: 'note.added', data: { note_id: '1', text: 'half: \\ud800' } }", "ValidationError"),
    ("{ type: 'note.added', data: { note_id: '1', text: 'nul: \\0' } }", "ValidationError"),
    ("{ type: 'note.added', data: { note_id: '1', text: 'a', more: { n: 2 ** 60 } } }", "ValidationError"),
    ("{ type: 'note.added', data: { note_id: '1', text: 'a', more: { n: 1n } } }", "ValidationError"),
    (f"{{ type: 'note.added', data: {{ note_id: '1', text: 'a', more: {NESTED} }} }}", "ValidationError"),
    (f"{{ type: 'note.added', data: {{ note_id: '1', text: 'a', more: {{ n: {NESTED} }} }} }}", "ValidationError"),
    ("{ type: 'note.added', data: { note_id: '1', text: 'x'.repeat(2 ** 20) } }", "ValidationError"),
    ("{ type: 'note.added' }", "ValidationError"),
    ("'note.added'", "ValidationError"),
    ("undefined", "ValidationError"),
]


def test_bad_events_are_refused_with_a_reason_and_nothing_of_their_batch_is_stored(one_client: Client) -> None:
    for bad, code in BAD:
        good = "{ type: 'note.added', data: { note_id: 'good', text: 'good' } }"
        error = one_client.refused(f"store.append([{good}, {bad}])")
        assert error["code"] == code, bad
        assert error["name"] == "PyStoreError"
        assert len(error["message"]) > 20
    assert one_client.notes() == []
    assert one_client.run("return store.stats()")["events"] == 0
    assert one_client.states()[-1] != "error"
    one_client.append(note("1"))
    assert one_client.notes() == ["1"]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM note",
        "INSERT INTO note VALUES ('1', 'x')",
        "ATTACH ':memory:' AS other",
        "PRAGMA user_version = 5",
        "DROP TABLE note",
        "SELECT * FROM nothing",
        "SELECT",
        "SELECT 1; SELECT 2",
        "VACUUM",
        "BEGIN",
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    ],
)
def test_a_query_only_reads_and_ends(one_client: Client, sql: str) -> None:
    one_client.append(note("1"))
    assert one_client.refused("store.query(a)", sql)["code"] == "QueryError"
    assert one_client.notes() == ["1"]


@pytest.mark.parametrize("asked", [
    "store.events({ limit: '5' })", "store.events({ limit: -1 })", "store.events({ types: 'note.added' })", "store.events({ nothing: 1 })",
    "store.events({ limit: 5n })", "store.activity({ buckets: 0 })", "store.at(null)", "store.at({})", "store.at(1.5)", "store.at(1n)",
    "store.restoreTo(undefined)", "store.rename(7)", "store.undo(7)", "store.undo([null])", "store.erase({})",
    "store.save({ gzip: 'yes' })",
    "store.restore(new Blob([]), { mode: 'guess' })", "store.append([], { durability: 'perhaps' })", "store.append([], { batch: 7 })",
    "store.query(7)", "store.query('SELECT ?', 7)", "store.query('SELECT ?', null)", "store.query('SELECT ?', [1n])",
    "store.backups.create(7)", "store.backups.restore(null)", "store.backups.verify(7)", "store.backups.configure({ keep: 3 })",
    "store.migrate({ dryRun: 1 })", "store.importFile(new Blob(['{}']), { name: 7 })", "client.openStore('other', { maxFutureMs: 'long' })",
])
def test_what_is_no_argument_is_refused_as_such(one_client: Client, asked: str) -> None:
    assert one_client.refused(asked)["code"] == "ValidationError", asked
    one_client.append(note("1"))
    assert one_client.notes() == ["1"]


def test_a_query_that_cannot_be_encoded_is_told_to_who_watches_it(one_client: Client) -> None:
    one_client.run("window.failed = null; store.watch('SELECT ?', [1n], () => {}, (error) => { window.failed = error.code; })()")
    assert one_client.run("return failed") == "ValidationError"


def test_keys_that_name_a_prototype_are_keys_like_others(client: Client) -> None:
    data = '{"note_id": "1", "text": "a", "more": {"__proto__": {"polluted": true}, "constructor": {"prototype": {"polluted": true}}}}'
    client.run("return store.append([{ type: 'note.added', data: JSON.parse(a) }])", data)
    assert client.run("return ({}).polluted === undefined && Object.polluted === undefined")
    assert client.run("const [event] = await store.events(); return Object.keys(event.data.more)") == ["__proto__", "constructor"]
    row = client.run("""const [row] = await store.query('SELECT 1 AS "__proto__"'); return [Object.keys(row), row instanceof Object]""")
    assert row == [["__proto__"], True]


def test_nothing_can_be_added_to_what_all_objects_share_in_the_worker(page: Page, client_site: str) -> None:
    client = Client(page, client_site, "dedicated")
    client.open()
    assert page.workers[-1].evaluate("!Object.isExtensible(Object.prototype)")
    client.append(note("1"))
    assert client.notes() == ["1"]


def test_a_file_of_many_megabytes_comes_back_as_it_was(launch: Launch, client_site: str) -> None:
    first = Client(launch().new_page(), client_site)
    first.open()
    for number in range(40):
        first.append(note(str(number), f"{number} " * (250_000 // len(f"{number} "))))
    first.run("window.file = await store.save()")
    assert first.run("return file.size") > 9 << 20
    lines = first.run("return (await file.text()).split('\\n').slice(1, -2)")
    assert [json.loads(line)["seq"] for line in lines] == list(range(1, 41))

    first.run("await store.forget()")
    first.open("elsewhere")
    assert first.run("return (await store.restore(file)).new") == 40
    assert first.run("return (await (await store.save()).text()).split('\\n').slice(1, -2)") == lines


def test_a_saved_file_restores_the_same_log_elsewhere(launch: Launch, client_site: str) -> None:
    first = Client(launch().pages[0], client_site)
    first.open()
    first.append(*(note(f"{number:04}", f"text {number}") for number in range(3000)))
    first.run("return store.rename('My notes')")
    progress = first.run("const told = []; await store.save({ onProgress: (...step) => told.push(step) }); return told")
    assert progress
    assert all(len(step) == 3 for step in progress)
    lines = first.saved_lines()
    text = first.run("return (await store.save()).text()")
    assert first.run("return (await store.save({ gzip: true })).size") < len(text)

    second = Client(launch().pages[0], client_site, "dedicated")
    second.open()
    assert second.run("return store.inspect(new Blob([a]))", text)["new"] == 3001
    assert second.notes() == []
    assert second.refused("store.restore(new Blob([a.slice(0, -1000)]))", text)["code"] == "CorruptBackupError"
    damaged = second.refused("store.restore(new Blob([a]))", text.replace('"text 7"', '"text 8"'))
    assert (damaged["code"], damaged["details"]["kind"], damaged["details"]["line"]) == ("CorruptBackupError", "AlteredError", 9)
    assert second.notes() == []
    second.run("return store.restore(new Blob([a]))", text)
    assert second.saved_lines() == lines
    assert second.query("SELECT * FROM note") == first.query("SELECT * FROM note")
    assert second.run("return store.stats()")["name"] == "My notes"
    assert second.run("return store.restore(new Blob([a]))", text)["new"] == 0


def test_how_far_ahead_a_clock_may_be_is_ones_own_choice(page: Page, client_site: str) -> None:
    hour_ms = 3_600_000
    ahead = Client(page, client_site, "dedicated")
    ahead.put_clock_forward(hour_ms)
    ahead.open()
    ahead.append(note("then"))
    file = ahead.run("return (await store.save()).text()")
    client = Client.in_new_window(page.context, client_site)
    patient: dict[str, Any] = {"maxFutureMs": 2 * hour_ms}
    for log, options, notes, waiting in [("strict", {}, [], 1), ("patient", patient, ["then"], 0)]:
        client.open(log, **options)
        assert client.run("return store.restore(new Blob([a]))", file)["waiting"] == waiting
        assert client.notes() == notes
        assert len(client.run("return store.waiting()")) == waiting


def test_logs_are_listed_by_their_names_and_forgotten(client: Client) -> None:
    client.append(note("1"))
    client.run("return store.rename('Anna')")
    client.run("window.other = await client.openStore('other'); await other.append([a])", note("1"))
    listed = [{"log": "notes", "name": "Anna", "events": 2}, {"log": "other", "name": "other", "events": 1}]
    assert client.run("return client.listLogs()") == listed
    client.run("return other.forget()")
    assert client.refused("other.query('SELECT 1')")["code"] == "ClosedError"
    assert client.run("return client.listLogs()") == listed[:1]
    client.run("store.close(); return client.forgetLog('notes')")
    assert client.run("return client.listLogs()") == []
    assert client.open()["events"] == 0


def test_a_name_that_is_no_log_name_and_a_schema_that_is_none_are_refused(one_client: Client) -> None:
    for name in ("", "a/b", "x" * 101):
        assert one_client.refused("client.openStore(a)", name)["code"] == "ValidationError"
    for schema in ("nothing:schema", "json:loads", "notes_under_test", "notes_under_test:nothing"):
        assert one_client.refused("client.openStore('other', { schema: a })", schema)["code"] == "ValidationError"
    assert one_client.refused("client.openStore('notes', { schema: 'notes_under_test:deadly' })")["code"] == "ValidationError"


def test_a_closed_store_answers_no_more_and_another_one_of_the_log_still_does(client: Client) -> None:
    client.run("window.other = await client.openStore('notes')")
    client.run("store.close(); store.close()")
    assert client.refused("store.query('SELECT 1')")["code"] == "ClosedError"
    assert client.run("return other.query('SELECT 1 AS one')") == [{"one": 1}]


def test_a_past_moment_is_asked_like_the_store_until_it_or_its_store_is_closed_or_the_page_goes(client: Client) -> None:
    first, _ = client.append(note("1"), note("2"))
    client.run("window.pasts = await Promise.all([store.at(a), store.at(0)])", first["id"])
    client.append(note("3"))
    client.run("await store.undo(a)", first["id"])
    ids = "SELECT note_id FROM note WHERE note_id <> ? ORDER BY note_id"
    assert client.run("return pasts[0].query(a, ['x'])", ids) == [{"note_id": "1"}]
    assert client.run("return pasts[1].query(a, ['x'])", ids) == [{"note_id": "1"}, {"note_id": "2"}]
    assert client.run("return pasts[0].info.events") == 1
    assert client.refused("pasts[0].query('DELETE FROM note')")["code"] == "QueryError"
    assert client.notes() == ["2", "3"]
    client.run("pasts[0].close(); pasts[0].close()")
    assert client.refused("pasts[0].query('SELECT 1')")["code"] == "ClosedError"
    assert client.run("return store.stats()")["moments"] == 1
    for gone in ("yesterday", f"{'a' * 16}:7", -1):
        assert client.refused("store.at(a)", gone)["code"] == "ValidationError"

    client.visit()
    client.open()
    assert client.run("return store.stats()")["moments"] == 0
    client.run("window.past = await store.at(0); window.other = await client.openStore('notes'); store.close()")
    assert client.refused("past.query('SELECT 1')")["code"] == "ClosedError"
    assert client.run("return other.stats()")["moments"] == 0


def test_one_is_told_how_many_events_there_are_whoever_appends_them(client: Client) -> None:
    client.run("window.told = []; window.stop = store.watchEvents((events) => told.push(events))")
    client.wait("told.length === 1")
    client.append(note("1"), note("2"))
    client.wait("told.at(-1) === 2")
    other = Client.in_new_window(client.page.context, client.site, client.worker)
    other.open()
    other.append(note("3"))
    client.wait("told.at(-1) === 3")
    client.run("stop()")
    client.append(note("4"))
    assert client.run("return told.at(-1)") == 3


STOPPED = """
const controller = new AbortController();
const options = { signal: controller.signal, onProgress: () => controller.abort() };
"""


def test_long_work_is_stopped_by_its_signal_and_changed_nothing(client: Client) -> None:
    client.run(
        "for (let b = 0; b < 10; b++) await store.append(Array.from({ length: 2000 }, (_, i) => "
        "({ type: 'note.added', data: { note_id: `${b}-${i}`, text: 'hello '.repeat(20) } })))"
    )
    client.run("window.file = await store.save(); await store.forget()")
    client.open("other")
    client.append(note("mine"))
    for work in ("store.restore(file, options)", "store.restore(file, { mode: 'replace', ...options })", "store.inspect(file, options)"):
        told = client.run(f"{STOPPED} return refused({work})")
        assert told["code"] == "CancelledError", work
        assert told["message"] == "It was stopped before it was done. Nothing was changed."
        assert client.notes() == ["mine"]
    assert client.states()[-1] == "saved"
    assert client.run("return refused(store.save({ signal: AbortSignal.abort() }))")["code"] == "CancelledError"

    client.run("await store.restore(file)")
    assert client.run(f"{STOPPED} return refused(store.save(options))")["code"] == "CancelledError"
    assert len(client.notes()) == 20_001


def storage_quota(page: Page, site: str, size: int | None) -> None:
    """Limit what the site may keep; None lifts the limit."""
    limit: dict[str, Any] = {"origin": site.rstrip("/")}
    if size is not None:
        limit["quotaSize"] = size
    page.context.new_cdp_session(page).send("Storage.overrideQuotaForOrigin", limit)


@pytest.mark.parametrize("worker", ["shared", "dedicated"])
def test_when_the_disk_is_full_an_append_is_refused_whole_and_everything_else_goes_on(
    page: Page, client_site: str, worker: str
) -> None:
    client = Client(page, client_site, worker)
    storage_quota(page, client_site, 500_000)  # before the log is opened: Chromium remembers for a while that there was space
    client.open()
    client.append(note("1"))
    kept = ["1"]
    refused = None
    for number in range(2, 30):
        # Random, so that nothing compresses it.
        told = client.run(
            "const text = Array.from(crypto.getRandomValues(new Uint8Array(60000)), (byte) => byte.toString(36)).join('');"
            "return refused(store.append([{ type: 'note.added', data: { note_id: a, text } }]))",
            str(number),
        )
        if "answer" not in told:
            refused = told
            break
        kept.append(str(number))
    assert refused is not None
    assert refused["code"] == "QuotaError"
    assert client.states()[-1] == "error"
    assert sorted(client.notes()) == sorted(kept)
    assert len(client.saved_lines()) == len(kept)

    storage_quota(client.page, client.site, None)
    client.append(note("after"))
    assert client.states()[-1] == "saved"
    client.visit()
    client.open()
    assert sorted(client.notes()) == sorted([*kept, "after"])
    feed = [line["seq"] for line in client.saved_lines()]
    assert feed == list(range(1, len(feed) + 1))


def test_when_the_disk_is_full_a_restore_changes_nothing(launch: Launch, client_site: str) -> None:
    large = Client(launch().pages[0], client_site)
    large.open()
    # Random, so that nothing compresses it.
    large.run(
        "const text = () => Array.from(crypto.getRandomValues(new Uint8Array(60000)), (byte) => byte.toString(36)).join('');"
        "for (let n = 0; n < 30; n++) await store.append([{ type: 'note.added', data: { note_id: `large ${n}`, text: text() } }])"
    )
    file = large.run("return (await store.save()).text()")

    small = Client(launch().pages[0], client_site, "dedicated")
    storage_quota(small.page, small.site, 500_000)
    small.open()
    small.append(note("1"))
    before = small.saved_lines()
    for mode in ("merge", "replace"):
        assert small.refused("store.restore(new Blob([a]), { mode: b })", file, mode)["code"] == "QuotaError"
        assert small.notes() == ["1"]
        assert small.saved_lines() == before

    storage_quota(small.page, small.site, None)
    small.run("return store.restore(new Blob([a]))", file)
    assert len(small.notes()) == 31


def test_a_page_without_storage_is_told_so(page: Page, client_site: str) -> None:
    def without_storage(route: Any) -> None:
        with urllib.request.urlopen(route.request.url) as response:
            script = response.read().decode()
        script = "Object.defineProperty(self, 'indexedDB', { value: undefined });" + script
        route.fulfill(body=script, content_type="text/javascript")

    page.context.route("**/dedicated.*.js", without_storage)
    client = Client(page, client_site, "dedicated")
    error = client.refused("client.openStore('notes')")
    assert error["code"] == "UnavailableError"
    assert "storage" in error["message"]


@pytest.mark.parametrize("how", ["deleted", "cleared"])
def test_a_log_removed_while_it_is_open_is_missed_and_not_made_anew(client: Client, how: str) -> None:
    client.append(note("1"))
    if how == "deleted":
        client.run(
            "await new Promise((resolve, reject) => {"
            " const request = indexedDB.deleteDatabase('pystore/notes'); request.onsuccess = resolve; request.onerror = reject; })"
        )
    else:
        client.page.context.new_cdp_session(client.page).send(
            "Storage.clearDataForOrigin", {"origin": client.site.rstrip("/"), "storageTypes": "indexeddb"}
        )
    error = client.refused("store.append(a)", note("2"))
    assert error["code"] == "ClosedError"
    assert "removed" in error["message"]
    assert client.run("return indexeddb.logNames()") == []
    assert client.states()[-1] == "error"

    # Whoever opens it after that begins anew.
    client.open()
    assert client.notes() == []
    client.append(note("3"))
    assert client.notes() == ["3"]


def test_a_migration_that_failed_is_tried_again_and_the_log_can_be_written_to(client: Client) -> None:
    client.append(note("1"))
    client.visit()
    assert "the check 'the first try'" in client.open(schema=LATER_SCHEMA)["read_only"]
    assert client.states()[-1] == "read-only"
    assert client.refused("store.rename('x')")["code"] == "ReadOnlyError"
    report = client.run("return store.migrate()")
    assert (report["from"], report["to"], report["problems"]) == (1, 2, [])
    assert (client.states()[-1], client.run("return store.info.read_only")) == ("ready", None)
    client.append({"type": "note.added", "data": {"note_id": "2", "title": "hello"}})
    assert client.query("SELECT * FROM note") == [{"note_id": "1", "title": "hello"}, {"note_id": "2", "title": "hello"}]
    assert client.refused("store.startOver()")["code"] == "ValidationError"
