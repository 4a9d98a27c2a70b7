"""What names and ranges tell of a policy that was trained by other conventions than the simulator's."""

import numpy as np
import pytest

from toyflow.robot.interface import Interface, Observation
from toyflow.robot.simulation.conventions import Ranges, action_doubts, state_doubts
from toyflow.robot.simulation.environment import Environment, load_environment
from toyflow.robot.simulation.environments.aloha.aloha_environment import Aloha
from toyflow.robot.simulation.environments.libero import Libero

EULER = ("x", "y", "z", "roll", "pitch", "yaw", "gripper", "gripper")
AXIS_ANGLE = ("x", "y", "z", "axis_angle1", "axis_angle2", "axis_angle3", "gripper", "gripper")
START = Observation({}, np.array([-0.2, 0, 1.2, 3.1, 0, 0, 0.04, -0.04], np.float32), "go")
MEAN, STD = (-0.05, 0.03, 0.8, 2.97, -0.2, -0.1, 0.03, -0.03), (0.1, 0.15, 0.4, 0.3, 0.9, 0.3, 0.02, 0.02)


def test_libero_by_its_own_conventions_is_not_doubted():
    trained = Ranges(AXIS_ANGLE, MEAN, STD, (-0.5, -0.3, 0, 0.35, -3.6, -1.8, 0, -0.04), (0.2,) * 8)
    assert state_doubts(Libero, trained, START) == []
    assert action_doubts(Libero, Ranges(low=(-0.94,) * 6 + (-1,), high=(0.94,) * 6 + (1,))) == []
    assert state_doubts(Libero, Ranges(), START) == action_doubts(Libero, Ranges()) == []


def test_roll_pitch_yaw_is_told_by_its_names():
    [doubt] = state_doubts(Libero, Ranges(EULER), None)
    assert doubt == (
        "state: roll, pitch, yaw in the policy's training data, roll, pitch and yaw; libero has axis_angle1, "
        "axis_angle2, axis_angle3, an axis times an angle."
    )


def test_roll_pitch_yaw_is_told_by_a_jump_at_pi():
    low, high = [-0.5] * 8, [0.5] * 8
    low[3], high[3] = -3.1415, 3.1414
    [doubt] = state_doubts(Libero, Ranges(low=tuple(low), high=tuple(high)), None)
    assert "state axis_angle1: -3.14 to 3.14 in the policy's training data, as roll, pitch and yaw" in doubt
    low[3] = -3.64  # an axis times an angle goes on beyond pi
    assert state_doubts(Libero, Ranges(low=tuple(low), high=tuple(high)), None) == []


def test_a_first_observation_far_from_the_training_is_told_with_both():
    mean = list(MEAN)
    mean[3] = 0.02
    [doubt] = state_doubts(Libero, Ranges((), tuple(mean), STD), START)
    assert doubt == "state axis_angle1: 0.02 +- 0.3 in the policy's training data; libero began with 3.1."
    constant = (*STD[:3], 0.0, *STD[4:])
    assert state_doubts(Libero, Ranges((), tuple(mean), constant), START) == []


def test_a_gripper_of_0_to_1_and_other_units_are_told():
    low, high = [-0.9] * 6 + [0.0], [0.9] * 6 + [1.0]
    assert action_doubts(Libero, Ranges(low=tuple(low), high=tuple(high))) == [
        "action gripper: 0 to 1 in the policy's training data; libero takes -1 to 1, both signs."
    ]
    low[3], low[6], high[3] = -57.0, -1.0, 40.0
    [doubt] = action_doubts(Libero, Ranges(low=tuple(low), high=tuple(high)))
    assert doubt.startswith("action roll: -57 to 40") and doubt.endswith(
        "libero takes -1 to 1 and clips what is beyond."
    )


def test_the_same_names_in_another_order_are_told():
    names, inside = Aloha.action_names, {"low": (0.1,) * 14, "high": (0.5,) * 14}
    [doubt] = action_doubts(Aloha, Ranges(names[7:] + names[:7], **inside))
    assert doubt.startswith(f"action: in the order {names[7]}, ") and f"aloha takes {names[0]}, " in doubt
    for same in (names, tuple(f"motor_{k}" for k in range(14)), ()):
        assert action_doubts(Aloha, Ranges(same, **inside)) == []


def test_a_simulator_whose_grippers_have_one_sign_is_not_doubted():
    assert action_doubts(Aloha, Ranges(low=(0.0,) * 14, high=(1.0,) * 14)) == []
    assert state_doubts(load_environment("points"), Ranges(EULER[:4]), None) == []


class Pixels(Environment):
    """Actions of 0 to 512."""

    name, action_names, action_bounds = "board", ("x", "y"), (0.0, (512.0, 480.0))
    interface = Interface(cameras=(), state_dim=2, action_dim=2, fps=10)


def test_ranges_that_are_unknown_or_of_other_numbers_raise_no_doubts():
    assert action_doubts(Pixels, Ranges()) == []
    assert action_doubts(Pixels, Ranges(low=(0.0,) * 3, high=(9e9,) * 3)) == []


def test_units_are_doubted_by_the_simulators_own_bounds():
    assert action_doubts(Pixels, Ranges(low=(12.0, 25.0), high=(511.0, 481.0))) == []
    assert action_doubts(Pixels, Ranges(low=(-1.0, 0.0), high=(640.0, 740.0))) == [
        "action y: 0 to 740 in the policy's training data; board takes 0 to 480 and clips what is beyond."
    ]


@pytest.mark.parametrize("name", ["aloha", "aloha-state", "libero"])
def test_two_sided_dimensions_are_the_actions(name):
    environment = load_environment(name)
    assert {*environment.two_sided} <= {*environment.action_names}
