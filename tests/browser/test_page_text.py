"""Nothing in the data can run, and every text is shown as it is."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.support.assistant_page import AssistantPage, a_conversation

HOSTILE = [
    "<script>window.ran = 1</script>",
    "<img src=x onerror=window.ran=1>",
    "<svg onload=window.ran=1>",
    "<svg><script>window.ran=1</script></svg>",
    "<iframe srcdoc='<script>parent.ran=1</script>'></iframe>",
    "<iframe src=javascript:parent.ran=1>",
    "<a href=javascript:window.ran=1>click</a>",
    "<body onload=window.ran=1>",
    "<input autofocus onfocus=window.ran=1>",
    "<details open ontoggle=window.ran=1>",
    "<video><source onerror=window.ran=1>",
    "<math><mtext></p><img src=x onerror=window.ran=1></math>",
    "<style>@import 'data:text/css,*{display:none}'</style>",
    "<link rel=stylesheet href='data:text/css,*{display:none}'>",
    "<meta http-equiv=refresh content='0;url=data:text/html,gone'>",
    "<base href=//elsewhere.example>",
    "<form action=//elsewhere.example><button autofocus>send</button></form>",
    "<object data='data:text/html,<script>parent.ran=1</script>'></object>",
    "<embed src='data:text/html,<script>parent.ran=1</script>'>",
    "<template><script>window.ran=1</script></template>",
    "<noscript><p title='</noscript><img src=x onerror=window.ran=1>'>",
    "</textarea><script>window.ran=1</script>",
    "</title><script>window.ran=1</script>",
    "--><script>window.ran=1</script>",
    "]]><script>window.ran=1</script>",
    '"><script>window.ran=1</script>',
    "' onmouseover='window.ran=1",
    "javascript:window.ran=1",
    "data:text/html,<script>window.ran=1</script>",
    "${window.ran=1}",
    "{{constructor.constructor('window.ran=1')()}}",
    "`;window.ran=1;`",
    "\\u003cscript\\u003ewindow.ran=1\\u003c/script\\u003e",
    "&lt;script&gt;window.ran=1&lt;/script&gt;",
    "&#60;script&#62;window.ran=1&#60;/script&#62;",
    "[click](javascript:window.ran=1)",
    '![](x"onerror="window.ran=1)',
    "<!--[if IE]><script>window.ran=1</script><![endif]-->",
    "\u0002<img src=x onerror=window.ran=1>\u0003",
    "\u202e<script>window.ran=1</script>\u202c",
    "__proto__",
    "constructor",
    "%3Cscript%3Ewindow.ran=1%3C/script%3E",
    "<x onclick=window.ran=1 style=position:fixed;inset:0>click anywhere</x>",
]


NOTE_VIOLATIONS = """
window.violations = [];
document.addEventListener('securitypolicyviolation', (event) => window.violations.push(event.blockedURI));
"""
FOREIGN_ELEMENTS = "script, iframe, object, embed, img, video, base, style, link, meta, template, details"


@pytest.fixture
def assistant(page: Page, site: str) -> AssistantPage:
    """A first visit on which violations of the Content-Security-Policy are counted."""
    page.add_init_script(NOTE_VIOLATIONS)
    return AssistantPage(page, site).visit()


def untouched(assistant: AssistantPage) -> None:
    """Nothing ran, nothing was blocked, and the page is the page's own."""
    assert assistant.page.evaluate("[window.ran ?? null, window.violations]") == [None, []]
    assert assistant.page.locator(f"#app :is({FOREIGN_ELEMENTS})").count() == 0
    assert assistant.page.locator("[onerror], [onload], [onclick], [onfocus], [srcdoc]").count() == 0
    assert assistant.page.locator("#app a:not([href^='#/'])").count() == 0


def test_hostile_texts_are_shown_as_texts_in_messages_titles_names_and_search(assistant: AssistantPage) -> None:
    assistant.start_empty()
    assistant.append(*a_conversation("all", "All of them", *HOSTILE))
    for number, text in enumerate(HOSTILE):
        assistant.append(*a_conversation(f"c{number}", text, text))
    assistant.conversations.first.press("End")
    expect(assistant.page.locator(f".links li[aria-posinset='{len(HOSTILE) + 1}']")).to_be_visible()
    assistant.page.keyboard.press("Home")
    expect(assistant.page.locator(".links li[aria-posinset='1']")).to_be_visible()
    titles: dict[str, None] = {}
    for _ in range(4):
        titles |= dict.fromkeys(assistant.conversations.locator(".title").all_text_contents())
        assistant.page.locator(".links").evaluate("list => list.scrollBy(0, list.clientHeight)")
        assistant.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert titles.keys() >= set(HOSTILE)
    untouched(assistant)

    log = assistant.page.evaluate("location.hash.split('/')[1]")
    for number, text in enumerate(HOSTILE):
        assistant.page.evaluate("(hash) => { location.hash = hash; }", f"#/{log}/conversations/all?message=all-{number}")
        assert assistant.page.locator(".message[data-wanted=true] .text").text_content() == text
    untouched(assistant)

    for words in ("script", "window.ran", "onerror", "alert", '"', "'", "*", "a AND", "NEAR(", "\u0000"):
        assistant.search(words)
        expect(assistant.page.locator("#search")).to_have_value(words.replace("\0", ""))
        assistant.page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assistant.search("ran")
    expect(assistant.page.locator(".links mark").first).to_have_text("ran")
    untouched(assistant)

    assistant.room("Data")
    expect(assistant.page.locator(".events li")).to_have_count(8)
    for name in ("<img src=x onerror=window.ran=1>", '"><script>window.ran=1</script>'):
        assistant.page.get_by_role("button", name="Rename").last.click()
        assistant.page.get_by_role("textbox", name="Name").fill(name)
        assistant.page.keyboard.press("Enter")
        expect(assistant.page.locator(".switcher .name")).to_have_text(name)
    untouched(assistant)


def test_texts_of_all_scripts_and_forms_come_back_as_they_were_written(assistant: AssistantPage) -> None:
    texts = [
        "مرحبا، كيف هو الطقس اليوم؟",
        "来週、京都に三日間行きます。",
        "שלום (hello) עולם",
        "e\u0301 is not \u00e9",
        "👩‍👩‍👧‍👦 🏳️‍🌈",
        "tab\tand\n\n  spaces   stay",
        "a" * 5_000,
    ]
    assistant.start_empty()
    assistant.page.get_by_role("link", name="New").click()
    for number, text in enumerate(texts, 1):
        assistant.write(text)
        expect(assistant.page.locator(f".messages li[aria-setsize='{number}'][aria-posinset='{number}']")).to_be_attached()
        assert assistant.messages.last.text_content() == text
    expect(assistant.page.locator(".unsaved")).to_have_count(0)

    assert [row["text"] for row in assistant.query("SELECT text FROM message ORDER BY position")] == texts
    assert assistant.messages.last.evaluate("element => getComputedStyle(element).whiteSpaceCollapse") == "preserve"


def test_a_message_with_parts_that_are_no_text_says_so(assistant: AssistantPage) -> None:
    assistant.start_empty()
    [start, post] = a_conversation("c1", "Pictures", "Look at this")
    post["data"]["content"].append({"type": "other", "kind": "image_asset_pointer", "data": {"src": "https://elsewhere.example/x.png"}})
    assistant.append(start, post)
    assistant.conversations.first.click()

    expect(assistant.page.locator(".part")).to_have_text("Not text: image asset pointer")
    untouched(assistant)
