"""The tower of Hanoi: its rules, its discs, and its expert."""

import numpy as np
import pytest

from toyflow.robot.data.demos.recording import Attempt, record
from toyflow.robot.simulation.environments.yam import YamState, hanoi
from toyflow.robot.simulation.environments.yam.hanoi import (
    HALF_HEIGHT,
    HOLE,
    PEG_RADIUS,
    next_move,
    peg_places,
)
from toyflow.robot.simulation.environments.yam.station import HIGH, LOW


@pytest.fixture(scope="module")
def one_disc(yam):
    environment = YamState("hanoi", 0)
    yield environment
    environment.close()


@pytest.fixture(scope="module")
def two_discs(yam):
    environment = YamState("hanoi", 1)
    yield environment
    environment.close()


@pytest.mark.parametrize(("discs", "moves"), [(1, 2), (2, 8), (3, 26)])
def test_the_shortest_solution_takes_3_to_the_n_minus_1_moves(discs, moves):
    pegs = [0] * discs
    for _ in range(moves):
        move = next_move(pegs)
        assert move is not None
        disc, peg = move
        assert abs(pegs[disc] - peg) == 1
        assert not {pegs[disc], peg} & {*pegs[disc + 1 :]}  # no smaller disc above it, or under it
        pegs[disc] = peg
    assert next_move(pegs) is None


def test_a_disc_is_drawn_as_a_closed_surface_of_its_volume():
    corners, triangles = hanoi.washer(0.036)
    edges = {(int(a), int(b)) for t in triangles for a, b in zip(t, np.roll(t, -1), strict=True)}
    assert len(edges) == 3 * len(triangles) and edges == {(b, a) for a, b in edges}
    a, b, c = corners[triangles].transpose(1, 0, 2)
    volume = (np.cross(a, b) * c).sum() / 6
    assert volume == pytest.approx(np.pi * (0.036**2 - HOLE**2) * 2 * HALF_HEIGHT, rel=0.01)


class TestSolved:
    def put(self, environment, places):
        """Put discs at (peg, level), and let them come to rest."""
        environment.reset(0, 0)
        pegs = peg_places(environment.station)
        for disc, (peg, level) in zip(environment.station_task.discs, places, strict=True):
            height = HALF_HEIGHT * (2 * level + 1) + 0.001
            environment.station.place(disc, pegs[peg] + np.array([0, 0, height]))
        return any(environment.step(environment.still()) for _ in range(60))

    @pytest.mark.parametrize(
        ("places", "solved"),
        [
            ([(2, 0), (2, 1)], True),
            ([(2, 1), (2, 0)], False),  # the large one on the small one
            ([(2, 0), (1, 0)], False),
            ([(0, 0), (0, 1)], False),
        ],
    )
    def test_by_pegs_and_order(self, two_discs, places, solved):
        assert self.put(two_discs, places) == solved

    def test_only_at_rest(self, two_discs):
        assert self.put(two_discs, [(2, 0), (2, 1)])
        joint = two_discs.station.data.joint("disc1")
        joint.qvel[2] = 0.1
        assert not two_discs.station_task.solved(two_discs.station)


def test_a_stack_at_rest_has_few_contacts(two_discs):
    two_discs.reset(0, 0)
    assert two_discs.station.data.ncon <= 12
    assert max(map(two_discs.station.speed, two_discs.station_task.discs)) < 1e-3


def test_a_peg_holds_its_disc(one_disc):
    one_disc.reset(0, 0)
    station = one_disc.station
    body = station.model.body("disc0").id
    for turn in np.linspace(0, 2 * np.pi, 7):
        station.data.xfrc_applied[body, :3] = 2 * np.cos(turn), 2 * np.sin(turn), 0
        for _ in range(25):
            one_disc.step(one_disc.still())
        away = np.linalg.norm(station.position("disc0")[:2] - peg_places(station)[0, :2])
        assert 0.8 * (HOLE - PEG_RADIUS) < away < 1.3 * (HOLE - PEG_RADIUS)
    station.data.xfrc_applied[:] = 0


def test_a_disc_dropped_beside_its_peg_lies_on_the_table(one_disc):
    one_disc.reset(0, 0)
    station = one_disc.station
    station.place("disc0", peg_places(station)[0] + np.array([0.06, 0, 0.05]))
    for _ in range(60):
        one_disc.step(one_disc.still())
    assert abs(station.position("disc0")[2] - HALF_HEIGHT) < 2e-3


@pytest.mark.parametrize("noise", [0.0, pytest.param(0.2, marks=pytest.mark.slow)])
def test_the_expert_solves_it_and_its_actions_replay_to_the_same_outcome(one_disc, noise):
    made = record(one_disc, one_disc.task, Attempt(0, 1), seed=0, noise=noise, beat=lambda: None)
    assert made.outcome.solved and made.outcome.steps < 600
    action = made.trajectory.action
    assert (action >= np.array(LOW, np.float32)).all() and (action <= np.array(HIGH, np.float32)).all()
    if not noise:
        seed = np.random.SeedSequence([0, 0, 1]).generate_state(3).tolist()[0]
        one_disc.reset(seed)
        solved = [one_disc.step(each) for each in action]
        assert solved[-1] and not any(solved[:-1])


@pytest.mark.slow
def test_it_is_not_solved_while_a_hand_holds_the_disc(one_disc):
    one_disc.reset(0, 5)
    expert, station, held_there = one_disc.expert(0), one_disc.station, 0
    goal = peg_places(station)[2]
    solved = False
    for _ in range(one_disc.task.max_steps):
        solved = one_disc.step(expert.act())
        close = np.linalg.norm(station.position("disc0") - goal) < 0.02
        held_there += close and bool(station.held("disc0"))
        assert not (solved and station.held("disc0"))
        if solved:
            break
    assert solved and held_there > 5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_expert_solves_two_discs(two_discs):
    for state in (0, 50):
        two_discs.reset(0, state)
        expert = two_discs.expert(0)
        assert any(two_discs.step(expert.act()) for _ in range(two_discs.task.max_steps))
