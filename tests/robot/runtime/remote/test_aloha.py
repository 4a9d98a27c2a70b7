"""openpi's ALOHA form of observations and actions, from its protocol alone: asked for, and answered."""

from __future__ import annotations

import numpy as np
import pytest
from rich.console import Console
from robot.points import StraightPlanner
from robot.runtime.remote import openpi_server
from robot.runtime.remote.conftest import metadata_of
from robot.runtime.serving.conftest import Served
from websockets.sync.client import connect

from toyflow.api import robot_driving
from toyflow.api.robot_driving import PolicyUse, prepare_policy
from toyflow.atomic import read_sealed, write_sealed
from toyflow.robot import robot_runner
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.policy_opening import find_policy, ready_planner
from toyflow.robot.robot_runner import RobotRunner
from toyflow.robot.runtime.control.driving import DriveOptions
from toyflow.robot.runtime.remote.addresses import RemoteOptions
from toyflow.robot.runtime.robots import simulator_of
from toyflow.robot.runtime.serving.observations import Keys, ObservationReader
from toyflow.robot.runtime.serving.server import ServerOptions
from toyflow.robot.simulation.environments.aloha.aloha_environment import Aloha
from toyflow.robot.simulation.environments.aloha.aloha_scene import HIGH, LOW, from_gym, to_gym
from toyflow.robot.simulation.trials import Trials
from toyflow.sweep.records import EvaluationRecord

STATE = np.array([0.1, -0.96, 1.16, 0, -0.3, 0, 0.0] * 2, np.float32)


def seen(**images: int) -> Observation:
    """A picture of 96 rows and 128 columns of each camera, of one grey above black."""
    pictures = {}
    for camera, grey in images.items():
        pictures[camera] = np.full((96, 128, 3), grey, np.uint8)
        pictures[camera][48:] = 0
    return Observation(pictures, STATE, "hand it over")


def test_a_policy_for_gym_aloha_is_asked_in_openpis_form_and_answers_in_the_simulators_actions(
    openpi, remote
):
    asked = []

    def policy(observation):
        asked.append(observation)
        return openpi_server.aloha_policy(observation)

    there = remote(
        f"10=ws://127.0.0.1:{openpi(policy)}", otherwise=Aloha.interface, environment="aloha",
    )  # fmt: skip
    Aloha.interface.check_serves(there.interface, "aloha")
    assert there.replan == 10  # as openpi's own client for gym-aloha
    [chunk] = there.plan([seen(top=200, angle=50)], [0])
    sent = asked[-1]
    assert set(sent) == {"images", "state", "prompt"} and set(sent["images"]) == {"cam_high"}
    image = sent["images"]["cam_high"]
    assert (
        image.shape == (3, 224, 224) and image[:, 100, 100].tolist() == [200] * 3 and not image[:, 130].any()
    )
    assert sent["state"].tolist() == STATE.tolist() and sent["prompt"] == "hand it over"
    np.testing.assert_allclose(chunk, [from_gym(STATE)] * 10, atol=1e-6)
    assert chunk[0, 6] < -1  # closed beyond the motor's range, as gym-aloha's 0 is


def test_a_robot_with_openpis_cameras_is_asked_in_the_same_form(openpi, remote):
    cameras = ("cam_high", "cam_left_wrist", "cam_right_wrist")
    real = Interface(cameras, state_dim=14, action_dim=14, fps=50)
    there = remote(f"10=ws://127.0.0.1:{openpi(openpi_server.aloha_policy)}", otherwise=real)
    [chunk] = there.plan([seen(**dict.fromkeys(cameras, 9))], [0])
    assert (chunk == STATE).all()  # as it comes: the robot's own units


def test_any_camera_can_be_sent_with_its_channels_first(openpi, remote):
    keys = "front=images/cam_high,state=state"
    front = Interface(("front",), state_dim=14, action_dim=14, fps=50)
    there = remote(
        f"10=ws://127.0.0.1:{openpi(openpi_server.aloha_policy)}", otherwise=front,
        options=RemoteOptions(keys=keys, timeout=20),
    )  # fmt: skip
    assert there.plan([seen(front=9)], [0]).shape == (1, 10, 14)


class TwoArms(StraightPlanner):
    """A policy that was trained in toyflow's simulator: it answers the middle of every motor's range."""

    interface = Interface(("top",), state_dim=14, action_dim=14, fps=50)

    def answers(self, observations, seeds, draws):
        shape = (draws, len(observations), self.horizon, 14)
        return np.full(shape, observations[0].images["top"].mean() / 1000, np.float32)


@pytest.fixture
def served():
    planner = TwoArms()
    assert Keys.of(planner.interface).as_dict()["cameras"] == {"top": "observation/top"}
    running = Served(
        planner, ServerOptions(port=0, timeout=5.0), None, ObservationReader, metadata_of(planner),
        to_openpi=Aloha.to_openpi,
    )  # fmt: skip
    yield running
    running.stop()
    running.thread.join(20)


def ask(port: int, message: dict) -> dict:
    """The reply to a client that is written from openpi's protocol alone."""
    frame = openpi_server.packb(message)
    assert isinstance(frame, bytes)
    with connect(f"ws://127.0.0.1:{port}", compression=None, max_size=None) as client:
        client.recv(5)
        client.send(frame)
        reply = client.recv(10)
    assert isinstance(reply, bytes), reply
    return openpi_server.unpackb(reply)


def test_openpis_aloha_client_is_answered_in_its_own_form(served, remote):
    picture = np.full((3, 224, 224), 100, np.uint8)
    aloha = {"state": STATE.astype(np.float64), "images": {"cam_high": picture}, "prompt": "hand it over"}
    answered = ask(served.port, aloha)["actions"]
    np.testing.assert_allclose(answered, to_gym(np.full((5, 14), 0.1)), atol=1e-6)
    np.testing.assert_allclose(answered[0, :6], ((LOW + HIGH) / 2 + 0.05 * (HIGH - LOW))[:6], atol=1e-6)
    ours = {"observation/top": picture, "state": STATE, "prompt": "hand it over"}
    assert ask(served.port, ours)["actions"] == pytest.approx(0.1)  # as it was trained
    there = remote(served.port, environment="aloha")
    look = Observation({"top": picture.transpose(1, 2, 0)}, STATE, "hand it over")
    assert (there.plan([look], [0]) == served.planner.plan([look], [0])).all()


def test_toyflows_client_gets_the_policys_actions_under_openpis_names_too(served, remote):
    there = remote(served.port, options=RemoteOptions(keys="top=images/cam_high,state=state", timeout=20))
    look = seen(top=100)
    assert (there.plan([look], [0]) == served.planner.plan([look], [0])).all()


def test_actions_are_those_of_where_a_policy_acts_whatever_its_cell_was_used_for_before(openpi, tmp_path):
    address = f"10=ws://127.0.0.1:{openpi(openpi_server.aloha_policy)}"
    cell = find_policy(address, None, tmp_path, RemoteOptions(timeout=20), Aloha.interface)
    place = tmp_path / "imported" / f"{cell.record.key}.json"
    said = dict(read_sealed(place))
    assert "environment" not in said
    write_sealed(place, {**said, "environment": "aloha"})  # as an earlier version did
    look = seen(top=9)
    for environment, expected in (("aloha", from_gym(STATE)), (None, STATE), ("aloha", from_gym(STATE))):
        planner = ready_planner(cell, None, "cpu", 1, environment)
        np.testing.assert_allclose(planner.plan([look], [0])[0], [expected] * 10, atol=1e-6)
        planner.close()


class OpenedError(Exception):
    """A policy was opened for an environment."""


@pytest.fixture
def cell(openpi, tmp_path, monkeypatch):
    """The cell of a server's policy for ALOHA, which says where it is to act once it is opened."""
    address = f"10=ws://127.0.0.1:{openpi(openpi_server.aloha_policy)}"

    def opened(*given):
        raise OpenedError(given[-1])

    for module, name in ((robot_driving, "ready_planner"), (robot_runner, "open_planner")):
        monkeypatch.setattr(module, name, opened)
    return find_policy(address, None, tmp_path, RemoteOptions(timeout=20), Aloha.interface)


@pytest.mark.parametrize(("robot", "expected"), [("aloha", "aloha"), ("idle", "None")])
def test_a_run_names_its_simulator(cell, robot, expected, tmp_path):
    with pytest.raises(OpenedError, match=f"^{expected}$"):
        prepare_policy(str(cell.folder), DriveOptions(robot), {}, Console(), PolicyUse(tmp_path), [None])


def test_an_evaluation_names_its_simulator(cell, tmp_path):
    trials = Trials("aloha", "transfer_cube", (0,), (0,), 10, "fast", "own")
    asked = [EvaluationRecord("euler", 10, test_set=str(trials))]
    with pytest.raises(OpenedError, match=r"^aloha$"):
        next(RobotRunner("cpu", 1, str(tmp_path), {}, 1).evaluate(cell, asked, lambda *_: None))


@pytest.mark.parametrize(
    ("robot", "expected"), [("aloha", "aloha"), ("aloha:x", "aloha"), ("lerobot:aloha", None), ("idle", None)]
)
def test_only_a_robot_that_is_a_simulator_has_its_actions_converted(robot, expected):
    assert simulator_of(robot) == expected


def test_gym_alohas_actions_are_those_of_the_scene():
    pytest.importorskip("mujoco")
    pytest.importorskip("gym_aloha")
    from toyflow.robot.simulation.environments.aloha.aloha_scene import AlohaScene

    scene = AlohaScene()
    assert scene._low.tolist() == LOW.tolist() and scene._high.tolist() == HIGH.tolist()
    scene.reset(np.array([0.1, 0.5, 0.05]))
    start = scene.state
    for _ in range(5):  # an action that says where it is keeps it there
        scene.step(from_gym(start))
    assert np.abs(scene.state - start).max() < 0.05


@pytest.mark.slow
def test_an_evaluation_in_the_simulator(openpi, toyflow):
    """Of a policy that stays where it is, and would end the evaluation if it were asked in another form."""
    pytest.importorskip("mujoco")
    pytest.importorskip("gym_aloha")
    address = f"10=ws://127.0.0.1:{openpi(openpi_server.aloha_policy)}"
    done = toyflow(
        "robot-eval", address, "--environment", "aloha", "--suite", "transfer_cube", "--states", "1",
        "--steps", "10", "--replan", "10", "--simulators", "1", "--name", "pi0", "--out", "out",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "server:pi0" in done.stdout
