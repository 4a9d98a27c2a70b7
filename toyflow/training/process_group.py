"""The processes that train one model: each one's part of a batch, and their communication."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from torch import Tensor, nn

from toyflow.errors import UsageError

T = TypeVar("T")
State = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""State to broadcast: (tensors, JSON values)."""


class ProcessGroup:
    """A process that trains alone. `toyflow.training.distributed` has the group of several.

    All processes of a group must call the methods that communicate (from `total` on) in the same order.

    Example:
        >>> from toyflow.training.process_group import SINGLE
        >>> list(range(4))[SINGLE.own], SINGLE.any(False)
        ([0, 1, 2, 3], False)
    """

    rank = 0
    """Number of this process; 0 is the main one."""
    world_size = 1
    """Number of processes."""
    local_world_size = 1
    """Number of processes on this machine."""

    @property
    def is_main(self) -> bool:
        """Whether this process reads and writes results, and prints to the user."""
        return self.rank == 0

    @property
    def own(self) -> slice:
        """This process's samples of a batch: every `world_size`-th."""
        return slice(self.rank, None, self.world_size)

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module`, wrapped so that a backward pass averages the gradients over all processes."""
        return module

    def apart(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Inside, backward passes of `wrapped` leave each process's gradients as they are."""
        return nullcontext()

    def total(self, value: Tensor) -> Tensor:
        """The sum of all processes' values."""
        return value

    def gathered(self, samples: Tensor) -> Tensor:
        """All processes' samples, the same number from each, in the order of the whole batch."""
        return samples

    def any(self, flag: bool) -> bool:
        """Whether `flag` is true in any process."""
        return flag

    def broadcast(self, value: T) -> T:
        """The main process's `value`, which must be plain data, in every process."""
        return value

    def broadcast_state(self, state: State | None) -> State | None:
        """The main process's `state` in every process, its tensors on the CPU."""
        return state


SINGLE = ProcessGroup()


def check_split(batch_size: int, processes: int, accumulate: int) -> None:
    """Raise UsageError unless a batch falls into equal parts for `processes`, each in `accumulate` turns.

    Example:
        >>> from toyflow.training.process_group import check_split
        >>> check_split(16, processes=2, accumulate=4)
        >>> check_split(16, processes=3, accumulate=1)
        Traceback (most recent call last):
        toyflow.errors.UsageError: a batch of 16 does not fall into equal parts (processes: 3, ...
    """
    if batch_size % (processes * accumulate):
        raise UsageError(
            f"a batch of {batch_size} does not fall into equal parts (processes: {processes}, --accumulate: "
            f"{accumulate}); choose a --batch-size divisible by {processes * accumulate}."
        )
