"""The commands that draw and compare the results of a folder. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from toyflow.cli import completion
from toyflow.cli.options import (
    OUT,
    Out,
    examples,
)
from toyflow.cli.terminal import check_torch, console


def add_commands(app: typer.Typer) -> None:
    """Add plot and compare to `app`."""

    @app.command(
        epilog=examples(
            "toyflow plot",
            "toyflow plot --out results/finding-1 --format png,pdf,svg",
        )
    )
    def plot(
        out: Out = OUT,
        formats: Annotated[
            str, typer.Option("--format", help="Formats of the figures: png,pdf,svg.")
        ] = "png",
    ) -> None:
        """Draw the figures of a results folder, and write its tables as CSV."""
        check_torch()
        from toyflow.report.paper import PAPER
        from toyflow.report.write import write_report

        with console.status("reading results, drawing"):
            paths = write_report(out, [name.strip() for name in formats.split(",") if name.strip()], PAPER)
        for path in paths:
            console.print(escape(str(path)), style="green")

    @app.command(
        epilog=examples(
            "toyflow compare beta uniform",
            "toyflow compare beta uniform --steps 1,10",
            'toyflow compare "beta,K=1" "beta,K=10" --margin 1',
            "toyflow compare shift:4@beta uniform beta --out results/finding-1",
            'toyflow compare "shift:4@beta,encoder=large" results/finding-1::shift:4@beta '
            "--out results/finding-2",
        )
    )
    def compare(
        selections: Annotated[
            list[str],
            typer.Argument(
                help="Two results or more; the first is compared with each of the others. Write a schedule "
                "or objective as tables show it, then conditions: shift:4@beta,K=10,encoder=large. Prefix "
                "FOLDER:: to read another results folder.",
                autocompletion=completion.trained,
            ),
        ],
        steps: Annotated[str, typer.Option(help="Numbers K of steps, for selections that name none.")] = "1",
        metric: Annotated[
            str | None,
            typer.Option(
                help="Metric to compare by.",
                show_default="the headline, then each metric of all samples together",
            ),
        ] = None,
        margin: Annotated[
            float | None,
            typer.Option(
                help="Largest difference that counts as equivalent, in points or the metric's unit.",
                show_default="2 points, or a tenth of the first's metric",
            ),
        ] = None,
        out: Out = OUT,
    ) -> None:
        """Compare results over training seeds: differences with intervals, and a sentence for each.

        Seeds are paired, and several p-values are adjusted by Holm's method, those of equivalence too. Beside
        intervals over seeds, which speak of this test set, stand those for new seeds and new examples. Where
        there are too few seeds to tell, a sentence says how many would be enough.
        """
        check_torch()
        from toyflow.api.comparing import compare_by_all  # imports torch
        from toyflow.parsing import parse_steps
        from toyflow.report.verdicts import TABLE_WIDTH, comparison_table, verdicts

        asked = parse_steps(steps, "--steps")
        comparison, *others = compare_by_all(out, selections, asked, metric, margin)
        if console.width >= TABLE_WIDTH:  # in a narrower terminal the sentences say most of it
            console.print(comparison_table(comparison))
        for sentence in verdicts(comparison):
            console.print(f"\n{escape(sentence)}")
        for other in others:
            for sentence in verdicts(other):
                console.print(f"\n{escape(sentence)} (--metric {other.measure.metric})")
