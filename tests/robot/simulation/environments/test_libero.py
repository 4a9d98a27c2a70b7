"""LIBERO as an environment: conventions, reproducible resets, and a step that is robosuite's."""

import pdb

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.simulation.environments.libero import package, suites
from toyflow.robot.simulation.environments.libero.libero_environment import CAMERAS, IDLE
from toyflow.robot.simulation.environments.rendering import Cameras

pytestmark = pytest.mark.slow

MOTIONS = np.random.default_rng(0).uniform(-1, 1, (8, 7))


def everything(environment):
    """The whole state of a simulation, and what robosuite writes into its model."""
    simulation = environment._simulation
    model, data = simulation.model, simulation.data
    parts = data.qpos, data.qvel, data.ctrl, model.body_pos, model.body_quat, model.site_rgba
    return np.concatenate([np.ravel(part) for part in parts])


def play(environment, motions=MOTIONS):
    """Move at random; the state afterwards."""
    for motion in motions:
        environment.step(motion)
    return everything(environment)


def same_scene(environment, wrapper):
    """Bring another robosuite environment of the same task into the same state; what it observes of it."""
    simulation = environment._simulation
    state = simulation._env.sim.get_state().flatten()
    model = wrapper.env.sim.model._model
    model.body_pos[:], model.body_quat[:] = simulation.model.body_pos, simulation.model.body_quat
    wrapper.set_init_state(state)
    simulation.set_state(state)
    return wrapper.env._get_observations(force_update=True)


class TestConventions:
    def test_images_are_liberos_own_rotated_by_180_degrees(self, rendered_libero):
        environment = rendered_libero("libero_spatial", 0, image_size=96, rendering="libero")
        wrapper = package.load("envs.env_wrapper").ControlEnv(
            bddl_file_name=str(suites.bddl_file("libero_spatial", 0)), camera_heights=96, camera_widths=96
        )
        wrapper.env.reset()
        environment.reset(seed=0, init_state=2)
        seen = same_scene(environment, wrapper)
        images = environment.observe().images
        for name, camera in CAMERAS.items():
            np.testing.assert_array_equal(images[name], seen[f"{camera}_image"][::-1, ::-1])
        wrapper.close()
        environment.close()

    def test_fast_images_are_nearly_those(self, rendered_libero, grocery):
        exact = rendered_libero("libero_object", 0, rendering="libero")
        for environment in (exact, grocery):
            environment.reset(seed=0, init_state=1)
        fast, slow = grocery.observe().images, exact.observe().images
        for name in CAMERAS:
            assert np.abs(fast[name].astype(float) - slow[name]).mean() < 8
        exact.close()

    def test_observation_fits_the_interface(self, grocery):
        grocery.reset(seed=0)
        observation = grocery.observe()
        assert tuple(observation.images) == grocery.interface.cameras
        assert all(image.shape == (128, 128, 3) for image in observation.images.values())
        assert observation.state.shape == (grocery.interface.state_dim,)
        assert observation.prompt == "pick up the alphabet soup and place it in the basket"

    def test_state_is_position_axis_angle_and_fingers(self, grocery):
        grocery.reset(seed=0)
        play(grocery)
        state, seen = grocery.observe().state, grocery.privileged
        np.testing.assert_allclose(state[:3], seen["robot0_eef_pos"], atol=1e-6)
        turned = Rotation.from_rotvec(state[3:6]).inv() * Rotation.from_quat(seen["robot0_eef_quat"])
        assert turned.magnitude() < 1e-5
        np.testing.assert_allclose(state[6:], seen["robot0_gripper_qpos"], atol=1e-6)

    @pytest.mark.parametrize("axis", [0, 1, 2])
    @pytest.mark.parametrize("sign", [-1, 1])
    def test_a_translation_moves_the_gripper_along_its_axis(self, grocery, axis, sign):
        grocery.reset(seed=0)
        before = grocery.privileged["robot0_eef_pos"].copy()
        for _ in range(6):
            grocery.step(IDLE + 0.5 * sign * np.eye(7)[axis])
        moved = grocery.privileged["robot0_eef_pos"] - before
        assert np.abs(moved).argmax() == axis and sign * moved[axis] > 0.01

    def test_plus_one_closes_the_fingers(self, grocery):
        grocery.reset(seed=0)
        opened = np.abs(grocery.observe().state[6:]).sum()
        for _ in range(10):
            grocery.step(-IDLE)
        assert np.abs(grocery.observe().state[6:]).sum() < opened / 2

    def test_goal_names_things_that_are_observed(self, drawer):
        assert drawer.goal == [["on", "akita_black_bowl_1", "plate_1"]]
        drawer.reset(seed=0)
        assert all(f"{name}_pos" in drawer.privileged for name in drawer.goal[0][1:])


class TestReset:
    def test_a_seed_gives_one_state_whatever_was_before(self, drawer, rendered_libero):
        drawer.reset(seed=7)
        first = everything(drawer)
        play(drawer)
        drawer.reset(seed=8)
        assert not np.array_equal(everything(drawer), first)
        play(drawer)
        drawer.reset(seed=7)
        np.testing.assert_array_equal(everything(drawer), first)
        another = rendered_libero("libero_spatial", 4)
        another.reset(seed=7)
        np.testing.assert_array_equal(everything(another), first)
        another.close()

    def test_an_official_state_is_the_same_whatever_was_before(self, drawer):
        drawer.reset(seed=1, init_state=3)
        first = play(drawer)
        drawer.reset(seed=5)
        play(drawer)
        drawer.reset(seed=2, init_state=3)
        np.testing.assert_array_equal(play(drawer), first)

    def test_official_states_differ(self, grocery):
        seen = []
        for state in range(4):
            grocery.reset(seed=0, init_state=state)
            seen.append(grocery.privileged["basket_1_pos"].copy())
        assert len({tuple(position) for position in seen}) == 4

    def test_official_states_end(self, grocery):
        with pytest.raises(UsageError, match=r"no initial state 50; it has 0 to 49"):
            grocery.reset(seed=0, init_state=50)

    def test_the_drawer_holds_the_bowl(self, drawer):
        for seed in range(3):
            drawer.reset(seed)
            height = drawer.privileged["akita_black_bowl_1_pos"][2]
            assert height > drawer.privileged["plate_1_pos"][2] + 0.1

    def test_objects_have_settled(self, grocery):
        grocery.reset(seed=3)
        before = grocery.privileged["alphabet_soup_1_pos"].copy()
        grocery.step(IDLE)
        assert np.abs(grocery.privileged["alphabet_soup_1_pos"] - before).max() < 1e-3

    def test_the_global_generator_is_neither_used_nor_changed(self, grocery):
        np.random.seed(1)
        expected = np.random.random(3)
        np.random.seed(1)
        grocery.reset(seed=4)
        np.testing.assert_array_equal(np.random.random(3), expected)

    def test_a_failed_placement_is_tried_again(self, grocery, monkeypatch):
        outcomes = fail_placements(grocery, monkeypatch, times=3)
        grocery.reset(seed=0)
        assert outcomes == ["failed", "failed", "failed", "placed"]

    def test_no_room_at_all_is_one_line_and_no_debugger(self, grocery, monkeypatch):
        fail_placements(grocery, monkeypatch, times=1000)
        with pytest.raises(ToyflowError, match="no room for all objects in 10 attempts from seed 3"):
            grocery.reset(seed=3)


def fail_placements(environment, monkeypatch, times):
    """Let the next placements end as LIBERO's own do; what became of each."""
    from robosuite.utils.errors import RandomizationError  # pyright: ignore[reportMissingImports]

    inner, outcomes = environment._simulation._env, []
    reset = inner.reset

    def failing():
        if len(outcomes) < times:
            outcomes.append("failed")
            pdb.set_trace()
            raise RandomizationError("Cannot place all objects ):")
        outcomes.append("placed")
        return reset()

    monkeypatch.setattr(inner, "reset", failing)
    return outcomes


class TestStep:
    @pytest.mark.parametrize("name", ["grocery", "drawer"])
    def test_is_robosuites_to_the_bit(self, request, name):
        environment = request.getfixturevalue(name)
        environment.reset(seed=0, init_state=1)
        ours = play(environment)
        environment.reset(seed=0, init_state=1)
        for motion in MOTIONS:
            environment._simulation._wrapper.step(motion)
        np.testing.assert_array_equal(everything(environment), ours)

    def test_renders_nothing(self, grocery, monkeypatch):
        monkeypatch.setattr(Cameras, "image", lambda *_: pytest.fail("rendered"))
        grocery.reset(seed=0)
        assert not grocery.step(IDLE) and grocery.privileged

    def test_actions_are_clipped(self, grocery):
        grocery.reset(seed=0)
        far = play(grocery, 5 * MOTIONS)
        grocery.reset(seed=0)
        np.testing.assert_array_equal(play(grocery, np.clip(5 * MOTIONS, -1, 1)), far)

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_an_action_that_is_no_number_is_an_error(self, grocery, bad):
        grocery.reset(seed=0)
        with pytest.raises(ToyflowError, match="not finite"):
            grocery.step(np.full(7, bad))

    def test_the_goal_ends_the_task(self, grocery):
        grocery.reset(seed=0)
        sim = grocery._simulation._env.sim
        pose = sim.data.get_joint_qpos("alphabet_soup_1_joint0").copy()
        pose[:3] = grocery.privileged["basket_1_pos"] + [0, 0, 0.1]
        sim.data.set_joint_qpos("alphabet_soup_1_joint0", pose)
        assert any(grocery.step(IDLE) for _ in range(20))


class TestRendering:
    def test_one_context_serves_all_resets(self, grocery):
        grocery.reset(seed=0)
        grocery.observe()
        cameras = grocery._cameras
        grocery.reset(seed=1)
        grocery.observe()
        assert grocery._cameras is cameras

    def test_images_show_the_state(self, grocery):
        grocery.reset(seed=0, init_state=0)
        first = grocery.observe().images
        again = grocery.observe().images
        for _ in range(10):
            grocery.step(np.array([0, 0, -1, 0, 0, 0, 1.0]))
        later = grocery.observe().images
        for name in CAMERAS:
            np.testing.assert_array_equal(first[name], again[name])
            assert np.abs(later[name].astype(float) - first[name]).mean() > 1

    def test_closing_twice_is_harmless_to_others(self, rendered_libero, grocery):
        environment = rendered_libero("libero_object", 1, image_size=32)
        environment.reset(seed=0)
        environment.observe()
        environment.close()
        environment.close()
        grocery.reset(seed=0)
        assert grocery.observe().images["image"].std() > 1
