"""What the two tasks have in common in which one hand holds a body and the other presses a part into it."""

import numpy as np
import pytest

from toyflow.robot.data.demos.recording import Attempt, record
from toyflow.robot.simulation.environments.yam import YamState
from toyflow.robot.simulation.environments.yam.station import HIGH, LOW

HOLDING = {"bottle_cap": slice(0, 7), "battery": slice(7, 14)}
"""The numbers of an action that are the holding arm's."""


@pytest.fixture(scope="module", params=HOLDING)
def environment(yam, request):
    made = YamState(request.param, 0)
    yield made
    made.close()


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


def test_not_solved_while_a_hand_holds_the_body(environment):
    """The part is seated, and all else as it should be; once the hand opens it is solved."""
    environment.reset(0, 0)
    station, expert = environment.station, environment.expert(0)
    [body] = {*environment.station_task.objects} - {expert.part}
    station.place(expert.part, expert.seat(), station.rotation(body))
    side, (tip, facing) = expert.holding, expert.hold()
    hand = station.hand(side)
    joints = [hand.joints(tip, facing) for _ in range(5)][-1]
    for number, angle in enumerate(joints):
        station.data.qpos[station.model.joint(f"{side}_joint{number + 1}").qposadr[0]] = angle
    action = environment.still()
    action[HOLDING[environment.station_task.name]] = [*joints, 0.0]
    solved = [environment.step(action) for _ in range(60)]
    assert station.held(body) == [side] and not solved[-1]
    action[HOLDING[environment.station_task.name]] = [*joints, 1.0]
    assert any(environment.step(action) for _ in range(60))


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
@pytest.mark.parametrize("state", range(5))
def test_one_arm_alone_does_not_solve_it(environment, state):
    environment.reset(0, state)
    expert, idle = environment.expert(0), environment.still()
    for _ in range(500):
        action = expert.act()
        action[HOLDING[environment.station_task.name]] = idle[HOLDING[environment.station_task.name]]
        assert not environment.step(action)
