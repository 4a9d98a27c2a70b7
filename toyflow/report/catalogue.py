"""`toyflow objectives`, `toyflow tasks` and `toyflow presets`: what exists, and what presets cost."""

from __future__ import annotations

from rich.markup import escape
from rich.table import Table

from toyflow import plugins
from toyflow.flow import make_objective, parse_schedule
from toyflow.optionset import OptionSet
from toyflow.sweep.presets import available_presets, notes
from toyflow.sweep.subject import load_subject

TRIED_STEPS = range(1, 129)


def objectives_table() -> Table:
    """A line per objective: its steps, its training passes, its source."""
    table = Table(title="objectives", title_justify="left", show_lines=True)
    for column in ("name", "schedule", "K", "training passes\nforward / backward", "formula and source"):
        table.add_column(column)
    for name in sorted(plugins.available("objectives")):
        kind = plugins.load("objectives", name)
        objective = make_objective(name, parse_schedule("uniform") if kind.uses_schedule else None)
        formula = " ".join((kind.__doc__ or "").split("\n\n")[0].split())
        passes = f"{objective.training_passes.forward:g} / {objective.training_passes.backward:g}"
        table.add_row(
            name,
            "yes" if kind.uses_schedule else "[dim]none[/]",
            _steps([k for k in TRIED_STEPS if objective.can_decode(k)]),
            passes,
            f"{escape(formula)}\n[dim]{escape(kind.source)}[/]",
        )
    table.caption = "passes: model calls per training example; a Jacobian-vector product counts as two"
    table.caption_justify = "left"
    return table


def tasks_table() -> Table:
    """A line per task: its metrics, and the options that `--set` takes."""
    table = Table(title="tasks", title_justify="left", show_lines=True)
    table.add_column("name", no_wrap=True)
    table.add_column("metrics,\nthe headline first", overflow="fold")
    table.add_column("options", overflow="fold")
    for name in sorted(plugins.available("tasks")):
        task = load_subject(name)
        metrics = "\n".join([*task.metrics, *task.set_metrics])
        parts = {
            "of the data": (task.data_options, task.waivers),
            "of the model": (task.model_options,),
            "of the evaluation": (task.evaluation_options,),
        }
        options = (f"[italic]{what}[/]\n{told}" for what, sets in parts.items() if (told := _options(sets)))
        table.add_row(name, metrics, "\n".join(options))
    table.caption = "--set NAME=VALUE,VALUE for `toyflow sweep`; the default is in bold"
    table.caption_justify = "left"
    return table


def _options(sets: tuple[type[OptionSet], ...]) -> str:
    return "\n".join(f"{name}: {of}" for options in sets for name, of in options.values().items())


def presets_table() -> Table:
    """A line per preset: what it shows, what would decide it, and what it and its short version cost."""
    table = Table(title="presets", title_justify="left", show_lines=True)
    table.add_column("name", no_wrap=True)
    table.add_column("what it shows, and what decides it", ratio=3)
    table.add_column("what it costs", ratio=2)
    for name, path in available_presets().items():
        said = notes(path)
        decides = f"\n[bold]decides:[/] {escape(said.decides)}" if said.decides else ""
        first = f"\n[dim]first:[/] {escape(said.first)}" if said.first else ""
        quick = f"\n[bold]--quick:[/] {escape(said.quick)}" if said.quick else ""
        table.add_row(name, escape(said.shows) + decides + first, escape(said.cost) + quick)
    table.caption = "toyflow sweep --preset NAME, and --quick for the short version"
    table.caption_justify = "left"
    return table


def _steps(steps: list[int]) -> str:
    return "any" if len(steps) == len(TRIED_STEPS) else ", ".join(map(str, steps))
