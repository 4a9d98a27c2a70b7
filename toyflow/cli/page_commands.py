"""The commands that write a page of results. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from toyflow.cli.options import (
    OUT,
    Device,
    Out,
    examples,
)
from toyflow.cli.terminal import check_torch, console, progress


def add_commands(app: typer.Typer) -> None:
    """Add report and explore to `app`."""

    @app.command(epilog=examples("toyflow report", "toyflow report --out results"))
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

    @app.command(epilog=examples("toyflow explore", "toyflow explore --out results"))
    def explore(
        device: Device = "auto",
        data_dir: Annotated[
            str | None,
            typer.Option(
                help="Data sets of a toy task, or the demonstrations of a policy if they have moved."
            ),
        ] = None,
        out: Out = OUT,
    ) -> None:
        """Write explore.html, one self-contained page to play with: two settings of a study side by side.

        Choose schedule, prediction, steps and draws: see answers form from noise, scores against
        milliseconds, the error by noise level, and what one step gets wrong. --out is a results folder, or
        a folder of results folders.

        Where models' weights are, the first test examples are decoded, and kept call by call in
        OUT/denoising, which the page shows without weights, too. Films of robot-eval --videos are shown in
        step.
        """
        check_torch()
        from toyflow.api.exploring import explore as explored  # imports torch

        with progress("decoding examples") as on_progress:
            path = explored(out, device=device, data_dir=data_dir, on_progress=on_progress)
        console.print(escape(str(path)), style="green")
