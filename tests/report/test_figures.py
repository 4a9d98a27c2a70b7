"""What every figure of a results folder must do, whichever it is."""

from itertools import combinations, pairwise, product

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import seaborn as sns
import torch
from matplotlib import colors
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from toyflow.report.dial_figure import dial_figure
from toyflow.report.figures import DRAWINGS, _apart, _round_numbers
from toyflow.report.paper import PAPER
from toyflow.report.probe_report import IDEAL, velocity_error
from toyflow.report.results import load_results
from toyflow.report.style import Style
from toyflow.report.training_figures import loss_figure, training_curves
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, Trained
from toyflow.training import LOSS_BINS

COLUMN, PAGE, SMALLEST = 3.25, 7.0, 5.0
"""Width of a paper's column and page in inches, and the smallest text that can be read there, in points."""
N = 100
METRICS = ("valid", "exact_match", "tile_accuracy", "distance_to_code")


VARIED = [
    {
        "task": place,
        "hits": 4 + place,
        "episodes": 10,
        "perturbation": kind,
        "level": level,
        "base_suite": "goal",
    }
    for place, (kind, level) in enumerate(product(("camera", "noise"), (1, 2)))
]
"""Tasks of a benchmark that varies those of a suite."""


def add(
    store: Store, task: str, schedule: str, data: dict[str, str], hits=80, seeds=2, draws=(1,), tasks=()
) -> None:
    """Models of the schedule that are right on `hits` examples with seed 0, on two less with the next."""
    iterations = np.arange(1, 11)
    curve = pd.DataFrame({"iteration": iterations, "loss": 1 / iterations, "learning_rate": 0.1})
    for i in range(LOSS_BINS):
        curve[f"loss_s{i / LOSS_BINS:.1f}"] = curve["loss"]
    for seed in range(seeds):
        record = TrainingRecord(
            task, {}, "flow", schedule, "stratified", seed, {"iterations": 10.0}, data=data
        )  # fmt: skip
        details = {"parameters": 10, "seconds": 2.0}
        store.write_training(record, Trained({"w": torch.zeros(1)}, curve, details), {})
        right = (np.arange(N) < hits - 2 * seed).astype(float)
        metrics = {**dict.fromkeys(METRICS, float(right.mean())), "total_variation": 0.3}
        for steps, many in product((1, 10), draws):
            details = {
                "metrics": metrics, "examples": N, "model_calls": steps,
                "encode_seconds": 0.1, "decode_seconds": 0.05 * steps, "tasks": [*tasks],
            }  # fmt: skip
            outcomes = pd.DataFrame(dict.fromkeys(METRICS, right))
            decoding = EvaluationRecord("euler", steps, draws=many)
            store.write_evaluation(record, decoding, Evaluated(outcomes, details), {})


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two tasks; of each, some schedules are in one variant only, and the first panel lacks most of them."""
    made = {}
    for task, knob in (("dial", "certainty"), ("grid-to-sequence", "side")):
        store = Store(tmp_path_factory.mktemp(task))
        store.prepare()
        first, second = ("0", "0.5") if task == "dial" else ("2", "4")
        rest = {"coupling": "coupled", "modes": "2", "tiles": "4"} if task == "dial" else {}
        add(store, task, "uniform", {knob: first, **rest})
        for schedule in ("uniform", "beta", "shift:4"):
            add(store, task, schedule, {knob: second, **rest})
        made[task] = load_results(store)
    return made


def figure_of(name: str, folders) -> Figure:
    if name == "overview":
        figure = PAPER.overview.draw(folders, False)
    elif name == "velocity_error":
        rows = [
            {"label": label, "variant": variant, "noise_level": s, "interval": "95 %, t over seeds"}
            | {f"{m}{end}": 0.5 * (1 + s) for m in ("mse", "cosine_error") for end in ("", "_low", "_high")}
            for label, variant in (("uniform", "a"), ("uniform", "b"), ("beta", "b"), (IDEAL, "b"))
            for s in (0.1, 0.5, 1.0)
        ]
        figure = velocity_error(pd.DataFrame(rows), Style(["uniform", "beta"]))
    else:
        results = folders["dial"]
        [drawing] = [each for each in DRAWINGS if each.name == name]
        figure = drawing.draw(results, Style(results.frame["label"]))
    assert figure is not None
    return figure


every_figure = pytest.mark.parametrize(
    "name", [*(drawing.name for drawing in DRAWINGS), "overview", "velocity_error"]
)


def with_what_it_needs(name: str, folders, root):
    """The folders, with results that the figure can be drawn of."""
    needed = {"score_by_draws": {"draws": (1, 2, 16)}, "success_by_perturbation": {"tasks": VARIED}}
    if name not in needed:
        return folders
    store = Store(root)
    store.prepare()
    for schedule in ("uniform", "beta"):
        add(store, "dial", schedule, {}, **needed[name])
    return {**folders, "dial": load_results(store)}


@every_figure
def test_text_can_be_read_in_print_and_does_not_overlap(folders, tmp_path, name):
    """One panel in a column of a paper, several on its page."""
    with plt.rc_context():
        sns.set_theme(context="paper", style="ticks", font_scale=1.1)  # as `toyflow plot` does
        figure = figure_of(name, with_what_it_needs(name, folders, tmp_path))
        figure.draw_without_rendering()
    panels = [axes for axes in figure.axes if axes.get_visible()]
    across = len({round(axes.get_position().x0, 2) for axes in panels})
    scale = (COLUMN if across == 1 else PAGE) / figure.get_figwidth()
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text.get_text().strip()]
    assert min(float(text.get_fontsize()) for text in texts) * scale >= SMALLEST
    titles = [axes.title for axes in panels if axes.get_title()]
    whole = figure._suptitle  # pyright: ignore
    boxes = [text.get_window_extent() for text in (*titles, *([whole] if whole else []))]
    boxes += [each.get_window_extent() for each in figure.legends]
    assert all(box.x0 >= -1 and box.x1 <= figure.bbox.x1 + 1 for box in boxes)
    assert not [
        (a, b) for a, b in combinations(boxes, 2) if a.shrunk(0.98, 0.9).overlaps(b.shrunk(0.98, 0.9))
    ]
    plt.close(figure)


@every_figure
def test_every_figure_names_all_that_it_draws(folders, tmp_path, name):
    figure = figure_of(name, with_what_it_needs(name, folders, tmp_path))
    legends = [*figure.legends, *(axes.legend_ for axes in figure.axes if axes.legend_)]
    named = {text.get_text() for legend in legends for text in legend.get_texts()}
    drawn = {label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]}
    assert drawn and drawn <= named
    known = {colors.to_hex(line.get_color()) for legend in legends for line in legend.findobj(Line2D)}
    lines = [line for axes in figure.axes if axes.get_visible() for line in axes.get_lines()]
    assert {colors.to_hex(line.get_color()) for line in lines if np.size(line.get_xdata())} <= known
    plt.close(figure)


def test_means_of_draws_are_neither_in_the_dials_figure_nor_panels_of_training_curves(tmp_path):
    figures = {}
    for draws in ((1,), (1, 8), (8,)):
        store = Store(tmp_path / str(draws))
        store.prepare()
        for certainty in ("0", "0.5"):
            data = {"certainty": certainty, "coupling": "coupled", "modes": "2", "tiles": "4"}
            add(store, "dial", "uniform", data, draws=draws)
        results = load_results(store)
        figures[draws] = [dial_figure(results), training_curves(results, Style(["uniform"]))]
    (plain, curves), (mixed, same), (averaged, _) = figures.values()
    assert averaged is None and _dots(plain) == _dots(mixed) > 0
    assert len(curves.axes) == len(same.axes) == 4, "two data options, by two parts of the loss"
    plt.close("all")


def _dots(figure):
    return sum(len(each.get_offsets()) for axes in figure.axes for each in axes.collections)


@pytest.mark.parametrize("hits", [0, 1, 50, 99, 100])
@pytest.mark.parametrize("name", ["score_by_steps", "score_by_decode_time", "overview"])
def test_no_axis_of_proportions_leaves_0_to_100_percent(tmp_path, folders, name, hits):
    store = Store(tmp_path)
    store.prepare()
    add(store, "dial", "uniform", {}, hits, seeds=1)
    figure = figure_of(name, {**folders, "dial": load_results(store)})
    axes = figure.axes[-1] if name == "overview" else figure.axes[0]
    ticks = axes.get_yticks()
    assert len(ticks) >= 2 and all(0 <= tick <= 1 for tick in ticks)
    low, high = axes.get_ylim()
    assert low > -0.03 and high < 1.03
    plt.close(figure)


def test_names_of_steps_that_take_alike_long_stand_together():
    named = [(70.0, "K=10"), (10.0, "K=1"), (64.0, "K=1*")]
    assert _apart(named, 1.2) == [(10.0, "K=1"), (pytest.approx(66.9, abs=0.1), "K=1*, K=10")]
    assert _apart(named, 1.05) == sorted(named)


@pytest.mark.parametrize(("low", "high"), [(0.9, 1.2), (2.4, 4.1), (700, 1200), (1, 100)])
def test_a_logarithmic_axis_has_three_ticks_or_more(low, high):
    ticks = _round_numbers(low, high)
    assert 3 <= len(ticks) <= 13 and all(low <= tick <= high for tick in ticks)


def test_ten_series_differ_without_colour():
    """By marker and by dashes, as in grey."""
    looks = [Style(map(str, range(10))).line(str(number)) for number in range(10)]
    assert len({look["marker"] for look in looks}) == 10
    assert all(a["linestyle"] != b["linestyle"] for a, b in pairwise(looks))


def test_in_the_dials_figure_markers_tell_one_step_from_ten_without_colour(folders):
    figure = figure_of("dial", folders)
    for line in figure.axes[0].get_lines():
        face = line.get_markerfacecolor()
        assert (face == "white") == str(line.get_label()).endswith("K = 1") or line.get_marker() in (
            "None",
            "",
        )
    plt.close(figure)


def test_a_dozen_series_have_a_dozen_colours():
    style = Style(str(number) for number in range(12))
    assert len({colors.to_hex(style.line(label)["color"]) for label in style.labels}) == 12


def test_set_metrics_have_intervals_and_the_dots_of_a_series_stand_at_its_markers(folders):
    figure = figure_of("set_metrics_by_steps", folders)
    for axes in figure.axes:
        lines = [np.asarray(each.get_xdata(), float) for each in axes.get_lines()]
        clouds = [each for each in axes.collections if isinstance(each, PathCollection)]
        dots = [np.asarray(each.get_offsets(), float)[:, 0] for each in clouds]
        assert dots and {*np.concatenate(dots)} <= {*np.concatenate(lines)}
        assert len(axes.containers) == len(axes.get_legend_handles_labels()[1]) > 0  # error bars
    plt.close(figure)


def test_losses_have_a_band_from_the_lowest_to_the_highest_seed():
    rows = [
        {
            "label": "uniform",
            "variant": "",
            "seed": seed,
            "iteration": i,
            "loss": 1.0 + seed,
            "loss_s0.9": 1.0,
        }
        for seed in range(3)
        for i in range(10)
    ]
    figure = loss_figure(pd.DataFrame(rows), Style(["uniform"]))
    [band] = figure.axes[0].collections
    heights = np.asarray(band.get_paths()[0].vertices)[:, 1]
    assert (heights.min(), heights.max()) == (1, 3)
    [line] = figure.axes[0].get_lines()
    assert np.allclose(line.get_ydata(), 2)
    plt.close(figure)


def test_among_many_panels_those_in_which_nothing_differs_are_named_instead(tmp_path):
    store = Store(tmp_path)
    store.prepare()
    for place in range(8):
        for schedule, fewer in (("uniform", 0), ("beta", 40 if place == 3 else 0)):
            add(store, "dial", schedule, {"certainty": f"0.{place}"}, hits=100 - fewer, seeds=1)
    figure = figure_of("score_by_steps", {"dial": load_results(store)})
    shown = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert shown == ["certainty=0.3"]
    [legend] = figure.legends
    words = " ".join(legend.get_title().get_text().split())
    assert "certainty=0.7: 100.0%" in words and "0.3" not in words
    plt.close(figure)


@pytest.mark.parametrize(("variants", "shape"), [(1, (1, 2)), (4, (4, 2)), (5, (3, 4)), (12, (6, 4))])
def test_losses_of_many_variants_stand_two_in_a_row(variants, shape):
    rows = [
        {
            "variant": f"modes={number}",
            "label": "uniform",
            "seed": 0,
            "iteration": i,
            "loss": 1 / i,
            "loss_s0.9": 1,
        }
        for number in range(variants)
        for i in (1, 2)
    ]
    figure = loss_figure(pd.DataFrame(rows), Style(["uniform"]))
    grid = figure.axes[0].get_gridspec()
    assert grid and (grid.nrows, grid.ncols) == shape
    shown = [axes.get_title().splitlines()[0] for axes in figure.axes if axes.get_visible()]
    assert shown == [f"modes={number}" for number in range(variants) for _ in "12"]
    plt.close(figure)
