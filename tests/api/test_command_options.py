"""Flags, presets and defaults, merged."""

import pytest

from toyflow.api.command_options import (
    preset_cost,
    preset_hints,
    recommend_options,
    sweep_options,
    trial_options,
)
from toyflow.errors import MissingInputError, ToyflowError, UsageError
from toyflow.robot.simulation.trial_options import TrialOptions
from toyflow.sweep.presets import load_preset


def test_flags_override_a_preset_which_overrides_defaults():
    preset = load_preset("finding-1")
    options = sweep_options({"steps": "1,4", "seeds": None}, preset="finding-1")
    assert options.steps == (1, 4) and options.schedules == tuple(preset["schedules"])
    assert options.samplers == ("euler",)


def test_quick_needs_a_preset():
    with pytest.raises(UsageError, match="--quick is a preset's short version; name the preset"):
        sweep_options({}, quick=True)
    quick = load_preset("dial", quick=True)
    assert sweep_options({}, preset="dial", quick=True).seeds == sweep_options(quick).seeds


def test_what_a_preset_needs_first_is_said_in_its_own_words():
    """The error alone would make demonstrations of another robot."""

    def missing(preset):
        with pytest.raises(UsageError) as caught, preset_hints(preset):
            raise MissingInputError("data/demos does not exist.", "Make one: toyflow robot-demos")
        return str(caught.value)

    said = missing("one-step-two-arms")
    assert said.startswith("data/demos does not exist. What comes first, by the preset's header: `pip")
    assert "toyflow robot-demos --environment aloha-state --suite transfer_cube" in said
    assert "\n" not in said and "Make one" not in said
    for without in ("finding-1", None, "no-such.toml"):
        assert missing(without) == "data/demos does not exist. Make one: toyflow robot-demos"


def test_an_error_of_a_dry_run_tells_the_cost_by_the_preset():
    cost = preset_cost("one-step-two-arms")
    assert cost.startswith("The cost by the preset's header: ") and cost[-1] == "."
    assert cost != preset_cost("one-step-two-arms", quick=True) != ""
    for error in (
        ToyflowError("a trial failed"),
        MissingInputError("data/demos does not exist.", "Make it."),
    ):
        with pytest.raises(type(error)) as caught, preset_hints("one-step-two-arms", cost):
            raise error
        assert caught.value.hint == cost and caught.value.in_full().endswith(cost)
    assert preset_cost(None) == preset_cost("no-such.toml") == ""


def test_each_setting_of_recommend_has_a_folder_unless_one_is_named():
    assert recommend_options({"task": "dial"}).out == "results/recommend/dial"
    assert recommend_options({"set": ["side=3"]}).out == "results/recommend/grid-to-sequence,side=3"
    assert recommend_options({"set": ["side=3"], "out": "mine"}).out == "mine"


def test_a_first_policy_is_evaluated_on_fewer_states_unless_they_are_named():
    assert trial_options({"states": None}) == TrialOptions()
    assert trial_options({"states": None}, first=True) == TrialOptions(states="at-most-5")
    assert trial_options({"states": "10"}, first=True).states == "10"
    with pytest.raises(UsageError, match="unknown rendering 'slow'"):
        trial_options({"rendering": "slow"})
