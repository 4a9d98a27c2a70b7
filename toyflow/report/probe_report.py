"""`toyflow probe`: its table, its figure and its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow import stats
from toyflow.atomic import write_manifest
from toyflow.report.anatomy_report import (
    DissectedModel,
    anatomy_figure,
    anatomy_frame,
    anatomy_sentences,
    anatomy_table,
    over_seeds,
)
from toyflow.report.results import CELL
from toyflow.report.stored_anatomies import write_anatomies
from toyflow.report.style import PANEL, Style, heading, in_lines, legend, save
from toyflow.report.write import write_csv

OF_VELOCITIES = "velocity_error.csv", "paths.csv", "velocity_error.png"
"""Files of a probe that has a model with a velocity."""
IDEAL = "ideal"
"""Label of the optimal velocity, where a task knows it."""
STANDARD_ERROR = "_se"
"""Ends the name of the column that holds a measure's standard error over examples."""
CHANGED = "outcome_changed"
"""The measure that is a proportion: how often one step decodes to another outcome than many."""
NORMAL_95 = 1.959964
"""97.5 % quantile of the standard normal distribution."""
OVER_SEEDS, OVER_EXAMPLES = "95 %, t over seeds", "95 %, normal over examples"
INTERVALS = {
    OVER_SEEDS: "Student's t over seeds",
    OVER_EXAMPLES: "normal over examples, where there is one seed",
}


@dataclass(frozen=True)
class Probed:
    """What `toyflow probe` measured.

    `errors` has a row per noise level of each model with a velocity: mse, cosine_error and, where the optimal
    velocity is known, excess. `paths` has a row per such model: straightness, length_ratio, one_step_gap,
    one_step_gap_rms, outcome_changed. See `toyflow.flow.diagnostics` for what they are. Each is a mean over
    examples; its standard error has the ending `_se`. Both have `label`, `variant`, `seed`, `key`,
    `examples`; the optimal velocity is a model named `ideal`. Both are empty where no model has a velocity.
    """

    errors: pd.DataFrame
    paths: pd.DataFrame
    anatomies: Sequence[DissectedModel]
    """Of every model, with a velocity or not."""
    labels: Sequence[str]
    """All labels of the results folder, so that a schedule looks the same in all of its figures."""


def write_probe(probed: Probed, out: Path) -> list[Path]:
    """Write OUT/probe/anatomy.csv, anatomy_by_model.json and anatomy.png and, where a model has a velocity,
    velocity_error.csv, paths.csv and velocity_error.png; the files, in order. Then their manifest."""
    folder = out / "probe"
    folder.mkdir(parents=True, exist_ok=True)
    sns.set_theme(context="paper", style="ticks", font_scale=1.1)
    labels = over_seeds(probed.anatomies)
    written = [
        write_csv(anatomy_frame(labels), folder / "anatomy.csv"),
        write_anatomies(probed.anatomies, out),
        _drawn(anatomy_figure(labels), folder / "anatomy.png"),
    ]
    table, paths, figure = of_velocities = [folder / name for name in OF_VELOCITIES]
    if probed.paths.empty:
        for path in of_velocities:
            path.unlink(missing_ok=True)  # of an earlier probe
    else:
        errors = over_models(probed.errors)
        written += [
            write_csv(errors, table),
            write_csv(over_models(probed.paths), paths),
            _drawn(velocity_error(errors, Style(probed.labels)), figure),
        ]
    write_manifest(folder, written)
    return written


def _drawn(figure: Figure, path: Path) -> Path:
    save(figure, path)
    plt.close(figure)
    return path


def over_models(frame: pd.DataFrame) -> pd.DataFrame:
    """Rows of `Probed` by schedule and variant: each measure's mean over seeds with its 95 % interval.

    With two seeds or more the interval is Student's t over seeds; with one it is the normal one over
    examples and speaks of these examples only. No measure is negative, so no bound is. `outcome_changed` is a
    proportion, and its interval that of `toyflow.stats.proportion_over_seeds`.
    """
    measures = [
        name.removesuffix(STANDARD_ERROR) for name in map(str, frame) if name.endswith(STANDARD_ERROR)
    ]
    by = [*CELL, *(name for name in ("examples", "steps", "noise_level") if name in frame)]
    rows = []
    for names, group in frame.groupby(by, sort=False):
        row: dict[str, Any] = dict(zip(by, names, strict=True))
        row["seeds"] = int(group["seed"].notna().sum())
        row["interval"] = OVER_SEEDS if len(group) > 1 else OVER_EXAMPLES
        for name in measures:
            interval = _interval(name, group)
            row |= {
                name: interval.estimate,
                f"{name}_low": max(0.0, interval.low),
                f"{name}_high": interval.high,
            }
        rows.append(row)
    return pd.DataFrame(rows)


def show_probe(probed: Probed, console: Console) -> None:
    """Print the tables of a probe, then a sentence per schedule and variant."""
    if not probed.paths.empty:
        console.print(velocity_table(probed))
    labels = over_seeds(probed.anatomies)
    console.print(anatomy_table(labels))
    for sentence in anatomy_sentences(labels):
        console.print(f"\n{escape(sentence)}")


def velocity_table(probed: Probed) -> Table:
    """Table of the velocity fields for a terminal, a line per schedule and variant."""
    errors, paths = over_models(probed.errors), over_models(probed.paths)
    levels = sorted(errors["noise_level"].unique())
    ends = (levels[-1], min(levels, key=lambda s: abs(s - 0.5)), levels[0])
    several_variants = errors["variant"].nunique() > 1
    by_level = [("mse", s, f"MSE\ns={s:g}") for s in ends] + [("cosine_error", ends[0], "1-cos\ns=1")]
    if "excess" in errors:
        by_level.append(("excess", ends[0], "excess\ns=1"))
    on_paths = {
        "straightness": "straight-\nness",
        "one_step_gap_rms": "gap\nRMS",
        CHANGED: "outcome\nchanged",
    }
    table = Table(title="velocity fields (± 95 %)", title_justify="left")
    table.add_column("schedule", no_wrap=True)
    if several_variants:
        table.add_column("variant", min_width=8)
    table.add_column("seeds", justify="right", no_wrap=True)
    for head in (*(head for *_, head in by_level), *on_paths.values()):
        table.add_column(head, justify="right", no_wrap=True)
    for variant, part in paths.groupby("variant", sort=False):
        for _, path in part.iterrows():
            label = path["label"]
            rows = errors[(errors["label"] == label) & (errors["variant"] == variant)]
            rows = rows.set_index("noise_level")
            names = [escape(label), *([escape(str(variant))] if several_variants else [])]
            cells = [_estimate(rows.loc[s], measure) for measure, s, _ in by_level]
            cells += [_estimate(path, measure) for measure in on_paths]
            table.add_row(*names, str(path["seeds"] or "-"), *cells)
        table.add_section()
    steps, examples = paths["steps"].iloc[0], paths["examples"].max()
    excess = "excess: MSE against the optimal velocity; " if "excess" in errors else ""
    table.caption = (
        f"s: noise level, 1 = pure noise; MSE (per element) and cos of v against x1 - x0; {excess}"
        "straightness: mean square of x(1) - x(0) - v on the path, 0 = straight; gap: of a sample in 1 step "
        f"from the one in {steps}, per element, and how often the outcome differs; {examples} test examples; "
        f"±: {_kinds(errors)}"
    )
    table.caption_justify = "left"
    return table


def velocity_error(errors: pd.DataFrame, style: Style) -> Figure:
    """MSE and cosine error by noise level with a band, a line per schedule, a row of panels per variant.

    Where the optimal velocity is known it is a line too, cut off far below the others, and the excess over it
    is a third panel.
    """
    measures = {"mse": "MSE per element", "cosine_error": "cosine error, 1 - cos"}
    if "excess" in errors:
        measures["excess"] = "MSE against the optimal velocity"
    variants = list(dict.fromkeys(errors["variant"]))
    size = (0.8 * PANEL[0] * len(measures), PANEL[1] * len(variants))
    figure, grid = plt.subplots(
        len(variants), len(measures), figsize=size, squeeze=False, layout="constrained"
    )
    for line, variant in zip(grid, variants, strict=True):
        part = errors[errors["variant"] == variant]
        for axes, (measure, words) in zip(line, measures.items(), strict=True):
            _by_noise_level(axes, part, measure, style)
            axes.set_ylabel(words)
            axes.set_xlabel("noise level s = 1 - t  (1 = noise)")
        line[0].set_title(in_lines(variant), fontsize=10, loc="left")
    legend(figure, last=IDEAL)
    heading(figure, f"Error of the velocity by noise level (95 % bands: {_kinds(errors)})")
    sns.despine(figure)
    return figure


def _by_noise_level(axes: Axes, errors: pd.DataFrame, measure: str, style: Style) -> None:
    for label in dict.fromkeys(errors["label"]):
        rows = errors[errors["label"] == label].dropna(subset=measure)
        if rows.empty or (label == IDEAL and measure == "excess"):
            continue
        look = {"color": "0.3", "linestyle": (0, (2, 1.5)), "linewidth": 1.6, "label": IDEAL}
        look = look if label == IDEAL else style.sparse(label)
        s = rows["noise_level"]
        axes.plot(s, rows[measure], **look)
        axes.fill_between(
            s, rows[f"{measure}_low"], rows[f"{measure}_high"], color=look["color"], alpha=0.15, linewidth=0
        )
    axes.set_visible(axes.has_data())
    axes.set_xlim(1.02, 0)
    learned = errors.loc[errors["label"] != IDEAL, measure]
    if learned.max() > 0:
        axes.set_yscale("log")
        axes.set_ylim(learned[learned > 0].min() / 2, 1.1 * errors[f"{measure}_high"].max())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.grid(axis="y", alpha=0.35)


def _kinds(errors: pd.DataFrame) -> str:
    return "; ".join(words for kind, words in INTERVALS.items() if kind in set(errors["interval"]))


def _interval(measure: str, models: pd.DataFrame) -> stats.Interval:
    values = models[measure].tolist()
    if measure == CHANGED and not models[measure].isna().any():
        hits = (models[measure] * models["examples"]).round().astype(int)
        return stats.proportion_over_seeds(hits.tolist(), models["examples"].tolist())
    if len(values) > 1:
        return stats.over_seeds(values)
    half = NORMAL_95 * models[measure + STANDARD_ERROR].iloc[0]
    return stats.Interval(values[0], values[0] - half, values[0] + half)


def _estimate(row: pd.Series, measure: str) -> str:
    if pd.isna(row[measure]):
        return "[dim]n/a[/]"
    half = row[f"{measure}_high"] - row[measure]
    if measure == CHANGED:
        return f"{100 * row[measure]:.1f}%\n[dim]±{100 * half:.1f}[/]"
    return f"{row[measure]:.4f}\n[dim]±{half:.4f}[/]"
