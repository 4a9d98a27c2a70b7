"""The whole site: it builds strictly, every page is in the menu, and browsers show it without a network, on
desktops and phones, light and dark, with search and without accessibility errors."""

import io
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import build_site
import numpy as np
import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
WIDTHS = {"desktop": (1280, 900), "phone": (390, 844)}
KINDS = (
    "index.html",
    "concepts.html",
    "guides/run-a-robot.html",
    "results/toy.html",
    "pitfalls.html",
    "reference/cli.html",
    "reference/python.html",
)
"""A page of each kind."""


@pytest.fixture(scope="module")
def site() -> Path:
    """The site, built once."""
    pytest.importorskip("zensical", reason="pip install 'toyflow[docs]'")
    assert build_site.build() == 0
    return build_site.SITE


@pytest.fixture(scope="module")
def browser(site: Path) -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install 'toyflow[dev]'")
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip(f"no browser is installed: none of {', '.join(BROWSERS)}")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser, request) -> Iterator:
    """A page of a browser without a network, of a width and colour scheme."""
    width, scheme = getattr(request, "param", ("desktop", "light"))
    across, down = WIDTHS[width]
    context = browser.new_context(
        offline=True, viewport={"width": across, "height": down}, color_scheme=scheme
    )
    context.set_default_timeout(120_000)
    opened = context.new_page()
    opened.asked = []
    opened.on("request", lambda request: opened.asked.append(request.url))
    yield opened
    context.close()


def test_every_page_is_built_and_in_the_menu(site):
    made = {str(path.relative_to(site)) for path in site.rglob("*.html")}
    pages = {str(path.relative_to(build_site.PAGES)) for path in build_site.PAGES.rglob("*.md")} | {
        *build_site.FROM_ROOT.values()
    }
    assert {re.sub(r"\.md$", ".html", name) for name in pages} <= made
    menu = (build_site.ROOT / "zensical.toml").read_text()
    assert not [name for name in sorted(pages) if f'"{name}"' not in menu]


@pytest.mark.parametrize(
    "page",
    [(width, scheme) for width in WIDTHS for scheme in ("light", "dark")],
    indirect=True,
    ids=lambda chosen: "-".join(chosen),
)
def test_pages_are_accessible_fit_and_fetch_nothing(site, page):
    axe = pytest.importorskip(
        "axe_playwright_python.sync_playwright", reason="pip install 'toyflow[dev]'"
    ).Axe()
    wrong = []
    for name in KINDS:
        page.goto((site / name).as_uri())
        if page.query_selector("pre > code"):  # the theme adds its buttons, and we their names
            page.wait_for_selector(".md-code__nav[aria-label]", state="attached")
        found = axe.run(page).response["violations"]
        wrong += [f"{name}: {each['id']}: {each['nodes'][0]['html'][:200]}" for each in found]
        over = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        wrong += [f"{name}: {over} pixels too wide"] if over > 0 else []
    assert not wrong, "\n".join(wrong)
    assert not [url for url in page.asked if not url.startswith(("file:", "data:", "blob:"))]


@pytest.mark.parametrize(
    "page", [("desktop", "dark"), ("desktop", "light")], indirect=True, ids=lambda of: of[1]
)
def test_a_chart_has_the_ground_of_its_page(site, page):
    image = pytest.importorskip("PIL.Image")
    page.goto((site / "concepts.html").as_uri())
    chart = page.locator("img[src$='samplers.png']")
    shown = np.asarray(image.open(io.BytesIO(chart.screenshot())).convert("RGB"), int)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    ground = [round(float(channel)) for channel in re.findall(r"[\d.]+", ground)[:3]]
    assert np.abs(np.median(shown, axis=(0, 1)) - ground).max() < 8


def test_search_finds_a_page_without_a_server(site, page):
    page.goto((site / "index.html").as_uri())
    page.keyboard.press("Control+k")
    page.keyboard.type("real-time chunking")
    page.wait_for_selector("a[href*='real-time-chunking.html']:visible")
