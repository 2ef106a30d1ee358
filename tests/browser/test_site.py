"""The built site as a host serves it: where it may stand, what it asks for, without a network, and its new versions."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

import build
from tests.support.chromium import Launch, Watch
from web.build import server

PATIENCE_S = 60
REMEMBER_INSTALLATION = """
const register = ServiceWorkerContainer.prototype.register;
ServiceWorkerContainer.prototype.register = async function (...options) {
  const registration = await register.apply(this, options);
  const worker = registration.installing;
  window.installed = new Promise((resolve) => worker.addEventListener('statechange', () => {
    if (['redundant', 'activated'].includes(worker.state)) resolve(worker.state);
  }));
  return registration;
};
"""


def wait_until(page: Page, question: str) -> None:
    """Ask the page until it says yes. (Playwright's own waiting needs `eval`, which the site's policy refuses.)"""
    end = time.monotonic() + PATIENCE_S
    while not page.evaluate(question):
        assert time.monotonic() < end, question
        page.wait_for_timeout(20)


def answered(page: Page) -> None:
    """Wait until Python has answered the page's first question."""
    wait_until(page, "() => performance.getEntriesByName('answered').length > 0")


def begin(page: Page, address: str) -> None:
    """Visit for the first time."""
    page.goto(address)
    page.get_by_role("button", name="Start empty").click()
    answered(page)


def kept(page: Page) -> None:
    """Wait until the service worker has kept the site."""
    wait_until(page, "async () => Boolean((await navigator.serviceWorker.getRegistration())?.active)")


def versions(page: Page) -> list[str]:
    """The versions of the site that are kept, oldest first."""
    names: list[str] = page.evaluate("async () => (await caches.keys()).filter((name) => name.startsWith('pystore-site '))")
    return names


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the built site that a test may change."""
    return Path(shutil.copytree(build.build_site(), tmp_path / "site"))


def edition(tmp_path: Path, name: str) -> Path:
    """The site built with another description: another version of it."""
    folder = tmp_path / name / "web"
    folder.mkdir(parents=True)
    html = (build.WEB / "index.html").read_text()
    (folder / "index.html").write_text(re.sub('(?<=<meta name="description" content=").*?(?=")', name, html))
    return build.build_site(tmp_path / name / "dist", page=folder)


def edition_of(page: Page) -> str:
    """The version of the site that a page runs."""
    name: str = page.evaluate("() => document.querySelector('meta[name=description]').content")
    return name


def test_the_site_works_from_any_sub_path_and_asks_only_for_its_own_files(page: Page, copy: Path, watch: Watch) -> None:
    with server.serving(copy, prefix="/people/ada/") as address:
        begin(page, address)
        kept(page)

        assert watch.requests
        assert [url for url in watch.requests if not url.startswith((address, "blob:"))] == []


def test_the_page_works_without_its_server_also_in_a_browser_started_anew(launch: Launch, copy: Path, tmp_path: Path) -> None:
    profile = tmp_path / "profile"
    with ExitStack() as stack:
        address = stack.enter_context(server.serving(copy))
        browser = launch(profile)
        begin(browser.pages[0], address)
        kept(browser.pages[0])
        stack.close()

        browser.pages[0].reload()
        answered(browser.pages[0])
        browser.close()

        again = launch(profile).pages[0]
        again.goto(address)
        answered(again)
        stored = again.evaluate(
            """async () => {
              const { store } = window.pystore;
              await store.append([{ type: 'conversation.started',
                data: { conversation_id: 'c1', title: 'Offline', created_at: '2026-01-01T00:00:00.000Z' } }]);
              return store.query('SELECT title FROM conversation');
            }"""
        )
        assert stored == [{"title": "Offline"}]

        # What the browser itself kept of the site may go at any time; what the service worker keeps does not.
        again.context.new_cdp_session(again).send("Network.clearBrowserCache")
        again.context.close()
        last = launch(profile).pages[0]
        last.goto(address)
        answered(last)


def test_a_file_that_is_not_what_its_name_promises_is_not_kept(page: Page, copy: Path, watch: Watch) -> None:
    watch.allow("not the file that its name promises")
    damaged = next(copy.glob("assets/app.*.css"))
    damaged.write_bytes(damaged.read_bytes() + b"/* altered on its way */")
    with server.serving(copy) as address:
        page.add_init_script(REMEMBER_INSTALLATION)
        begin(page, address)
        wait_until(page, "() => Boolean(window.installed)")
        assert page.evaluate("() => window.installed") == "redundant"


def test_a_new_version_is_announced_and_taken_on_ones_word_and_the_other_tab_keeps_its_own(
    context: BrowserContext, tmp_path: Path
) -> None:
    old, new = edition(tmp_path, "old"), edition(tmp_path, "new")
    served = tmp_path / "served"
    shutil.copytree(old, served)
    os.utime(served / "sw.js", (0, 0))  # servers tell versions of one file apart by seconds
    with server.serving(served) as address:
        page, other = context.pages[0], context.new_page()
        begin(page, address)
        kept(page)
        for each in (page, other):
            each.goto(address)
            answered(each)
        assert len(versions(page)) == 1

        shutil.rmtree(served)
        shutil.copytree(new, served, copy_function=shutil.copyfile)
        page.evaluate("async () => (await navigator.serviceWorker.getRegistration()).update()")
        wait_until(page, "async () => Boolean((await navigator.serviceWorker.getRegistration()).waiting)")
        page.reload()
        assert edition_of(page) == "old"
        with page.expect_navigation():
            page.get_by_role("button", name="Take it now").click()
        answered(page)
        assert (edition_of(page), edition_of(other)) == ("new", "old")
        old_files = {path.name for path in old.glob("assets/main.*.js")}
        assert other.evaluate("async (name) => (await fetch(`./assets/${name}`)).status", old_files.pop()) == 200
        assert len(versions(page)) == 2

        other.close()
        page.goto("about:blank")
        page.goto(address)
        answered(page)
        wait_until(page, "async () => (await caches.keys()).filter((name) => name.startsWith('pystore-site ')).length === 1")
        assert edition_of(page) == "new"


def test_a_new_version_that_nobody_took_is_there_when_the_browser_is_started_again(launch: Launch, tmp_path: Path) -> None:
    old, new, profile = edition(tmp_path, "old"), edition(tmp_path, "new"), tmp_path / "profile"
    served = tmp_path / "served"
    shutil.copytree(old, served)
    os.utime(served / "sw.js", (0, 0))
    with server.serving(served) as address:
        page = launch(profile).pages[0]
        begin(page, address)
        kept(page)
        page.reload()
        answered(page)
        shutil.rmtree(served)
        shutil.copytree(new, served, copy_function=shutil.copyfile)
        page.evaluate("async () => (await navigator.serviceWorker.getRegistration()).update()")
        wait_until(page, "async () => Boolean((await navigator.serviceWorker.getRegistration()).waiting)")
        assert edition_of(page) == "old"
        page.context.close()
        page = launch(profile).pages[0]
        page.goto(address)
        answered(page)
        assert edition_of(page) == "new"


def test_two_builds_of_the_same_sources_are_the_same_site(tmp_path: Path) -> None:
    first, second = build.build_site(tmp_path / "first"), build.build_site(tmp_path / "elsewhere" / "second")

    assert contents(first) == contents(second)


def contents(folder: Path) -> dict[str, str]:
    """The files of a folder by name, with the hash of each."""
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in build.files_in(folder)}


def test_every_asset_bears_the_hash_of_its_content_and_nothing_tells_where_it_was_built() -> None:
    for path in build.files_in(build.build_site()):
        content = path.read_bytes()
        if path.parent.name == "assets":
            assert f".{hashlib.sha256(content).hexdigest()[:16]}." in path.name
        assert str(build.ROOT).encode() not in content, path
        assert b"sourceMappingURL" not in content or path.suffix != ".js", path


def test_every_page_begins_with_the_policy_and_so_does_the_file_of_headers() -> None:
    out = build.build_site()
    policy = server.site_headers()["Content-Security-Policy"]
    in_page = policy.removesuffix("; frame-ancestors 'none'")

    assert "'unsafe-inline'" not in policy
    assert "'unsafe-eval'" not in policy
    for page in out.glob("*.html"):
        assert f'<meta charset="utf-8">\n<meta http-equiv="Content-Security-Policy" content="{in_page}">' in page.read_text()
    assert f"  Content-Security-Policy: {policy}\n" in (out / "_headers").read_text()


def test_no_text_becomes_markup_or_a_script_on_any_page(page: Page, site: str, watch: Watch) -> None:
    watch.allow("TrustedHTML|TrustedScript|Trusted Type|Content Security Policy")
    assert "require-trusted-types-for 'script'" in server.site_headers()["Content-Security-Policy"]
    page.goto(site)
    for attempt in ("document.createElement('div').innerHTML = '<b>x</b>'", "document.createElement('script').src = 'x.js'"):
        done = page.evaluate(f"() => {{ try {{ {attempt}; return true; }} catch {{ return false; }} }}")
        assert not done, attempt


def test_the_site_can_be_installed(page: Page, site: str) -> None:
    page.goto(site)
    problems = page.context.new_cdp_session(page).send("Page.getInstallabilityErrors")["installabilityErrors"]

    assert problems == []
