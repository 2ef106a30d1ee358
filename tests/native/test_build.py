"""The one entry: what it sets up, and that it does nothing twice."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import build


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of this test's own."""
    monkeypatch.setattr(build, "CACHE", tmp_path / "cache")
    return tmp_path / "cache"


class Work:
    """A step that counts how often it was done."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "source.txt"
        self.source.write_text("one")
        self.output = folder / "output.txt"
        self.done = 0
        self.fails = False

    def make(self) -> None:
        self.done += 1
        if self.fails:
            raise build.SetUpError("no")
        self.output.write_text(self.source.read_text())

    def step(self) -> None:
        build.step("work", "work", [self.source], [self.output], self.make)


@pytest.fixture
def work(cache: Path, tmp_path: Path) -> Work:
    """A step that was never done."""
    return Work(tmp_path)


def test_a_step_is_done_once_and_again_when_what_it_is_made_from_changed(work: Work) -> None:
    work.step()
    work.step()
    assert work.done == 1

    work.source.write_text("two")
    work.step()
    work.step()
    assert work.done == 2


def test_touching_a_file_is_no_change(work: Work) -> None:
    work.step()
    os.utime(work.source, (0, 0))
    work.step()

    assert work.done == 1


def test_a_step_is_done_again_when_its_output_is_gone(work: Work) -> None:
    work.step()
    work.output.unlink()
    work.step()

    assert work.done == 2


def test_a_step_that_failed_is_not_taken_for_done(work: Work) -> None:
    work.step()
    work.source.write_text("two")
    work.fails = True
    with pytest.raises(build.SetUpError):
        work.step()
    work.source.write_text("one")
    work.fails = False
    work.step()

    assert work.done == 3


def test_a_command_that_fails_is_shown_with_its_words() -> None:
    with pytest.raises(build.SetUpError, match=r"(?s)status 3.*because of the weather"):
        build.run(sys.executable, "-c", "import sys; print('because of the weather'); sys.exit(3)")


def test_the_browser_is_an_installed_one_if_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    browser(tmp_path / "chromium", "exit 127  # a library of the system is missing")
    chrome = browser(tmp_path / "google-chrome", "exit 0")

    assert build.installed_browser() == str(chrome)


@pytest.mark.parametrize("there", [True, False], ids=["with one that cannot start", "without any"])
def test_without_a_browser_that_starts_the_error_says_what_to_install(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    def fails(*command: str | Path, **environment: str) -> None:
        raise build.SetUpError(f"{command} {environment}")

    monkeypatch.setattr(build, "set_up_python", lambda: None)
    monkeypatch.setattr(build, "run", fails)  # nothing is fetched
    monkeypatch.setattr(build, "MAC_BROWSERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "none"))
    if there:
        browser(tmp_path / "chromium", "exit 127")

    with pytest.raises(build.SetUpError, match="need Chromium or Chrome: install one"):
        build.set_up_browser()


def browser(path: Path, script: str) -> Path:
    """What stands for a browser: a script."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("arguments", [["--app", "notes:schema", "--wheel", "missing.whl"], ["--page", "missing"]])
def test_a_site_of_what_is_not_there_is_refused_in_a_sentence(arguments: list[str], tmp_path: Path) -> None:
    command = [sys.executable, str(build.ROOT / "build.py"), "site", "--out", str(tmp_path / "out"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)

    assert done.returncode == 1
    assert re.search(r"build\.py: .*missing.*: there is no", done.stderr)
    assert "Traceback" not in done.stderr


def test_an_unknown_option_is_wrong_usage() -> None:
    done = subprocess.run(
        [sys.executable, build.ROOT / "build.py", "site", "--nonsense"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "--nonsense" in done.stderr


def test_every_locked_python_package_has_its_version_and_hashes() -> None:
    for lock in (build.ROOT / "requirements").glob("*.txt"):
        text = re.sub(r"^\s*#.*\n", "", lock.read_text(), flags=re.MULTILINE)
        packages = re.split(r"\n(?=\S)", text.strip())
        assert packages
        for package in packages:
            assert re.match(r"[\w.-]+==\S+", package), package
            assert "--hash=sha256:" in package, package


def test_no_lock_file_names_a_host_to_download_from() -> None:
    packages = json.loads((build.ROOT / "package-lock.json").read_text())["packages"]

    assert [name for name, package in packages.items() if "resolved" in package] == []
    assert all("integrity" in package for name, package in packages.items() if name)
    for lock in (build.ROOT / "requirements").glob("*.txt"):
        assert "://" not in lock.read_text()


def test_the_browser_has_the_versions_that_are_tested_natively() -> None:
    def versions(name: str) -> dict[str, str]:
        return dict(re.findall(r"^([\w.-]+)==([^ ;]+)", (build.ROOT / "requirements" / name).read_text(), flags=re.MULTILINE))

    native, browser = versions("dev.txt"), versions("site.txt") | versions("site-tests.txt")

    assert {name: native[name] for name in browser if name in native} == {name: browser[name] for name in browser if name in native}
    assert native["pydantic-core"] == browser["pydantic-core"]


@pytest.mark.long
def test_python_s_snapshot_is_the_same_whenever_and_wherever_it_is_made(tmp_path: Path) -> None:
    build.set_up_python_parts()
    made = []
    for name in ("first", "second"):
        folder = tmp_path / name
        build.run("node", build.WEB / "build" / "python_parts.mjs", folder, build.SITE_WHEELS, build.ROOT, *build.SITE_MODULES)
        made.append({path.name: path.read_bytes() for path in build.files_in(folder)})

    assert made[0] == made[1]
