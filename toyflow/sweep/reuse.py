"""Whether stored results that a sweep would use again were made by the code that is here now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path

from toyflow.atomic import DamagedError, read_json
from toyflow.sweep.plan import Cell
from toyflow.sweep.records import EvaluationRecord
from toyflow.sweep.runner import Runner
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Code

MOST_KEYS = 3
"""Most keys that a message lists."""


def warnings_of_reuse(cells: Sequence[Cell], store: Store, runner: Runner) -> list[str]:
    """Warnings, of one line each, about results of `cells` that `store` holds: that other code made them, or
    that nobody can tell, as toyflow 0.1.0 kept no hash of a task's code."""
    changed: dict[str, None] = {}
    keys: dict[str, None] = {}
    older: Counter[str] = Counter()
    for cell, folder, now in _used_again(cells, store, runner):
        kept, version = _kept(folder)
        if kept is None:
            older[version] += 1
            continue
        differing = [name for name in now if name in kept and kept[name] != now[name]]
        changed |= dict.fromkeys(differing)
        if differing:
            keys[cell.training.key] = None
    return [
        *([_said_of_changed(list(changed), list(keys), cells[0].training.task, store)] if changed else ()),
        *(
            f"{count} results in {store.root} were written by toyflow {version}, which kept no hash of the "
            "task's code: they are used again as they are. If the code has changed since, raise the task's "
            "`version` or choose another --out."
            for version, count in older.items()
        ),
    ]


def _said_of_changed(names: Sequence[str], keys: Sequence[str], task: str, store: Store) -> str:
    listed = " ".join(keys) if len(keys) <= MOST_KEYS else "KEY ..."
    return (
        f"the code of task {task!r} ({', '.join(names)}) has changed since results in {store.root} were "
        f"made; {len(keys)} of the cells are used again as they are. If the change matters, raise the "
        f"task's `version`, choose another --out, or first `toyflow runs prune {listed} --out {store.root}`, "
        "which deletes the trained models too, also where only the score changed."
    )


def _used_again(cells: Sequence[Cell], store: Store, runner: Runner) -> Iterator[tuple[Cell, Path, Code]]:
    """(cell, folder of a stored model or decoding, hashes of the code as it is now), where there are any."""

    @cache
    def code_of(name: str, evaluation: EvaluationRecord | None) -> Code | None:
        return runner.code(examples[name].training, evaluation)

    examples = {cell.name: cell for cell in cells}  # cells of one name differ only in their seed
    for cell in cells:
        training = cell.training
        if (now := code_of(cell.name, None)) and store.has_training(training):
            yield cell, store.training_folder(training), now
        for evaluation in cell.evaluations:
            if (now := code_of(cell.name, evaluation)) and store.has_evaluation(training, evaluation):
                yield cell, store.evaluation_folder(training, evaluation), now


def _kept(folder: Path) -> tuple[Mapping[str, str] | None, str]:
    """(the hashes that were kept with a result, toyflow's version then). A damaged file has none to compare;
    whoever reads the result reports it."""
    try:
        config = read_json(folder / "config.json")
        return config.get("code"), str(config["environment"].get("toyflow", "of an older version"))
    except (DamagedError, AttributeError, KeyError, TypeError):
        return {}, ""
