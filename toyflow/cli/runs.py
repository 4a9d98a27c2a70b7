"""`toyflow runs`: the cells of a results folder, one by one."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markup import escape

from toyflow.cli.options import OUT, Out, examples
from toyflow.cli.terminal import check_torch, console
from toyflow.errors import UsageError


def add_commands(app: typer.Typer) -> None:
    """Add runs list, show and prune to `app`."""
    runs = typer.Typer(no_args_is_help=True, help="List, show and prune the cells of a results folder.")
    app.add_typer(runs, name="runs")

    @runs.command(
        "list", epilog=examples("toyflow runs list", "toyflow runs list --out results/reference/finding-1")
    )
    def runs_list(out: Out = OUT) -> None:
        """List the cells: key, law, seed, scores, seconds, size."""
        check_torch()
        from toyflow.report.runs import cells_table

        console.print(cells_table(out))

    @runs.command("show", epilog=examples("toyflow runs show 3f2a"))
    def runs_show(
        key: Annotated[str, typer.Argument(help="Key of a cell, or its beginning.")],
        out: Out = OUT,
    ) -> None:
        """Show one cell whole: configuration, environment, scores, files checked against their checksums."""
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
        keys: Annotated[list[str] | None, typer.Argument(help="Keys of cells, or their beginnings.")] = None,
        schedule: Annotated[str | None, typer.Option(help="Cells of this schedule or objective.")] = None,
        damaged: Annotated[
            bool,
            typer.Option("--damaged", help="Cells, or single decodings, with a file missing or altered."),
        ] = False,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
        out: Out = OUT,
    ) -> None:
        """Delete cells, after asking."""
        check_torch()
        from toyflow.report.runs import existing_store, find_cells, find_damaged

        if not (keys or schedule or damaged):
            raise UsageError("say what to prune: keys, --schedule NAME or --damaged.")
        store = existing_store(out)
        cells = find_cells(store, keys or [], schedule)
        chosen: list[tuple[str, str | None]] = [(key, None) for key in cells]
        if damaged:
            chosen += [part for part in find_damaged(store) if part[0] not in cells]
        if not chosen:
            console.print("nothing to prune")
            return
        names = ["/".join(filter(None, part)) for part in chosen]
        console.print(escape(f"to delete from {out}: {', '.join(names)}"))
        if not yes:
            try:
                agreed = typer.confirm("Delete them?")
            except typer.Abort:
                raise UsageError(
                    "nobody answered, so nothing was deleted; --yes deletes without asking."
                ) from None
            if not agreed:
                raise typer.Exit(1)
        for key, decoding in chosen:
            store.remove(key, decoding)
        console.print(f"deleted {len(chosen)}")
