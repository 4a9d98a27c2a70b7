"""The dial's figure: scores in one and in ten steps, by how far the condition determines the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import cycle
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from toyflow import plugins
from toyflow.report.results import UNIFORM_GRID, Results
from toyflow.report.style import heading, legend
from toyflow.sweep.stored import StoredEvaluation
from toyflow.sweep.subject import options_of

TASK = "dial"
MEASURES = {
    "valid": "joint validity",
    "tile_accuracy": "tiles as in a fresh draw",
    "total_variation": "total variation",
    "distance_to_code": "distance to the\nnearest code",
}
PANEL = ["coupling", "modes", "tiles", "split"]
"""Data options that have a panel for each of their values."""
FEWEST, MOST = 1, 10
IDEAL_AT = (0.0, 0.02, 0.1, 0.25, 0.5, 0.75, 1.0)
"""Certainties at which the closed form is decoded, besides those of the results."""
LOOKS: Mapping[int, Mapping[str, Any]] = {
    FEWEST: {"color": "#0173b2", "markerfacecolor": "white"},
    MOST: {"color": "#de8f05"},
}
"""By K. In grey, open and filled markers tell them apart."""
IDEAL_LINES: Mapping[int, Any] = {FEWEST: "-", MOST: (0, (1.2, 0.8))}
"""By K, of the closed form."""
LINES: Sequence[tuple[Any, str]] = (("-", "o"), ((0, (5, 1.5)), "s"), ((0, (1, 1)), "^"), ("-.", "D"))


def dial_figure(results: Results) -> Figure | None:
    """A panel per measure and kind of ambiguity, certainty along x: a line per schedule and K, the mean over
    seeds with a dot per seed, and what the closed form's velocity reaches in as many steps. Decodings on
    other grids or by several draws are left out. None where there are no results of the dial, or models and
    decodings of several kinds."""
    plain = (results.frame["grid"] == UNIFORM_GRID) & (results.frame["draws"] == 1)
    evaluations = [e for e, drawn in zip(results.evaluations, plain, strict=True) if drawn]
    if any(
        evaluation.training.record.task != plugins.load("tasks", TASK).identity()
        for evaluation in evaluations
    ):
        return None
    if len({_kind(evaluation) for evaluation in evaluations}) != 1:
        return None
    frame = results.frame[plain]
    data = pd.DataFrame([options_of(e.training)[0] for e in evaluations], index=frame.index)
    frame = frame.join(data.astype({"certainty": float}))
    frame = frame[frame["steps"].isin((FEWEST, MOST))]
    if frame.empty or frame["certainty"].nunique() < 2:
        return None
    kinds = list(frame.groupby(PANEL, sort=True))
    size = (2.2 * len(kinds) + 0.4, 1.9 * len(MEASURES) + 0.4)
    figure, grid = plt.subplots(
        len(MEASURES),
        len(kinds),
        figsize=size,
        squeeze=False,
        layout="constrained",
        sharex=True,
        sharey="row",
    )
    looks = dict(zip(dict.fromkeys(frame["label"]), cycle(LINES), strict=False))
    for column, ((coupling, modes, tiles, split), part) in zip(grid.T, kinds, strict=True):
        named = f"{coupling},\n{modes} modes, {tiles} tiles"
        column[0].set_title(named if split == "test" else f"{named}, {split}", fontsize=10)
        for axes, measure in zip(column, MEASURES, strict=True):
            _draw(axes, part, measure, looks)
    for axes, words in zip(grid[:, 0], MEASURES.values(), strict=True):
        axes.set_ylabel(words)
    for axes in grid[-1]:
        axes.set_xlabel("certainty")
    legend(figure)
    heading(figure, "Certainty: at 0 a hidden die decides the target, at 1 the condition determines it")
    sns.despine(figure)
    return figure


def _kind(evaluation: StoredEvaluation) -> str:
    """All settings but the data options, schedule, seed and K, as one text."""
    training, decoding = evaluation.training.record, evaluation.record
    model, recipe = sorted(training.model.items()), sorted(training.recipe.items())
    return repr((model, recipe, training.recipe_version, decoding.sampler or "euler", decoding.noise_seed))


def _draw(axes: Axes, part: pd.DataFrame, measure: str, looks: Mapping[str, tuple[Any, str]]) -> None:
    options = part[PANEL].iloc[0].to_dict()
    certainties = sorted(part["certainty"].unique())
    between = sorted({*certainties, *IDEAL_AT})
    for steps in (FEWEST, MOST):
        ideal = [
            _ideal_scores(tuple({**options, "certainty": f"{c:g}"}.items()), steps)[measure] for c in between
        ]
        axes.plot(
            between,
            ideal,
            color=LOOKS[steps]["color"],
            linestyle=IDEAL_LINES[steps],
            linewidth=5,
            alpha=0.3,
            label=f"closed form, K = {steps}",
        )
    for label, rows in part.groupby("label", sort=False):
        line, marker = looks[str(label)]
        for steps in (FEWEST, MOST):
            seeds = rows[rows["steps"] == steps]
            mean = seeds.groupby("certainty")[measure].mean()
            look = {**LOOKS[steps], "linestyle": line, "marker": marker, "markersize": 4}
            axes.plot(mean.index, mean, **look, label=f"{label}, K = {steps}")
            axes.scatter(seeds["certainty"], seeds[measure], s=5, color="0.3", linewidths=0, zorder=3)
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.35)


@cache
def _ideal_scores(data: tuple[tuple[str, str], ...], steps: int) -> dict[str, float]:
    """What the closed form's velocity reaches in `steps` steps. A figure asks for each many times."""
    scores = plugins.load("tasks", TASK).ideal_scores(dict(data), steps)
    assert scores is not None
    return scores
