"""The anatomy of one-step errors as a table, a figure and sentences.

Over 300 lines, as all three show the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from rich.markup import escape
from rich.table import Table

from toyflow.flow.anatomy import DRAWS, MEASURES, Anatomy, averaged
from toyflow.report.diagnosis import NEGLIGIBLE, Diagnosis, diagnose, shown
from toyflow.report.style import heading, in_lines
from toyflow.stats import Interval

PAIR, EIGHT, LEFT, BIAS, SPREAD, BOTH = "#1f5f99", "#5b9bd0", "#a9cdea", "#d98e3b", "#f4f4f4", "#e6c9a3"
"""Colours of the parts of a bar, which differ in grey, too."""
ROUNDING = 1e-9
"""A smaller leak, as a share of the targets' variance, is rounding: no share of it is removed by draws."""
NOTHING = Interval(math.nan, math.nan, math.nan)
WIDTH = 5.6
"""Of the figure, in inches."""
BOTH_LOOK: Any = {"color": BOTH, "hatch": "\\\\"}
BAR: Any = {"height": 0.52, "edgecolor": "white", "linewidth": 0.4}
LOSE_NOTHING: Any = {"color": "0.25", "linestyle": (0, (1, 1.5)), "linewidth": 1.2}
SAMPLED: Any = {
    "marker": "D",
    "color": "black",
    "markerfacecolor": "white",
    "markersize": 5,
    "linewidth": 1.2,
}


@dataclass(frozen=True)
class DissectedModel:
    """The anatomy of one model, with what names the model and what can be done about it."""

    label: str
    variant: str
    seed: int | None
    anatomy: Anatomy
    variance: float
    """Of the targets: the mean over elements."""
    steps: int | None
    """K of the samples whose variance is `model_spread`."""
    may_predict_data: bool
    """Whether the model could be trained with `--predict data`, and was not."""
    key: str = ""
    origin: str = "test set"
    """What the conditions were to the model: of the test set, or of training."""


@dataclass(frozen=True)
class DissectedLabel:
    """The mean anatomy of all seeds of a label and variant, as intervals over conditions."""

    label: str
    variant: str
    seeds: int
    conditions: int
    groups: int
    """Number of groups of conditions, such as episodes, over which intervals are; as many as conditions where
    each is its own."""
    origin: str
    variance: float
    steps: int | None
    parts: dict[str, Interval]
    """See `Anatomy.intervals`."""
    diagnosis: Diagnosis


def over_seeds(models: Sequence[DissectedModel]) -> list[DissectedLabel]:
    """The models of each label and variant taken together, in the given order.

    Each condition's values are averaged over the seeds, so that the intervals speak of these models on new
    conditions.
    """
    groups: dict[tuple[str, str], list[DissectedModel]] = {}
    for model in models:
        groups.setdefault((model.label, model.variant), []).append(model)
    found = []
    for (label, variant), group in groups.items():
        first, mean = group[0], averaged([model.anatomy for model in group])
        parts = mean.intervals()
        if parts["leak"].estimate < ROUNDING * first.variance:
            parts |= {name: NOTHING for name in parts if name.startswith("removed")}
        advice = diagnose(parts, first.variance, first.steps, first.may_predict_data)
        seeds = sum(model.seed is not None for model in group)
        found.append(
            DissectedLabel(
                label,
                variant,
                seeds,
                len(mean.leak),
                _groups(mean),
                first.origin,
                first.variance,
                first.steps,
                parts,
                advice,
            )
        )
    return found


def _groups(anatomy: Anatomy) -> int:
    return len(anatomy.leak) if anatomy.groups is None else len(anatomy.groups.unique())


def anatomy_frame(labels: Sequence[DissectedLabel]) -> pd.DataFrame:
    """A row per label and variant: each of `MEASURES` that was measured and `removed_by_M`, their bounds with
    names in _low and _high, which `interval` describes, and the draws and steps that `diagnose` advises."""
    return pd.DataFrame([_row(each) for each in labels])


def _row(each: DissectedLabel) -> dict[str, Any]:
    row: dict[str, Any] = {
        "label": each.label,
        "variant": each.variant,
        "seeds": each.seeds,
        "conditions": each.conditions,
        "groups": each.groups,
        "conditions_are": each.origin,
        "target_variance": each.variance,
        "steps": each.steps,
        "interval": "95 %, t over conditions" if each.groups == each.conditions else "95 %, t over groups",
    }
    for name in (*MEASURES, *(f"removed_by_{draws}" for draws in DRAWS)):
        if name in each.parts:
            row |= interval_columns(name, each.parts[name])
    return row | {"advised_draws": each.diagnosis.draws, "advised_steps": each.diagnosis.steps}


def interval_columns(name: str, part: Interval) -> dict[str, float]:
    """An interval as three columns of a table: the estimate, and its bounds by names in _low and _high."""
    return {name: part.estimate, f"{name}_low": part.low, f"{name}_high": part.high}


def anatomy_sentences(labels: Sequence[DissectedLabel]) -> list[str]:
    """A sentence per label and variant: what one step loses, and what to do."""
    return [
        each.diagnosis.sentence(f"{each.label}, {each.variant}" if each.variant else each.label)
        for each in labels
    ]


def anatomy_table(labels: Sequence[DissectedLabel]) -> Table:
    """Table for a terminal, a line per label and variant."""
    split, whole = _split(labels)
    steps = _steps(labels)
    columns = {
        "error": "error",
        "leak": "leak",
        "removed_by_2": "removed\nby 2",
        "removed_by_8": "removed\nby 8",
        **({"bias_and_spread": "bias²\n+ spread"} if whole else {}),
        **({"bias": "bias²", "spread": "spread"} if split else {}),
        **({"model_spread": f"spread\nK={steps}", "sample_error": f"error\nK={steps}"} if steps else {}),
    }
    table = Table(title="anatomy of one step (± 95 %)", title_justify="left")
    table.add_column("schedule", no_wrap=True)
    several = len({each.variant for each in labels}) > 1
    if several:
        table.add_column("variant", min_width=8)
    table.add_column("seeds", justify="right", no_wrap=True)
    for head in columns.values():
        table.add_column(head, justify="right", no_wrap=True)
    for variant in dict.fromkeys(each.variant for each in labels):
        for each in labels:
            if each.variant == variant:
                names = [escape(each.label), *([escape(variant)] if several else []), str(each.seeds or "-")]
                table.add_row(*names, *(_cell(each.parts.get(name), name) for name in columns))
        table.add_section()
    unknown = "" if split else "; with one target per condition bias² and spread are not told apart"
    sampled = f"; spread and error K={steps}: of samples in so many steps, leak included" if steps else ""
    table.caption = (
        f"per number of a target (variance {_variances(labels)}): error = leak + bias² + spread{unknown}; "
        "leak: variance of the answer over noise, and the share of it that the mean of 2 or 8 draws removes"
        f"{sampled}; ±: t over {_conditions(labels)}, for these models"
    )
    table.caption_justify = "left"
    return table


def anatomy_figure(labels: Sequence[DissectedLabel]) -> Figure:
    """A bar per model: its one-step error as leak, bias^2 and spread, with what 2 and 8 draws take from the
    leak; a diamond is the variance of its samples in several steps. A panel per variant."""
    variants = list(dict.fromkeys(each.variant for each in labels))
    rows = [[each for each in labels if each.variant == variant] for variant in variants]
    heights = [0.42 * len(row) + 0.6 for row in rows]
    figure, grid = plt.subplots(
        len(rows), 1, figsize=(WIDTH, sum(heights) + 0.9), squeeze=False, layout="constrained", sharex=True,
        gridspec_kw={"height_ratios": heights},
    )  # fmt: skip
    for axes, row, variant in zip(grid[:, 0], rows, variants, strict=True):
        for place, each in enumerate(row):
            _bar(axes, place, each)
        axes.set_yticks(range(len(row)), [each.label for each in row])
        axes.set_ylim(len(row) - 0.4, -0.6)
        axes.set_title(in_lines(variant), fontsize=10, loc="left")
        axes.grid(axis="x", alpha=0.35)
        axes.set_axisbelow(True)
        axes.axvline(NEGLIGIBLE * row[0].variance, **LOSE_NOTHING)
    bottom = grid[-1, 0]
    bottom.set_xlim(0, 1.12 * max(_reach(each) for each in labels))
    bottom.set_xlabel("mean square per number of the target")
    _legend(figure, labels)
    heading(figure, "What one step's error is made of (95 % intervals over conditions)")
    sns.despine(figure)
    return figure


def _bar(axes: Axes, place: int, each: DissectedLabel) -> None:
    """The bar of one model. Estimates below 0 are drawn as 0."""
    parts, left = each.parts, 0.0
    leak = max(0.0, parts["leak"].estimate)
    removed = [parts.get(f"removed_by_{draws}", NOTHING).estimate for draws in (2, 8)]
    shares = [0.0, *(0.0 if math.isnan(share) else share for share in removed), 1.0]
    looks = ((PAIR, "////"), (EIGHT, "...."), (LEFT, ""))
    for (colour, hatch), low, high in zip(looks, shares[:-1], shares[1:], strict=True):
        axes.barh(place, leak * max(0.0, high - low), left=leak * low, color=colour, hatch=hatch, **BAR)
    left = leak
    _whisker(axes, left, place, parts["leak"])
    told = {"bias": {"color": BIAS}, "spread": {"color": SPREAD, "edgecolor": "0.4"}}
    for name, look in (told if "bias" in parts else {"bias_and_spread": BOTH_LOOK}).items():
        if name in parts:
            width = max(0.0, parts[name].estimate)
            axes.barh(place, width, left=left, **{**BAR, **look})
            left += width
            _whisker(axes, left, place, parts[name])
    if "model_spread" in parts:
        sampled = parts["model_spread"]
        error = [[sampled.estimate - sampled.low], [sampled.high - sampled.estimate]]
        drawn = axes.errorbar(sampled.estimate, place + 0.38, xerr=error, linestyle="none", **SAMPLED)
        drawn.lines[0].set_clip_on(False)  # one at 0 is whole
    last = parts.get("error", parts["leak"])
    end = (left + last.high - last.estimate, place - 0.1)
    axes.annotate(shown(last.estimate), end, (5, 0), textcoords="offset points", fontsize=9, va="center")


def _whisker(axes: Axes, end: float, place: int, part: Interval) -> None:
    half = part.high - part.estimate
    axes.errorbar(end, place, xerr=half, color="black", linewidth=1, capsize=2.5)


def _legend(figure: Figure, labels: Sequence[DissectedLabel]) -> None:
    split, whole = _split(labels)
    paired = any("removed_by_2" in each.parts for each in labels)
    handles: list[Any] = [
        Patch(facecolor=PAIR, hatch="////", edgecolor="white", label="leak that 2 draws remove"),
        Patch(facecolor=EIGHT, hatch="....", edgecolor="white", label="further leak that 8 draws remove"),
    ] * paired
    left = "leak that 8 draws leave" if paired else "leak"
    handles.append(Patch(facecolor=LEFT, edgecolor="white", label=left))
    if split:
        handles += [
            Patch(facecolor=BIAS, label="bias²"),
            Patch(facecolor=SPREAD, edgecolor="0.4", label="the task's spread"),
        ]
    if whole:
        handles.append(Patch(facecolor=BOTH, hatch="\\\\", edgecolor="white", label="bias² + spread"))
    steps = _steps(labels)
    if steps:
        handles.append(Line2D([], [], linestyle="none", label=f"variance of samples, K={steps}", **SAMPLED))
    share = f"{100 * NEGLIGIBLE:g} % of the targets' variance"
    handles.append(Line2D([], [], label=share, **LOSE_NOTHING))
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=9)


def _reach(each: DissectedLabel) -> float:
    parts = each.parts
    return max(parts[name].high for name in ("error", "leak", "model_spread") if name in parts)


def _split(labels: Sequence[DissectedLabel]) -> tuple[bool, bool]:
    """Whether bias^2 and spread are told apart for some model, and whether they are not for some model."""
    told = ["bias" in each.parts for each in labels if "bias_and_spread" in each.parts]
    return any(told), not all(told)


def _steps(labels: Sequence[DissectedLabel]) -> str:
    """K of the samples: `10`, or `8, 10` where models differ."""
    return ", ".join(map(str, sorted({each.steps for each in labels if each.steps is not None})))


def _conditions(labels: Sequence[DissectedLabel]) -> str:
    """What intervals are over: `500 conditions (test set)`, `50 groups of 500 conditions (frames of
    training)`; the most of them, for each origin."""
    words = []
    for origin in dict.fromkeys(each.origin for each in labels):
        most = max((each for each in labels if each.origin == origin), key=lambda each: each.conditions)
        grouped = f"{most.groups} groups of " if most.groups < most.conditions else ""
        words.append(f"{grouped}{most.conditions} conditions ({origin})")
    return " and ".join(words)


def _variances(labels: Sequence[DissectedLabel]) -> str:
    found = sorted({f"{each.variance:.2g}" for each in labels})
    return found[0] if len(found) == 1 else f"{found[0]} to {found[-1]}"


def _cell(part: Interval | None, name: str) -> str:
    if part is None or math.isnan(part.estimate):
        return "[dim]n/a[/]"
    half = part.high - part.estimate
    if name.startswith("removed"):
        return f"{100 * part.estimate:.0f}%\n[dim]±{100 * half:.0f}[/]"
    return f"{part.estimate:.4f}\n[dim]±{half:.4f}[/]"
