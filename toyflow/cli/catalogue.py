"""The commands that print what there is. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from typing import Annotated

import typer

from toyflow.cli.options import examples
from toyflow.cli.terminal import check_torch, console


def add_commands(app: typer.Typer) -> None:
    """Add schedules, objectives, tasks, presets and doctor to `app`."""

    @app.command(
        epilog=examples(
            "toyflow schedules",
            "toyflow schedules shift:4@beta logit-normal:-0.5:1 mode:1.29",
        )
    )
    def schedules(
        names: Annotated[
            list[str] | None, typer.Argument(help="Laws to print; without, all families.")
        ] = None,
    ) -> None:
        """Print training-time laws: density, mass at the noise end, source and its direction of time."""
        check_torch()
        from toyflow.report.schedules_table import schedules_table

        console.print(schedules_table(names or None))

    @app.command(epilog=examples("toyflow objectives"))
    def objectives() -> None:
        """Print what can be trained: formula, source, steps, and training passes."""
        check_torch()
        from toyflow.report.catalogue import objectives_table

        console.print(objectives_table())

    @app.command(epilog=examples("toyflow tasks"))
    def tasks() -> None:
        """Print what can be learned: metrics, and the options that `sweep --set` takes."""
        check_torch()
        from toyflow.report.catalogue import tasks_table

        console.print(tasks_table())

    @app.command(epilog=examples("toyflow presets", "toyflow sweep --preset dial --quick"))
    def presets() -> None:
        """Print the sweeps that come with toyflow: what each shows, and what it costs."""
        from toyflow.report.catalogue import presets_table

        console.print(presets_table())

    @app.command(epilog=examples("toyflow doctor"))
    def doctor() -> None:
        """Print versions, devices, threads, data and plug-ins, and what is missing for what."""
        from toyflow.api.doctor import examine

        marks = {True: "[green]ok  [/]", False: "[bold red]bad [/]", None: "[yellow]note[/]"}
        well = True
        for finding in examine():
            console.print(f"{marks[finding.well]} [bold]{finding.subject:<12}[/] ", end="")
            console.print(finding.text, markup=False)
            well &= finding.well is not False
        raise typer.Exit(0 if well else 1)
