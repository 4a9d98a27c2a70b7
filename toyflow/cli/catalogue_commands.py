"""The commands that print what can be used. `toyflow.cli` adds them to its own."""

from __future__ import annotations

from typing import Annotated

import typer

from toyflow.cli import completion
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
            list[str] | None,
            typer.Argument(
                help="Schedules to print; none for every family.",
                autocompletion=completion.schedule,
            ),
        ] = None,
    ) -> None:
        """Print schedules of the training time: density, mass at the noise end, source and its direction of
        time."""
        check_torch()
        from toyflow.report.schedules_table import schedules_table

        console.print(schedules_table(names or None))

    @app.command(epilog=examples("toyflow objectives"))
    def objectives() -> None:
        """Print training objectives: formula, source, steps they decode in, and model calls per iteration."""
        check_torch()
        from toyflow.report.catalogue import objectives_table

        console.print(objectives_table())

    @app.command(epilog=examples("toyflow tasks"))
    def tasks() -> None:
        """Print tasks: their metrics, and the options that `sweep --set` takes."""
        check_torch()
        from toyflow.report.catalogue import tasks_table

        console.print(tasks_table())

    @app.command(epilog=examples("toyflow presets", "toyflow sweep --preset dial --quick"))
    def presets() -> None:
        """Print the sweeps that come with toyflow: what each shows and what it costs."""
        from toyflow.report.catalogue import presets_table

        console.print(presets_table())

    @app.command(epilog=examples("toyflow doctor"))
    def doctor() -> None:
        """Print versions, devices, data and plug-ins, and say what is missing."""
        from toyflow.api.doctor import examine, exit_code

        marks = {True: "[green]ok  [/]", False: "[bold red]bad [/]", None: "[yellow]note[/]"}
        checks = []
        for check in examine():
            checks.append(check)
            console.print(f"{marks[check.passed]} [bold]{check.subject:<12}[/] ", end="")
            console.print(check.text, markup=False)
        raise typer.Exit(exit_code(checks))
