"""Cube transfer on gym-aloha's scene."""

from importlib.util import find_spec

import numpy as np
import pytest

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.runtime.robots import RobotSettings
from toyflow.robot.runtime.robots.simulated import SimulatedRobot
from toyflow.robot.simulation.environments.aloha import Aloha, AlohaState, aloha_scene

MISSING = [name for name in ("mujoco", "gym_aloha") if find_spec(name) is None]
needed = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; toyflow[aloha]")


@pytest.fixture(scope="module")
def environment():
    made = Aloha("transfer_cube", 0, image_size=64)
    yield made
    made.close()


def test_without_the_package_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(aloha_scene, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"needs the package gym-aloha.*pip install 'toyflow\[aloha\]'"):
        Aloha.assets()
    assert Aloha.suites() == ("transfer_cube",) and Aloha.tasks("transfer_cube")[0].init_states == 100
    with pytest.raises(UsageError, match="unknown suite 'insertion'"):
        Aloha.tasks("insertion")


@needed
def test_it_shows_two_cameras_and_a_state(environment):
    environment.reset(0, 0)
    seen = environment.observe()
    assert set(seen.images) == {"top", "angle"} and seen.state.shape == (14,)
    for image in seen.images.values():
        assert image.shape == (64, 64, 3) and image.std() > 10
        red = (image[..., 0] > 120) & (image[..., 1] < 60)
        assert red.any()  # the cube
    np.testing.assert_allclose(seen.state[:6], aloha_scene.START, atol=0.02)
    assert abs(seen.state[6]) < 0.15 and "red cube" in seen.prompt


@needed
def test_without_images_the_state_says_where_the_cube_is(environment):
    blind = AlohaState("transfer_cube", 0, image_size=64)
    for each in (environment, blind):
        each.reset(0, 3)
    seen = blind.observe()
    assert seen.images == {} and seen.state.shape == (AlohaState.interface.state_dim,)
    np.testing.assert_array_equal(seen.state[:14], environment.observe().state)
    np.testing.assert_allclose(seen.state[14:], environment.scene.cube, rtol=1e-6)
    assert set(blind.views()) == {"top", "angle"}  # for a film
    blind.close()


@needed
def test_initial_states_are_settled_and_apart_from_random_ones(environment):
    def cube(seed: int, state: int | None = None) -> tuple[float, ...]:
        environment.reset(seed, state)
        return tuple(environment.scene.cube.round(4))

    assert cube(0, 3) == cube(7, 3)
    assert len({*(cube(0, state) for state in range(4)), *(cube(seed) for seed in range(4))}) == 8
    x, y, z = cube(0, 99)
    assert 0 <= x <= 0.2 and 0.4 <= y <= 0.6 and abs(z - 0.02) < 1e-3
    with pytest.raises(UsageError, match="no initial state 100"):
        environment.reset(0, 100)


@needed
def test_actions_are_positions_scaled_to_one(environment):
    environment.reset(0, 0)
    start = environment.still()
    before = environment.observe().state
    assert not environment.step(start)
    np.testing.assert_allclose(environment.observe().state, before, atol=0.01)
    target = start.copy()
    target[0], target[6], target[13] = start[0] + 0.1, 1.0, -1.0
    for _ in range(100):
        environment.step(target)
    state = environment.observe().state
    assert abs(state[0] - before[0] - 0.1 * 3.14158) < 0.02
    assert state[6] > 0.9 and state[13] < 0.15
    with pytest.raises(ToyflowError, match="not finite"):
        environment.step(np.full(14, np.nan))


@needed
def test_an_episode_is_a_function_of_its_state_and_actions(environment):
    ends = []
    for _ in range(2):
        environment.reset(0, 1)
        for k in range(20):
            environment.step(environment.still() + 0.01 * np.sin(k + np.arange(14)))
        ends.append(environment.observe().state)
    np.testing.assert_array_equal(*ends)


@needed
@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_the_script_hands_the_cube_over(environment, noise):
    """And what it does is within what a gate of the robot allows by default: no chunk of it is refused."""
    solved = []
    generator = np.random.default_rng(0)
    for number in range(5):
        environment.reset(number, None if noise else number)
        expert = environment.expert(0)
        for _ in range(400):
            action = expert.act()
            assert action.dtype == np.float32 and (np.abs(action) <= 1).all()
            disturbance = noise * expert.noise_scale * generator.standard_normal(14)
            if environment.step(action + disturbance):
                solved.append(number)
                break
    assert len(solved) >= 4


@needed
def test_as_a_robot_its_changes_are_limited(environment):
    robot = SimulatedRobot(environment, RobotSettings(Aloha.interface, suite="transfer_cube"), 400)
    robot.connect()
    np.testing.assert_array_equal(robot.still(), environment.still())
    limits = robot.limits.completed(50)
    assert limits.step is not None and (limits.step == 0.04).all()
