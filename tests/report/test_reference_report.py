"""The stored report is the one that its results give."""

import re
from pathlib import Path

import pytest

from toyflow.report.digest import digest_of
from toyflow.report.headline import FILE, headline_frame
from toyflow.report.page import build_page, html, markdown
from toyflow.report.paper import PAPER
from toyflow.report.results import load_results
from toyflow.report.write import csv_of
from toyflow.sweep.inspection import results_folders
from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.presets import load_preset
from toyflow.sweep.sweep_options import SweepOptions

REFERENCE = Path(__file__).parents[2] / "results" / "reference"
AGAIN = "write it again: toyflow report --out results/reference"
RATES = REFERENCE / "one-step" / "objective-rates"
PIXELS = re.compile(r"(data:image/webp;base64,)[^\"]+")
LARGEST = 8e6
"""Most bytes of a page that is looked at in a browser."""


def test_the_stored_report_was_made_from_the_results_beside_it():
    digest = digest_of(REFERENCE, results_folders(REFERENCE))
    for name in ("report.html", "report.md"):
        assert digest in (REFERENCE / name).read_text(), f"{name} is older than its results; {AGAIN}"
    assert (REFERENCE / "report.html").stat().st_size < LARGEST


@pytest.mark.slow
def test_the_stored_report_says_what_its_results_say():
    """Whole, but for pixels, which differ between platforms: each picture has a checksum of what it was drawn
    from beside it."""
    page = build_page(REFERENCE, PAPER, pixels=False)
    assert markdown(page) == (REFERENCE / "report.md").read_text(), f"report.md is older; {AGAIN}"
    stored = PIXELS.sub(r"\1", (REFERENCE / "report.html").read_text())
    assert html(page) == stored, f"report.html is older; {AGAIN}"
    for section in page.sections:
        table = REFERENCE / section.name / "tables" / f"{FILE}.csv"
        assert not section.named or csv_of(headline_frame(section.named)) == table.read_text(), AGAIN


def test_the_digest_knows_results_and_probes_and_not_where_they_lie(tmp_path):
    for name in ("here", "there"):
        for file, text in (
            ("a/cells/k/manifest.json", "{1}"),
            ("a/probe/x.json", "{2}"),
            ("report.md", name),
        ):
            path = tmp_path / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def digests():
        return [digest_of(tmp_path / name, [tmp_path / name / "a"]) for name in ("here", "there")]

    first, second = digests()
    assert first == second
    for file in ("a/cells/k/manifest.json", "a/probe/x.json"):
        (tmp_path / "there" / file).write_text("{3}")
        changed = digests()
        assert changed[0] == first and changed[1] not in (first, second)
        second = changed[1]


@pytest.mark.skipif(not RATES.is_dir(), reason="the search over learning rates is not stored here")
def test_the_headlines_learning_rates_are_those_that_validation_chose():
    """By the rule in the header of `objective-rates`: the best, or the default if that is near."""
    results = load_results(RATES)
    assert set(results.settings["split"]) == {"validation"}
    tried = results.frame.assign(rate=results.settings["learning rate"].astype(float))
    scores = tried.pivot(index="objective", columns="rate", values="score")
    chosen = scores.idxmax(axis=1).where(scores.max(axis=1) - scores[0.004] > 0.017, 0.004)
    cells = plan_sweep(SweepOptions().updated(load_preset("headline-objectives"), "preset"))
    planned = {cell.training.objective: cell.training.recipe["learning_rate"] for cell in cells}
    assert planned == chosen[list(planned)].to_dict()
