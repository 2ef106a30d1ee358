"""The benchmark, as small as it can be: it keeps working. What it measures here says nothing."""

import json
import subprocess
import sys
from pathlib import Path

import build


def test_the_benchmark_measures_every_part_and_every_contender(tmp_path: Path) -> None:
    out = tmp_path / "bench.json"
    program = build.ROOT / "tests" / "bench" / "run.py"
    command = [sys.executable, str(program), "--events", "200", "--rounds", "1", "--cold", "--out", str(out)]
    build.build_site()

    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=240)

    assert (run.stderr, run.returncode) == ("", 0)
    report = json.loads(out.read_text())
    parts = ("boot", "append", "bulk", "floor", "queries")
    measured = {part: {one["contender"] for one in report["figures"] if one["part"] == part} for part in parts}
    assert measured == {
        "boot": {"pystore", "plain boot", "textbook boot", "empty page"},
        "append": {"pystore", "raw", "dexie", "raw in a worker", "pystore without Python"},
        "bulk": {"pystore", "raw", "dexie", "dexie words", "raw unindexed", "raw per batch"},
        "floor": {"libraries"},
        "queries": {"pystore", "raw", "dexie", "dexie words"},
    }
    assert {one["part"] for one in report["figures"]} == {*measured, "visit", "file", "history", "memory"}
    assert all(one["median"] >= 0 for one in report["figures"])
    assert all(str(one["target"]) in run.stdout for one in report["targets"])
