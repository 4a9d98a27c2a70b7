"""Figures of training: where its time is spent, and how the loss falls."""

from __future__ import annotations

from contextlib import suppress
from itertools import zip_longest

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
import torch
from matplotlib.figure import Figure

from toyflow.errors import ToyflowError
from toyflow.flow import parse_schedule
from toyflow.report.results import Results, variants
from toyflow.report.style import PANEL, Style, heading, in_lines, legend
from toyflow.training import LOSS_BINS

MOST_DOWN = 4
"""Of more variants, the losses of two stand side by side."""


def schedule_densities(results: Results, style: Style) -> Figure | None:
    """The density of the training time under each schedule; schedules without a density are named."""
    labels = {e.training.record.schedule: e.training.record.label for e in reversed(results.evaluations)}
    schedules = {}
    for name, label in labels.items():
        with suppress(ToyflowError):  # a plug-in's schedule, and the plug-in is not here
            if name:
                schedules[label] = parse_schedule(name)
    if not schedules:
        return None
    figure, axes = plt.subplots(figsize=PANEL, layout="constrained")
    t = torch.linspace(0.002, 0.998, 499, dtype=torch.float64)
    none, highest = [], 0.0
    for label, schedule in schedules.items():
        density = schedule.pdf(t)
        if density is None:
            none.append(schedule.name)
            continue
        highest = max(highest, float(density.max()))
        name = f"{schedule.name}  ({schedule.noise_mass():.0%})"
        axes.plot(t, density, **{**style.sparse(label), "label": name})
    axes.set_xlim(0, 1)
    axes.set_ylim(0, min(8.0, 1.05 * highest) if highest else 1)
    axes.set_xlabel("training time t  (0 = noise, 1 = data)")
    axes.set_ylabel("density")
    axes.axvspan(0, 0.1, color="0.92", zorder=0)
    note = f"no density: {', '.join(none)}" if none else None
    if len(none) < len(schedules):
        axes.legend(title="schedule  (P(t < 0.1), shaded)", frameon=False, fontsize=9)
    axes.set_title("Where training spends its time" + (f"\n{note}" if note else ""), fontsize=11)
    sns.despine(figure)
    return figure


def training_curves(results: Results, style: Style) -> Figure | None:
    """Training loss, over all noise levels and at the noise end alone, mean over seeds; None where no model
    was trained here."""
    trained = variants(results.evaluations, without=["grid", "draws"])  # which are no part of a training
    table = pd.concat(
        evaluation.training.curve().assign(label=row["label"], variant=variant, seed=row["seed"])
        for evaluation, variant, (_, row) in zip(
            results.evaluations, trained, results.frame.iterrows(), strict=True
        )
        if _is_first(results, row)
    )
    return None if table.empty else loss_figure(table, style)


def loss_figure(table: pd.DataFrame, style: Style) -> Figure:
    """The losses of `TrainingCurve.rows`, with the columns label, variant and seed: two panels per variant
    (where there are many, those of two side by side), a line per label, and from the lowest to the highest
    seed a band."""
    noise_end = f"loss_s{(LOSS_BINS - 1) / LOSS_BINS:.1f}"
    panels = list(dict.fromkeys(table["variant"]))
    across = 2 if len(panels) > MOST_DOWN else 1
    columns = {"loss": "all noise levels, as drawn", noise_end: "noise end, t < 0.1"}
    down = -(-len(panels) // across)
    size = (PANEL[0] * 2 * across, PANEL[1] * down)
    figure, grid = plt.subplots(
        down, 2 * across, figsize=size, squeeze=False, layout="constrained", sharey="row"
    )
    places = grid.reshape(-1, 2)
    for line, variant in zip_longest(places, panels):
        if variant is None:
            for axes in line:
                axes.set_visible(False)
            continue
        for axes, (column, words) in zip(line, columns.items(), strict=True):
            part = table[table["variant"] == variant]
            for label in dict.fromkeys(part["label"]):
                rows = part[part["label"] == label]
                seeds = rows.pivot_table(column, "iteration", "seed").rolling(5, min_periods=1).mean()
                seeds = seeds.dropna(how="all")
                if len(seeds):  # a short training of small batches may have drawn no time of the noise end
                    look = style.sparse(label)
                    axes.plot(seeds.index, seeds.mean(axis=1), **look)
                    if seeds.shape[1] > 1:
                        bounds = seeds.min(axis=1), seeds.max(axis=1)
                        axes.fill_between(seeds.index, *bounds, color=look["color"], alpha=0.15, linewidth=0)
            axes.set_yscale("log")
            axes.set_xlabel("iteration")
            axes.set_ylabel("training loss" if column == "loss" else "")
            axes.set_title(f"{in_lines(variant)}\n{words}".strip(), fontsize=10)
            axes.grid(alpha=0.35)
    legend(figure)
    heading(
        figure,
        "Training loss, mean over seeds with a band from the lowest to the highest, running mean of 5 points",
    )
    sns.despine(figure)
    return figure


def _is_first(results: Results, row: pd.Series) -> bool:
    return bool(row.name == results.frame.index[results.frame["key"] == row["key"]][0])
