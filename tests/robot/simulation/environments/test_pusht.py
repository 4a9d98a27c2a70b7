"""Push-T in gym-pusht's simulator."""

import os
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.simulation.environments.pusht import PushT, PushTState, board
from toyflow.robot.simulation.environments.pusht.routes import RADIUS, Routes, corners

MISSING = [name for name in ("gym_pusht", "pymunk") if find_spec(name) is None]
needed = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; toyflow[pusht]")
HUMAN = os.environ.get("TOYFLOW_PUSHT")
"""A folder with pusht_low_dim.npz and pusht_img.npz, people's demonstrations, which toyflow may not ship."""
with_human = pytest.mark.skipif(HUMAN is None, reason="TOYFLOW_PUSHT names no folder with demonstrations")


@pytest.fixture(scope="module")
def environment():
    made = PushTState("pusht", 0)
    yield made
    made.close()


def test_without_the_package_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(board, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs gym_pusht, .*pip install 'toyflow\[pusht\]'"):
        PushT.assets()
    assert PushT.suites() == ("pusht",) and PushT.tasks("pusht")[0].init_states == 100
    with pytest.raises(UsageError, match="unknown suite 'pushl'"):
        PushT.tasks("pushl")


@needed
def test_initial_states_come_from_the_reset_of_gym_pusht_by_a_stream_of_their_own(environment):
    def pose(seed: int, state: int | None = None) -> tuple[float, ...]:
        environment.reset(seed, state)
        return tuple(environment.pose.round(6))

    assert pose(0, 3) == pose(7, 3) and pose(5) == pose(5)
    poses = np.array([*(pose(0, state) for state in range(100)), *(pose(seed) for seed in range(20))])
    assert len(np.unique(poses, axis=0)) == 120
    # the agent is drawn from 50..450; the block from 100..400, after which it turns about its centre of mass
    agent, angle = poses[:, :2], poses[:, 4]
    assert agent.min() >= 50 and agent.max() < 450 and agent.std(0).min() > 90
    assert 0 <= angle.min() < 0.5 and 5.8 < angle.max() < 2 * np.pi
    for state in (-1, 100):
        with pytest.raises(UsageError, match=f"no initial state {state}; it has 0 to 99"):
            environment.reset(0, state)


@needed
def test_actions_are_positions_in_pixels_that_the_agent_goes_to(environment):
    environment.reset(0, 0)
    agent = environment.pose[:2]
    np.testing.assert_array_equal(environment.still(), agent)
    environment.step(environment.still())
    np.testing.assert_allclose(environment.still(), agent, atol=1e-9)
    for _ in range(30):
        environment.step(np.array([600.0, -50.0]))  # clipped to 512 and 0
    np.testing.assert_allclose(environment.still(), [512, 0], atol=2)
    with pytest.raises(ToyflowError, match="not finite"):
        environment.step(np.array([np.nan, 1.0]))


@needed
def test_the_score_is_the_best_coverage_so_far_and_success_is_full_coverage(environment):
    environment.reset(0, 0)
    assert environment.score() == 0
    place(environment, (20, 20), (256, 256), np.pi / 4)
    assert environment.step(np.array([20.0, 20.0])) and environment.score() == 1
    place(environment, (20, 20), (100, 400), 0.0)
    assert not environment.step(np.array([20.0, 20.0])) and environment.score() == 1
    environment.reset(0, 0)
    place(environment, (20, 20), (266, 256), np.pi / 4)
    assert not environment.step(np.array([20.0, 20.0])) and 0.6 < environment.score() < 1
    environment.reset(0, 0)
    assert environment.score() == 0


def place(environment: PushT, agent: tuple, block: tuple, angle: float) -> None:
    """Move agent and block of the simulator."""
    environment.board.agent.position, environment.board.agent.velocity = agent, (0, 0)
    environment.board.block.angle = angle
    environment.board.block.position = block
    for body in (environment.board.agent, environment.board.block):
        environment.board.space.reindex_shapes_for_body(body)  # else the picture shows it where it was


@needed
def test_without_images_the_state_has_the_block_and_its_angle_without_a_jump(environment):
    seen = []
    for angle in (1e-4, -1e-4):
        environment.reset(0, 0)
        place(environment, (20, 30), (300, 310), angle)
        seen.append(environment.observe())
    assert seen[0].images == {} and seen[0].state.dtype == np.float32
    np.testing.assert_allclose(seen[0].state, [20, 30, 300, 310, 1, 0], atol=1e-3)
    np.testing.assert_allclose(seen[0].state, seen[1].state, atol=1e-3)
    assert set(environment.views()) == {"image"}  # for a film


@needed
def test_with_images_the_state_is_the_agents_position():
    environment = PushT("pusht", 0, image_size=64)
    environment.reset(0, 0)
    place(environment, (400, 100), (256, 256), np.pi / 4)
    seen = environment.observe()
    assert seen.images["image"].shape == (64, 64, 3) and seen.state.tolist() == [400, 100]
    rows, columns = np.nonzero(seen.images["image"][..., 0] < 95)  # the agent is blue, all else has more red
    assert abs(columns.mean() - 400 / 8) < 1.5 and abs(rows.mean() - 100 / 8) < 1.5
    assert "T-shaped" in seen.prompt
    environment.close()


@needed
def test_an_episode_is_a_function_of_its_state_and_actions(environment):
    ends = []
    for _ in range(2):
        environment.reset(0, 1)
        for k in range(60):
            environment.step(environment.pose[2:4] + 40 * np.array([np.sin(k / 9), np.cos(k / 7)]))
        ends.append((*environment.observe().state, environment.score()))
    np.testing.assert_array_equal(*ends)


@needed
@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_script_pushes_the_block_home(environment, noise):
    generator, solved = np.random.default_rng(0), 0
    for number in range(4):
        environment.reset(number, None if noise else number)
        expert = environment.expert(0)
        for _ in range(300):
            action = expert.act()
            assert action.dtype == np.float32 and ((action >= 0) & (action <= 512)).all()
            disturbance = noise * expert.noise_scale * generator.standard_normal(2)
            if environment.step(environment.clipped(action + disturbance)):
                solved += 1
                break
    assert solved == 4


@needed
def test_ways_lead_round_the_block_and_stay_clear_of_it():
    pose = np.array([256.0, 200.0, 0.3])
    routes = Routes(pose)
    inside = corners(pose).mean(0)
    assert routes.distance(inside[None]) == 0
    generator = np.random.default_rng(0)
    points = generator.uniform(20, 490, (40, 2))
    points = points[routes.distance(points) >= 21]
    lengths = routes.lengths(points[0], points[1:])
    assert np.isfinite(lengths).all()
    for end, length in zip(points[1:], lengths, strict=True):
        way = [points[0], *routes.way(points[0], end)]
        assert (way[-1] == end).all()
        parts = [(a, b) for a, b in pairwise(way)]
        assert sum(np.linalg.norm(b - a) for a, b in parts) == pytest.approx(length)
        along = np.concatenate([np.linspace(a, b, 50) for a, b in parts])
        assert routes.distance(along).min() >= RADIUS
    assert (lengths > np.linalg.norm(points[1:] - points[0], axis=1) + 1).any()  # some go round


@needed
@with_human
def test_it_renders_and_moves_as_where_people_demonstrated():
    environment = PushT("pusht", 0, image_size=96)
    low, images = (np.load(Path(HUMAN or "") / f"pusht_{name}.npz") for name in ("low_dim", "img"))
    state, action, pictures = low["state"], low["action"], images["img"]
    for frame in (0, 5000, 12345):
        environment.reset(0, 0)
        place(environment, tuple(state[frame, :2]), tuple(state[frame, 2:4]), float(state[frame, 4]))
        shown = environment.observe().images["image"]
        assert (shown != pictures[frame]).any(-1).mean() < 0.01  # the block's edge, to a rounding
    place(environment, tuple(state[0, :2]), tuple(state[0, 2:4]), float(state[0, 4]))
    for step in range(low["ends"][0] - 1):
        environment.step(action[step])
        np.testing.assert_allclose(environment.pose[:2], state[step + 1, :2], atol=0.01)  # the agent
    np.testing.assert_allclose(environment.pose[2:4], state[low["ends"][0] - 1, 2:4], atol=5)  # the block
    environment.close()
