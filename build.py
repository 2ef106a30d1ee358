#!/usr/bin/env python3
"""The one entry to set-up, building, serving, testing and measuring. `python3 build.py --help` lists the commands.

Needs Python 3.11+ and Node 20+, nothing else: what is missing is set up on the way, in this folder (`.venv`, `node_modules`,
`.cache`), and only again when what it is made from has changed.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent
WEB = ROOT / "web"
CACHE = ROOT / ".cache"
VENV = ROOT / ".venv"
DIST = ROOT / "dist"
PYTHON = VENV / "bin" / "python"
SITE_WHEELS = CACHE / "wheels" / "site"
SITE_TEST_WHEELS = CACHE / "wheels" / "site-tests"
SITE_APP = "pystore.assistant:schema"
SITE_MODULES = ("pystore", "pystore.memory", "pystore.assistant", "pystore.browser.platform", "pystore.browser.worker")
OLDEST_PYTHON = (3, 11)
OLDEST_NODE = 20
LONG_RUN = ("--timeout", "7200")
"""What pytest is told for it: a test may take its time."""
BROWSERS = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome", "chrome")
MAC_BROWSERS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


class SetUpError(Exception):
    """Something is missing that cannot be set up here; the message says what to do."""


# -- steps ---------------------------------------------------------------------------------------------------------------------


def say(text: str) -> None:
    """Tell the person at the terminal what goes on."""
    print(f"build.py: {text}", file=sys.stderr, flush=True)


def digest(inputs: Iterable[str | Path]) -> str:
    """A hash of texts and of the files, or folders of files, at paths: their names and contents."""
    total = hashlib.sha256()
    for item in inputs:
        if isinstance(item, str):
            total.update(b"text\0" + item.encode() + b"\0")
            continue
        for path in files_in(item) if item.is_dir() else [item]:
            name = path.relative_to(ROOT) if path.is_relative_to(ROOT) else path
            total.update(f"{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def files_in(folder: Path) -> list[Path]:
    """All files in a folder, sorted, without what Python leaves behind."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """One process at a time, on this machine, for the step of that name."""
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def step(name: str, title: str, inputs: Iterable[str | Path], outputs: Sequence[Path], make: Callable[[], None]) -> None:
    """Do `make` unless it was done before with the same inputs and its outputs are there."""
    now = digest(inputs)
    stamp = CACHE / "stamps" / name

    def done() -> bool:
        return stamp.is_file() and stamp.read_text() == now and all(path.exists() for path in outputs)

    if done():
        return
    with locked(name):
        if done():  # by another process, meanwhile
            return
        say(f"{title} ...")
        started = time.monotonic()
        stamp.unlink(missing_ok=True)
        make()
        stamp.parent.mkdir(exist_ok=True)
        stamp.write_text(now)
        say(f"{title}: done in {time.monotonic() - started:.1f} s")


def run(*command: str | Path, **environment: str) -> None:
    """Run a command of a set-up step; its output is shown only if it fails. Raises SetUpError."""
    done = subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        output = "\n".join(line[:300] for line in (done.stdout + done.stderr).splitlines()[-30:])
        raise SetUpError(f"this failed (status {done.returncode}): {' '.join(str(part) for part in command)}\n{output}")


# -- set-up --------------------------------------------------------------------------------------------------------------------


def set_up_python() -> None:
    """A `.venv` with the locked packages, and pystore itself from this folder."""
    lock = ROOT / "requirements" / "dev.txt"

    def make() -> None:
        run(sys.executable, "-m", "venv", *(() if made_by_this_python() else ("--clear",)), VENV)
        run(PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--only-binary=:all:", "-r", lock)
        run(PYTHON, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index", "-e", ROOT)

    def made_by_this_python() -> bool:
        made = VENV / "pyvenv.cfg"
        return PYTHON.exists() and made.is_file() and f"version = {platform.python_version()}" in made.read_text()

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    step("venv", "Python packages into .venv", [lock, repr(project), sys.version, str(VENV)], [PYTHON], make)


def set_up_node() -> None:
    """`node_modules` as the lock file says."""

    def make() -> None:
        run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")

    step("npm", "web parts by npm ci", [ROOT / "package-lock.json"], [ROOT / "node_modules" / "pyodide"], make)


def set_up_wheels(name: str, folder: Path) -> None:
    """The wheels that `requirements/<name>.txt` names, for Pyodide's Python, in `folder`."""
    lock = ROOT / "requirements" / f"{name}.txt"

    def make() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        target = ("--python-version=3.14", "--implementation=cp", "--abi=cp314", "--platform=pyemscripten_2026_0_wasm32")
        exactly = ("--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:")
        run(PYTHON, "-m", "pip", "download", *exactly, *target, "-d", folder, "-r", lock)

    set_up_python()
    step(f"wheels-{name}", f"wheels for Pyodide ({name})", [lock], [folder], make)


def set_up_site_wheels() -> Path:
    """The folder of wheels that the site's Python has."""
    set_up_wheels("site", SITE_WHEELS)
    return SITE_WHEELS


def set_up_site_test_wheels() -> Path:
    """The folder of wheels that the core suite needs besides, inside Pyodide."""
    set_up_wheels("site-tests", SITE_TEST_WHEELS)
    return SITE_TEST_WHEELS


def installed_browser() -> str | None:
    """The path of an installed Chromium or Chrome that starts, else of Playwright's own, else None."""

    def candidates() -> Iterator[str | None]:
        yield from map(shutil.which, BROWSERS)
        yield from MAC_BROWSERS
        ask = "from playwright.sync_api import sync_playwright as p\nwith p() as it: print(it.chromium.executable_path)"
        yield subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=False).stdout.strip()

    return next((path for path in candidates() if path and Path(path).is_file() and runs(path)), None)


def set_up_browser() -> str:
    """The path of a Chromium or Chrome to test with; fetched if there is none. Raises SetUpError where that cannot be done."""
    set_up_python()
    if path := installed_browser():
        return path
    with locked("browser"):
        say("no Chromium or Chrome found; fetching Playwright's ...")
        with contextlib.suppress(SetUpError):
            run(PYTHON, "-m", "playwright", "install", "chromium")
        if path := installed_browser():
            return path
        if os.geteuid() == 0 and shutil.which("apt-get"):
            say("installing Debian's chromium ...")
            run("apt-get", "update", "-q")
            run("apt-get", "install", "-q", "-y", "--no-install-recommends", "chromium", DEBIAN_FRONTEND="noninteractive")
        if path := installed_browser():
            return path
    raise SetUpError("the browser tests need Chromium or Chrome: install one (Debian: apt install chromium), then run this again")


def runs(browser: str) -> bool:
    """Whether the browser starts at all: Playwright's may lack libraries of the system."""
    try:
        return subprocess.run([browser, "--version"], capture_output=True, check=False, timeout=30).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def check_tools() -> None:
    """Refuse to start with a Python or Node that is too old. Raises SetUpError."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetUpError(f"Python {'.'.join(map(str, OLDEST_PYTHON))} or newer is needed; this is {sys.version.split()[0]}")
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        raise SetUpError(f"Node {OLDEST_NODE} or newer with npm is needed: install it from nodejs.org or by your package manager")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.lstrip("v").split(".")[0]) < OLDEST_NODE:
        raise SetUpError(f"Node {OLDEST_NODE} or newer is needed; this is {version}")


# -- commands ------------------------------------------------------------------------------------------------------------------


def set_up_python_parts() -> Path:
    """The folder with what the site's Python starts from: archive, extensions, snapshot."""
    set_up_node()
    set_up_site_wheels()
    parts = CACHE / "python-parts"
    inputs: list[str | Path] = [WEB / "build" / name for name in ("python_parts.mjs", "compile_packages.py", "site_boot.py")]
    inputs += [WEB / "worker" / "python.js", ROOT / "requirements" / "site.txt", ROOT / "package-lock.json"]
    inputs += [ROOT / "pystore", *SITE_MODULES]

    def make() -> None:
        made = parts.with_name("python-parts.new")
        shutil.rmtree(made, ignore_errors=True)
        run("node", WEB / "build" / "python_parts.mjs", made, SITE_WHEELS, ROOT, *SITE_MODULES)
        shutil.rmtree(parts, ignore_errors=True)
        made.rename(parts)

    step("python-parts", "Python's snapshot for the browser", inputs, [parts / "parts.json"], make)
    return parts


def wheel_beside(page: Path, app: str) -> list[Path]:
    """A wheel of the application's module, if it stands beside its page."""
    name = app.partition(":")[0].partition(".")[0]
    source = next((path for path in (page / f"{name}.py", page / name) if path.exists()), None)
    if source is None:
        return []
    from web.build import app_wheel  # noqa: PLC0415

    wheel = CACHE / "wheels" / "app" / hashlib.sha256(str(source).encode()).hexdigest()[:8] / f"{name}-0-py3-none-any.whl"
    step(f"wheel-{wheel.parent.name}", f"a wheel of {source.name}", [source], [wheel], lambda: app_wheel.make(source, wheel))
    return [wheel]


def build_site(out: Path = DIST, app: str = SITE_APP, wheels: Sequence[Path] = (), page: Path = WEB) -> Path:
    """Build the static site into `out`. `page` is the folder with `index.html`; what it does not have is taken from `web/`.

    If the application's module stands in that folder too, a wheel is made of it.
    """
    if not (page / "index.html").is_file():
        raise SetUpError(f"{page}: there is no index.html")
    for wheel in wheels:
        if not wheel.is_file():
            raise SetUpError(f"{wheel}: there is no such wheel")
    parts = set_up_python_parts()
    wheels = [*(wheel.resolve() for wheel in wheels), *wheel_beside(page, app)]
    inputs: list[str | Path] = [WEB, page, parts, ROOT / "package-lock.json", app, *wheels]

    def make() -> None:
        run("node", WEB / "build" / "site.mjs", out, parts, app, page, *wheels)

    step(f"site-{hashlib.sha256(str(out).encode()).hexdigest()[:8]}", "the site", inputs, [out / "index.html"], make)
    return out


def serve(arguments: argparse.Namespace) -> int:
    """Build the site and serve it until Ctrl-C."""
    from web.build import server  # noqa: PLC0415

    out = build_site(DIST, arguments.app, arguments.wheel, arguments.page.resolve())
    try:
        with server.serving(out, arguments.port) as address:
            print(f"Serving at {address} (stop with Ctrl-C)", flush=True)
            with contextlib.suppress(KeyboardInterrupt):
                while True:
                    time.sleep(3600)
    except OSError as error:
        raise SetUpError(f"port {arguments.port} cannot be used ({error.strerror}): choose another with --port") from error
    return 0


def site_command(arguments: argparse.Namespace) -> int:
    """Build the site."""
    out = build_site(arguments.out.resolve(), arguments.app, arguments.wheel, arguments.page.resolve())
    say(f"the site is in {out}")
    return 0


def test(arguments: argparse.Namespace) -> int:
    """Check everything: linters, types, floors, tests. All checks run, whatever fails before."""
    set_up_python()
    set_up_node()
    checks: dict[str, list[str | Path]] = {
        "ruff": [PYTHON, "-m", "ruff", "check", "--quiet"],
        "mypy": [PYTHON, "-m", "mypy"],
        "import-linter": [VENV / "bin" / "lint-imports", "--no-logo"],
        "tsc": [ROOT / "node_modules" / ".bin" / "tsc", "-p", ROOT],
        "tsc, of the build": [ROOT / "node_modules" / ".bin" / "tsc", "-p", WEB / "build"],
    }
    if arguments.pytest:
        checks = {}  # somebody works on one test
    environment = os.environ | {"HYPOTHESIS_PROFILE": "long" if arguments.long else "normal"}
    checks["pytest"] = [PYTHON, "-m", "pytest", *(LONG_RUN if arguments.long else ("-m", "not long")), *arguments.pytest]
    set_up_browser()
    set_up_site_wheels()
    set_up_site_test_wheels()
    failed = []
    for name, command in checks.items():
        say(f"{name} ...")
        started = time.monotonic()
        status = subprocess.run([str(part) for part in command], cwd=ROOT, env=environment, check=False).returncode
        say(f"{name}: {'FAILED' if status else 'passed'} in {time.monotonic() - started:.1f} s")
        if status:
            failed.append(name)
    if failed:
        say(f"FAILED: {', '.join(failed)}")
    return 1 if failed else 0


def bench(arguments: argparse.Namespace) -> int:
    """Measure in a real browser."""
    set_up_python()
    set_up_browser()
    build_site()
    return subprocess.run([PYTHON, ROOT / "tests" / "bench" / "run.py", *arguments.bench], cwd=ROOT, check=False).returncode


def parser() -> argparse.ArgumentParser:
    """What can be asked for."""
    top = argparse.ArgumentParser(prog="build.py", description="Set up, build, serve, test and measure pystore.")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, function: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(function=function)
        return made

    def with_application(made: argparse.ArgumentParser) -> None:
        made.add_argument("--app", default=SITE_APP, metavar="MODULE:SCHEMA", help="the application's schema")
        made.add_argument("--page", type=Path, default=WEB, metavar="FOLDER", help="its index.html, and its Python modules if any")
        made.add_argument("--wheel", nargs="+", action="extend", default=[], type=Path, metavar="FILE", help="wheels it needs")

    made = command("serve", serve, "build the site and serve it")
    with_application(made)
    made.add_argument("--port", type=int, default=8000)
    made = command("site", site_command, "build the static site")
    with_application(made)
    made.add_argument("--out", type=Path, default=DIST, metavar="FOLDER")
    made = command("test", test, "check everything; paths and options of pytest (-k ...) choose tests")
    made.add_argument("--long", action="store_true", help="the long run: many more random cases")
    made = command("bench", bench, "measure in a real browser; options are passed on")
    return top


def main() -> int:
    """Do what the command line asks. Status 0: done; 1: refused or failed; 2: wrong usage."""
    sys.path[:0] = [str(ROOT)]
    arguments, rest = parser().parse_known_args()
    if rest and arguments.command not in {"test", "bench"}:
        parser().error(f"unrecognized arguments: {' '.join(rest)}")
    arguments.pytest = arguments.bench = rest
    try:
        check_tools()
        return int(arguments.function(arguments))
    except SetUpError as error:
        say(str(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
