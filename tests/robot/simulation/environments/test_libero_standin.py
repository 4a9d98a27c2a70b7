"""Generated substitutes for LIBERO's assets."""

import numpy as np
import pytest

from toyflow.errors import ToyflowError
from toyflow.robot.simulation.environments.libero import assets, standin
from toyflow.robot.simulation.environments.libero.libero_environment import IDLE
from toyflow.robot.simulation.environments.libero.standin_shapes import ITEMS


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory):
    return standin.write_stand_ins(tmp_path_factory.mktemp("standin") / "assets")


@pytest.fixture
def libero_on_stand_ins(libero, stand_ins, monkeypatch):
    monkeypatch.setenv("LIBERO_ASSETS", str(stand_ins))
    return libero


def test_are_the_same_every_time(stand_ins, tmp_path):
    again = standin.write_stand_ins(tmp_path / "assets")
    files = sorted(path.relative_to(again) for path in again.rglob("*") if path.is_file())
    assert len(files) > len(ITEMS)
    assert all((again / file).read_bytes() == (stand_ins / file).read_bytes() for file in files)


def test_are_complete_and_marked(stand_ins):
    assert assets.is_complete(stand_ins) and standin.is_whole(stand_ins)
    assert (stand_ins / standin.MARKER).is_file()


def test_that_cannot_be_written_are_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ToyflowError, match="stand-in assets cannot be written to"):
        standin.write_stand_ins(tmp_path / "file" / "assets")


@pytest.mark.parametrize("path", ITEMS)
def test_every_item_is_a_model_of_its_size(stand_ins, path):
    mujoco = pytest.importorskip("mujoco")
    model = mujoco.MjModel.from_xml_path(str(stand_ins / path))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    reach = np.abs(data.geom_xpos).max() + model.geom_rbound.max()
    assert 0.02 < reach < 0.6 and 0.005 < model.body_mass.sum() < 30


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "task"), [("libero_object", 3), ("libero_spatial", 4), ("libero_spatial", 5)]
)
def test_an_episode_runs_on_them(libero_on_stand_ins, rendered_libero, suite, task):
    assert libero_on_stand_ins.assets() == "stand-in"
    environment = libero_on_stand_ins(suite, task, image_size=64)
    for start in ({"seed": 1}, {"seed": 0, "init_state": 7}):
        environment.reset(**start)
        assert environment.observe().images["image"].std() > 1
        before = dict(environment.privileged)
        assert not any(environment.step(IDLE) for _ in range(10))
        for name in (key for key in before if key.endswith("_1_pos")):
            np.testing.assert_allclose(environment.privileged[name], before[name], atol=2e-3)
    environment.close()


@pytest.mark.slow
def test_a_task_that_they_lack_things_for_is_one_line(libero_on_stand_ins, rendered_libero):
    with pytest.raises(ToyflowError, match="libero_10 task 8 cannot be built from stand-in assets") as caught:
        libero_on_stand_ins("libero_10", 8)
    assert "\n" not in str(caught.value)
