"""The benchmark: the same work, with the same rows, by pystore, by IndexedDB written by hand, and by Dexie, in real Chromium.

    python3 build.py bench
    python3 build.py bench --only append --events 10000 --rounds 5

It prints tables and writes `bench.json`. A missed target is said, and is no failure of the run.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from playwright.sync_api import Page  # noqa: E402

import pystore  # noqa: E402
from build import SITE_WHEELS, WEB, installed_browser  # noqa: E402
from tests.bench.chromium import Browser, chromium  # noqa: E402
from tests.bench.report import Figures, percentile, tables, targets, verdicts  # noqa: E402
from tests.bench.serving import Server, serving  # noqa: E402

PAGES = Path(__file__).parent / "pages"
DOCS = ROOT / "docs" / "benchmark.md"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
PARTS = ("boot", "append", "bulk", "floor", "file", "queries", "history", "memory")
RAW, DEXIE, PYSTORE = "raw", "dexie", "pystore"
VISIT_ROUNDS, VISIT_REST_S = 4, 12

# What is asked of the site's page, in JavaScript.
MARKED = """(name) => new Promise((resolve) => {
    const look = () => (performance.getEntriesByName(name).length ? resolve() : setTimeout(look, 10));
    look();
})"""
PAINTED, ANSWERED = "first-contentful-paint", "answered"
TIMES = """() => {
    const at = (name) => performance.getEntriesByName(name)[0]?.startTime ?? 0;
    const times = { painted: Math.max(at('painted'), at('first-contentful-paint')) };
    return at('answered') ? { ...times, answered: at('answered') } : times;
}"""
SEED = """async (count) => {
    const { batches, rows, SEARCHED } = await import('/bench/rows.js');
    const { PystoreRows } = await import('/bench/pystore.js');
    const made = new PystoreRows(window.pystore.store);
    for (const batch of batches(rows(0, count))) await made.append(made.prepare(batch));
    if (count) await made.search(SEARCHED);
    // Until its view is kept too, and its segments are merged: that is done when the store has had a moment of rest.
    let before = '', same = 0;
    while (count && same < 30) {
        const now = JSON.stringify((await made.stats()).bytes);
        same = now === before ? same + 1 : 0;
        before = now;
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
}"""
HEAP = "() => window.pystore.store.stats().then((stats) => stats.heap_bytes ?? 0)"


@dataclass
class Bench:
    """A run: what it works with, and the figures so far."""

    browser: Browser
    server: Server
    figures: Figures
    events: Sequence[int]
    rounds: int
    client: str | None
    cold: bool = False

    def __post_init__(self) -> None:
        self._pages: dict[str, Page] = {}
        self._visited: set[str] = set()
        self._seeded: set[str] = set()

    @property
    def contenders(self) -> list[str]:
        """Who takes part; pystore only if the site is built."""
        return [*([PYSTORE] if self.client else []), RAW, DEXIE]

    def call(self, function: str, contender: str, *arguments: Any) -> Any:
        """What `bench.<function>(contender, ...)` returns on the contender's page, each of which is an origin of its own."""
        if contender not in self._pages:
            if not self.cold and contender not in self._visited:
                self._visit_before(contender)
            self._pages[contender] = self._opened(contender)
        return _called(self._pages[contender], function, contender, *arguments)

    def _opened(self, contender: str) -> Page:
        page = self.browser.open(f"{self._origin(contender)}/bench/bench.html?client={self.client or ''}")
        page.wait_for_function("globalThis.bench")
        return page

    def _origin(self, contender: str) -> str:
        return self.server.origin("bench-" + contender.replace(" ", "-"))

    def _visit_before(self, contender: str) -> None:
        """Use a contender's page for a while, and leave it: what is timed is a later visit, as one is to a page that is in use."""
        self._visited.add(contender)
        page = self._opened(contender)
        count = min(self.events)
        for round_ in range(VISIT_ROUNDS):
            ms = _called(page, "bulk", contender, count, "strict", False)["ms"]
            if round_ == 0 and contender in (PYSTORE, RAW, DEXIE):
                self.figures.add("bulk", f"{count:,} events, the first of a first visit", contender, count / ms * 1000)
        _called(page, "singles", contender, 200, "strict")
        time.sleep(VISIT_REST_S)  # in which the browser puts away what it has compiled
        self.browser.close(page, self._origin(contender))

    def rest(self) -> None:
        """Close the contenders' pages."""
        for page in self._pages.values():
            page.close()
        self._pages.clear()

    # -- the site itself

    def seeded(self, count: int, *, plain: bool = False) -> str:
        """The address of a site that was visited before, booted in that way, and holds `count` events, up to date in every way."""
        origin = self.server.origin(f"plain-{count}" if plain else f"site-{count}")
        address = f"{origin}/?boot=plain" if plain else f"{origin}/"
        if address in self._seeded:
            return address
        asked = len(self.server.sent)
        page = self.browser.open(address)
        page.get_by_role("button", name="Start empty").click()
        page.evaluate(MARKED, ANSWERED)
        if not self._seeded:
            self._note_bytes("until the first answer", asked)
        page.evaluate("() => navigator.serviceWorker.ready.then(() => undefined)")
        self.server.wait_until_quiet()
        if not self._seeded:
            self._note_bytes("and all that it keeps for later", asked)
        self._seeded.add(address)
        page.evaluate(SEED, count)
        self.browser.close(page, origin)
        self.visit(address)
        return address

    def _note_bytes(self, work: str, asked: int) -> None:
        plain, gzipped = self.server.bytes_sent(asked)
        self.figures.add("visit", work, "as files", plain / 1e6)
        self.figures.add("visit", work, "gzipped", gzipped / 1e6)

    def visit(self, address: str) -> dict[str, float]:
        """Open the site anew, with nothing of it running: when it was painted, and when Python had answered."""
        page = self.browser.open(address)
        page.evaluate(MARKED, ANSWERED)
        found: dict[str, float] = page.evaluate(TIMES)
        self.browser.close(page, urljoin(address, "/"))
        return found

    def boot(self) -> None:
        """From navigation to the last known state on the screen, and to the first answer of Python."""
        if not self.client:
            return
        counts = (0, *self.events)
        empty = self.server.origin("empty")
        for count in counts:
            for plain in (False, True):
                self.seeded(count, plain=plain)
        for _ in range(self.rounds):
            page = self.browser.open(f"{empty}/bench/empty.html")
            page.evaluate(MARKED, PAINTED)
            self.figures.add("boot", "painted", "empty page", page.evaluate(TIMES)["painted"])
            self.browser.close(page, empty)
            textbook = self.server.origin("textbook")
            page = self.browser.open(f"{textbook}/bench/textbook.html?{_wheels()}")
            page.evaluate(MARKED, ANSWERED)
            self.figures.add("boot", "answered, nothing stored", "textbook boot", page.evaluate(TIMES)["answered"])
            self.browser.close(page, textbook)
            for count in counts:
                for name, plain in {PYSTORE: False, "plain boot": True}.items():
                    for what, ms in self.visit(self.seeded(count, plain=plain)).items():
                        self.figures.add("boot", f"{what}, {count:,} events", name, ms)

    def memory(self) -> None:
        """What the renderer processes hold once the site has answered, over an empty page's."""
        if not self.client:
            return
        addresses = {count: self.seeded(count) for count in (0, *self.events)}
        empty = self.browser.settled_renderer_bytes()
        for count, address in addresses.items():
            for _ in range(self.rounds):
                page = self.browser.open(address)
                page.evaluate(MARKED, ANSWERED)
                self.server.wait_until_quiet()
                work = f"{count:,} events"
                self.figures.add("memory", work, "renderer processes", (self.browser.renderer_bytes() - empty) / 1e6)
                self.figures.add("memory", work, "page's JavaScript", self.browser.heap_bytes(page) / 1e6)
                self.figures.add("memory", work, "Python's heap", page.evaluate(HEAP) / 1e6)
                self.browser.close(page, address)
                self.browser.settled_renderer_bytes()

    # -- the parts

    def append(self) -> None:
        """One event a transaction, one after the other."""
        for _ in range(self.rounds):
            for contender in [*self.contenders, "raw in a worker", "pystore without Python"]:
                durabilities = {"strict": contender, "relaxed": f"{DEXIE} relaxed" if contender == DEXIE else contender}
                for durability, name in durabilities.items():
                    times = self.call("singles", name, 100, durability)
                    self.figures.add("append", f"{durability} p50, ms", contender, percentile(times, 0.5))
                    self.figures.add("append", f"{durability} p99, ms", contender, percentile(times, 0.99))

    def bulk(self) -> None:
        """Many events in batches of 1,000, each batch one transaction."""
        for count in self.events:
            contenders = [*self.contenders, "raw unindexed", "raw per batch", *(["dexie words"] if count <= 10_000 else [])]
            for _ in range(self.rounds):
                for contender in contenders:
                    full_text = contender in {PYSTORE, "dexie words"}
                    found = self.call("bulk", contender, count, "strict", full_text)
                    if contender != "dexie words":
                        self.figures.add("bulk", f"{count:,} events", contender, count / found["ms"] * 1000)
                    if full_text:
                        self.figures.add("bulk", f"{count:,} events, with full text", contender, count / found["withSearch"] * 1000)

    def floor(self) -> None:
        """What libraries alone take for an event of the bulk."""
        for _ in range(self.rounds):
            page = self.browser.open(f"{self.server.origin('floor')}/bench/floor.html?{_wheels()}")
            for what, microseconds in page.evaluate("() => measured").items():
                self.figures.add("floor", what, "libraries", microseconds)
            page.close()

    def file(self) -> None:
        """A store saved as JSONL, and the file brought into an empty store."""
        for count in self.events:
            lines = count + 1001  # a long conversation is there as well
            for contender in [*self.contenders, "raw per batch"]:
                self.call("fill", contender, count)
            for _ in range(self.rounds):
                for contender in [*self.contenders, "raw per batch"]:
                    found = self.call("exported", contender)
                    self.figures.add("file", f"export {count:,} events", contender, lines / found["ms"] * 1000)
                    self.figures.add("file", f"size of {count:,} events, MB", contender, found["bytes"] / 1e6)
                    found = self.call("imported", contender)
                    import_ = f"import {count:,} events"
                    self.figures.add("file", import_, contender, lines / found["ms"] * 1000)
                    if contender == PYSTORE:
                        self.figures.add("file", f"{import_}, with full text", contender, lines / found["withSearch"] * 1000)
            for contender in [*self.contenders, "raw per batch"]:
                self.call("forgetFilled", contender)

    def queries(self) -> None:
        """Questions to a store that is open."""
        names = {
            "empty": "empty call at", "newest50": "newest 50 of", "search": "search in",
            "countByConversation": "count by conversation of",
        }
        for count in self.events:
            contenders = [*self.contenders, *(["dexie words"] if count <= 10_000 else [])]
            for contender in contenders:
                self.call("fill", contender, count)
            for _ in range(self.rounds):
                for contender in contenders:
                    found = self.call("queries", contender, 5)
                    for query, times in found.items():
                        self.figures.add("queries", f"{names[query]} {count:,}", contender, percentile(times, 0.5))
            for contender in contenders:
                self.call("forgetFilled", contender)


    def history(self) -> None:
        """Late events, undo, and past moments, of one log; beside a fold of all of it from nothing."""
        for count in self.events if self.client else ():
            for _ in range(self.rounds):
                found = self.call("history", PYSTORE, count)
                of = f"{count:,} events"
                self.figures.add("history", f"merge 100 events that reach 1,000 back, {of}", PYSTORE, found["merge"])
                self.figures.add("history", f"undo the third newest event, {of}", PYSTORE, found["undo"])
                self.figures.add("history", f"open a moment, the slowest of 7 all over {of}", PYSTORE, max(found["at"]))
                self.figures.add("history", f"fold from nothing, {of}", PYSTORE, found["rebuild"])


def _wheels() -> str:
    return "&".join(f"wheel={wheel.name}" for wheel in sorted(SITE_WHEELS.glob("*.whl")))


def _called(page: Page, function: str, *arguments: Any) -> Any:
    return page.evaluate("([name, given]) => bench[name](...given)", [function, list(arguments)])


def machine() -> dict[str, Any]:
    """What it ran on."""
    models = [line.split(":")[1].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    memory = [int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal")]
    return {
        "system": platform.platform(terse=True), "processor": models[0] if models else platform.machine(), "cores": os.cpu_count(),
        "memory_gb": round(memory[0] / 1e6) if memory else None,
    }


def versions(browser: str) -> dict[str, str]:
    """The versions of who took part."""
    packages = json.loads((ROOT / "package-lock.json").read_text())["packages"]
    npm = {name: packages[f"node_modules/{name}"]["version"] for name in ("pyodide", "dexie")}
    return {"pystore": pystore.__version__, "browser": browser, **npm}


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines() if Path(path).exists() else []


def arguments(given: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="build.py bench", description="Measure pystore beside IndexedDB and Dexie in Chromium.")
    parser.add_argument("--only", action="append", choices=PARTS, help="run this part (may be repeated); default: all")
    parser.add_argument("--events", type=int, nargs="+", default=[10_000, 100_000], help="how many (default: 10000 100000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median is told (default: 5)")
    parser.add_argument("--cold", action="store_true", help="time the very first visit to each contender's page, not a later one")
    parser.add_argument("--site", type=Path, default=ROOT / "dist", help="the built site (default: dist)")
    parser.add_argument("--out", type=Path, default=ROOT / "bench.json", help="where the figures go (default: bench.json)")
    parser.add_argument("--docs", action="store_true", help="put the figures into docs/benchmark.md as well")
    return parser.parse_args(given)


def write_docs(report: dict[str, Any], figures: Figures) -> None:
    """Replace the figures in docs/benchmark.md."""
    on = report["machine"]
    parts = [
        f"`{report['command']}`", report["date"][:10], *(f"{name} {version}" for name, version in report["versions"].items()),
        on["system"], on["processor"], f"{on['cores']} cores", f"{on['memory_gb']} GB",
    ]
    about = f"{', '.join(parts)}; load average when it began {report['load_before']:.1f}."
    before, _, after = DOCS.read_text().partition(BEGIN)
    after = after.partition(END)[2]
    DOCS.write_text(f"{before}{BEGIN}\n{about}\n\n{tables(figures)}\n\n{verdicts(report['targets'])}\n{END}{after}")


def main(given: Sequence[str] | None = None) -> int:
    """Run what is asked for, print it and write it down. 0 even where a target is missed."""
    options = arguments(given)
    client = "/pystore.js" if (options.site / "pystore.js").is_file() else None
    figures = Figures()
    load_before = os.getloadavg()[0]
    folders = {"/bench/": PAGES, "/npm/": ROOT / "node_modules", "/wheels/": SITE_WHEELS, "/web/": WEB, "/": options.site}
    with serving(folders) as server, chromium(installed_browser()) as browser:
        bench = Bench(browser, server, figures, options.events, options.rounds, client, options.cold)
        version = browser.version
        for part in options.only or PARTS:
            print(f"{part} ...", flush=True)
            getattr(bench, part)()
            bench.rest()
    verdict = [found for target in targets(options.events) if (found := target.as_json(figures))]
    report = {
        "command": shlex.join(["python3", "build.py", "bench", *(sys.argv[1:] if given is None else given)]),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), "versions": versions(version), "machine": machine(),
        "load_before": load_before,
        "figures": figures.as_json(), "targets": verdict,
    }
    options.out.write_text(json.dumps(report, indent=1) + "\n")
    print(f"\n{tables(figures)}\n\n{verdicts(verdict)}\n\nwritten to {options.out}")
    if options.docs:
        write_docs(report, figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
