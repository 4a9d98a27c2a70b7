"""The robot as the subject of a sweep: its options, and what they come to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from toyflow.errors import UsageError, unknown
from toyflow.machine import cores
from toyflow.robot.data.source import made_of, open_data_set, short_name
from toyflow.robot.simulation.environment import load_environment
from toyflow.sweep.cell import Study
from toyflow.sweep.options import SweepOptions
from toyflow.sweep.subject import Choice, Number, Settings, Subject, Text, Values, complete

if TYPE_CHECKING:
    import torch

    from toyflow.robot.data.data_set import DataSet
    from toyflow.sweep.store import StoredTraining
    from toyflow.training import Bench

ENVIRONMENT = "libero"
"""The simulator of data that do not say theirs."""
NO_TRIALS = "none"


class RobotTask(Subject):
    """A policy trained on demonstrations, and evaluated in closed loop."""

    name = "robot"
    metrics = ("success",)
    knobs: ClassVar[Values] = {"dataset": Text("", "a LeRobot data set: a folder, or a name on the hub")}
    options: ClassVar[Values] = {
        "size": Choice("nano", "tiny", "full"),
        "horizon": Number(10, low=1, high=100, whole=True),
        "attention": Choice("joint", "cross", "full"),
        "supervision": Choice("mask", "full"),
        "cameras": Text("all", "names joined by +, or none"),
        "language": Choice("on", "off"),
        "state": Choice("on", "off"),
        "normalisation": Choice("mean-std", "quantile"),
        "image-size": Number(0, low=0, high=1024, whole=True),
        "pretrained": Choice("off", "on"),
        "fps": Number(0, low=0, high=1000),
    }
    trials: ClassVar[Values] = {
        "environment": Text("auto", f"a simulator; auto is that of the data, else {ENVIRONMENT}"),
        "suite": Text("auto", f"of the simulator; {NO_TRIALS} to train only"),
        "tasks": Text("auto", "all, or numbers such as 0-4+7"),
        "states": Text("10", "how many official initial states of each task, or which"),
        "replan": Text("horizon", "actions carried out before the policy looks again"),
        "rendering": Choice("fast", "libero"),
    }
    accepted: ClassVar[Values] = {"constant-dims": Choice("refuse", "keep")}

    @classmethod
    def choose(cls, options: Mapping[str, str]) -> Settings:
        """See `Subject`. The data set is opened and looked at, and the trials are looked up."""
        cls.check_names(options)
        where = options.get("dataset", "")
        model = complete(cls.options, options)
        if not where:
            raise UsageError("name the demonstrations to train on: dataset=FOLDER_OR_HUB_NAME.")
        found = open_data_set(where)
        if complete(cls.accepted, options)["constant-dims"] == "refuse":
            cls.check_moves(found, model)
        test_set = cls.test_set(options, made_of(where), int(model["horizon"]))
        if test_set:
            cls.check_served(test_set, found, model)
        return Settings({"dataset": short_name(where), "fingerprint": found.fingerprint}, model, test_set)

    @classmethod
    def check_served(cls, test_set: str, data: DataSet, model: Mapping[str, Any]) -> None:
        """Raise UsageError unless a policy trained on `data` can act in the simulator of these trials."""
        from toyflow.robot.policy.checkpoint import seen
        from toyflow.robot.simulation.trials import Trials

        simulator = Trials.parse(test_set).environment
        load_environment(simulator).interface.check_serves(seen(data, model), simulator)

    @classmethod
    def check_moves(cls, data: DataSet, model: Mapping[str, str]) -> None:
        """Raise UsageError where a number of the action, or of a state that is seen, never changes in
        `data`, or a statistic is none."""
        from toyflow.robot.policy.checkpoint import normalisation_of

        if still := normalisation_of(data, model).constant(state=model["state"] == "on"):
            raise UsageError(
                f"data set {data.where}: {still} (counted from 0) never changes, so a policy "
                "can learn nothing from it or about it. If it is meant so: --keep-constant, in a sweep "
                "--set constant-dims=keep."
            )

    @classmethod
    def test_set(cls, options: Mapping[str, str], made: Mapping[str, str], horizon: int) -> str:
        """The name of the trials that `options` ask for, empty for none; `auto` is what the demonstrations
        were `made` of. Raises UsageError for what does not exist."""
        from toyflow.robot.simulation.trials import Trials

        trials = complete(cls.trials, options)
        theirs = made.get("environment", trials["environment"])
        if trials["environment"] not in ("auto", theirs) and trials["suite"] == "auto":
            suites = ", ".join(load_environment(trials["environment"]).suites())
            raise UsageError(
                f"the demonstrations are of {theirs}: name a suite of {trials['environment']}, which has "
                f"{suites}."
            )
        for name, otherwise in (("environment", ENVIRONMENT), ("suite", NO_TRIALS), ("tasks", "all")):
            if trials[name] == "auto":
                same = name != "tasks" or trials["suite"] == made.get("suite")
                trials[name] = made.get(name, otherwise) if same else otherwise
        return "" if trials["suite"] == NO_TRIALS else str(Trials.checked(trials, horizon))

    @classmethod
    def recipe(cls, options: SweepOptions) -> Mapping[str, float]:
        """See `Subject`: the recipe of the size, with what `options` change of it."""
        from dataclasses import replace

        from toyflow.robot.policy.recipes import RECIPES

        size, *others = {choice.get("size", "nano") for choice in options.choices()}
        if others:
            raise UsageError("each size has a recipe of its own: give a sweep one size.")
        if size not in RECIPES:
            raise unknown("size", size, RECIPES)
        asked = {
            "iterations": options.iterations,
            "batch_size": options.batch_size,
            "learning_rate": options.learning_rate,
        }
        given: dict[str, Any] = {name: value for name, value in asked.items() if value is not None}
        recipe = replace(RECIPES[size], **given)
        floor = min(recipe.final_learning_rate, recipe.learning_rate)
        return vars(replace(recipe, final_learning_rate=floor))

    @classmethod
    def bench(
        cls, training: StoredTraining, examples: int, device: torch.device, data_dir: str | None = None
    ) -> Bench:
        """See `Subject`: on moments of the demonstrations, which `data_dir` names if they have moved."""
        from toyflow.robot.probe_moments import bench_of

        return bench_of(training, examples, device, data_dir)

    @classmethod
    def study(cls, options: SweepOptions) -> Study:
        """See `Subject`."""
        from toyflow.robot.runner import RobotStudy

        places = {}
        for where in dict.fromkeys(filter(None, (choice.get("dataset") for choice in options.choices()))):
            there = Path(where).expanduser()
            places[open_data_set(where).fingerprint] = str(there.resolve()) if there.exists() else where
        return RobotStudy(options.device, options.threads, options.out, places, cores())
