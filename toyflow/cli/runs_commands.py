"""`toyflow runs`: the cells of a results folder, one by one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from toyflow.cli import completion
from toyflow.cli.options import OUT, Out, examples
from toyflow.cli.terminal import agreed, check_torch, console


def add_commands(app: typer.Typer) -> None:
    """Add runs list, show and prune to `app`."""
    runs = typer.Typer(no_args_is_help=True, help="List, show and prune the cells of a results folder.")
    app.add_typer(runs, name="runs")

    @runs.command("list", epilog=examples("toyflow runs list", "toyflow runs list --out results/finding-1"))
    def runs_list(out: Out = OUT) -> None:
        """List cells: key, schedule or objective, seed, scores, seconds, size."""
        check_torch()
        from toyflow.report.runs import cells_table

        console.print(cells_table(out))

    @runs.command("show", epilog=examples("toyflow runs show 3f2a"))
    def runs_show(
        key: Annotated[str, typer.Argument(help="Key of a cell, or how it begins.")],
        out: Out = OUT,
    ) -> None:
        """Show one cell: configuration, environment, scores, and whether its files match their checksums."""
        check_torch()
        from toyflow.report.runs import show_cell

        shown, well = show_cell(out, key)
        console.print(shown)
        raise typer.Exit(0 if well else 1)

    @runs.command(
        "prune",
        epilog=examples(
            "toyflow runs prune 3f2a 90bc",
            "toyflow runs prune --damaged",
            "toyflow runs prune --schedule uniform --yes",
        ),
    )
    def runs_prune(
        keys: Annotated[list[str] | None, typer.Argument(help="Keys of cells, or how they begin.")] = None,
        schedule: Annotated[
            str | None,
            typer.Option(help="Cells of this schedule or objective.", autocompletion=completion.schedule),
        ] = None,
        damaged: Annotated[
            bool,
            typer.Option("--damaged", help="Cells and decodings with a file missing or altered."),
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Delete without asking.")] = False,
        out: Out = OUT,
    ) -> None:
        """Delete cells of a results folder, after asking."""
        check_torch()
        from toyflow.api.pruning import choose_prunable, prune  # imports torch

        chosen = choose_prunable(out, keys or (), schedule, damaged)
        if not chosen:
            console.print("nothing to prune")
            return
        console.print(escape(f"to delete from {out}: {', '.join(map(str, chosen))}"))
        if not (yes or agreed("Delete them?", "--yes deletes without asking")):
            raise typer.Exit(1)
        prune(out, chosen)
        console.print(f"deleted {len(chosen)}")
