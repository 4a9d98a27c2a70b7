"""Bottle and cap at the YAM station: what counts as solved, the press fit, and the expert."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from toyflow.robot.data.demos.recording import Attempt, record
from toyflow.robot.simulation.environments.yam import YamState, bottle_cap
from toyflow.robot.simulation.environments.yam.bottle_cap import BOTTLE, CAP, SEAT, seen_from_bottle
from toyflow.robot.simulation.environments.yam.grasps import from_the_side, heading, up
from toyflow.robot.simulation.environments.yam.station import HIGH, LOW


@pytest.fixture(scope="module")
def environment(yam):
    made = YamState("bottle_cap", 0)
    yield made
    made.close()


def capped(environment, above=0.0, turn=None):
    """The cap on the bottle, its rim `above` its seat, at rest; whether that solves the task."""
    environment.reset(0, 0)
    station = environment.station
    station.place(CAP, station.position(BOTTLE) + up(SEAT + above), turn)
    return rest(environment)


def rest(environment, steps=40):
    return [environment.step(environment.still()) for _ in range(steps)][-1]


def pull(environment, force):
    """Pull the cap from the bottle (newtons; negative: press), and let both rest."""
    station = environment.station
    for body, sign in ((CAP, 1), (BOTTLE, -1)):
        station.data.xfrc_applied[station.model.body(body).id, 2] = sign * force
    rest(environment, 25)
    station.data.xfrc_applied[:] = 0
    rest(environment)


class TestSolved:
    def test_with_the_cap_on_its_seat(self, environment):
        assert capped(environment)

    def test_not_while_the_cap_only_lies_on_the_neck(self, environment):
        assert not capped(environment, above=0.012)
        assert seen_from_bottle(environment.station)[0][2] - SEAT > 0.01

    def test_not_with_the_cap_upside_down(self, environment):
        height = bottle_cap.CAP_DEPTH + bottle_cap.LID
        assert not capped(environment, 0.001 + height, Rotation.from_euler("x", np.pi))
        place, cosine = seen_from_bottle(environment.station)
        assert cosine < -0.9 or place[2] < 0  # it lies on the neck, or fell off

    def test_not_with_the_cap_on_the_table(self, environment):
        environment.reset(0, 0)
        assert not rest(environment)

    def test_not_while_the_bottle_lies(self, environment):
        assert capped(environment)
        station, lying = environment.station, Rotation.from_euler("y", np.pi / 2)
        place = np.array([0.3, -0.3, bottle_cap.BODY_RADIUS])
        station.place(BOTTLE, place, lying)
        station.place(CAP, place + lying.apply(up(SEAT)), lying)
        station.data.qvel[:] = 0
        assert not environment.step(environment.still())
        place, cosine = seen_from_bottle(station)
        assert abs(place[2] - SEAT) < 0.002 and cosine > 0.99  # the cap is on nevertheless

    def test_only_at_rest(self, environment):
        assert capped(environment)
        station = environment.station
        station.data.qvel[station.model.body(CAP).dofadr[0] + 5] = 1.0  # turns on the neck
        assert not environment.station_task.solved(station)

    def test_not_while_a_hand_holds_the_bottle(self, environment):
        assert capped(environment)
        station = environment.station
        bottle = station.position(BOTTLE)
        hand, facing = station.hand("left"), from_the_side(heading(bottle), bottle_cap.SLOPE)
        joints = [hand.joints(bottle + up(bottle_cap.HOLD), facing) for _ in range(5)][-1]
        for number, angle in enumerate(joints):
            station.data.qpos[station.model.joint(f"left_joint{number + 1}").qposadr[0]] = angle
        action = environment.still()
        action[:7] = [*joints, 0.0]
        solved = [environment.step(action) for _ in range(60)]
        assert station.held(BOTTLE) == ["left"] and not solved[-1]
        assert seen_from_bottle(station)[0][2] - SEAT < bottle_cap.SEATED  # all else is as it should be


def test_the_cap_is_a_press_fit(environment):
    capped(environment, above=0.012)
    pull(environment, -2)
    assert seen_from_bottle(environment.station)[0][2] - SEAT > 0.005
    assert capped(environment)
    pull(environment, 2)
    assert environment.station_task.solved(environment.station)
    pull(environment, 12)
    assert not environment.station_task.solved(environment.station)


def test_resets_are_functions_of_the_seed_and_official_states_differ(environment):
    def start(seed, state=None):
        environment.reset(seed, state)
        return tuple(environment.observe().state[14:32].round(4))

    assert start(3) == start(3) and start(0, 3) == start(7, 3)
    starts = [start(0, state) for state in (*range(8), 99)] + [start(seed) for seed in range(3)]
    assert len(set(starts)) == len(starts)
    station = environment.station
    assert not environment.station_task.solved(station) and station.data.ncon < 12
    assert all(station.speed(body) < 0.01 for body in environment.station_task.objects)


@pytest.mark.parametrize(
    ("seed", "noise"), [(0, 0.0), *(pytest.param(1, noise, marks=pytest.mark.slow) for noise in (0.0, 0.2))]
)
def test_the_expert_solves_it_and_its_actions_replay_to_the_same_outcome(environment, seed, noise):
    made = record(environment, environment.task, Attempt(0, 1), seed=seed, noise=noise, beat=lambda: None)
    assert made.outcome.solved and made.outcome.steps < 500
    action = made.trajectory.action
    assert (action >= np.array(LOW, np.float32)).all() and (action <= np.array(HIGH, np.float32)).all()
    if not noise:
        environment.reset(np.random.SeedSequence([seed, 0, 0 + 1]).generate_state(3).tolist()[0])
        solved = [environment.step(each) for each in action]
        assert solved[-1] and not any(solved[:-1])


@pytest.mark.slow
def test_the_bottle_tips_where_nobody_holds_it(environment):
    environment.reset(0, 0)
    expert, idle = environment.expert(0), environment.still()[:7].copy()
    for _ in range(500):
        assert not environment.step(np.concatenate([idle, expert.act()[7:]]))
    assert environment.station.rotation(BOTTLE).as_matrix()[2, 2] < 0.5
