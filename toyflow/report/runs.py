"""`toyflow runs`: look at the cells of a results folder, and choose some to delete."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table

from toyflow import plugins
from toyflow.atomic import DamagedError, listed, verified
from toyflow.errors import UsageError
from toyflow.flow import parse_schedule
from toyflow.sweep.plan import differing
from toyflow.sweep.store import WEIGHTS, Store, StoredEvaluation, StoredTraining


def cells_table(out: Path) -> Table:
    """A row per cell, with the options that not all share; a damaged one is a row that says so."""
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
    whole = [cell[0].record for cell in cells.values() if not isinstance(cell, DamagedError)]
    told = differing([{**record.data, **record.model} for record in whole])
    for key, cell in cells.items():
        if isinstance(cell, DamagedError):
            table.add_row(key, "[red]damaged[/]", "", "", escape(str(cell)), "", "")
            continue
        training, evaluations = cell
        record, options = training.record, {**training.record.data, **training.record.model}
        shown = " ".join(f"{name}={value}" for name, value in options.items() if name in told)
        scores = ", ".join(f"{e.record.label}: {e.score:.1%}" for e in evaluations)
        megabytes = sum(f.stat().st_size for f in training.folder.rglob("*") if f.is_file()) / 1e6
        row = (key, record.label, shown, str(record.seed), scores, f"{training.details['seconds']:.0f}")
        table.add_row(*map(escape, row), f"{megabytes:.1f}")
    return table


def show_cell(out: Path, key: str) -> tuple[Group, bool]:
    """One cell: what identifies it, where it ran, what it gave; and whether its files are well."""
    store = existing_store(out)
    [key] = find_cells(store, [key], None)
    training = store.training(key)
    scores = Table("sampler", "K", "calls", "metrics", "decode s", title="decodings", title_justify="left")
    for e in store.evaluations(training):
        metrics = ", ".join(f"{name} {value:.4f}" for name, value in e.details["metrics"].items())
        calls, seconds = str(e.details["model_calls"]), f"{e.details['decode_seconds']:.2f}"
        scores.add_row(e.record.sampler or "-", str(e.record.steps), calls, metrics, seconds)
    parts = {
        "record": training.record.as_dict(),
        "details": dict(training.details),
        "environment": dict(training.environment),
    }
    text = "\n".join(
        f"[bold]{name}[/] {escape(json.dumps(value, indent=1))}" for name, value in parts.items()
    )
    faults = [fault for part in _parts(training.folder) if (fault := _fault(part))]
    state = (
        "[green]all files match their checksums[/]" if not faults else f"[red]{escape('; '.join(faults))}[/]"
    )
    return Group(f"[bold]{escape(str(training.folder))}[/]", text, scores, state), not faults


def find_cells(store: Store, keys: Sequence[str], schedule: str | None) -> list[str]:
    """Keys of the cells that any of the criteria names.

    Raises:
        UsageError: a beginning that fits no cell or several.
    """
    existing = cell_keys(store)
    if schedule is not None and schedule not in plugins.available("objectives"):
        schedule = parse_schedule(schedule).name
    chosen: set[str] = set()
    for beginning in keys:
        fitting = [key for key in existing if key.startswith(beginning)]
        if len(fitting) != 1:
            count = f"{len(fitting)} keys" if fitting else "no key"
            raise UsageError(f"{beginning!r} begins {count} of {store.root}; `toyflow runs list` shows them.")
        chosen.update(fitting)
    if schedule:
        chosen.update(key for key in existing if _has_label(store, key, schedule))
    return sorted(chosen)


def find_damaged(store: Store) -> list[tuple[str, str | None]]:
    """(cell, None) for trained models with a file missing or altered; (cell, decoding) for decodings of
    models that are well."""
    found: list[tuple[str, str | None]] = []
    for key in cell_keys(store):
        model, *decodings = _parts(store.cells / key)
        if _fault(model):
            found.append((key, None))
        else:
            found.extend((key, part.name) for part in decodings if _fault(part))
    return found


def _parts(folder: Path) -> list[Path]:
    """The folders of a cell that each have a manifest: the model's, then its decodings'."""
    return [folder, *sorted((folder / "evaluations").glob("[!.]*"))]


def _fault(part: Path) -> str | None:
    """What is wrong with the files that a manifest lists."""
    try:
        for name in listed(part):
            if name != WEIGHTS or (part / name).exists():  # results may be passed on without them
                verified(part, name)
    except DamagedError as error:
        return str(error)
    return None


def cell_keys(store: Store) -> list[str]:
    """Keys of all cells."""
    return sorted(path.name for path in store.cells.glob("[!.]*"))


def _has_label(store: Store, key: str, label: str) -> bool:
    try:
        return store.training(key).record.label == label
    except DamagedError:
        return False


def existing_store(out: Path) -> Store:
    """The results folder `out`. Raises UsageError where there is none."""
    store = Store(out)
    if not store.cells.is_dir():
        raise UsageError(f"{out} holds no results. `toyflow sweep --out {out}` makes some.")
    return store
