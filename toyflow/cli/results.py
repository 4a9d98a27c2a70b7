"""The commands that say what results mean. `toyflow.cli` adds them to its own."""

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
        formats: Annotated[str, typer.Option("--format", help="png, pdf, svg, or several.")] = "png",
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
                help="Two results or more; the first is compared with each of the others. A law's label as "
                "tables show it, then conditions after commas: shift:4@beta,K=10,encoder=large. FOLDER:: "
                "before it takes it from another folder."
            ),
        ],
        steps: Annotated[str, typer.Option(help="K for selections that name none.")] = "1",
        metric: Annotated[
            str | None,
            typer.Option(
                help="A metric.", show_default="the headline one, and a sentence on those of the whole sample"
            ),
        ] = None,
        margin: Annotated[
            float | None,
            typer.Option(
                help="Equivalent is within this: points, or the metric's unit.",
                show_default="2 points, or a tenth of the first's metric",
            ),
        ] = None,
        out: Out = OUT,
    ) -> None:
        """Compare results, the seed being the unit: differences with intervals, and a sentence for each.

        Paired by seed; p-values are adjusted by Holm's method where there are several. Where there are too
        few seeds to tell, it says how many would do.
        """
        check_torch()
        from toyflow.parsing import parse_steps
        from toyflow.report.compare import compare as compared
        from toyflow.report.verdicts import TABLE_WIDTH, comparison_table, verdicts

        asked = parse_steps(steps, "--steps")
        comparison = compared(out, selections, asked, metric, margin)
        if console.width >= TABLE_WIDTH:  # the sentences say the most of it
            console.print(comparison_table(comparison))
        for sentence in verdicts(comparison):
            console.print(f"\n{escape(sentence)}")
        for other in () if metric else comparison.of_the_whole:
            for sentence in verdicts(compared(out, selections, asked, other)):
                console.print(f"\n{escape(sentence)} (--metric {other})")

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
            typer.Argument(help="Laws or keys of cells; without, every model that has a velocity."),
        ] = None,
        steps: Annotated[int, typer.Option(help="K of the sampled paths.", min=2)] = 50,
        device: Device = "auto",
        data_dir: Annotated[str | None, typer.Option(help="Where data sets are.")] = None,
        out: Out = OUT,
    ) -> None:
        """Measure what velocity fields have learned: their error by noise level, how straight the sampled
        paths are, and how far one step lands from many. Against the closed form, where the task knows it."""
        check_torch()
        from toyflow.api.probing import probe as probed
        from toyflow.report.probe_report import probe_table, write_probe

        with progress("probing") as on_progress:
            found = probed(
                out, selections or [], steps=steps, device=device, data_dir=data_dir, on_progress=on_progress
            )
        console.print(probe_table(found))
        for path in write_probe(found, out):
            console.print(escape(str(path)), style="green")

    @app.command(
        epilog=examples("toyflow report --out results/finding-1", "toyflow report --out results/reference")
    )
    def report(out: Out = OUT) -> None:
        """Write report.html, one self-contained page, and report.md: the study's claims beside these results.

        OUT is a results folder, or a folder of results folders.
        """
        check_torch()
        from toyflow.report.page import write_pages
        from toyflow.report.paper import PAPER

        with console.status("reading results, drawing"):
            paths = write_pages(out, PAPER)
        for path in paths:
            console.print(escape(str(path)), style="green")
