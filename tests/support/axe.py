"""What assistive technology would stumble over."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

import build

AXE = (build.ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


def findings(page: Page) -> list[Any]:
    """What axe finds: rule and elements."""
    page.evaluate(f"window.axe ?? (() => {{ {AXE} }})()")
    found: list[Any] = page.evaluate(
        "axe.run(document).then(({ violations }) => violations.map((one) => [one.id, one.nodes.map((node) => node.html)]))"
    )
    return found
