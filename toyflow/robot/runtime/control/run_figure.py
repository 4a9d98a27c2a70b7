"""Figure of a run's log: each joint's action as asked for and as sent, timing, interventions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter

from toyflow.atomic import atomic_file
from toyflow.errors import UsageError
from toyflow.robot.runtime.control.log import Recording
from toyflow.robot.runtime.robots.base import display_name

FORMATS = (".png", ".pdf", ".svg")
COLUMNS = 2
SHORTEST = 0.01
"""Milliseconds; shorter times are drawn there, as the axis is logarithmic."""
KINDS = (
    "bounds", "change", "smooth", "brake", "not-finite", "shape", "velocity", "jerk", "stale", "hold", "stop",
)  # fmt: skip
"""Interventions, in the order of their rows: from those that change an action to those that end a run."""


def draw_run(recording: Recording, path: Path) -> Path:
    """Draw a run into `path`, atomically. Episodes follow each other on one axis of time.

    Raises:
        UsageError: the run has no steps, or `path` does not end in .png, .pdf or .svg.
    """
    if path.suffix not in FORMATS:
        raise UsageError(f"a figure is {', '.join(FORMATS)}, not {path.name}.")
    run = _Run(recording)
    rows = -(-run.dims // COLUMNS)
    with sns.axes_style("whitegrid"):
        figure = plt.figure(figsize=(12, 1.3 * rows + 4.2), layout="constrained")
        grid = figure.add_gridspec(rows + 2, COLUMNS, height_ratios=[1.0] * rows + [1.5, 1.1])
        first: Axes | None = None
        for dim in range(run.dims):
            axes = figure.add_subplot(grid[dim // COLUMNS, dim % COLUMNS], sharex=first)
            first = first or axes
            run.draw_joint(axes, dim)
        timing = figure.add_subplot(grid[rows, :], sharex=first)
        run.draw_timing(timing)
        run.draw_interventions(figure.add_subplot(grid[rows + 1, :], sharex=timing))
        for axes in figure.axes:
            for end in run.ends[:-1]:
                axes.axvline(end, color="0.5", linewidth=0.8, linestyle=(0, (4, 3)))
        figure.suptitle(run.title, fontsize=12, x=0.01, ha="left")
        figure.legend(handles=run.legend(), loc="upper right", ncols=4, fontsize=9, frameon=False)
    with atomic_file(path) as temporary:
        figure.savefig(temporary, dpi=130)
    plt.close(figure)
    return path


class _Run:
    """The log's lines on one axis of time, in seconds."""

    def __init__(self, recording: Recording) -> None:
        header = recording.header
        self.rate, self.limits = header["rate"], header["limits"]
        self.names = [display_name(name) for name in header["action_names"]]
        self.steps: list[dict[str, Any]] = []
        self.plans: list[tuple[float, dict[str, Any]]] = []
        self.interventions: list[tuple[float, str]] = []
        self.ends: list[float] = []
        self.time: list[float] = []
        begun, last = 0.0, 0.0
        for line in recording.lines:
            if line["kind"] == "episode":
                begun = last + (1 / self.rate if self.time else 0)
                if self.time:
                    self.ends.append(begun)
            at = begun + line.get("step", 0) / self.rate
            if line["kind"] == "step":
                self.steps.append(line)
                self.time.append(at)
                self.interventions += [(at, change) for change in line["changes"]]
                last = at
            elif line["kind"] == "plan":
                self.plans.append((at, line))
            elif line["kind"] == "intervention":
                self.interventions.append((at, line["what"]))
        if not self.steps:
            raise UsageError(f"{recording.path} has no steps to draw.")
        self.ends.append(last)
        self.asked, self.sent = self._actions("asked"), self._actions("sent")
        self.dims = self.sent.shape[1]
        self.stepped = header["clock"] == "stepped"
        clock = "a simulator's clock" if self.stepped else "a real clock"
        self.title = f"{header['robot']} at {self.rate:g} Hz on {clock}" + (
            ", dry run" if header["dry_run"] else ""
        )

    def draw_joint(self, axes: Axes, dim: int) -> None:
        """One dimension of the action, as asked for and as sent."""
        asked, sent = self.asked[:, dim], self.sent[:, dim]
        axes.step(self.time, asked, where="post", color=ASKED, linewidth=2.8, alpha=0.55)
        axes.step(self.time, sent, where="post", color=SENT, linewidth=1.1)
        known = np.concatenate([[0.0], asked[~np.isnan(asked)], sent[~np.isnan(sent)]])
        low, high = known.min(), known.max()
        if len(known) == 1:
            axes.text(0.5, 0.5, "no action", transform=axes.transAxes, ha="center", va="center", color="0.5")
            axes.set_yticks([])
        for key in ("lower", "upper"):
            limit = self.limits[key][dim]
            if limit is not None and low - (high - low) / 2 <= limit <= high + (high - low) / 2:
                axes.axhline(limit, color=LIMIT, linewidth=1, linestyle=(0, (2, 2)))
        axes.set_ylabel(self.names[dim].removesuffix(".pos"), rotation=0, ha="right", va="center", fontsize=9)
        axes.tick_params(labelsize=8, labelbottom=dim >= self.dims - COLUMNS)

    def draw_timing(self, axes: Axes) -> None:
        """How long plans took; in real time also how late steps began, and how long their work took."""
        delay = f"its delay\n(at least {SHORTEST:g})"
        timed = () if self.stepped else (("took", "a step's work", WORK, 3), ("late", delay, SENT, 5))
        for key, label, colour, size in timed:
            milliseconds = [max(1000 * step[key], SHORTEST) for step in self.steps]
            axes.plot(self.time, milliseconds, ".", markersize=size, color=colour, label=label, alpha=0.7)
        kinds = (("a plan", "o", PLAN), ("a late plan", "X", PLAN), ("a refused plan", "X", LIMIT))
        for kind, (label, marker, colour) in enumerate(kinds):
            points = [(at, 1000 * plan["seconds"]) for at, plan in self.plans if _kind(plan) == kind]
            if points:
                x, y = zip(*points, strict=True)
                axes.plot(x, y, marker, color=colour, markersize=5, markeredgecolor="white", label=label)
        period = 1000 / self.rate
        axes.axhline(period, color=LIMIT, linewidth=1, linestyle=(0, (2, 2)))
        axes.annotate(
            "one period", (1, period), xycoords=("axes fraction", "data"), xytext=(-4, 3),
            textcoords="offset points", ha="right", fontsize=8, color=LIMIT,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8},
        )  # fmt: skip
        axes.set(yscale="log", ylabel="milliseconds")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.legend(loc="upper left", bbox_to_anchor=(1.005, 1), fontsize=8, frameon=False)
        axes.tick_params(labelsize=8, labelbottom=False)

    def draw_interventions(self, axes: Axes) -> None:
        """When the gate intervened, a row for each kind."""
        kinds = [kind for kind in KINDS if any(kind == what for _, what in self.interventions)]
        for row, kind in enumerate(kinds):
            times = [at for at, what in self.interventions if what == kind]
            axes.plot(
                times, [row] * len(times), "|", color=LIMIT, markersize=11, markeredgewidth=1.4, clip_on=False
            )
        counts = [sum(what == kind for _, what in self.interventions) for kind in kinds]
        axes.set_yticks(
            range(len(kinds)), [f"{kind} ({n})" for kind, n in zip(kinds, counts, strict=True)], fontsize=9
        )
        axes.set_ylim(max(len(kinds), 1) - 0.5, -0.5)
        times = [at for at, _ in self.interventions]  # a stop may come long after the last step
        axes.set_xlim(0, max([*self.time, *times]) + 1 / self.rate)
        axes.set_xlabel("seconds")
        if not kinds:
            axes.text(0.5, 0.5, "no interventions", transform=axes.transAxes, ha="center", va="center")
            axes.set_yticks([])
        axes.tick_params(labelsize=8)

    def legend(self) -> list[Line2D]:
        """The lines of the joints."""
        return [
            Line2D([], [], color=ASKED, linewidth=2.6, alpha=0.55, label="asked"),
            Line2D([], [], color=SENT, linewidth=1.1, label="sent"),
            Line2D([], [], color=LIMIT, linewidth=1, linestyle=(0, (2, 2)), label="limit"),
        ]

    def _actions(self, key: str) -> Float[np.ndarray, "steps action"]:
        """The actions of all steps; nan where there is none."""
        width = len(self.names)
        return np.array(
            [[np.nan if n is None else n for n in step[key] or [None] * width] for step in self.steps], float
        )


def _kind(plan: dict[str, Any]) -> int:
    """0 for a plan that was carried out in time, 1 for one that was late, 2 for one that was refused."""
    return 2 if not plan["admitted"] else int(plan["late"])


_COLOURS = sns.color_palette("colorblind", 10)
ASKED, SENT, LIMIT, PLAN, WORK = _COLOURS[1], _COLOURS[0], _COLOURS[3], _COLOURS[2], "0.65"
