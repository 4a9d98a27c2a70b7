"""Completes one cell: trains unless that is done, decodes what is missing, keeps each result as it comes.

What a cell is, `plan.py` says; by what key it is kept, `records.py`; where, `store.py`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from toyflow.sweep.events import Event, Finished, Incomplete, Progress, Started, Waiting, WarningRaised
from toyflow.sweep.plan import Cell
from toyflow.sweep.runner import RunContext, Runner
from toyflow.sweep.store import Store
from toyflow.sweep.stored import StoredEvaluation, errors_in_words


def run_cell(cell: Cell, runner: Runner, context: RunContext, send: Callable[[Event], None]) -> None:
    """Complete `cell` in the store and say so. What another process finished meanwhile is kept."""
    key = cell.training.key
    store = Store(context.out)
    with store.claim(cell.training, on_wait=lambda: send(Waiting(key))):
        if cell.missing(store):
            send(Started(key))
        complete(cell, runner, store, context.environment, send)
        runner.finish(store, key)
    send(ending(cell, store))


def complete(
    cell: Cell, runner: Runner, store: Store, environment: Mapping[str, Any], send: Callable[[Event], None]
) -> None:
    """Make what `store` does not hold of `cell`, which the caller has claimed. Raises DamagedError before any
    work where a result's folder lies there without its manifest."""
    key = cell.training.key
    store.check_manifests(cell.training, cell.evaluations)

    def on_progress(stage: str, done: int, total: int, note: str | None = None) -> None:
        send(Progress(key, stage, done, total, note))

    with _warnings_as_events(key, send):
        if not store.has_training(cell.training):
            store.write_training(cell.training, runner.train(cell.training, on_progress), environment)
        left = cell.missing(store)
        if left:
            evaluated = runner.evaluate(store.training(key), left.evaluations, on_progress)
            for record, result in zip(left.evaluations, evaluated, strict=True):
                store.write_evaluation(cell.training, record, result, environment)


@contextmanager
def _warnings_as_events(key: str, send: Callable[[Event], None]) -> Iterator[None]:
    """Warnings of toyflow's loggers, as events."""
    handler = logging.Handler()
    handler.emit = lambda record: send(WarningRaised(key, record.getMessage()))
    logger = logging.getLogger("toyflow")
    before, logger.propagate = logger.propagate, False  # libraries that set up logging would say it again
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def ending(cell: Cell, store: Store) -> Finished | Incomplete:
    """The last event of a cell that was completed: its scores in words, and its errors, if any."""
    asked = {evaluation.key for evaluation in cell.evaluations}
    stored = store.evaluations(store.training(cell.training.key))
    found = [evaluation for evaluation in stored if evaluation.record.key in asked]
    scores = ", ".join(_score(evaluation) for evaluation in found)
    if not any(evaluation.errors for evaluation in found):
        return Finished(cell.training.key, scores)
    why = next(reason for evaluation in found for reason in evaluation.details.get("error_reasons", ("",)))
    return Incomplete(
        cell.training.key,
        f"{scores}. What ended in an error ({why}) is left out of these numbers; the same command tries it "
        "again.",
    )


def _score(evaluation: StoredEvaluation) -> str:
    beside = f" ({errors_in_words(evaluation.errors)})" if evaluation.errors else ""
    return f"{evaluation.record.label}: {evaluation.score:.1%}{beside}"
