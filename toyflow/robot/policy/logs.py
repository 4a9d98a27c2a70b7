"""Training curves for TensorBoard, where it is installed, and for Weights & Biases, on request."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from toyflow.errors import UsageError
from toyflow.machine import installed_version
from toyflow.sweep.records import TrainingRecord
from toyflow.training import LOSS_BINS, CurvePoint


def check_wandb(project: str | None) -> None:
    """Raise UsageError if a `project` is given and Weights & Biases is not installed, or has no key."""
    if project is None:
        return
    if installed_version("wandb") is None:
        raise UsageError("--wandb needs Weights & Biases: pip install wandb, then wandb login.")
    import wandb  # heavy and optional

    if os.environ.get("WANDB_MODE", "online") == "online" and not wandb.api.api_key:
        raise UsageError("--wandb: no API key was found: run wandb login, or WANDB_MODE=offline.")


class Logs:
    """Writes points of a training curve to TensorBoard and Weights & Biases; use it as a context.

    Args:
        folder: folder for TensorBoard's files.
        project: project of Weights & Biases; None does not log there.

    Raises:
        UsageError: see `check_wandb`.
    """

    def __init__(self, folder: Path, record: TrainingRecord, project: str | None = None) -> None:
        check_wandb(project)
        self.folder, self.record, self.project = folder, record, project
        self._board: Any = None
        self._run: Any = None
        self._stack = ExitStack()

    def __enter__(self) -> Logs:
        with ExitStack() as stack:
            self._open(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def _open(self, stack: ExitStack) -> None:
        if installed_version("tensorboard") is not None:
            from torch.utils.tensorboard import SummaryWriter  # heavy and optional

            stack.enter_context(_tensorboard_silent())
            self._board = stack.enter_context(SummaryWriter(str(self.folder)))
        if self.project is not None:
            import wandb  # heavy and optional

            self._run = stack.enter_context(
                wandb.init(
                    project=self.project,
                    id=self.record.key,
                    resume="allow",
                    name=f"{self.record.label} seed {self.record.seed}",
                    config=self.record.as_dict(),
                    dir=str(self.folder.parent),
                )
            )

    def write(self, point: CurvePoint, samples_per_second: float) -> None:
        """Write loss, loss by noise level, learning rate and speed at one iteration."""
        values = {
            "loss": point.loss,
            "learning_rate": point.learning_rate,
            "samples_per_second": samples_per_second,
            **{f"loss_by_noise/s{i / LOSS_BINS:.1f}": x for i, x in enumerate(point.loss_by_noise) if x == x},
        }
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, point.iteration)
        if self._run is not None:
            self._run.log(values, step=point.iteration)


@contextmanager
def _tensorboard_silent() -> Iterator[None]:
    """Keep TensorBoard's thread from printing a traceback: its error is raised at the next write anyway."""
    before = threading.excepthook

    def hook(met: threading.ExceptHookArgs) -> None:
        if not type(met.thread).__module__.startswith("tensorboard."):
            before(met)

    threading.excepthook = hook
    try:
        yield
    finally:
        threading.excepthook = before
