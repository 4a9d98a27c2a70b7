"""`toyflow probe` of a policy: its tables and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow.atomic import write_json, write_manifest
from toyflow.report.anatomy_report import over_seeds
from toyflow.report.policy_probe import (
    JOINT,
    ROBOT,
    WHOLE,
    PlanErrors,
    ProbedPolicy,
    anatomy_frame,
    dissected_parts,
    error_parts,
    errors_frame,
)
from toyflow.report.policy_probe_figures import anatomy_figure_by_joint, errors_figure
from toyflow.report.policy_probe_sentences import policy_sentences
from toyflow.report.style import save
from toyflow.report.write import write_csv
from toyflow.stats import Interval


def show_policy_probe(probed: ProbedPolicy, console: Console) -> None:
    """Print the tables by joint and the sentences."""
    if probed.dissected or probed.model.steps:
        console.print(anatomy_table(probed))
    console.print(errors_table(probed))
    for sentence in policy_sentences(probed):
        console.print(f"\n{escape(sentence)}")
    console.print()


def anatomy_table(probed: ProbedPolicy) -> Table:
    """The anatomy of one step for a terminal: of all actions, all moves, and the actions of each joint. What
    was not measured has no column."""
    steps = probed.model.steps
    every = {
        "error": "error", "leak": "leak", "removed_by_2": "removed\nby 2", "removed_by_8": "removed\nby 8",
        "bias_and_spread": "bias²\n+ spread", "model_spread": f"spread\nK={steps}",
    }  # fmt: skip
    whole = dissected_parts(probed, probed.actions)[0].row.parts
    columns = {name: head for name, head in every.items() if name in whole}
    if not probed.dissected:
        del columns["leak"]
    of = "anatomy of one step" if probed.dissected else f"spread of answers in {steps} steps"
    table = Table(title=f"{of} of {escape(probed.model.label)}", title_justify="left")
    table.add_column("", overflow="fold")
    for head in columns.values():
        table.add_column(head, justify="right", no_wrap=True)

    def add(name: str, parts: Mapping[str, Interval], last: bool = False) -> None:
        cells = [
            _share(parts[each]) if each.startswith("removed") else _value(parts[each]) for each in columns
        ]
        table.add_row(escape(name), *cells, end_section=last)

    for errors in probed.errors:
        add(f"all {errors.of}", dissected_parts(probed, errors)[0].row.parts, errors is probed.errors[-1])
    for kind, name, row in dissected_parts(probed, probed.actions):
        if kind == JOINT:
            add(name, row.parts)
    sampled = f"; spread K={steps}: variance of the model's samples in {steps} steps" if steps else ""
    told = (
        "; error = leak + bias² + spread, of which one action per frame cannot tell the last two apart"
        if probed.dissected
        else ""
    )
    table.caption = (
        "actions in variances of each joint over the data set, moves from one action to the next in their "
        f"mean square{told}{sampled}; ±: 95 %, t over episodes; {probed.where}"
    )
    table.caption_justify = "left"
    return table


def errors_table(probed: ProbedPolicy) -> Table:
    """Errors by decoding for a terminal: of all actions, of all moves, and of the actions of each joint."""
    first, reference = probed.decodings[0], probed.reference
    table = Table(title=f"error of plans of {escape(probed.model.label)} (rms)", title_justify="left")
    table.add_column("", overflow="fold")
    for decoding in probed.decodings:
        table.add_column(decoding.label, justify="right", no_wrap=True)
    if first != reference:
        table.add_column(f"{first.label}\nless {reference.label}", justify="right", no_wrap=True)

    def add(errors: PlanErrors, kind: str, unit: str, last: bool = False) -> None:
        for part in error_parts(probed, errors):
            if (part.kind, part.unit) == (kind, unit):
                cells = [_value(part.rms(probed, each)) for each in probed.decodings]
                cells += [_value(part.difference(probed, first))] * (first != reference)
                name = f"all {errors.of} ({_short(errors)})" if kind == WHOLE else part.name
                table.add_row(escape(name), *cells, end_section=last)

    for errors in probed.errors:
        add(errors, WHOLE, errors.unit, errors is probed.errors[-1])
    add(probed.actions, JOINT, ROBOT)
    noises = "all decodings from the same noises; " if probed.same_noises else ""
    table.caption = (
        "against the data set's actions, those of each joint in the robot's units; sd: standard deviation of "
        "each joint over the data set; rms move: root mean square of its changes from one action to the "
        f"next; {noises}errors against one demonstration favour averages where "
        f"demonstrations differ; ±: 95 %, t over episodes; {probed.where}"
    )
    table.caption_justify = "left"
    return table


def _short(errors: PlanErrors) -> str:
    return "sd" if errors.of == "actions" else "rms move"


def _value(part: Interval) -> str:
    return f"{part.estimate:.3g}\n[dim]±{part.high - part.estimate:.2g}[/]"


def _share(part: Interval) -> str:
    if part.estimate != part.estimate:  # no leak to remove
        return "[dim]n/a[/]"
    return f"{100 * part.estimate:.0f}%\n[dim]±{100 * (part.high - part.estimate):.0f}[/]"


def write_policy_probe(probed: ProbedPolicy, out: Path) -> list[Path]:
    """Write anatomy.csv, errors.csv, probe.json, anatomy.png (where one step was dissected) and errors.png
    into OUT/probe/KEY-DATASET; the files, in order. Then their manifest."""
    folder = out / "probe" / f"{probed.model.key}-{Path(probed.dataset).name}"
    folder.mkdir(parents=True, exist_ok=True)
    summary = folder / "probe.json"
    write_json(summary, _summary(probed))
    written = [
        write_csv(anatomy_frame(probed), folder / "anatomy.csv"),
        write_csv(errors_frame(probed), folder / "errors.csv"),
        summary,
    ]
    sns.set_theme(context="paper", style="ticks", font_scale=1.1)
    figures = {"anatomy": anatomy_figure_by_joint, "errors": errors_figure}
    if not probed.dissected:
        del figures["anatomy"]
        (folder / "anatomy.png").unlink(missing_ok=True)  # of an earlier probe
    for name, draw in figures.items():
        figure = draw(probed)
        written.append(save(figure, folder / f"{name}.png"))
        plt.close(figure)
    write_manifest(folder, written)
    return written


def _summary(probed: ProbedPolicy) -> dict[str, Any]:
    advice = probed.advice
    return {
        "policy": probed.model.label,
        "key": probed.model.key,
        "dataset": probed.dataset,
        "fingerprint": probed.fingerprint,
        "frames_are": probed.origin,
        "frames": len(probed.groups),
        "episodes": probed.episodes,
        "interval": "95 %, t over episodes",
        **{errors.of: _summary_of(probed, errors) for errors in probed.errors},
        "advice": None if advice is None else {"steps": advice.steps, "draws": advice.draws},
        "not_measured": list(probed.not_measured),
        "sentences": policy_sentences(probed),
    }


def _summary_of(probed: ProbedPolicy, errors: PlanErrors) -> dict[str, Any]:
    [whole] = over_seeds([errors.model])
    part = next(error_parts(probed, errors))
    return {
        "unit": errors.unit,
        "anatomy": {
            name: [found.estimate, found.low, found.high]
            for name, found in whole.parts.items()
            if found.estimate == found.estimate
        },
        "rms": {decoding.label: part.rms(probed, decoding).estimate for decoding in probed.decodings},
    }
