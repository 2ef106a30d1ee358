"""Runs pytest inside Pyodide and reports every test to the page, as JSON."""

from __future__ import annotations

import json

import pytest
import suite  # type: ignore[import-not-found]


class Reporter:
    """A pytest plugin that sends what pytest finds."""

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Say what begins, so that a test which never ends has a name."""
        send("begin", test=nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """One result a test: that of its call, or of a set-up or tear-down that did not pass."""
        if report.when == "call" or report.outcome != "passed":
            send("test", test=report.nodeid, outcome=report.outcome, text=report.longreprtext, seconds=report.duration)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported is a failure of its own."""
        if report.failed:
            send("test", test=report.nodeid, outcome="failed", text=report.longreprtext, seconds=0)


def send(kind: str, **message: object) -> None:
    """Send one report."""
    suite.report(json.dumps({"kind": kind, **message}))


def main() -> int:
    """Run the tests that the page asked for; pytest's exit status."""
    return int(pytest.main(["-c", "pyodide.ini", "--rootdir", ".", *suite.args], plugins=[Reporter()]))
