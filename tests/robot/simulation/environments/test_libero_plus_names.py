"""Names of LIBERO-Plus's tasks, camera views and robot starts."""

import json

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.simulation.environments.libero.plus import plus_files
from toyflow.robot.simulation.environments.libero.plus.robot_starts import REST, start_pose
from toyflow.robot.simulation.environments.libero.plus.task_names import DIMENSIONS, PlusName
from toyflow.robot.simulation.environments.libero.plus.views import PIVOT, View
from toyflow.robot.simulation.environments.libero.suites import instruction

BASE = "pick_up_the_alphabet_soup_and_place_it_in_the_basket"
MOKA = "KITCHEN_SCENE8_put_both_moka_pots_on_the_stove"
UPSTREAM_CATEGORIES = {
    "Camera Viewpoints": "camera",
    "Robot Initial States": "robot-start",
    "Language Instructions": "language",
    "Light Conditions": "light",
    "Background Textures": "background",
    "Sensor Noise": "noise",
    "Objects Layout": "layout",
}
POSITION, QUATERNION = np.array([0.6586, 0.0, 1.6104]), np.array([0.638, 0.3048, 0.3048, 0.638])


@pytest.mark.parametrize(
    ("end", "dimension", "scene", "needs_archive"),
    [
        ("_view_0_0_100_2_352_initstate_0", "camera", "", False),
        ("_view_45_15_100_0_0_initstate_0", "camera", "", False),
        ("_view_0_0_100_0_0_initstate_417", "robot-start", "", False),
        ("_view_0_0_100_0_0_initstate_0_noise_50", "noise", "", False),
        ("_language_12_view_0_0_100_0_0_initstate_0", "language", "language_12", False),
        ("_light_9", "light", "light_9", True),
        ("_table_27", "background", "table_27", True),
        ("_tb_3", "background", "tb_3", True),
        ("_add_16", "layout", "add_16", True),
        ("_level5_sample3", "layout", "level5_sample3", False),
        ("_moved_level1_sample0", "layout", "moved_level1_sample0", False),
    ],
)
@pytest.mark.parametrize("base", [BASE, MOKA])
def test_a_name_says_base_and_perturbation(base, end, dimension, scene, needs_archive):
    task = PlusName.parse(base + end)
    assert (task.base, task.dimension, task.scene) == (base, dimension, scene)
    assert task.needs_archive == needs_archive
    assert task.bddl == f"{base}_{scene}".rstrip("_")


def test_a_name_says_view_robot_start_and_noise():
    task = PlusName.parse(f"{BASE}_view_1_2_103_4_5_initstate_6_noise_7")
    assert (task.view, task.robot_start, task.noise) == (View(1, 2, 103, 4, 5), 6, 7)


@pytest.mark.parametrize("name", ["", BASE, f"{BASE}_view_1_2_3_initstate_0", "_add_3"])
def test_other_names_are_refused(name):
    with pytest.raises(ToyflowError, match="is not the name"):
        PlusName.parse(name)


def test_every_task_is_of_upstreams_category():
    """Where `toyflow robot-setup libero-plus` has got upstream's list."""
    if not plus_files.levels_file().is_file():
        pytest.skip("not installed: LIBERO-Plus's list of levels (`toyflow robot-setup libero-plus`)")
    rows = [row for rows in json.loads(plus_files.levels_file().read_text()).values() for row in rows]
    assert len(rows) == 10_030
    assert [PlusName.parse(row["name"]).dimension for row in rows] == [
        UPSTREAM_CATEGORIES[row["category"]] for row in rows
    ]
    assert sorted(UPSTREAM_CATEGORIES.values()) == sorted(DIMENSIONS)


def test_an_instruction_has_no_scene():
    assert instruction(MOKA) == "put both moka pots on the stove"


def test_the_plain_view_only_rounds():
    position, quaternion = View().moved(POSITION + 1e-6, QUATERNION)
    assert position == pytest.approx(POSITION) and quaternion == pytest.approx(QUATERNION, abs=1e-4)


@pytest.mark.parametrize("view", [View(azimuth=30), View(elevation=15), View(45, 345)])
def test_a_camera_that_moves_around_keeps_its_distance_and_looks_at_the_same_point(view):
    position, quaternion = view.moved(POSITION, QUATERNION)
    assert np.linalg.norm(position - PIVOT) == pytest.approx(np.linalg.norm(POSITION - PIVOT), abs=2e-4)
    assert not np.allclose(position, POSITION, atol=0.01)
    assert seen_from(position, quaternion) == pytest.approx(seen_from(POSITION, QUATERNION), abs=2e-3)


def test_a_camera_goes_up_and_around():
    up, _ = View(elevation=15).moved(POSITION, QUATERNION)
    assert up[2] > POSITION[2]
    aside, _ = View(azimuth=90).moved(POSITION, QUATERNION)
    assert aside == pytest.approx([0, POSITION[0], POSITION[2]], abs=1e-4)


def test_distance_scales_and_does_not_turn():
    position, quaternion = View(distance=150).moved(POSITION, QUATERNION)
    assert position - PIVOT == pytest.approx(1.5 * (POSITION - PIVOT), abs=1e-4)
    assert quaternion == pytest.approx(QUATERNION, abs=1e-4)


@pytest.mark.parametrize("view", [View(pan=8), View(tilt=352)])
def test_pan_and_tilt_turn_in_place(view):
    position, quaternion = view.moved(POSITION, QUATERNION)
    assert position == pytest.approx(POSITION)
    turned = rotation(quaternion) * rotation(QUATERNION).inv()
    assert np.degrees(turned.magnitude()) == pytest.approx(8, abs=0.05)


@pytest.mark.parametrize(("number", "distance"), [(1, 0.1), (100, 0.1), (101, 0.2), (500, 0.5)])
def test_robot_starts_lie_at_the_distance_of_their_hundred(number, distance):
    assert np.linalg.norm(start_pose(number) - REST) == pytest.approx(distance, abs=1e-7)


def test_robot_starts_are_those_of_the_seed():
    direction = np.random.RandomState(42).randn(7)
    assert start_pose(1) == pytest.approx(REST + 0.1 * direction / np.linalg.norm(direction), abs=1e-8)


@pytest.mark.parametrize("number", [0, 501])
def test_a_robot_start_that_is_not_there_is_refused(number):
    with pytest.raises(UsageError, match="1 to 500"):
        start_pose(number)


def rotation(quaternion):
    return Rotation.from_quat(np.asarray(quaternion)[[1, 2, 3, 0]])


def seen_from(position, quaternion):
    """The pivot in the camera's frame."""
    return rotation(quaternion).inv().apply(PIVOT - position)
