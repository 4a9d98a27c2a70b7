"""`toyflow probe` of a policy: its tables and files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from toyflow.atomic import write_json
from toyflow.report.anatomy_report import over_seeds
from toyflow.report.policy_probe import (
    DEVIATIONS,
    JOINT,
    TIME,
    WHOLE,
    ProbedPolicy,
    anatomy_by_part,
    anatomy_rows,
    errors_by_part,
    errors_of,
    policy_sentences,
)
from toyflow.report.policy_probe_figures import anatomy_figure_by_joint, errors_figure
from toyflow.report.style import save
from toyflow.report.write import write_csv
from toyflow.stats import Interval, rms_over_conditions


def show_policy_probe(probed: ProbedPolicy, console: Console) -> None:
    """Print the tables by joint and the sentences."""
    console.print(anatomy_by_joint(probed))
    console.print(errors_by_joint(probed))
    for sentence in policy_sentences(probed):
        console.print(f"\n{escape(sentence)}")
    console.print()


def anatomy_by_joint(probed: ProbedPolicy) -> Table:
    """The anatomy of one step for a terminal, a line per joint."""
    steps = probed.model.steps
    columns = {
        "error": "error", "leak": "leak", "removed_by_2": "removed\nby 2", "removed_by_8": "removed\nby 8",
        "bias_and_spread": "bias²\n+ spread",
        **({"model_spread": f"spread\nK={steps}"} if steps else {}),
    }  # fmt: skip
    table = Table(title=f"anatomy of one step of {escape(probed.model.label)}", title_justify="left")
    table.add_column("joint", overflow="fold")
    for head in columns.values():
        table.add_column(head, justify="right", no_wrap=True)
    for kind, name, row in anatomy_rows(probed):
        if kind != TIME:
            cells = [
                _share(row.parts, each) if "removed" in each else _value(row.parts[each]) for each in columns
            ]
            table.add_row(escape(name), *cells, end_section=kind == WHOLE)
    sampled = f"; spread K={steps}: variance of the model's samples in {steps} steps" if steps else ""
    table.caption = (
        "in units of each joint's variance over the data set; error = leak + bias² + spread, of which one "
        f"action per frame cannot tell the last two apart{sampled}; ±: 95 %, t over episodes; {probed.where}"
    )
    table.caption_justify = "left"
    return table


def errors_by_joint(probed: ProbedPolicy) -> Table:
    """Action errors by decoding for a terminal, a line per joint, in the robot's units."""
    reference = probed.reference
    first = next(iter(probed.squares))
    table = Table(title=f"action error of {escape(probed.model.label)} (rms)", title_justify="left")
    table.add_column("joint", overflow="fold")
    for decoding in probed.squares:
        table.add_column(decoding.label, justify="right", no_wrap=True)
    if first != reference:
        table.add_column(f"{first.label}\nless {reference.label}", justify="right", no_wrap=True)
    for kind, name, unit, squares in errors_of(probed):
        if kind == TIME or (kind == JOINT and unit == DEVIATIONS):
            continue
        cells = [_value(rms_over_conditions(squares(each), groups=probed.groups)) for each in probed.squares]
        if first != reference:
            cells.append(_value(rms_over_conditions(squares(first), squares(reference), probed.groups)))
        table.add_row(escape(f"{name} (sd)" if kind == WHOLE else name), *cells, end_section=kind == WHOLE)
    table.caption = (
        "against the data set's actions; joints in the robot's units, the whole chunk in standard deviations "
        "(sd) of each joint; all decodings from the same noises; an error against one demonstration favours "
        f"averages where demonstrations differ; ±: 95 %, t over episodes; {probed.where}"
    )
    table.caption_justify = "left"
    return table


def _value(part: Interval) -> str:
    half = part.high - part.estimate
    return f"{part.estimate:.3g}\n[dim]±{half:.2g}[/]"


def _share(parts: Mapping[str, Interval], name: str) -> str:
    part = parts[name]
    if part.estimate != part.estimate:  # no leak to remove
        return "[dim]n/a[/]"
    return f"{100 * part.estimate:.0f}%\n[dim]±{100 * (part.high - part.estimate):.0f}[/]"


def write_policy_probe(probed: ProbedPolicy, out: Path) -> list[Path]:
    """Write anatomy.csv, errors.csv, probe.json, anatomy.png and errors.png into OUT/probe/KEY-DATASET; the
    files, in order."""
    folder = out / "probe" / f"{probed.model.key}-{Path(probed.dataset).name}"
    folder.mkdir(parents=True, exist_ok=True)
    summary = folder / "probe.json"
    write_json(summary, _summary(probed))
    sns.set_theme(context="paper", style="ticks", font_scale=1.1)
    written = [
        write_csv(anatomy_by_part(probed), folder / "anatomy.csv"),
        write_csv(errors_by_part(probed), folder / "errors.csv"),
        summary,
    ]
    for name, draw in (("anatomy", anatomy_figure_by_joint), ("errors", errors_figure)):
        figure = draw(probed)
        written.append(save(figure, folder / f"{name}.png"))
        plt.close(figure)
    return written


def _summary(probed: ProbedPolicy) -> dict[str, Any]:
    [whole] = over_seeds([probed.model])
    return {
        "policy": probed.model.label,
        "key": probed.model.key,
        "dataset": probed.dataset,
        "fingerprint": probed.fingerprint,
        "frames_are": probed.origin,
        "frames": len(probed.groups),
        "episodes": sorted(set(probed.groups.tolist())),
        "interval": "95 %, t over episodes",
        "anatomy_in_variances": {
            name: [part.estimate, part.low, part.high]
            for name, part in whole.parts.items()
            if part.estimate == part.estimate
        },
        "rms_in_deviations": {
            decoding.label: float(np.sqrt(probed.deviations(decoding).mean())) for decoding in probed.squares
        },
        "advised": {"steps": whole.diagnosis.steps, "draws": whole.diagnosis.draws},
        "sentences": policy_sentences(probed),
    }
