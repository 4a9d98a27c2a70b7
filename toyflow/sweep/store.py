"""A results folder: where each result lies, who may write it, whether it is whole. Keys: see `records.py`.

    OUT/toyflow.json                       format of the folder
    OUT/cells/KEY/                         a trained model, KEY = TrainingRecord.key
        config.json                        record, environment, parameters, seconds, hashes of the task's code
        weights.safetensors
        curve.csv                          loss, and loss by noise level
        manifest.json                      checksums
        evaluations/KEY/                   a decoding of it, KEY = EvaluationRecord.key
            config.json                    record, environment, metrics, model calls, seconds, hashes
            outcomes.csv                   every metric for every test example
            manifest.json

Every folder appears whole or not at all, and what is read is checked against its manifest.
"""

from __future__ import annotations

import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import BaseFileLock, FileLock, Timeout

from toyflow.atomic import (
    MANIFEST,
    DamagedError,
    atomic_folder,
    read_json,
    read_sealed,
    remove_stale,
    verified,
    write_json,
    write_sealed,
)
from toyflow.errors import UsageError
from toyflow.sweep.records import EvaluationRecord, TrainingRecord, name_of_task
from toyflow.sweep.stored import (
    EVALUATIONS,
    OUTCOMES,
    WEIGHTS,
    Evaluated,
    StoredEvaluation,
    StoredTraining,
    Trained,
    curable,
    cure,
)
from toyflow.tensors import save_tensors
from toyflow.version import __version__

FORMAT = 2
"""Raised when one toyflow cannot read what another wrote. From 2 on, manifests carry their own checksum."""

FORMAT_HINT = (
    "If toyflow of this version or an older one wrote the folder, delete that file; the next sweep writes it "
    "again."
)

_HALF_WRITTEN = re.compile(r"\.(?P<key>[0-9a-f]{16})\..+")
"""Temporary name of a cell that is being written or deleted."""


class Store:
    """A results folder. Opening it touches nothing; see the module's text for its layout."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)
        self.cells = self.root / "cells"
        self._check_format()

    def prepare(self) -> None:
        """Make the folder if need be, and clear what killed processes left of cells half-written.

        Raises:
            UsageError: it cannot be written to.
        """
        try:
            self.cells.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.cells):
                pass
            if not (self.root / "toyflow.json").exists():
                write_sealed(self.root / "toyflow.json", {"format": FORMAT, "written_by": __version__})
            self._clear()
        except OSError as error:
            raise UsageError(
                f"cannot write to {self.root}: {error.strerror or error}. Choose another folder with --out."
            ) from error

    def check_task(self, task: str) -> None:
        """Raise UsageError where the folder holds results of another task than `task`, as records name it;
        looks at one result that can be read."""
        for folder in self.cells.glob("[!.]*"):
            with suppress(DamagedError):
                held = self.training(folder.name).record.task
                if name_of_task(held) != name_of_task(task):
                    raise UsageError(
                        f"{self.root} holds results of task {held}, so those of {task} need a folder of "
                        "their own: choose another --out."
                    )
                return

    def training_folder(self, training: TrainingRecord) -> Path:
        """Where a trained model is or will be."""
        return self.cells / training.key

    def evaluation_folder(self, training: TrainingRecord, evaluation: EvaluationRecord) -> Path:
        """Where a decoding is or will be."""
        return self.training_folder(training) / EVALUATIONS / evaluation.key

    def has_training(self, training: TrainingRecord) -> bool:
        """Whether the model was trained; nothing is read."""
        return (self.training_folder(training) / MANIFEST).exists()

    def has_evaluation(self, training: TrainingRecord, evaluation: EvaluationRecord) -> bool:
        """Whether the decoding was done, with a result for every test example."""
        folder = self.evaluation_folder(training, evaluation)
        return (folder / MANIFEST).exists() and not _errors_in(folder)

    def check_manifests(self, training: TrainingRecord, evaluations: Iterable[EvaluationRecord]) -> None:
        """Raise DamagedError where the folder of a result has no manifest: nothing can be written there."""
        places = (self.evaluation_folder(training, evaluation) for evaluation in evaluations)
        for folder in (self.training_folder(training), *places):
            if folder.is_dir() and not (folder / MANIFEST).exists():
                raise DamagedError(f"{folder / MANIFEST} is missing.", cure(folder))

    @contextmanager
    def claim(self, training: TrainingRecord, on_wait: Callable[[], None]) -> Iterator[None]:
        """Be the only one to work on a cell; waits while another process is, with a call of `on_wait` every
        second. The claim ends with the process, however it ends. What an earlier one left half-written in
        the cell is cleared."""
        while True:
            with self.try_claim(training) as claimed:
                if claimed:
                    yield
                    return
            on_wait()
            time.sleep(1)

    @contextmanager
    def try_claim(self, training: TrainingRecord) -> Iterator[bool]:
        """As `claim`, or False at once while another process is at work on the cell."""
        folder = self.training_folder(training)
        try:
            held = self._lock(training.key).acquire(timeout=0)
        except Timeout:
            yield False
            return
        with held:
            remove_stale([*folder.glob(".*"), *folder.glob("*/.*")])
            yield True

    def is_claimed(self, training: TrainingRecord) -> bool:
        """Whether a process is at work on the cell at this moment."""
        if not self.root.exists():
            return False
        lock = self._lock(training.key)
        try:
            with lock.acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _clear(self) -> None:
        """Remove half-written and half-removed cells that no process is at work on."""
        for path in self.cells.glob(".*"):
            if half := _HALF_WRITTEN.fullmatch(path.name):
                with suppress(Timeout), self._lock(half["key"]).acquire(timeout=0):
                    remove_stale([path])

    def _lock(self, key: str) -> BaseFileLock:
        locks = self.root / ".locks"
        locks.mkdir(parents=True, exist_ok=True)
        return FileLock(locks / key)

    def write_training(
        self, record: TrainingRecord, trained: Trained, environment: Mapping[str, Any]
    ) -> None:
        """Keep a trained model, atomically."""
        with atomic_folder(self.training_folder(record)) as folder:
            save_tensors(trained.weights, folder / WEIGHTS)
            trained.curve.to_csv(folder / "curve.csv", index=False)
            write_json(folder / "config.json", _config(record, environment, trained))

    def write_evaluation(
        self,
        training: TrainingRecord,
        record: EvaluationRecord,
        evaluated: Evaluated,
        environment: Mapping[str, Any],
    ) -> None:
        """Keep a decoding, atomically, in place of one with errors."""
        path = self.evaluation_folder(training, record)
        path.parent.mkdir(exist_ok=True)  # not its parents: a cell that was removed meanwhile stays removed
        with atomic_folder(path, replace=path.exists() and _errors_in(path)) as folder:
            evaluated.outcomes.to_csv(folder / OUTCOMES, index=False)
            write_json(folder / "config.json", _config(record, environment, evaluated))

    def training(self, key: str) -> StoredTraining:
        """The trained model of this key, its configuration checked."""
        folder = self.cells / key
        config = _read_config(folder, TrainingRecord)
        return StoredTraining(
            folder, config["record"], config["environment"], config["details"], config.get("code")
        )

    def trainings(self) -> Iterator[StoredTraining]:
        """All trained models, in the order of their keys."""
        for folder in sorted(self.cells.glob("[!.]*")):
            yield self.training(folder.name)

    def evaluations(self, training: StoredTraining) -> Iterator[StoredEvaluation]:
        """All decodings of a trained model, by sampler, grid, steps and draws."""
        found: list[StoredEvaluation] = []
        for folder in (training.folder / EVALUATIONS).glob("[!.]*"):
            config = _read_config(folder, EvaluationRecord)
            stored = StoredEvaluation(
                folder, training, config["record"], config["details"], config["environment"]
            )
            found.append(stored.recounted())

        def order(stored: StoredEvaluation) -> tuple[Any, ...]:
            record = stored.record
            return record.sampler or "", record.grid or "", record.steps, record.draws, record.noise_seed

        yield from sorted(found, key=order)

    def remove(self, key: str, decoding: str | None = None) -> None:
        """Delete one decoding, or the trained model with all: first hidden by one rename, then deleted."""
        folder = self.cells / key
        part = folder / EVALUATIONS / decoding if decoding else folder
        try:
            held = self._lock(key).acquire(timeout=0)
        except Timeout:
            raise UsageError(f"{folder} is being made by another process; stop that first.") from None
        with held:
            hidden = part.with_name(f".{part.name}.removed")
            remove_stale([hidden])
            shutil.rmtree(part.rename(hidden))

    def _check_format(self) -> None:
        path = self.root / "toyflow.json"
        try:
            if not path.exists():
                return
        except OSError as error:
            raise UsageError(f"cannot look into {self.root}: {error.strerror or error}.") from error
        try:
            content = read_json(path)
            if not isinstance(content, dict) or not isinstance(content.get("format"), int):
                raise DamagedError(f"{path} is damaged: it names no format.")
        except DamagedError as error:
            raise DamagedError(str(error), FORMAT_HINT) from None
        if content["format"] != FORMAT:
            raise UsageError(
                f"{self.root} holds results of format {content['format']}, written by toyflow "
                f"{content.get('written_by', '?')}; this is toyflow {__version__}, which reads {FORMAT}. "
                "Use that toyflow or choose another --out; nothing was changed."
            )
        read_sealed(path, FORMAT_HINT)


def _errors_in(evaluation: Path) -> bool:
    """Whether a stored decoding counts errors. One that is damaged has none: whoever reads it reports it."""
    try:
        return bool(read_json(evaluation / "config.json")["details"].get("errors"))
    except (DamagedError, KeyError, TypeError, AttributeError):
        return False


def _config(
    record: TrainingRecord | EvaluationRecord, environment: Mapping[str, Any], made: Trained | Evaluated
) -> dict[str, Any]:
    """What config.json holds; `code` is no part of the record, so keys do not depend on it."""
    config = {"record": record.as_dict(), "environment": environment, "details": made.details}
    return config if made.code is None else {**config, "code": made.code}


def _read_config(folder: Path, kind: type[TrainingRecord] | type[EvaluationRecord]) -> dict[str, Any]:
    with curable(folder):
        path = verified(folder, "config.json")
        config = read_json(path)
    try:
        record = kind.from_dict(config["record"])
    except (KeyError, TypeError, DamagedError) as error:
        raise DamagedError(
            f"{path} is not a configuration that this toyflow knows: {error}.", cure(folder, by_key=True)
        ) from error
    if record.key != folder.name:
        raise DamagedError(
            f"{path} belongs to cell {record.key}, but its folder is named otherwise.",
            f"Rename the folder to {record.key}, or move it out of the results folder.",
        )
    return {**config, "record": record}
