"""What README.md and docs/ say is true: files they quote, commands, links, and the tests that stand behind each promise."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from types import CodeType
from typing import Any
from xml.etree import ElementTree as ET

import pytest

import build
from pystore import (
    Store,
    appender,
    checkpoints,
    clock,
    input_profile,
    log,
    merging,
    projection,
    projector,
    segment,
    verification,
    view,
    waiting,
)
from pystore.backup import lines, restore
from pystore.native.platform import NativePlatform

ROOT = build.ROOT
README = ROOT / "README.md"
NOTES = ROOT / "examples" / "notes"
PAGES = [README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`(examples/[\w/]+\.\w+)`[^\n]*:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
TEST = re.compile(r"`(tests/[\w./]+\.py)::(\w+)`")


def section(title: str) -> str:
    """The text of README.md under a heading, up to the next of its level."""
    return README.read_text().split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def code(page: Path, language: str) -> list[str]:
    """The code blocks of a page in a language."""
    return [text for of, text in BLOCK.findall(page.read_text()) if of == language]


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", BLOCK.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a command does in a folder, with this project's Python and command line at hand."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONWARNINGS": "error"}
    shell = ["sh", "-c", command]
    return subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    for target in LINK.findall(page.read_text()):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        linked = (page.parent / name).resolve() if name else page

        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


def test_what_the_readme_quotes_is_what_the_files_say() -> None:
    quoted = QUOTED.findall(README.read_text())

    assert {name for name, _ in quoted} == {"examples/notes/notes.py", "examples/notes/notes.js", "examples/notes/native.py"}
    for name, text in quoted:
        assert text == (ROOT / name).read_text(), name


def test_the_commands_of_the_readme_exist() -> None:
    for line in "\n".join(code(README, "sh")).splitlines():
        words = shlex.split(line)
        if words[:2] == ["python3", "build.py"] and words[2] != "--help":
            build.parser().parse_args(words[2:])

    assert run("python3 build.py --help", ROOT).returncode == 0


def test_the_session_of_the_command_line_goes_as_the_readme_shows(tmp_path: Path) -> None:
    (session,) = code(README, "console")
    shutil.copytree(NOTES, tmp_path, dirs_exist_ok=True)
    run("python3 native.py", tmp_path)
    for shown in re.split(r"^\$ ", session, flags=re.MULTILINE)[1:]:
        command, _, expected = shown.partition("\n")
        done = run(command, tmp_path)

        assert (done.returncode, done.stderr) == (0, ""), command
        pattern = re.escape(expected).replace(r"\.\.\.", ".*?")
        assert re.fullmatch(pattern, done.stdout, re.DOTALL), f"{command}\n{done.stdout}"


def test_the_native_example_runs(tmp_path: Path) -> None:
    for notes in (1, 2):  # it may be tried again
        done = run(f"python3 {shlex.quote(str(NOTES / 'native.py'))}", tmp_path)

        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.count("Buy bread") == notes
    assert [path.name for path in tmp_path.iterdir()] == ["my-notes.pystore"]


def test_the_python_of_writing_an_application_runs() -> None:
    source = "\n".join(code(ROOT / "docs" / "applications.md", "python"))
    compiled = compile(source, "docs/applications.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

    async def execute(compiled: CodeType) -> None:
        await eval(compiled, {"__name__": "reading"})

    asyncio.run(execute(compiled))


def test_the_chains_of_a_saved_file_can_be_checked_without_pystore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(NOTES)
    import notes

    async def saved() -> bytes:
        async with await Store.open(notes.schema, "my-notes", platform=NativePlatform(tmp_path)) as mine:
            for number in range(3):
                await mine.append(notes.NoteAdded(note_id=str(number), text='Milk, "salt":"'))
            return b"".join([chunk async for chunk in mine.save()])

    def check(file: bytes) -> tuple[bool, str]:
        command = [sys.executable, str(ROOT / "examples" / "check_chain.py")]
        done = subprocess.run(command, input=file, capture_output=True, timeout=60, check=False)
        return done.returncode == 0, (done.stdout + done.stderr).decode()

    file = asyncio.run(saved())
    header, first, _, *rest = file.splitlines(keepends=True)

    assert check(file)[0]
    assert check(file.replace(b"Milk", b"Malt", 1)) == (False, f"{json.loads(first)['replica']}:1 was altered\n")
    assert "does not continue its chain" in check(b"".join([header, first, *rest]))[1]


def test_every_promise_names_a_test_that_exists() -> None:
    promises = re.findall(r"^\d+\. .*\n(?: .*\n)*", section("What it promises"), re.MULTILINE)

    assert promises
    for promise in promises:
        assert TEST.search(promise), promise
    for name, test in TEST.findall(README.read_text()):
        assert test in functions(ROOT / name), f"{name}::{test}"


def functions(path: Path) -> set[str]:
    """The names of the functions that a file defines at its top, or in a class there."""
    tree = ast.parse(path.read_text())
    bodies = [tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))]
    return {node.name for body in bodies for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_readme_gives_a_reason_for_each_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    package: dict[str, Any] = json.loads((ROOT / "package.json").read_text())
    site = [line for line in (ROOT / "requirements" / "site.in").read_text().splitlines() if line and line[0] != "#"]
    specified = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"], *site]
    needed = {re.split(r"[^\w.-]", name)[0] for name in specified} | {*package["dependencies"], *package["devDependencies"]}
    rows = [row.split("|")[1] for row in section("Dependencies").splitlines() if row.startswith("| `")]
    given = set(re.findall(r"`([^`]+)`", "".join(rows)))

    assert given == needed


def test_every_module_stands_on_a_floor_of_the_architecture() -> None:
    rows = re.findall(r"^\| \d \| (.*?) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    placed = [name.rstrip("/") for row in rows for name in re.findall(r"`([^`]+)`", row)]
    there = {path.stem for path in (ROOT / "pystore").iterdir() if path.name[0] != "_" and (path.suffix == ".py" or path.is_dir())}

    assert sorted(placed) == sorted(there)


def test_the_numbers_in_the_docs_are_those_of_the_code() -> None:
    limits = [
        f"| a line | {input_profile.MAX_LINE_BYTES >> 20} MiB |",
        f"| nesting | {input_profile.MAX_DEPTH} levels |",
        f"| nesting of the data of an event that is appended | {projector.MAX_DATA_DEPTH} levels |",
        f"| a text | {input_profile.MAX_STRING_BYTES >> 10} KiB,",
        f"| keys of one object | {input_profile.MAX_KEYS:,}, each once |",
        f"integers up to 2^{input_profile.MAX_INTEGER.bit_length()} - 1 |",
        f"| a file | {lines.MAX_BYTES >> 30} GiB after gunzipping, at most {lines.MAX_RATIO} times its compressed size |",
    ]
    limits.append(f"when more than {restore.MAX_DAMAGED_LINES:,} lines are damaged")
    architecture = [
        f"from {segment.COMPRESS_FROM_BYTES >> 10} KiB on as a zstd frame",
        f"When {log.MERGE_FROM_SEGMENTS} have gathered",
        f"reaches {log.SEGMENT_EVENTS:,} events or {log.SEGMENT_BYTES >> 20} MiB as it is stored",
        f"at most {appender.MAX_GROUP_EVENTS:,} events and {appender.MAX_GROUP_BYTES >> 20} MiB of data",
        f"at most {log.SEGMENT_EVENTS:,} events, which end with the line that reaches {merging.SEGMENT_BYTES >> 20} MiB",
        f"exceed both {projection.CHECKPOINT_AFTER_EVENTS} and 1/{projection.CHECKPOINT_AFTER_SHARE} of the log",
        f"at most {checkpoints.MOST} besides the newest",
        f"at most {verification.SLICE_EVENTS} events or {verification.PAGE_ROWS} rows",
        f"Events dated more than {clock.MAX_FUTURE_MS // 60_000} minutes after",
        f"at most {waiting.MAX_BYTES >> 20} MiB of lines",
        f"stopped after {view.QUERY_SECONDS:g} second and at an answer of {view.MAX_ANSWER_BYTES >> 20} MiB",
    ]

    for name, sentences in {"format.md": limits, "architecture.md": architecture}.items():
        text = " ".join((ROOT / "docs" / name).read_text().split())
        assert [sentence for sentence in sentences if sentence not in text] == []


def test_the_policy_for_hosts_is_the_one_that_the_site_has() -> None:
    (configuration,) = code(ROOT / "docs" / "hosting.md", "nginx")
    headers: dict[str, str] = json.loads((ROOT / "web" / "build" / "headers.json").read_text())

    assert set(re.findall(r"add_header (\S+) ", configuration)) == set(headers)
    for value in headers.values():
        assert value in configuration


def test_the_picture_is_well_formed_and_carries_its_own_colours() -> None:
    picture = (ROOT / "docs" / "picture.svg").read_text()

    assert ET.fromstring(picture).tag == "{http://www.w3.org/2000/svg}svg"
    assert "prefers-color-scheme: dark" in picture
