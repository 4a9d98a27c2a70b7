# pyright: reportArgumentType=false
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from toyflow.errors import UsageError
from toyflow.robot.simulation.environments.libero.pick_and_place import CLOSED, POINTING_DOWN, make_expert

REST = 0.9
"""Height of the table."""


class Table:
    """A hand that does what it is told at once, and objects that stay in it: LIBERO without its physics."""

    goal = (("on", "akita_black_bowl_1", "plate_1"),)
    start = (("on", "akita_black_bowl_1", "main_table_bowl_region"),)
    task = SimpleNamespace(prompt="pick up the black bowl and place it on the plate")

    def __init__(self, slips=0, **objects):
        self.objects = {name: np.array([*place, REST]) for name, place in objects.items()}
        self.hand, self.rotation, self.slips = np.array([-0.2, 0.0, 1.2]), POINTING_DOWN, slips
        self.held, self.closed, self.yaws = None, False, []

    @property
    def observation(self):
        seen = {f"{name}_pos": place for name, place in self.objects.items()}
        return {**seen, "robot0_eef_pos": self.hand, "robot0_eef_quat": self.rotation.as_quat()}

    def step(self, action):
        bowl = self.objects["akita_black_bowl_1"]
        move = 0.02 * action[:3]
        self.hand = self.hand + move
        self.rotation = Rotation.from_rotvec(0.1 * action[3:6]) * self.rotation
        closing = action[6] == CLOSED
        if closing and not self.closed:
            self.yaws.append(abs((POINTING_DOWN.inv() * self.rotation).as_rotvec()[2]))
            near = np.linalg.norm(self.hand - bowl) < 0.08
            self.held = near and self.slips == 0
            self.slips -= near and self.slips > 0
        self.closed = closing
        if self.held:
            self.objects["akita_black_bowl_1"] = bowl + move
            if not closing:
                self.held = False
        bowl = self.objects["akita_black_bowl_1"]
        if not self.held:
            bowl[2] = REST
        return not self.held and np.linalg.norm((bowl - self.objects["plate_1"])[:2]) < 0.02

    def solve(self, most=220):
        expert = make_expert(self, self.task.prompt)
        return next((count for count in range(most) if self.step(expert.act())), None)


BOWL, PLATE = (0.1, -0.1), (0.05, 0.2)


def test_carries_the_object_to_its_target():
    assert Table(akita_black_bowl_1=BOWL, plate_1=PLATE).solve() is not None


def test_tries_again_with_another_grasp():
    table = Table(slips=2, akita_black_bowl_1=BOWL, plate_1=PLATE)
    assert table.solve(most=400) is not None
    assert np.allclose(table.yaws, [0, 0, np.pi / 2], atol=0.11)


def test_follows_an_object_that_is_moved_while_the_hand_is_on_its_way():
    table = Table(akita_black_bowl_1=BOWL, plate_1=PLATE)
    expert = make_expert(table, table.task.prompt)
    for _ in range(15):
        table.step(expert.act())
    table.objects["akita_black_bowl_1"][:2] += 0.05
    assert any(table.step(expert.act()) for _ in range(200))


@pytest.mark.parametrize(("name", "turned"), [("milk_1", True), ("butter_1", False)])
def test_turns_the_hand_where_something_tall_would_be_in_its_way(name, turned):
    beside = {name: (BOWL[0], BOWL[1] + 0.15), "ketchup_1": (BOWL[0], BOWL[1] - 0.15)}
    table = Table(akita_black_bowl_1=BOWL, plate_1=PLATE, **beside)
    assert table.solve() is not None
    assert (table.yaws[0] > 1) == turned


def test_actions_are_within_their_range():
    table = Table(slips=3, akita_black_bowl_1=BOWL, plate_1=PLATE)
    expert = make_expert(table, table.task.prompt)
    for _ in range(300):
        action = expert.act()
        assert action.dtype == np.float32 and np.abs(action).max() <= 1
        table.step(action)


@pytest.mark.parametrize(
    "goal",
    [
        [["turnon", "flat_stove_1"]],
        [["on", "akita_black_bowl_1", "wooden_cabinet_1_top_side"]],
        [["on", "wine_bottle_1", "plate_1"]],
        [["in", "milk_1", "basket_1_contain_region"], ["in", "butter_1", "basket_1_contain_region"]],
    ],
)
def test_says_which_task_it_does_not_know(goal):
    table = Table(akita_black_bowl_1=BOWL, plate_1=PLATE)
    table.goal = goal
    with pytest.raises(UsageError, match="does not know how to 'pick up the black bowl"):
        make_expert(table, table.task.prompt)


@pytest.mark.slow
@pytest.mark.parametrize(("suite", "task"), [("libero_object", 0), ("libero_spatial", 0)])
def test_solves_official_states_in_libero(libero, suite, task):
    environment = libero(suite, task)
    try:
        environment.reset(0, init_state=0)
        expert = environment.expert(0)
        assert any(environment.step(expert.act()) for _ in range(environment.task.max_steps))
    finally:
        environment.close()
