"""What a sweep can be of: a subject has options by name, a recipe, and a study that trains and evaluates."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

from toyflow.errors import UsageError, unknown

if TYPE_CHECKING:
    import torch

    from toyflow.sweep.cell import Study
    from toyflow.sweep.options import SweepOptions
    from toyflow.sweep.store import StoredTraining
    from toyflow.training import Bench


@dataclass(frozen=True)
class Number:
    """The values of a numeric option."""

    default: float
    low: float
    high: float
    whole: bool = False

    def parse(self, option: str, value: str) -> str:
        """`value` as it is recorded. Raises UsageError outside of the range."""
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not self.low <= number <= self.high or (self.whole and number != round(number)):
            kind = "whole number" if self.whole else "number"
            raise UsageError(f"{option} must be a {kind} from {self.low:g} to {self.high:g}, got {value!r}.")
        return f"{number:g}"

    def __str__(self) -> str:
        return f"[bold]{self.default:g}[/] ({self.low:g} to {self.high:g})"


class Choice:
    """The values of an option that is one of several names, the default first."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self.default = names[0]

    def parse(self, option: str, value: str) -> str:
        """`value` itself. Raises UsageError where it is none of the names."""
        if value not in self.names:
            raise unknown(option, value, self.names)
        return value

    def __str__(self) -> str:
        return f"[bold]{self.default}[/]{''.join(f', {other}' for other in self.names[1:])}"


@dataclass(frozen=True)
class Text:
    """The values of an option that only its subject can judge; `meaning` is for its help."""

    default: str
    meaning: str

    def parse(self, option: str, value: str) -> str:
        """`value` without spaces around it."""
        return value.strip()

    def __str__(self) -> str:
        return f"[bold]{self.default}[/] ({self.meaning})"


Values = Mapping[str, Number | Choice | Text]
"""Options by name."""


class Settings(NamedTuple):
    """Values of all options."""

    data: dict[str, str]
    """What the examples are."""
    model: dict[str, str]
    test_set: str = "test"
    """What is evaluated on, as an evaluation record names it; empty for training alone."""


class Subject(ABC):
    """A toy task, or the robot: what `toyflow sweep --task` names, declared under `toyflow.tasks`."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it when a change of the task changes what its results mean: older ones are then not reused."""
    metrics: ClassVar[tuple[str, ...]]
    """What is measured on each test example, the headline first; the headline is 0 or 1, 1 being good. The
    others are shares too, unless `lower_is_better` names them."""
    set_metrics: ClassVar[tuple[str, ...]] = ()
    """What is measured on the test set as a whole."""
    lower_is_better: ClassVar[tuple[str, ...]] = ()
    """Those of both for which it is so, distances for one; never the headline."""
    options: ClassVar[Values] = {}
    """The model's options."""
    knobs: ClassVar[Values] = {}
    """The data's options."""
    trials: ClassVar[Values] = {}
    """Options of the evaluation."""
    accepted: ClassVar[Values] = {}
    """Oddities of the data that pass only where it is said; no part of any record."""

    @classmethod
    def identity(cls) -> str:
        """How records name it."""
        return cls.name if cls.version == 1 else f"{cls.name}-v{cls.version}"

    @classmethod
    def choose(cls, options: Mapping[str, str]) -> Settings:
        """`options`, completed with defaults. Raises UsageError for what does not exist."""
        cls.check_names(options)
        return Settings(complete(cls.knobs, options), complete(cls.options, options))

    @classmethod
    def check_names(cls, options: Mapping[str, str]) -> None:
        """Raise UsageError for an option that there is not."""
        every = {**cls.knobs, **cls.options, **cls.trials, **cls.accepted}
        for name in options:
            if name not in every:
                raise unknown(f"option of task {cls.name}", name, every or ("none",))

    @classmethod
    @abstractmethod
    def recipe(cls, options: SweepOptions) -> Mapping[str, float]:
        """The recipe that `options` ask for, as training records keep it."""

    @classmethod
    @abstractmethod
    def bench(
        cls, training: StoredTraining, examples: int, device: torch.device, data_dir: str | None = None
    ) -> Bench:
        """What a model of this subject is probed on. Raises UsageError where its data are not here."""

    @classmethod
    def ideal_scores(cls, data: Mapping[str, str], steps: int) -> dict[str, float] | None:
        """Every metric of the test set that the options `data` describe, decoded in `steps` Euler steps along
        the optimal velocity. None where that velocity is not known in closed form."""
        return None

    @classmethod
    @abstractmethod
    def study(cls, options: SweepOptions) -> Study:
        """What trains and evaluates its cells."""


def complete(values: Values, chosen: Mapping[str, str]) -> dict[str, str]:
    """Every option's value, parsed: the chosen one or the default."""
    return {name: of.parse(name, chosen.get(name, str(of.default))) for name, of in values.items()}
