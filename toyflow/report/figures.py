"""`toyflow plot`'s figures of a results folder: what each shows, and the list of them all.

Over 300 lines, as the figures of scores share their panels, names, intervals and ticks.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from toyflow import stats
from toyflow.report.dial_figure import dial_figure
from toyflow.report.perturbation_figure import success_by_perturbation
from toyflow.report.results import Results, in_number_order, set_metrics_of, variants
from toyflow.report.style import ACROSS, PANEL, Style, heading, in_lines, legend, of_proportions, save
from toyflow.report.tables import in_words, summary
from toyflow.report.training_figures import schedule_densities, training_curves
from toyflow.sweep.stored import errors_in_words
from toyflow.sweep.timing_doubts import MARK, doubts_in_words

FORMATS = ("png", "pdf", "svg")
MOST_PANELS = 6
"""Most panels in a row of a figure."""
CROWDED = 6
"""More series than this make a panel wider."""
FLAT = 0.01
"""Scores of a variant that lie closer together need no panel among many."""
SEED_DOTS = ", a dot per seed"


def draw_all(results: Results, folder: Path, formats: Sequence[str] = ("png",)) -> list[Path]:
    """Every figure that the results allow, in each format; the files, in order."""
    sns.set_theme(context="paper", style="ticks", font_scale=1.1, rc={"svg.hashsalt": "toyflow"})
    folder.mkdir(parents=True, exist_ok=True)
    style = Style(results.frame["label"])
    written: list[Path] = []
    for drawing in DRAWINGS:
        figure = drawing.draw(results, style)
        if figure is None:
            continue
        for extension in formats:
            written.append(save(figure, folder / f"{drawing.name}.{extension}"))
        plt.close(figure)
    return written


def score_by_steps(results: Results, style: Style) -> Figure:
    """Score against denoising steps, a line per schedule with 95 % intervals, a panel per variant."""
    return _scores(results, style, "steps", "denoising steps K")


def score_by_draws(results: Results, style: Style) -> Figure | None:
    """Score against the number of draws whose answers are averaged, a line per schedule with 95 % intervals,
    a panel per variant and K. None where nothing was averaged."""
    frame = results.frame
    if frame["draws"].max() == 1:
        return None
    others = variants(results.evaluations, without=["draws"])
    panels = [
        ", ".join(filter(None, (other, f"K = {k}"))) for other, k in zip(others, frame["steps"], strict=True)
    ]
    by_draws = replace(results, frame=frame.assign(variant=panels, steps=frame["draws"]))
    return _scores(by_draws, style, "draws", "draws M, whose answers are averaged")


def _scores(results: Results, style: Style, by: str, axis: str) -> Figure:
    """Score against the column `steps`, a panel per variant."""
    table = summary(results).sort_values("steps", kind="stable")
    table = table.sort_values("variant", key=lambda names: names.map(in_number_order), kind="stable")
    steps = sorted(table["steps"].unique())
    positions = {k: i for i, k in enumerate(steps)}

    def draw(axes: Axes, part: pd.DataFrame) -> None:
        labels = list(dict.fromkeys(part["label"]))
        for place, label in enumerate(labels):
            rows = part[part["label"] == label]
            nudge = _nudge(place, labels)
            x = [positions[k] + nudge for k in rows["steps"]]
            errors = [rows["score"] - rows["low_95"], rows["high_95"] - rows["score"]]
            axes.errorbar(x, rows["score"], yerr=errors, capsize=2.5, elinewidth=1, **style.line(label))
            seeds = _of_rows(results.frame, rows)
            if seeds["seed"].nunique() > 1:
                dots = [positions[k] + nudge for k in seeds["steps"]]
                axes.scatter(dots, seeds["score"], s=7, color="0.25", zorder=3, linewidths=0)
        axes.set_xticks(range(len(steps)), [str(k) for k in steps])
        axes.set_xlim(-0.5, len(steps) - 0.5)
        axes.set_xlabel(axis)
        axes.set_ylabel(in_words(results.metric))
        axes.grid(axis="y", alpha=0.35)

    title = f"{in_words(results.metric).capitalize()} by {by} ({_interval_text(table)})"
    return _panels(table, draw, title)


def set_metrics_by_steps(results: Results, style: Style) -> Figure | None:
    """Set metrics, which are computed on all samples together, against denoising steps: a row of panels per
    metric, a panel per variant. None where the task has no set metric."""
    metrics = set_metrics_of(results.evaluations[0])
    variants = list(dict.fromkeys(results.frame["variant"]))
    if not metrics or len(variants) > MOST_PANELS:
        return None
    size = (PANEL[0] * len(variants), PANEL[1] * len(metrics))
    figure, grid = plt.subplots(
        len(metrics), len(variants), figsize=size, squeeze=False, layout="constrained", sharey="row"
    )
    steps = sorted(results.frame["steps"].unique())
    for line, metric in zip(grid, metrics, strict=True):
        for axes, variant in zip(line, variants, strict=True):
            part = results.frame[results.frame["variant"] == variant]
            labels = list(dict.fromkeys(part["label"]))
            for place, label in enumerate(labels):
                rows, nudge = part[part["label"] == label], _nudge(place, labels)
                found = {k: _mean(of_k.tolist()) for k, of_k in rows.groupby("steps")[metric]}
                x, means = [steps.index(k) + nudge for k in found], [each.estimate for each in found.values()]
                errors = [[each.estimate - each.low for each in found.values()],
                          [each.high - each.estimate for each in found.values()]]  # fmt: skip
                axes.errorbar(x, means, yerr=errors, capsize=2.5, elinewidth=1, **style.line(label))
                dots = [steps.index(k) + nudge for k in rows["steps"]]
                axes.scatter(dots, rows[metric], s=7, color="0.25", zorder=3, linewidths=0)
            axes.set_xticks(range(len(steps)), [str(k) for k in steps])
            axes.set_title(in_lines(variant), fontsize=10)
            axes.set_ylim(0, 1.08 * results.frame[metric].max() or 1)
            axes.set_xlabel("denoising steps K")
            axes.set_ylabel(in_words(metric))
            axes.grid(axis="y", alpha=0.35)
    legend(figure)
    heading(figure, f"{_listed(metrics)} by steps (95 % intervals: Student's t over seeds{SEED_DOTS})")
    sns.despine(figure)
    return figure


def score_by_decode_time(results: Results, style: Style) -> Figure:
    """Score against the time of an answer (condition and all steps), a line per schedule through its Ks.

    All models of one variant share one network, so each K has one time, the median over schedules and seeds;
    they are drawn a little apart.
    """
    table = summary(results)
    table["ms"] = table.groupby(["variant", "model_calls"])["answer_ms"].transform("median")

    def draw(axes: Axes, part: pd.DataFrame) -> None:
        labels = list(dict.fromkeys(part["label"]))
        for place, label in enumerate(labels):
            rows = part[part["label"] == label].sort_values("steps")
            errors = [rows["score"] - rows["low_95"], rows["high_95"] - rows["score"]]
            axes.errorbar(
                rows["ms"] * 1.012 ** (place - len(labels) / 2),
                rows["score"],
                yerr=errors,
                capsize=2.5,
                elinewidth=1,
                **style.line(label),
            )
        low, high = part["ms"].min(), part["ms"].max()
        named = [
            (rows["ms"].median(), f"K={k}{MARK if any(rows['timing_doubt']) else ''}")
            for (k, _), rows in part.groupby(["steps", "model_calls"])
        ]
        for ms, words in _apart(named, (high / low) ** 0.12):
            axes.annotate(
                words,
                (ms, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=9,
                color="0.3",
            )
        axes.set_xscale("log")
        ticks = _round_numbers(low / 1.2, high * 1.2)
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FixedFormatter([f"{t:g}" for t in ticks]))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("milliseconds for an answer, condition included")
        axes.set_ylabel(in_words(results.metric))
        axes.grid(alpha=0.35)

    title = f"{in_words(results.metric).capitalize()} by decoding time ({_interval_text(table)})"
    doubts = doubts_in_words(results.frame["timing_doubt"])
    return _panels(table, draw, title.replace(SEED_DOTS, ""), doubts)


@dataclass(frozen=True)
class Drawing:
    """A figure, and how it is described. The text may use {metric}, {labels} and {schedules}."""

    name: str
    draw: Callable[[Results, Style], Figure | None]
    title: str
    alt: str
    most_variants: int = 30
    """A page leaves the figure out where the results have more variants than this."""


DRAWINGS = (
    Drawing(
        "score_by_steps", score_by_steps, "{metric} by steps",
        "Line chart: {metric} against denoising steps K for {labels}. The table of scores has the numbers.",
    ),
    Drawing(
        "score_by_draws", score_by_draws, "{metric} by draws",
        "Line chart: {metric} against the number of draws whose answers are averaged, for {labels}.",
        most_variants=12,
    ),
    Drawing(
        "set_metrics_by_steps", set_metrics_by_steps, "Set metrics by steps",
        "Line chart: metrics computed on all samples together, against denoising steps K, for {labels}.",
    ),
    Drawing(
        "success_by_perturbation", success_by_perturbation, "{metric} by perturbation",
        "Dot chart: {metric} under each perturbation of a benchmark, for every number of denoising steps. "
        "The tables by perturbation have the numbers.",
    ),
    Drawing(
        "dial", lambda results, _: dial_figure(results), "The dial",
        "Line charts: joint validity, agreement, total variation and distance to the nearest code against "
        "certainty, in one and in ten steps, with the closed form.",
    ),
    Drawing(
        "score_by_decode_time", score_by_decode_time, "{metric} by decoding time",
        "Line chart: {metric} against decoding time for {labels}. The table of costs has the numbers.",
        most_variants=12,
    ),
    Drawing(
        "training_curves", training_curves, "Training loss",
        "Line charts: training loss by iteration for {labels}, over all noise levels and at the noise end.",
        most_variants=6,
    ),
    Drawing(
        "schedule_densities", schedule_densities,
        "Schedules of the training time", "Line chart: density of the training time under {schedules}.",
    ),
)  # fmt: skip
"""Every figure, in the order of a page."""


def _panels(
    table: pd.DataFrame, draw: Callable[[Axes, pd.DataFrame], None], title: str, note: str = ""
) -> Figure:
    """A panel per variant with shared axes, and beneath them the note and one legend for all. Of many panels,
    those in which nothing differs are named instead."""
    variants = list(dict.fromkeys(table["variant"]))
    flat = _flat(table) if len(variants) > MOST_PANELS else {}
    variants = [variant for variant in variants if variant not in flat] or variants
    columns = min(ACROSS, len(variants))
    rows = -(-len(variants) // columns)
    crowded = table.groupby("variant")["label"].nunique().max() > CROWDED
    size = (PANEL[0] * columns * (1.3 if crowded else 1), PANEL[1] * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", sharey=True)
    for axes, variant in zip(grid.flat, variants, strict=False):
        part = table[table["variant"] == variant]
        draw(axes, part)
        errors = int(part["errors"].sum())
        left_out = f"{errors_in_words(errors)} left out" if errors else ""
        said = filter(None, (variant, part["caveat"].iloc[0], left_out))
        axes.set_title("\n".join(map(in_lines, said)), fontsize=10, pad=17)  # K stands beneath, over time
    for axes in grid.flat[len(variants) :]:
        axes.set_visible(False)
    of_proportions(grid[0][0])  # the others share its axis
    notes = [*([_flat_in_words(flat)] if flat else []), *([note] if note else [])]
    words = [
        textwrap.fill(each, 55 * columns, break_long_words=False, break_on_hyphens=False) for each in notes
    ]
    legend(figure, title="\n".join(words), title_fontsize=9, alignment="left")
    heading(figure, title)
    sns.despine(figure)
    return figure


def _flat(table: pd.DataFrame) -> dict[str, float]:
    """Variants in which no score is farther than `FLAT` from another, and their mean; none where all are."""
    by_variant = table.groupby("variant", sort=False)["score"]
    flat = by_variant.max() - by_variant.min() <= FLAT
    named = {} if flat.all() else by_variant.mean()[flat].to_dict()
    return {str(variant): score for variant, score in named.items()}


def _flat_in_words(flat: Mapping[str, float]) -> str:
    """What is said of variants that have no panel."""
    each = "; ".join(f"{variant}: {score:.1%}" for variant, score in flat.items())
    return f"Without a panel, as no two scores differ by more than {100 * FLAT:g} point: {each}."


def _mean(values: Sequence[float]) -> stats.Interval:
    """Over seeds; of one seed an interval without width."""
    return stats.over_seeds(values) if len(values) > 1 else stats.Interval(values[0], values[0], values[0])


def _apart(named: Sequence[tuple[float, str]], least: float) -> list[tuple[float, str]]:
    """Words at places of a logarithmic axis, in order; those of which one is less than `least` times the one
    before stand together, in the middle."""
    found: list[tuple[float, str]] = []
    for place, words in sorted(named):
        if found and place < least * found[-1][0]:
            before, others = found.pop()
            place, words = (before * place) ** 0.5, others if words == others else f"{others}, {words}"
        found.append((place, words))
    return found


def _round_numbers(low: float, high: float) -> list[float]:
    """Ticks of a logarithmic axis: few, but three at least where the axis is short."""
    few, many = (1, 1.5, 2, 3, 5, 7), (1, 1.2, 1.5, 1.7, 2, 2.5, 3, 3.5, 4, 4.5, 5, 6, 7, 8, 9)
    found = [
        [m * 10.0**e for e in range(-4, 6) for m in of if low <= m * 10.0**e <= high] for of in (few, many)
    ]
    return found[0] if len(found[0]) > 2 else found[1]


def _nudge(place: int, labels: Sequence[str]) -> float:
    """How far to the side a series is drawn, so that the intervals of several stand beside each other."""
    return min(0.8, 0.12 * len(labels)) * ((place + 0.5) / len(labels) - 0.5)


def _of_rows(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    label, variant = rows["label"].iloc[0], rows["variant"].iloc[0]
    return frame[(frame["label"] == label) & (frame["variant"] == variant)]


def _interval_text(table: pd.DataFrame) -> str:
    kinds = {
        stats.T: f"Student's t over seeds{SEED_DOTS}",
        stats.RESOLUTION: "the test set's resolution where seeds agree",
        stats.WILSON: "Wilson where there is one seed",
    }
    found = [words for kind, words in kinds.items() if kind in set(table["interval"])]
    return f"95 % intervals: {'; '.join(found)}"


def _listed(metrics: Sequence[str]) -> str:
    return " and ".join(map(in_words, metrics)).capitalize()
