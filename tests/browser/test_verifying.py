"""Verifying in a browser: while all is checked, pages are answered."""

from __future__ import annotations

from typing import Any

from pystore.verification import SLICE_EVENTS
from tests.support.chromium import Launch
from tests.support.client_page import Client, note

EVENTS = 20_000
MOST_MS = 50
"""How long one slice may take; twice that where other programs keep the machine busy."""
WHOLE = 3
"""Slices that are not cut, because the view is copied, taken over, and let go as a whole."""

COUNT_TURNS = """() => {
  const turn = pystore_host.turn.bind(pystore_host);
  globalThis.slices = [];
  pystore_host.turn = async () => {
    if (globalThis.since !== undefined) slices.push(performance.now() - since);
    await turn();
    globalThis.since = performance.now();
  };
}"""

VERIFY_AND_ASK = """
  const told = [];
  let asked = 0;
  let isDone = false;
  const asking = (async () => {
    while (!isDone) {
      const [{ n }] = await store.query('SELECT count(*) AS n FROM note');
      if (!isDone && n === a) asked += 1;
    }
  })();
  const found = await store.verify({ onProgress: (...step) => told.push(step) });
  isDone = true;
  await asking;
  return { found, asked, stages: [...new Set(told.map(([stage]) => stage))] };
"""


def test_pages_are_answered_while_everything_is_checked(launch: Launch, client_site: str) -> None:
    client = Client(launch().pages[0], client_site, "dedicated")
    client.open()
    for start in range(0, EVENTS, 1000):
        client.append(*(note(f"{number:05}", "some words that a note may have " * 8) for number in range(start, start + 1000)))
    (worker,) = client.page.workers
    worker.evaluate(COUNT_TURNS)

    answer: dict[str, Any] = client.run(VERIFY_AND_ASK, EVENTS)

    assert answer["found"] == {"sound": True, "events": EVENTS, "problems": []}
    assert answer["stages"] == ["verify", "project", "compare"]
    slices = sorted(worker.evaluate("() => slices"))
    assert len(slices) > 2 * EVENTS / SLICE_EVENTS
    assert answer["asked"] > len(slices) / 10
    longest = [round(ms) for ms in slices[-10:]]
    assert slices[len(slices) * 9 // 10] < MOST_MS, longest
    assert slices[-1 - WHOLE] < 2 * MOST_MS, longest

    stopped = client.refused("store.verify({ signal: AbortSignal.timeout(200) })")
    assert stopped["code"] == "CancelledError"
    assert client.query("SELECT count(*) AS n FROM note") == [{"n": EVENTS}]
