"""Training one model in several processes, started by `torchrun` or `accelerate launch`."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from toyflow.errors import ToyflowError, UsageError, named_line
from toyflow.launch import Launch
from toyflow.training.process_group import ProcessGroup, State

T = TypeVar("T")
PATIENCE = timedelta(hours=1)
"""How long processes wait for a slow one, which may be fetching or decoding its data. When one dies, the
launcher ends the others at once."""


class DistributedGroup(ProcessGroup):
    """A copy of the model in each process, whose gradients torch's DistributedDataParallel averages."""

    def __init__(self, launch: Launch) -> None:
        self.rank, self.world_size = launch.rank, launch.world_size
        self.local_world_size = launch.local_world_size
        # Flags and states are exchanged on the CPU, so that nothing waits for a GPU.
        self._host = dist.group.WORLD if dist.get_backend() == "gloo" else _gloo()

    def wrap(self, module: nn.Module) -> nn.Module:
        """See `ProcessGroup`."""
        return DistributedDataParallel(module, broadcast_buffers=False)

    def apart(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """See `ProcessGroup`."""
        assert isinstance(wrapped, DistributedDataParallel)
        return wrapped.no_sync()

    def total(self, value: Tensor) -> Tensor:
        """See `ProcessGroup`."""
        value = value.clone()
        dist.all_reduce(value)
        return value

    def gathered(self, samples: Tensor) -> Tensor:
        """See `ProcessGroup`."""
        parts = [torch.empty_like(samples) for _ in range(self.world_size)]
        dist.all_gather(parts, samples.contiguous())
        return torch.stack(parts, dim=1).flatten(0, 1)

    def any(self, flag: bool) -> bool:
        """See `ProcessGroup`."""
        flags = torch.tensor(int(flag))
        dist.all_reduce(flags, dist.ReduceOp.MAX, group=self._host)
        return bool(flags)

    def broadcast(self, value: T) -> T:
        """See `ProcessGroup`."""
        box = [value]
        dist.broadcast_object_list(box, src=0, group=self._host, device=torch.device("cpu"))
        return box[0]

    def broadcast_state(self, state: State | None) -> State | None:
        """See `ProcessGroup`."""
        mine, values = ({}, None) if state is None else state
        shapes, values = self.broadcast(({name: (t.shape, t.dtype) for name, t in mine.items()}, values))
        if values is None:
            return None
        tensors = {}
        for name, (shape, dtype) in shapes.items():
            tensors[name] = mine[name].cpu() if self.is_main else torch.empty(shape, dtype=dtype)
            dist.broadcast(tensors[name], src=0, group=self._host)
        return tensors, values


@contextmanager
def joined(launch: Launch, device: str, log: Path) -> Iterator[DistributedGroup]:
    """Inside, this process is one of the processes of `launch`, each on a device of its own.

    Args:
        launch: this process's place.
        device: `cpu` or `cuda`.
        log: file for the traceback of an error inside.

    Raises:
        UsageError: the device cannot be used by several processes, or there are too few GPUs.
        ToyflowError: another process has ended or does not answer, or the code inside failed.
    """
    from accelerate import PartialState  # an optional package

    _check(launch, device)
    try:
        with _silent_stdout():
            state = PartialState(cpu=device == "cpu", timeout=PATIENCE)
            group = DistributedGroup(launch)
        yield group
    except (ToyflowError, OSError):
        raise
    except Exception as error:
        if _comes_from_another_process(error):
            raise ToyflowError(
                "another process of this training has ended or cannot be reached; the same command goes on "
                "from the last checkpoint."
            ) from error
        raise ToyflowError(f"{named_line(error)}{_write_traceback(log)}") from error
    state.destroy_process_group()
    with suppress(OSError):
        log.unlink()  # of an earlier try


def _check(launch: Launch, device: str) -> None:
    if device not in ("cpu", "cuda"):
        raise UsageError(f"several processes train on cpu or cuda, not on {device}: --device cpu.")
    if device == "cuda" and launch.local_rank >= torch.cuda.device_count():
        raise UsageError(
            f"{launch.local_world_size} processes were started here for {torch.cuda.device_count()} GPUs: "
            "start one for each, or choose --device cpu."
        )


@contextmanager
def _silent_stdout() -> Iterator[None]:
    """Keep gloo from printing a line for each process that it connects."""
    sys.stdout.flush()
    shown = os.dup(1)
    with Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(shown, 1)
        os.close(shown)


def _gloo() -> dist.ProcessGroup:
    group = dist.new_group(backend="gloo", timeout=PATIENCE)
    assert isinstance(group, dist.ProcessGroup)
    return group


def _comes_from_another_process(error: Exception) -> bool:
    # gloo's errors have no type of their own, but the name of its files.
    return isinstance(error, dist.DistError) or "/gloo/" in str(error)


def _write_traceback(log: Path) -> str:
    """Write the traceback of the error being handled to `log`; its place in words, empty if that failed."""
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(traceback.format_exc())
    except OSError:
        return ""
    return f" (traceback: {log})"
