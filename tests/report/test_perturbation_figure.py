"""The figure of success by perturbation."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.container import ErrorbarContainer

from toyflow.report import perturbation_figure
from toyflow.report.perturbation_figure import success_by_perturbation
from toyflow.report.results import Results
from toyflow.report.style import Style

NOTHING = Results(pd.DataFrame(), (), "success")
SCORES = {("K=1", "camera"): 0.5, ("K=1", "noise"): 0.7, ("K=10", "camera"): 0.4, ("K=10", "noise"): 0.9}


def rates(levels=(), labels=("uniform", "shift:4")):
    def row(label, decoding, kind, level, score):
        return {
            "label": label, "variant": "", "seed": "0", "decoding": decoding, "perturbation": kind,
            "level": level, "suite": "all", "episodes": 20, "score": score, "low_95": score - 0.1,
            "high_95": score + 0.1,
        }  # fmt: skip

    rows = []
    for label in labels:
        for (decoding, kind), score in SCORES.items():
            rows.append(row(label, decoding, kind, "all", score))
        for decoding in ("K=1", "K=10"):
            rows.append(row(label, decoding, "all", "all", 0.6))
            rows += [row(label, decoding, "all", level, 0.2 * level) for level in levels]
    return pd.DataFrame(rows)


@pytest.fixture
def draw(monkeypatch):
    def drawn(frame):
        monkeypatch.setattr(perturbation_figure, "perturbation_rates", lambda results: frame)
        return success_by_perturbation(NOTHING, Style([]))

    yield drawn
    plt.close("all")


def points(axes):
    """Score by decoding and the cell that it is drawn nearest to."""
    cells = [tick.get_text() for tick in axes.get_xticklabels()]
    found = {}
    for container in axes.containers:
        assert isinstance(container, ErrorbarContainer)
        for x, y in np.asarray(container.lines[0].get_xydata()):
            found[container.get_label(), cells[round(x)]] = y
    return found


def test_every_decoding_stands_at_its_perturbation(draw):
    figure = draw(rates())
    assert len(figure.axes) == 2, "a panel per policy"
    for axes in figure.axes:
        assert points(axes) == SCORES | {("K=1", "all"): 0.6, ("K=10", "all"): 0.6}
        assert axes.get_xticklabels()[-1].get_text() == "all"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["K=1", "K=10"]


def test_levels_have_a_panel_of_their_own_in_their_order(draw):
    figure = draw(rates(levels=(3, 1, 2), labels=("uniform",)))
    _, levels = figure.axes
    assert [tick.get_text() for tick in levels.get_xticklabels()] == ["1", "2", "3"]
    assert points(levels)["K=10", "3"] == pytest.approx(0.6)


def test_without_perturbations_there_is_no_figure(draw):
    assert draw(pd.DataFrame()) is None
