"""The processes that train one model: what each takes of a batch, and what they tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

from torch import Tensor, nn

from toyflow.errors import UsageError

T = TypeVar("T")
State = tuple[Mapping[str, Tensor], Mapping[str, Any]]
"""(tensors, JSON values)"""


class ProcessGroup:
    """A process that trains alone. `toyflow.training.distributed` has the group of several.

    Every process calls every method, in the same order, unless it says otherwise.
    """

    rank = 0
    """This process's number; 0 is the main one."""
    world_size = 1
    """How many processes there are."""
    local_world_size = 1
    """How many on this machine."""

    @property
    def is_main(self) -> bool:
        """Whether this process reads and writes results, and tells the user."""
        return self.rank == 0

    @property
    def own(self) -> slice:
        """This process's samples of a batch: every `world_size`-th."""
        return slice(self.rank, None, self.world_size)

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` so that a backward pass leaves every process with the mean of all processes' gradients."""
        return module

    def apart(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Inside, passes of `wrapped` leave each process with its own gradients."""
        return nullcontext()

    def total(self, value: Tensor) -> Tensor:
        """The sum of all processes' values."""
        return value

    def gathered(self, samples: Tensor) -> Tensor:
        """All processes' samples, as many of each, in the order of the batch that `own` took them from."""
        return samples

    def any(self, flag: bool) -> bool:
        """Whether it is so for any process."""
        return flag

    def broadcast(self, value: T) -> T:
        """The main process's `value`, which is plain data."""
        return value

    def broadcast_state(self, state: State | None) -> State | None:
        """The main process's `state`, with its tensors in main memory."""
        return state


SINGLE = ProcessGroup()


def check_split(batch_size: int, processes: int, accumulate: int) -> None:
    """Raise UsageError unless a batch falls into equal parts for `processes`, each in `accumulate` turns."""
    if batch_size % (processes * accumulate):
        raise UsageError(
            f"a batch of {batch_size} does not fall into equal parts (processes: {processes}, --accumulate: "
            f"{accumulate}); choose a --batch-size that {processes * accumulate} divides."
        )
