"""The station of two YAM arms: joints, grippers, cameras, and what it does with bad input."""

import numpy as np
import pytest

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.runtime.robots import RobotSettings
from toyflow.robot.runtime.robots.simulated import SimulatedRobot
from toyflow.robot.simulation.environments import rendering
from toyflow.robot.simulation.environments.yam import Yam, YamState, arm_constants, model_files, station
from toyflow.robot.simulation.environments.yam.station import HOME, LOW, POINTING_DOWN, RATE, Station
from toyflow.robot.simulation.environments.yam.suites import SUITES


def test_names_units_and_order_are_those_of_lerobots_bimanual_driver():
    names = Yam.action_names
    assert names[:7] == (*(f"left_joint_{i}.pos" for i in range(6)), "left_gripper.pos")
    assert names[7:] == tuple(name.replace("left", "right") for name in names[:7])
    assert Yam.interface.cameras == ("top", "left", "right") and Yam.interface.fps == 50 and Yam.absolute
    assert (Yam.interface.state_dim, Yam.interface.action_dim, YamState.interface.state_dim) == (14, 14, 50)
    low, high = np.array(Yam.action_bounds)
    assert low[6] == low[13] == 0 and high[6] == high[13] == 1
    assert len(YamState.state_names) == 50


def test_every_task_has_a_place_in_the_state_for_its_objects():
    for suite, tasks in SUITES.items():
        for task, listed in zip(tasks, Yam.tasks(suite), strict=True):
            assert 1 <= len(task.objects) <= 4
            assert (listed.name, listed.prompt, listed.init_states) == (task.name, task.prompt, 100)


@pytest.mark.parametrize(
    ("suite", "task", "message"),
    [("chess", 0, "unknown suite 'chess'"), ("hanoi", 3, "hanoi has no task 3; it has 0 to 2")],
)
def test_no_such_suite_or_task_is_one_line(suite, task, message):
    with pytest.raises(UsageError, match=message):
        Yam(suite, task)


def test_without_the_files_it_says_what_to_do(fresh_home):
    with pytest.raises(
        UsageError, match=r"needs I2RT's model files, which are not here: toyflow robot-setup"
    ):
        Yam.assets()
    assert "hanoi" in Yam.suites()


def test_without_opengl_it_names_the_packages(yam, monkeypatch):
    monkeypatch.setattr(rendering, "works", lambda backend: False)
    monkeypatch.setenv("MUJOCO_GL", "")
    rendering.choose_backend.cache_clear()
    with pytest.raises(UsageError, match=r"no images without OpenGL.*apt-get install libegl1") as caught:
        yam("hanoi", 0)
    rendering.choose_backend.cache_clear()
    assert "\n" not in str(caught.value)


def test_another_model_is_refused_in_one_line(yam, monkeypatch, tmp_path):
    for content in ("<mujoco><worldbody><body name='left_base'/></worldbody></mujoco>", "<mujoco", ""):
        file = tmp_path / "station.xml"
        file.write_text(content)
        monkeypatch.setattr(station, "station_file", lambda file=file: file)
        with pytest.raises(
            UsageError, match=r"is not the station that this version knows.*robot-setup yam"
        ) as e:
            Station(SUITES["hanoi"][0].add_bodies)
        assert "\n" not in str(e.value)


def test_an_initial_state_that_does_not_exist_and_an_action_that_is_not_finite(one_disc):
    with pytest.raises(UsageError, match="one_disc has no initial state 100; it has 0 to 99"):
        one_disc.reset(0, 100)
    one_disc.reset(0, 0)
    before = one_disc.observe().state
    for bad in (np.nan, np.inf):
        with pytest.raises(ToyflowError, match="an action is not finite"):
            one_disc.step(np.array([*HOME, *HOME[:-1], bad]))
    np.testing.assert_array_equal(one_disc.observe().state, before)


def test_limits_are_those_of_the_model(one_disc):
    model = one_disc.station.model
    for side in arm_constants.ARMS:
        for i in range(6):
            joint = model.joint(f"{side}_joint{i + 1}")
            np.testing.assert_allclose(
                joint.range, (arm_constants.JOINT_LOW[i], arm_constants.JOINT_HIGH[i]), atol=1e-5
            )
    spec = rendering.load_mujoco().MjSpec.from_file(str(model_files.station_file()))
    own = [spec.joint(f"right_joint{i + 1}").range for i in range(6)]
    np.testing.assert_allclose(own, np.transpose([LOW[:6], station.HIGH[:6]]), atol=1e-4)


def test_gravity_is_compensated(one_disc):
    one_disc.reset(0, 0)
    for _ in range(100):
        one_disc.step(one_disc.still())
    np.testing.assert_allclose(one_disc.observe().state, HOME * 2, atol=0.01)


@pytest.mark.parametrize("joint", [0, 1, 3, 5])
def test_a_joint_lags_as_the_drivers_damping_says(one_disc, joint):
    """Behind a target that moves by v it is (damping v + friction) / stiffness."""
    one_disc.reset(0, 0)
    speed, target = 0.3, one_disc.still().copy()
    for _ in range(60):
        target[joint] += speed / RATE
        one_disc.step(target)
    behind = target[joint] - one_disc.observe().state[joint]
    c = arm_constants
    expected = (c.DAMPING[joint] * speed + c.FRICTION[joint]) / c.STIFFNESS[joint]
    assert behind == pytest.approx(expected, rel=0.25)


def test_motors_are_no_stronger_than_the_real_ones(one_disc):
    one_disc.reset(0, 0)
    target = one_disc.still().copy()
    target[0], target[7], target[4] = 3.0, -2.5, 1.5
    strongest = np.zeros(14)
    for _ in range(20):
        one_disc.step(target)
        strongest = np.maximum(strongest, np.abs(one_disc.station.data.actuator_force))
    bounds = np.array([*arm_constants.TORQUE, arm_constants.GRIPPER_FORCE] * 2)
    assert (strongest <= bounds + 1e-9).all() and strongest[0] > 15
    assert (one_disc.station.target == target).all()


def test_actions_beyond_the_bounds_are_clipped(one_disc):
    one_disc.reset(0, 0)
    one_disc.step(np.full(14, 99.0))
    np.testing.assert_array_equal(one_disc.still(), station.HIGH)


def test_grippers_close_and_open(one_disc):
    one_disc.reset(0, 0)
    target = one_disc.still().copy()
    target[6] = 0.0
    for _ in range(40):
        one_disc.step(target)
    state = one_disc.observe().state
    assert abs(state[6]) < 0.02 and state[13] > 0.98
    fingers = [one_disc.station.data.joint(f"left_joint{number}").qpos[0] for number in (7, 8)]
    assert abs(fingers[0] - fingers[1]) < 1e-3


def test_a_hand_does_not_go_through_the_table(one_disc):
    one_disc.reset(0, 0)
    arm, joints = one_disc.station.hand("left"), np.array(HOME[:6])
    for depth in np.linspace(0.15, -0.05, 60):
        joints = arm.joints(np.array([0.3, 0.1, depth]), POINTING_DOWN)
        one_disc.step(np.array([*joints, 1.0, *HOME]))
    for _ in range(20):
        one_disc.step(np.array([*joints, 1.0, *HOME]))
    assert -0.004 < one_disc.station.tip("left")[2] < 0.01


def test_a_hand_goes_where_its_kinematics_say(one_disc):
    one_disc.reset(0, 0)
    for side, y in (("left", -0.1), ("right", -0.5)):
        arm, tip = one_disc.station.hand(side), np.array([0.3, y, 0.1])
        joints = [arm.joints(tip, POINTING_DOWN) for _ in range(4)][-1]
        np.testing.assert_allclose(arm.tip, tip, atol=2e-4)
        action = np.array(HOME * 2)
        at = 7 * (side == "right")
        action[at : at + 6] = joints
        for _ in range(100):
            one_disc.step(action)
        np.testing.assert_allclose(one_disc.station.tip(side), tip, atol=6e-3)  # friction holds it off


def test_three_cameras_and_every_episode_looks_different(one_disc):
    seen = []
    for state in (0, 1):
        one_disc.reset(0, state)
        images = one_disc.observe().images
        assert list(images) == ["top", "left", "right"]
        for image in images.values():
            assert image.shape == (64, 64, 3) and image.std() > 10
        seen.append(images)
    for camera in ("top", "left", "right"):
        assert np.abs(seen[0][camera].astype(float) - seen[1][camera]).mean() > 0.5


def test_the_state_has_the_objects_poses_and_zeros(yam, one_disc):
    blind = YamState("hanoi", 0)
    for each in (blind, one_disc):
        each.reset(3)
    seen = blind.observe()
    assert seen.images == {} and seen.state.dtype == np.float32
    np.testing.assert_array_equal(seen.state[:14], one_disc.observe().state)
    objects = seen.state[14:].reshape(4, 9)
    np.testing.assert_allclose(objects[1, :3], blind.station.position("disc0"), rtol=1e-6)
    assert not objects[2:].any() and np.isclose(np.linalg.norm(objects[:2, 3:6], axis=1), 1, atol=1e-5).all()
    assert set(blind.views()) == {"top", "left", "right"}  # for a film
    blind.close()


def test_official_states_are_apart_from_random_ones(one_disc):
    def board(seed: int, state: int | None = None) -> tuple[float, ...]:
        one_disc.reset(seed, state)
        return tuple(one_disc.station.pose("board").round(6))

    assert board(0, 3) == board(7, 3)
    assert len({*(board(0, state) for state in range(4)), *(board(seed) for seed in range(4))}) == 8


def test_an_episode_is_a_function_of_its_state_and_actions(one_disc):
    ends = []
    for _ in range(2):
        one_disc.reset(0, 1)
        for k in range(30):
            one_disc.step(one_disc.still() + 0.02 * np.sin(k + np.arange(14)))
        ends.append(one_disc.observe())
    np.testing.assert_array_equal(ends[0].state, ends[1].state)
    np.testing.assert_array_equal(ends[0].images["left"], ends[1].images["left"])


def test_as_a_robot_it_has_the_arms_limits_and_names(one_disc):
    robot = SimulatedRobot(one_disc, RobotSettings(Yam.interface, suite="hanoi"), 100)
    robot.connect()
    assert robot.dimensions == Yam.action_names
    limits = robot.limits.completed(50)
    np.testing.assert_array_equal(limits.lower, LOW)
    assert limits.step is not None and limits.step.max() < 0.2
