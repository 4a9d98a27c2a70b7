"""Looking into a results folder: which cells it holds, which of them a user names, and which are damaged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toyflow import plugins
from toyflow.atomic import DamagedError, manifest_of, verified
from toyflow.errors import UsageError
from toyflow.flow import parse_schedule
from toyflow.sweep.store import Store
from toyflow.sweep.stored import WEIGHTS

DEEPEST = 3
"""How many levels below a folder `results_folders` looks."""


def existing_store(out: Path) -> Store:
    """The results folder `out`. Raises UsageError where there is none."""
    store = Store(out)
    if not store.cells.is_dir():
        raise UsageError(no_results(out))
    return store


def no_results(out: Path) -> str:
    """What to say where no results folder is."""
    if out.exists():
        inside = [folder.relative_to(out).as_posix() for folder in _results_folders(out) if folder != out]
        if inside:
            return f"{out} is a folder of results folders; choose one of them: {', '.join(inside)}."
        around = next((folder for folder in out.parents if (folder / "toyflow.json").is_file()), None)
        if around is not None:
            return f"{out} holds no results by itself; name the results folder that it is in, {around}."
        if out.is_file():
            return (
                f"{out} holds no results: it is a file. `toyflow sweep --out FOLDER` makes a folder of some."
            )
    return f"{out} holds no results. `toyflow sweep --out {out}` makes some."


def results_folders(out: Path) -> list[Path]:
    """`out` itself if it is a results folder, and those in it or in its folders, `DEEPEST` below it at most,
    by name.

    Raises:
        UsageError: there is none.
    """
    found = _results_folders(out)
    if not found:
        raise UsageError(no_results(out))
    return found


def _results_folders(out: Path, depth: int = 0) -> list[Path]:
    """Results folders within others are not looked for, but in `out` itself."""
    try:
        inside = sorted(path for path in out.iterdir() if path.is_dir()) if out.is_dir() else []
    except OSError as error:
        raise UsageError(f"cannot look into {out}: {error.strerror or error}.") from error
    own = [out] if (out / "cells").is_dir() else []
    if depth and (own or depth == DEEPEST):
        return own
    below = (path for path in inside if path.name != "cells" and not path.name.startswith("."))
    return own + [folder for path in below for folder in _results_folders(path, depth + 1)]


def cell_keys(store: Store) -> list[str]:
    """Keys of all cells."""
    return sorted(path.name for path in store.cells.glob("[!.]*"))


def find_cells(store: Store, keys: Sequence[str], schedule: str | None) -> list[str]:
    """Keys of the cells that any of the criteria names.

    Raises:
        UsageError: the beginning of a key that matches no cell, or several.
    """
    existing = cell_keys(store)
    if schedule is not None and schedule not in plugins.available("objectives"):
        schedule = parse_schedule(schedule).name
    chosen: set[str] = set()
    for beginning in keys:
        fitting = [key for key in existing if key.startswith(beginning)]
        if not fitting:
            raise UsageError(f"{beginning!r} matches no key in {store.root}; `toyflow runs list` shows all.")
        if len(fitting) > 1:
            raise ambiguous_key(beginning, len(fitting), store)
        chosen.update(fitting)
    if schedule:
        chosen.update(key for key in existing if _has_label(store, key, schedule))
    return sorted(chosen)


def ambiguous_key(beginning: str, count: int, store: Store) -> UsageError:
    """The error for the beginning of a key that `count` cells share."""
    return UsageError(
        f"{beginning!r} matches {count} keys in {store.root}; give more digits (`toyflow runs list` shows "
        "them)."
    )


def find_damaged(store: Store) -> list[tuple[str, str | None]]:
    """(cell, None) for trained models with a file missing or altered; (cell, decoding) for decodings of
    models that are well."""
    found: list[tuple[str, str | None]] = []
    for key in cell_keys(store):
        model, *decodings = parts_of(store.cells / key)
        if fault_of(model):
            found.append((key, None))
        else:
            found.extend((key, part.name) for part in decodings if fault_of(part))
    return found


def parts_of(folder: Path) -> list[Path]:
    """The folders of a cell that each have a manifest: the model's, then its decodings'."""
    return [folder, *sorted((folder / "evaluations").glob("[!.]*"))]


def fault_of(part: Path) -> str | None:
    """What is wrong with the files that a manifest lists."""
    try:
        for name in manifest_of(part):
            if name != WEIGHTS or (part / name).exists():  # results may be passed on without them
                verified(part, name)
    except DamagedError as error:
        return str(error)
    return None


def _has_label(store: Store, key: str, label: str) -> bool:
    try:
        return store.training(key).record.label == label
    except DamagedError:
        return False
