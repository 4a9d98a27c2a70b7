"""The stored report in headless Chromium: what fits on one screen, what is folded, and who can read it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browsers import DESKTOP, TELEPHONE, Visit, chromium

REPORT = Path(__file__).parents[2] / "results" / "reference" / "report.html"
LAPTOP = {"width": 1280, "height": 800}
FOLDED = "details:not([open])"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser):
    return lambda place="", **window: Visit(browser, REPORT, place, **window)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, TELEPHONE], ids=["desktop", "telephone"])
def test_it_is_accessible_and_fits(visit, size, scheme):
    there = visit(viewport=size, color_scheme=scheme)
    there.is_accessible_and_fits()
    there.well()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_wide_is_shaded_where_it_goes_on(visit, scheme):
    """A table, and a picture."""
    there = visit(viewport=TELEPHONE, color_scheme=scheme)
    there.page.evaluate("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    for label in ("Cost beside score", "Training loss"):
        place = there.page.locator(f".scroll[aria-label='{label}']").first
        assert there.shaded_edges(place) == (False, True)
        place.evaluate("each => each.scrollLeft = each.scrollWidth")
        assert there.shaded_edges(place) == (True, False)
    there.well()


def test_every_claim_is_on_the_first_screen(visit):
    there = visit(viewport=LAPTOP)
    box = there.page.locator(".forest").bounding_box()
    assert box["y"] > 0 and box["y"] + box["height"] <= LAPTOP["height"]
    claims = there.page.locator(".forest a[href^='#claim-']")
    assert claims.count() == there.page.locator(".finding").count() > 20
    there.well()


def test_marks_stay_as_large_on_a_telephone(visit):
    widths = []
    for size in (LAPTOP, TELEPHONE):
        there = visit(viewport=size)
        widths.append(there.page.locator(".forest img").first.bounding_box()["width"])
        there.well()
    assert widths[0] == widths[1]


def test_links_unfold_what_they_lead_to_by_keyboard(visit):
    there = visit(viewport=LAPTOP)
    page = there.page
    place = page.locator("#claim-9")
    assert not place.is_visible()
    for _ in range(2):
        there.focus("a[href='#claim-9']")
        page.keyboard.press("Enter")
        place.wait_for(state="visible")
        page.evaluate("document.querySelector('#claim-9').closest('details').open = false")
        page.evaluate("document.querySelector('h1').tabIndex = -1; document.querySelector('h1').focus()")
    there.focus("summary")
    page.keyboard.press("Enter")
    assert page.locator("#reading").get_attribute("open") is not None
    there.well()


def test_an_address_unfolds_its_place(visit):
    there = visit("#claim-9", viewport=LAPTOP)
    there.page.locator("#claim-9").wait_for(state="visible")
    assert there.page.locator(".finding[open]").count() == 1
    there.well()


def test_paper_shows_what_is_unfolded_which_one_button_can_be_everything(visit):
    there = visit(viewport=LAPTOP)
    page = there.page
    before = page.locator(FOLDED).count()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert before > 50 and page.locator(FOLDED).count() == before
    there.focus("#unfold")
    page.keyboard.press("Enter")
    assert page.locator(FOLDED).count() == 0 and page.get_attribute("#unfold", "aria-pressed") == "true"
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 0
    page.emulate_media(media="print")
    assert not page.locator("#unfold").is_visible() and not page.locator("nav").is_visible()
    there.well()


def test_without_scripts_there_is_no_button(visit):
    there = visit(viewport=LAPTOP, java_script_enabled=False)
    assert not there.page.locator("#unfold").is_visible()
    there.well()


def test_a_dark_page_is_printed_on_white(visit):
    there = visit(viewport=LAPTOP, color_scheme="dark")
    light, dark = (there.page.locator(f".on-{ground} img").first for ground in ("light", "dark"))
    text = "getComputedStyle(document.body).color"
    assert dark.is_visible() and not light.is_visible()
    on_screen = there.page.evaluate(text)
    there.page.emulate_media(media="print", color_scheme="dark")
    assert light.is_visible() and not dark.is_visible()
    assert there.page.evaluate(text) == "rgb(27, 31, 36)" != on_screen
    there.well()


def test_without_scripts_what_is_folded_can_be_opened(visit):
    there = visit(viewport=LAPTOP, java_script_enabled=False)
    page = there.page
    assert not page.locator("#claim-9").is_visible()
    page.locator(".finding", has=page.locator("#claim-9")).locator("summary").click()
    page.locator("#claim-9").wait_for(state="visible")
    there.well()
