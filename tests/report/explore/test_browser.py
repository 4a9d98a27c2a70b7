"""The page in Chromium: by keyboard, on a desktop and a telephone, light and dark, without scripts."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import DESKTOP, TELEPHONE, Visit, chromium

from toyflow.api.exploring import explore
from toyflow.api.probing import probe
from toyflow.api.study import run_study
from toyflow.report.explore.films import Films
from toyflow.report.explore.page import explore_page
from toyflow.report.explore.studies import read_study
from toyflow.report.probe_report import write_probe
from toyflow.report.results import load_results
from toyflow.toy.tasks.wave import Wave

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("studies") / "waves"
    run_study(
        Wave(), schedules=["uniform"], predict=["velocity", "data"], steps=[1, 4], draws=[1, 8], seeds=[0],
        iterations=60, device="cpu", out=out,
    )  # fmt: skip
    write_probe(probe(out, steps=4, device="cpu", examples=20), out)
    film(out, "K1-success")
    film(out, "K4-failure")
    return explore(out.parent, device="cpu")


def film(out: Path, name: str) -> None:
    """A second of a brightening square, which the page takes for a policy's."""
    imageio = pytest.importorskip("imageio.v2", reason="pip install 'imageio[ffmpeg]'")
    path = out / "rollouts" / "abcdef" / "videos" / f"points-task-00-state-000-{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    with imageio.get_writer(path, fps=10, macro_block_size=None) as writer:
        for place in range(10):
            writer.append_data(np.full((64, 64, 3), 20 * place, np.uint8))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser, page_file):
    return lambda **window: Visit(browser, page_file, **window)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, TELEPHONE], ids=["desktop", "telephone"])
def test_it_is_accessible_and_fits(visit, size, scheme):
    there = visit(viewport=size, color_scheme=scheme)
    for chart in ("noise-A", "noise-B", "success", "errors", "anatomy-A", "anatomy-B"):
        there.page.wait_for_selector(f"#{chart} svg")
    there.is_accessible_and_fits()
    there.well()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_wide_table_is_shaded_where_it_goes_on(visit, scheme):
    there = visit(viewport=TELEPHONE, color_scheme=scheme)
    there.page.click("summary")
    table = there.page.locator(".scroll").first
    assert there.shaded_edges(table) == (False, True)
    table.evaluate("each => each.scrollLeft = 60")
    assert there.shaded_edges(table) == (True, True)
    table.evaluate("each => each.scrollLeft = each.scrollWidth")
    assert there.shaded_edges(table) == (True, False)
    there.well()
    wide = visit(viewport=DESKTOP, color_scheme=scheme)
    wide.page.click("summary")
    assert wide.shaded_edges(wide.page.locator(".scroll").first) == (False, False)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_area_of_the_anatomy_has_its_colour_in_the_legend(visit, scheme):
    """And no words of its own, which would leave a thin one."""
    there = visit(viewport=TELEPHONE, color_scheme=scheme)
    there.page.wait_for_selector("#anatomy-A svg")
    areas = there.page.locator("#anatomy-A svg .mark-area path[fill]").evaluate_all(
        "all => all.map((each) => getComputedStyle(each).fill)"
    )
    legend = there.page.locator("#anatomy-A-parts .swatch").evaluate_all(
        "all => all.map((each) => getComputedStyle(each).backgroundColor)"
    )
    assert len(areas) > 1 and set(areas) == set(legend) and len(set(legend)) == len(legend)
    assert (
        there.page.locator("#anatomy-A svg .mark-text text").count()
        == there.page.locator("#anatomy-A svg .role-axis .mark-text text").count()
    )
    there.well()


def test_settings_are_chosen_by_keyboard_and_the_marks_change(visit):
    there = visit(viewport=DESKTOP)
    page = there.page
    page.wait_for_selector("#success svg")
    assert "K = 4" in page.inner_text("#score-B")
    before = there.marks("#success")
    there.focus("select[data-side='B'][data-field='steps']")
    page.keyboard.press("ArrowUp")
    page.wait_for_function("document.querySelector('#score-B').textContent.includes('K = 1')")
    page.wait_for_function(
        "before => document.querySelector('#success svg')?.innerHTML !== before", arg=before
    )
    assert "the same setting" in page.inner_text("#verdict")
    errors = there.marks("#errors")
    there.focus("select[data-side='B'][data-field='draws']")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('#score-B').textContent.includes('M = 8')")
    page.evaluate("document.querySelector('#study').focus()")
    there.focus("select[data-side='B'][data-field='prediction']")
    page.keyboard.press("ArrowDown")
    page.wait_for_function("document.querySelector('#score-B').textContent.includes('data(uniform)')")
    page.wait_for_function(
        "before => document.querySelector('#errors svg')?.innerHTML !== before", arg=errors
    )
    there.well()


def test_noise_becomes_an_answer_step_by_step(visit):
    there = visit(viewport=DESKTOP)
    page = there.page
    page.wait_for_selector("#noise-B svg")
    assert page.inner_text("#state-B").startswith("answer, after 4 calls")
    there.focus("#calls")
    seen = [there.marks("#noise-B")]
    for calls in (3, 2, 1):
        page.keyboard.press("ArrowLeft")
        page.wait_for_function(
            f"document.querySelector('#state-B').textContent.startsWith('after {calls} call')"
        )
        page.wait_for_function("b => document.querySelector('#noise-B svg').innerHTML !== b", arg=seen[-1])
        seen.append(there.marks("#noise-B"))
        assert "answer, after 1 call" in page.inner_text("#state-A")
    assert page.get_attribute("#calls", "aria-valuetext") == "after 1 network call"
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("document.querySelector('#state-A').textContent === 'noise'")
    page.focus("#play")
    page.keyboard.press("Enter")
    page.wait_for_function("document.querySelector('#state-B').textContent.startsWith('answer, after 4')")
    page.wait_for_function("document.querySelector('#play-word').textContent === 'Play'")
    there.well()


def test_comparisons_to_begin_with_differ_in_one_choice_alone(visit):
    there = visit(viewport=DESKTOP)
    page = there.page
    page.wait_for_selector("#success svg")
    words = page.locator("#ideas button").all_inner_texts()
    assert words == ["1 step or 4?", "velocity or data?", "1 draw or 8?"]
    for button, field in zip(
        page.locator("#ideas button").all(), ["steps", "prediction", "draws"], strict=True
    ):
        button.click()
        chosen = page.locator(".field select").evaluate_all(
            "all => all.map((each) => [each.dataset.field, each.value])"
        )
        values = {name: {value for each, value in chosen if each == name} for name, _ in chosen}
        assert {name for name, of in values.items() if len(of) > 1} == {field}
    there.well()


def test_on_a_telephone_every_choice_says_whose_it_is(visit):
    there = visit(viewport=TELEPHONE)
    assert there.page.locator(".field:not([hidden]) .pick b:visible").all_inner_texts() == ["A", "B"] * 3
    there.well()
    wide = visit(viewport=DESKTOP)
    assert wide.page.locator(".pick b:visible").count() == 0
    assert wide.page.locator(".fields:visible .sides b:visible").all_inner_texts() == ["A", "B"]
    wide.well()


def test_controls_of_films_stand_in_one_row(visit):
    there = visit(viewport=DESKTOP)
    boxes = [there.page.locator(each).bounding_box() for each in ("#scene", "#film-play", "#film-time")]
    middles = [box["y"] + box["height"] / 2 for box in boxes]
    assert max(middles) - min(middles) < 4
    there.well()


def test_a_chart_that_comes_late_does_not_hide_what_was_chosen_since(browser, page_file, tmp_path):
    """Of a study that is left at once, the charts are still being drawn when the next has none."""
    full = read_study("full", page_file.parent / "waves")
    bare = replace(full, name="bare", denoising={}, errors_by_noise={}, anatomies={})
    file = tmp_path / "two.html"
    file.write_text(explore_page("two", [full, bare], [], Films([], 0)), encoding="utf-8")
    there = Visit(browser, file, viewport=DESKTOP)
    page = there.page
    page.wait_for_selector("#noise-B svg")
    page.evaluate(
        """() => {
            const select = document.querySelector("#study");
            for (const place of [0, 1, 0, 1]) {
                select.value = place;
                select.dispatchEvent(new Event("change"));
            }
        }"""
    )
    page.wait_for_selector("#errors .missing")
    page.wait_for_timeout(1500)
    for chart in ("errors", "anatomy-A", "anatomy-B"):
        assert page.locator(f"#{chart} .missing").count() == 1 and not page.locator(f"#{chart} svg").count()
    assert page.locator("#success svg").count() == 1
    there.well()


def test_a_probe_that_does_not_say_which_variant_it_measured_is_named(browser, tmp_path):
    study = read_study("aloha", Path("results/reference/aloha"))
    file = tmp_path / "aloha.html"
    file.write_text(explore_page("aloha", [study], [], Films([], 0)), encoding="utf-8")
    there = Visit(browser, file, viewport=TELEPHONE)
    untold = "The stored probe of shift:4 does not say which variant it measured."
    assert there.page.inner_text("#errors .missing").startswith(untold)
    there.page.select_option("select[data-side='A'][data-field='schedule']", "shift:8")
    there.page.wait_for_selector("#errors svg")
    assert there.page.inner_text("#errors-note") == untold
    there.well()


@pytest.mark.parametrize("size", [DESKTOP, TELEPHONE], ids=["desktop", "telephone"])
def test_parts_of_policies_that_were_probed_one_by_one_follow_the_choice(browser, size, tmp_path):
    study = read_study("pusht", Path("results/reference/one-step/pusht"))
    file = tmp_path / "pusht.html"
    file.write_text(explore_page("pusht", [study], [], Films([], 0)), encoding="utf-8")
    there = Visit(browser, file, viewport=size)
    page = there.page
    for place, setting in enumerate(study.settings):
        for field in ("variant", "objective", "schedule", "prediction"):
            page.select_option(
                f"select[data-side='B'][data-field='{field}']", getattr(setting, field) or "none"
            )
        page.wait_for_selector("#anatomy-B svg")
        shown = study.anatomies[place]
        said = page.inner_text("#anatomy-B-parts")
        assert all(f"{part:.3g}" in said for part in shown.parts.values())
        note = page.inner_text("#anatomy-note")
        assert shown.where in note and f"B {shown.models}" in note
    there.well()


def test_an_action_chunk_is_held_against_its_demonstration_and_not_called_wrong(browser, tmp_path):
    """People do the same thing in several ways."""
    study = read_study("pusht", Path("results/reference/one-step/pusht"))
    assert study.denoising
    file = tmp_path / "pusht.html"
    file.write_text(explore_page("pusht", [study], [], Films([], 0)), encoding="utf-8")
    there = Visit(browser, file, viewport=DESKTOP)
    there.page.wait_for_selector("#noise-B svg")
    for side in "AB":
        assert there.page.inner_text(f"#state-{side}").endswith("close to the demonstration)")
    assert not there.page.locator("#noise-player .right, #noise-player .wrong").count()
    assert "demonstrated" in there.page.inner_text("#noise-legend")
    there.well()


def test_films_run_in_step(visit):
    there = visit(viewport=DESKTOP)
    page = there.page
    page.wait_for_selector(".scene.shown video")
    page.wait_for_function("[...document.querySelectorAll('video')].every((each) => each.readyState > 0)")
    there.focus("#film-time")
    for _ in range(3):
        page.keyboard.press("PageUp")
    times = page.evaluate("[...document.querySelectorAll('video')].map((each) => each.currentTime)")
    assert len(times) == 2 and times[0] == times[1] > 0
    page.focus("#film-play")
    page.keyboard.press("Enter")
    page.wait_for_function("[...document.querySelectorAll('video')].every((each) => each.ended)")
    page.wait_for_function("document.querySelector('#film-play-word').textContent === 'Play'")
    there.well()


def test_without_scripts_the_tables_are_there(visit, page_file):
    there = visit(java_script_enabled=False)
    page = there.page
    assert page.locator("noscript p").count() or "runs no scripts" in page.inner_text("header")
    assert not page.is_visible("#choose")
    page.click("summary")
    rows = page.locator("tbody tr")
    frame = load_results(page_file.parent / "waves").frame
    assert rows.count() == len(frame)
    assert f"{100 * frame['score'].iloc[0]:.1f}" in rows.first.inner_text()
    there.well()
