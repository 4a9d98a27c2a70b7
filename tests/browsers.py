"""Pages in headless Chromium, where there is one and playwright to drive it."""

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
DESKTOP, TELEPHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
WAIT = 60_000
"""Milliseconds for what takes one on an idle machine."""


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here to open the page in")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Visit:
    """A page in a window of its own, and what went wrong in it."""

    def __init__(self, browser: Any, file: Path, place: str = "", **window: Any) -> None:
        self.context = browser.new_context(**window)
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT)
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url.split(":")[0]))
        self.page.goto(file.as_uri() + place)

    def focus(self, selector: str) -> None:
        """Go there by the Tab key alone."""
        for _ in range(80):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("(selector) => document.activeElement.matches(selector)", selector):
                return
        raise AssertionError(f"{selector} is not reached by Tab")

    def marks(self, selector: str) -> str:
        """What a chart has drawn."""
        return self.page.locator(f"{selector} svg").inner_html()

    def shaded_edges(self, place: Any) -> tuple[bool, bool]:
        """Whether the left and the right edge of an element are shaded: of another colour than the page."""
        image_module = pytest.importorskip("PIL.Image")
        shot = np.asarray(image_module.open(io.BytesIO(place.screenshot())).convert("RGB"), float)
        page = self.page.evaluate("getComputedStyle(document.body).backgroundColor")
        ground = [int(channel) for channel in re.findall(r"\d+", page)[:3]]
        left, right = (np.median(shot[:, column], axis=0) for column in (1, -2))  # texts are in the minority
        return bool(np.abs(left - ground).max() > 20), bool(np.abs(right - ground).max() > 20)

    def is_accessible_and_fits(self) -> None:
        """With everything unfolded axe finds no error, and nothing is wider than the window."""
        axe = pytest.importorskip(
            "axe_playwright_python.sync_playwright", reason="pip install axe-playwright-python"
        )
        for details in self.page.locator("details").all():
            details.evaluate("each => each.open = true")
        width = self.page.viewport_size["width"]
        assert self.page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(self.page).response["violations"]
        assert [(each["id"], [node["html"][:120] for node in each["nodes"]]) for each in found] == []

    def well(self) -> None:
        """Nothing was said on the console, and nothing asked of elsewhere."""
        assert self.said == [] and set(self.asked) <= {"file", "data"}
        self.context.close()
