"""The robot as the subject of a sweep: its options, and the data set, policy and trials that they name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from toyflow.errors import UsageError
from toyflow.optionset import OptionSet, choice
from toyflow.robot.data.checks.gate import refuse_contradictions
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.data_source import open_data_set, short_name
from toyflow.robot.data.demo_source import against_relative, demo_source, simulated_here
from toyflow.robot.data.local_files import local_folder
from toyflow.robot.data.training_part import Demonstrations, held_out_episodes
from toyflow.robot.policy.checkpoint import chosen_cameras, normalisation_of, policy_interface
from toyflow.robot.policy.policy_options import PolicyOptions
from toyflow.robot.policy.policy_recipes import RECIPES
from toyflow.robot.simulation.environment import load_environment
from toyflow.robot.simulation.trial_options import TrialOptions
from toyflow.robot.simulation.trials import LEFT_OUT, trials_of
from toyflow.sweep.subject import ResolvedOptions, Subject


@dataclass(frozen=True)
class Waivers(OptionSet):
    """Checks of the data that a user must waive explicitly."""

    constant_dims: str = choice("refuse", "keep")
    contradictions: str = choice("refuse", "keep")


class RobotTask(Subject):
    """A policy trained on demonstrations, and evaluated in closed loop."""

    name = "robot"
    runner = "robot"
    metrics = ("success",)
    data_options = Demonstrations
    model_options = PolicyOptions
    evaluation_options = TrialOptions
    test_set_defaults = LEFT_OUT
    waivers = Waivers

    @classmethod
    def choose(cls, options: Mapping[str, str]) -> ResolvedOptions:
        """See `Subject`. Opens the data set, checks it, and looks up the trials in the simulator."""
        cls.check_names(options)
        policy = PolicyOptions.parse(options)
        asked = Demonstrations.parse(options)
        where = asked.dataset
        if not where:
            raise UsageError("name the demonstrations to train on: dataset=FOLDER_OR_HUB_NAME.")
        if Waivers.parse(options).contradictions == "refuse":
            _refuse_contradictions(asked, policy)
        data = open_data_set(where, asked.rename)
        held_out_episodes(data.episodes, asked.hold_out)  # raises where too few would be left
        if Waivers.parse(options).constant_dims == "refuse":
            check_moves(data, policy, asked.hold_out)
        source = demo_source(where)
        if policy.stays_absolute is not None and (why := against_relative(source)):
            raise UsageError(f"data set {where}: {why}")
        trials = trials_of(TrialOptions.parse(options), source, policy.horizon)
        if trials:
            simulator = load_environment(trials.environment)
            simulator.interface.check_serves(policy_interface(data, policy), trials.environment)
        told = {name: text for name, text in asked.record().items() if name not in ("dataset", "rename")}
        return ResolvedOptions(
            {**told, "fingerprint": data.fingerprint},
            policy.record(),
            str(trials) if trials else "",
            {"fingerprint": f"dataset={short_name(where)}"},
        )

    @classmethod
    def recipe(cls, model: Mapping[str, str], changes: Mapping[str, float]) -> Mapping[str, float]:
        """See `Subject`: the recipe of the policy's size. The learning rate never ends above its peak."""
        recipe = replace(RECIPES[PolicyOptions.parse(model).size], **changes)
        floor = min(recipe.final_learning_rate, recipe.learning_rate)
        return vars(replace(recipe, final_learning_rate=floor))


def _refuse_contradictions(asked: Demonstrations, policy: PolicyOptions) -> None:
    """Raise UsageError where the data set contradicts itself, see `refuse_contradictions`."""
    folder = local_folder(asked.dataset)
    root = folder or open_data_set(asked.dataset, asked.rename).folder()
    refuse_contradictions(asked.dataset, root, asked.rename, chosen_cameras(policy), policy.stays_absolute)


def check_moves(data: DataSet, policy: PolicyOptions, hold_out: float = 0.0) -> None:
    """Raise UsageError where a dimension of the action, or of a state that the policy sees, is constant in
    the training part of `data`, or a statistic is missing or not a number. States of `robot-demos` may be."""
    sees_others = policy.state and not simulated_here(data.where)
    if still := normalisation_of(data, policy, hold_out).constant(state=sees_others):
        raise UsageError(
            f"data set {data.where}: {still} (counted from 0) never changes, so a policy "
            "can learn nothing from it or about it. If it is meant so: --keep-constant, in a sweep "
            "--set constant-dims=keep."
        )
