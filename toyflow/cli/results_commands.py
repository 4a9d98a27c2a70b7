"""The commands that read results folders. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from toyflow.cli.options import OUT, Device, Out, examples
from toyflow.cli.terminal import check_torch, console, progress


def add_commands(app: typer.Typer) -> None:
    """Add plot, compare, probe and report to `app`."""

    @app.command(
        epilog=examples(
            "toyflow plot",
            "toyflow plot --out results/reference/finding-1 --format png,pdf,svg",
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
            "toyflow compare shift:4@beta uniform",
            "toyflow compare shift:4@beta uniform beta --steps 1,10 --out results/reference/finding-1",
            'toyflow compare "beta,K=1" "beta,K=10" --margin 1',
            'toyflow compare "shift:4@beta,encoder=large" results/reference/finding-1::shift:4@beta '
            "--out results/reference/finding-2",
        )
    )
    def compare(
        selections: Annotated[
            list[str],
            typer.Argument(
                help="Two results or more; the first is compared with each of the others. Write a schedule "
                "or objective as tables show it, then conditions: shift:4@beta,K=10,encoder=large. Prefix "
                "FOLDER:: to read another results folder."
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

        Seeds are paired, and several p-values are adjusted by Holm's method. Where there are too few seeds to
        tell, a sentence says how many would be enough.
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

    @app.command(
        epilog=examples(
            "toyflow probe --out results/finding-1",
            "toyflow probe shift:4@beta uniform --steps 100",
            "toyflow probe 3f2a",
        )
    )
    def probe(
        selections: Annotated[
            list[str] | None,
            typer.Argument(help="Schedules, objectives or keys; none for every model."),
        ] = None,
        steps: Annotated[int, typer.Option(help="Number K of steps of the sampled paths.", min=2)] = 50,
        device: Device = "auto",
        data_dir: Annotated[
            str | None,
            typer.Option(
                help="Data sets of a toy task, or the demonstrations of a policy if they have moved."
            ),
        ] = None,
        out: Out = OUT,
    ) -> None:
        """Say what one step loses, and what to do about it: the anatomy of every model's one-step error.

        The error of one step is noise that leaks through the network (which averaged draws or --predict data
        remove), bias (which training removes), and the task's own spread (for which several steps are there).
        Where a model has a velocity, its error by noise level is measured, too, how straight its sampled
        paths are, and how far one step lands from many. Where a task knows the optimal field in closed form,
        that is measured as well.
        """
        check_torch()
        from toyflow.api.probing import probe as probed
        from toyflow.report.probe_report import show_probe, write_probe

        with progress("probing") as on_progress:
            found = probed(
                out, selections or [], steps=steps, device=device, data_dir=data_dir, on_progress=on_progress
            )
        show_probe(found, console)
        for path in write_probe(found, out):
            console.print(escape(str(path)), style="green")

    @app.command(
        epilog=examples("toyflow report --out results/finding-1", "toyflow report --out results/reference")
    )
    def report(out: Out = OUT) -> None:
        """Write report.html, one self-contained page, and report.md: the paper's claims beside these results.

        --out is a results folder, or a folder of results folders.
        """
        check_torch()
        from toyflow.report.page import write_pages
        from toyflow.report.paper import PAPER

        with console.status("reading results, drawing"):
            paths = write_pages(out, PAPER)
        for path in paths:
            console.print(escape(str(path)), style="green")
