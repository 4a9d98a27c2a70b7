"""`toyflow runs prune`: choose the parts of a results folder to delete, and delete them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from toyflow.errors import UsageError
from toyflow.sweep.inspection import existing_store, find_cells, find_damaged


class Prunable(NamedTuple):
    """A cell, or one of its decodings."""

    key: str
    decoding: str | None = None
    """Name of a decoding's folder; None for the whole cell."""

    def __str__(self) -> str:
        return "/".join(filter(None, self))


def choose_prunable(
    out: Path, keys: Sequence[str] = (), schedule: str | None = None, damaged: bool = False
) -> list[Prunable]:
    """The cells and decodings that any of the criteria names; nothing is deleted.

    Args:
        out: a results folder.
        keys: keys of cells, or their beginnings.
        schedule: cells of this schedule or objective.
        damaged: cells, or single decodings of cells that are whole, with a file missing or altered.

    Raises:
        UsageError: no criterion, no results, or the beginning of a key that matches no cell, or several.

    Example:
        prune("results/sweep", choose_prunable("results/sweep", damaged=True))
    """
    if not (keys or schedule or damaged):
        raise UsageError("say what to prune: keys, --schedule NAME or --damaged.")
    store = existing_store(out)
    cells = find_cells(store, keys, schedule)
    chosen = [Prunable(key) for key in cells]
    if damaged:
        chosen += [Prunable(*part) for part in find_damaged(store) if part[0] not in cells]
    return chosen


def prune(out: Path, parts: Iterable[Prunable]) -> None:
    """Delete `parts` of the results folder `out`.

    Raises:
        UsageError: another process is making one of them; those before it are deleted.
    """
    store = existing_store(out)
    for key, decoding in parts:
        store.remove(key, decoding)
