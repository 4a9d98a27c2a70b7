"""`toyflow runs`: look at the cells of a results folder, and choose some to delete."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from toyflow.atomic import DamagedError
from toyflow.footnotes import Footnotes
from toyflow.report.results import UNIFORM_GRID
from toyflow.sweep.inspection import cell_keys, existing_store, fault_of, find_cells, parts_of
from toyflow.sweep.plan import varied_options
from toyflow.sweep.stored import StoredEvaluation, StoredTraining, caveat_of, errors_in_words
from toyflow.sweep.subject import options_of


def cells_table(out: Path) -> Table:
    """A row per cell, with the options and the numbers of the recipe that not all share; a damaged one is a
    row that says so."""
    store = existing_store(out)
    table = Table(title=escape(f"cells of {out}"), title_justify="left")
    table.add_column("key", no_wrap=True)
    for name in ("schedule", "options", "seed", "scores"):
        table.add_column(name, overflow="fold")
    table.add_column("train s", justify="right")
    table.add_column("MB", justify="right")
    cells: dict[str, tuple[StoredTraining, list[StoredEvaluation]] | DamagedError] = {}
    for key in cell_keys(store):
        try:
            training = store.training(key)
            cells[key] = training, list(store.evaluations(training))
        except DamagedError as error:
            cells[key] = error
    whole = [cell[0] for cell in cells.values() if not isinstance(cell, DamagedError)]
    notes = Footnotes()
    told = varied_options([_options(training) for training in whole])
    for key, cell in cells.items():
        if isinstance(cell, DamagedError):
            table.add_row(key, "[red]damaged[/]", "", "", escape(str(cell)), "", "")
            continue
        training, evaluations = cell
        record, options = training.record, _options(training)
        shown = ", ".join(f"{name}={value}" for name, value in options.items() if name in told)
        scores = ", ".join(
            f"{e.record.label}: {e.score:.1%}{notes.mark(caveat_of(e))}{_errors(e)}" for e in evaluations
        )
        megabytes = sum(f.stat().st_size for f in training.folder.rglob("*") if f.is_file()) / 1e6
        row = (key, record.label, shown, str(record.seed), scores, f"{training.details['seconds']:.0f}")
        table.add_row(*map(escape, row), f"{megabytes:.1f}")
    table.caption, table.caption_justify = escape(notes.after("")) or None, "left"
    return table


def _errors(evaluation: StoredEvaluation) -> str:
    return f" ({errors_in_words(evaluation.errors)})" if evaluation.errors else ""


def _options(training: StoredTraining) -> dict[str, str]:
    data, model = options_of(training)
    return {**data, **model, **training.record.recipe_texts}


def show_cell(out: Path, key: str) -> tuple[Group, bool]:
    """One cell: what identifies it, where it ran, what it gave; and whether its files are well."""
    store = existing_store(out)
    [key] = find_cells(store, [key], None)
    training = store.training(key)
    heads = ("sampler", "K", "grid", "draws", "calls", "metrics", "decode s")
    scores = Table(*heads, title="decodings", title_justify="left")
    notes = Footnotes()
    for e in store.evaluations(training):
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in e.details["metrics"].items())
        metrics += notes.mark(caveat_of(e))
        calls, seconds = str(e.details["model_calls"]), f"{e.details['decode_seconds']:.2f}"
        how = (
            e.record.sampler or "-",
            str(e.record.steps),
            e.record.grid or UNIFORM_GRID,
            str(e.record.draws),
        )
        scores.add_row(*how, calls, metrics, seconds)
    scores.caption, scores.caption_justify = escape(notes.after("")) or None, "left"
    parts = {
        "record": training.record.as_dict(),
        "details": dict(training.details),
        "environment": dict(training.environment),
    }
    text = "\n".join(
        f"[bold]{name}[/] {escape(json.dumps(value, indent=1))}" for name, value in parts.items()
    )
    faults = [fault for part in parts_of(training.folder) if (fault := fault_of(part))]
    state = (
        "[green]all files match their checksums[/]" if not faults else f"[red]{escape('; '.join(faults))}[/]"
    )
    return Group(f"[bold]{escape(str(training.folder))}[/]", text, scores, state), not faults
