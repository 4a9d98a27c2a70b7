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


class Team:
    """A process that trains alone. `toyflow.training.processes` has the team of several.

    Every member calls every method, in the same order, unless it says otherwise.
    """

    index = 0
    """This member's number."""
    count = 1
    """Of members."""
    local = 1
    """Of members on this machine."""

    @property
    def main(self) -> bool:
        """Whether this member reads and writes results, and tells the user."""
        return self.index == 0

    @property
    def own(self) -> slice:
        """This member's samples of a batch: every `count`-th."""
        return slice(self.index, None, self.count)

    def wrap(self, module: nn.Module) -> nn.Module:
        """`module` so that a backward pass leaves every member with the mean of all members' gradients."""
        return module

    def apart(self, wrapped: nn.Module) -> AbstractContextManager[None]:
        """Inside, passes of `wrapped` leave each member with its own gradients."""
        return nullcontext()

    def total(self, value: Tensor) -> Tensor:
        """The sum of all members' values."""
        return value

    def gathered(self, samples: Tensor) -> Tensor:
        """All members' samples, as many of each, in the order of the batch that `own` took them from."""
        return samples

    def any(self, flag: bool) -> bool:
        """Whether it is so for any member."""
        return flag

    def told(self, value: T) -> T:
        """The main member's `value`, which is plain data."""
        return value

    def handed(self, state: State | None) -> State | None:
        """The main member's `state`, with its tensors in main memory."""
        return state


ALONE = Team()


def check_split(batch_size: int, members: int, accumulate: int) -> None:
    """Raise UsageError unless a batch falls into equal parts for `members`, each in `accumulate` turns."""
    if batch_size % (members * accumulate):
        raise UsageError(
            f"a batch of {batch_size} does not fall into equal parts (processes: {members}, --accumulate: "
            f"{accumulate}); choose a --batch-size that {members * accumulate} divides."
        )
