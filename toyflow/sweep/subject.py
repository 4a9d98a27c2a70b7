"""What a sweep is of: a toy task, or the robot, with its options, metrics and recipe."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from toyflow import plugins
from toyflow.errors import ToyflowError, UsageError
from toyflow.optionset import OptionSet, check_names
from toyflow.sweep.records import TEST_SET, TrainingRecord, name_of_task
from toyflow.sweep.stored import StoredTraining


class ResolvedOptions(NamedTuple):
    """Values of all options of a subject, as records keep them."""

    data: dict[str, str]
    """What the examples are."""
    model: dict[str, str]
    test_set: str = TEST_SET
    """What is evaluated on, as an evaluation record names it; empty for training alone."""
    shown: Mapping[str, str] = {}
    """What names a cell in place of `OPTION=VALUE`, by option, where a value says nothing to people."""


class Subject(ABC):
    """What `toyflow sweep --task` names, declared under `toyflow.tasks`: a subclass of `toyflow.Task`, or the
    robot."""

    name: ClassVar[str]
    version: ClassVar[int] = 1
    """Raise it when a change of the task changes what its results mean: older ones are then not reused."""
    runner: ClassVar[str]
    """Entry point of `toyflow.runners` that trains and evaluates the subject."""
    metrics: ClassVar[tuple[str, ...]]
    """What is measured on each test example, the headline first; the headline is 0 or 1, 1 being good. The
    others are shares too, unless `lower_is_better` names them."""
    set_metrics: ClassVar[tuple[str, ...]] = ()
    """Set metrics: computed on all samples together, such as the Fréchet distance."""
    lower_is_better: ClassVar[tuple[str, ...]] = ()
    """Names in `metrics` and `set_metrics` for which lower is better, such as distances; never the
    headline."""
    shown_as: ClassVar[str] = ""
    """How `toyflow explore` draws a target: `curve`, numbers in a row; `digits`, their codes; `image`. Empty:
    an image where a target has 3 axes, else curves."""
    data_options: ClassVar[type[OptionSet]] = OptionSet
    """What the examples are; part of a training record."""
    model_options: ClassVar[type[OptionSet]] = OptionSet
    """What the model is; part of a training record."""
    evaluation_options: ClassVar[type[OptionSet]] = OptionSet
    """What is evaluated; part of an evaluation record."""
    test_set_defaults: ClassVar[Mapping[str, str]] = {}
    """What a test set of the form `NAME=VALUE NAME=VALUE` means by names that it leaves out."""
    waivers: ClassVar[type[OptionSet]] = OptionSet
    """Checks that a user must waive explicitly; part of no record."""

    @classmethod
    def identity(cls) -> str:
        """The subject's name in records."""
        return cls.name if cls.version == 1 else f"{cls.name}-v{cls.version}"

    @classmethod
    def choose(cls, options: Mapping[str, str]) -> ResolvedOptions:
        """`options`, completed with defaults. Raises UsageError for what does not exist."""
        cls.check_names(options)
        return ResolvedOptions(
            cls.data_options.parse(options).record(), cls.model_options.parse(options).record()
        )

    @classmethod
    def check_names(cls, options: Mapping[str, str]) -> None:
        """Raise UsageError for an option that the subject does not have."""
        sets = (cls.data_options, cls.model_options, cls.evaluation_options, cls.waivers)
        check_names(options, sets, f"task {cls.name}")

    @classmethod
    @abstractmethod
    def recipe(cls, model: Mapping[str, str], changes: Mapping[str, float]) -> Mapping[str, float]:
        """The recipe of a model with these options, as training records keep it; `changes` are numbers in
        place of the recipe's own, of `RECIPE_NUMBERS`."""

    @classmethod
    def ideal_scores(cls, data: Mapping[str, str], steps: int) -> dict[str, float] | None:
        """Every metric of the test set that the options `data` describe, decoded in `steps` Euler steps along
        the optimal velocity. None where that velocity is not known in closed form."""
        return None


def load_subject(name: str) -> type[Subject]:
    """The subject called `name`.

    Raises:
        UsageError: there is none, or it was written for toyflow 0.1.0.
    """
    subject = plugins.load("tasks", name)
    check_current(subject)
    return subject


def check_current(subject: type[Subject]) -> None:
    """Raise UsageError, which says what to change, for a task that was written for toyflow 0.1.0."""
    dictionaries = {
        "knobs": "data_options",
        "options": "model_options",
        "trials": "evaluation_options",
        "accepted": "waivers",
    }
    for base in subject.__mro__:
        for name, value in vars(base).items():
            if name in dictionaries and isinstance(value, Mapping):
                change = f"replace its dictionary `{name}` by a dataclass `{dictionaries[name]}`"
            elif name in ("study", "bench") and isinstance(value, classmethod):
                change = f"move its `{name}` to a `Runner`, which its attribute `runner` names"
            else:
                continue
            raise UsageError(
                f"task {subject.name!r} was written for toyflow 0.1.0: {change} (see CHANGELOG.md)."
            )


def options_of(training: StoredTraining) -> tuple[dict[str, str], dict[str, str]]:
    """(data options, model options) of a trained model, with those that its record leaves out as they are at
    their default (`toyflow/optionset.py`, `added=True`). Where its task is not installed, what the record
    itself says."""
    data, model = training.data_options, dict(training.record.model)
    try:
        subject = subject_of(training.record)
    except ToyflowError:  # results are read without what made them
        return data, model
    return _completed(data, subject.data_options), _completed(model, subject.model_options)


def test_set_of(training: TrainingRecord, name: str) -> dict[str, str]:
    """What a test set's name says: `suite=libero_goal replan=5` is two things, with those that it leaves out
    as they are at their default; any other name is one. Where the task is not installed, what the name itself
    says."""
    parts = [part.split("=", 1) for part in name.split(" ")]
    if not all(len(part) == 2 for part in parts):
        return {"test set": name}
    try:
        defaults = subject_of(training).test_set_defaults
    except ToyflowError:
        defaults = {}
    told = dict(parts)
    return told | {name: value for name, value in defaults.items() if name not in told}


def _completed(texts: Mapping[str, str], options: type[OptionSet]) -> dict[str, str]:
    added = options.added()
    older = {name: text for name, text in texts.items() if name not in added}
    return older | {name: texts.get(name, default) for name, default in added.items()}


def subject_of(record: TrainingRecord) -> type[Subject]:
    """The subject that `record` names. Raises UsageError where it is not installed."""
    installed = plugins.available("tasks")
    name = record.task if record.task in installed else name_of_task(record.task)
    if name not in installed:
        raise UsageError(
            f"the task of these results, {record.task!r}, is not installed; there is: "
            f"{', '.join(sorted(installed))}. For a task of your own, declare its class under the "
            "entry point group `toyflow.tasks` of a package and install that: docs/guides/extend.md."
        )
    return load_subject(name)
