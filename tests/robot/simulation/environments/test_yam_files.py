"""The YAM station's model files: got from the registry by checksum, decimated, whole or not there at all."""

from dataclasses import replace
from importlib.util import find_spec
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from robot.simulation.environments.small_registry import offered, packing, registry_in, run_until_killed

from toyflow import scene_assets
from toyflow.atomic import DamagedError
from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.simulation.environments.registry_wheels import UnavailableError
from toyflow.robot.simulation.environments.yam import Yam, model_files
from toyflow.robot.simulation.environments.yam.yam_setup import setup_yam

reducer = pytest.mark.skipif(
    find_spec(model_files.REDUCER) is None, reason="not installed: fast-simplification (toyflow[yam])"
)


def sphere(rings):
    """Corners and 2 * rings * rings triangles of a sphere of 1 m radius."""
    u, v = np.meshgrid(np.linspace(0, np.pi, rings + 1), np.arange(rings) * 2 * np.pi / rings, indexing="ij")
    corners = np.stack([np.sin(u) * np.cos(v), np.sin(u) * np.sin(v), np.cos(u)], -1).astype(np.float32)
    corners[0], corners[-1] = [0, 0, 1], [0, 0, -1]
    i, j = np.meshgrid(np.arange(rings), np.arange(rings), indexing="ij")
    a, b = i * rings + j, i * rings + (j + 1) % rings
    triangles = np.stack([a, a + rings, b, b, a + rings, b + rings], -1).reshape(-1, 3)
    return corners.reshape(-1, 3), triangles.astype(np.int32)


def offer(folder, monkeypatch, meshes=model_files.MESHES, rings=6, station=b"<mujoco/>"):
    """A small wheel of the station in the registry, whose code says so if it runs."""
    wheel, stl = model_files.WHEEL, folder / "mesh.stl"
    model_files.write_stl(stl, *sphere(rings))
    with packing(folder, wheel.name, wheel.version) as archive:
        archive.writestr("i2rt/robot_models/__init__.py", "raise SystemExit('imported')")
        archive.writestr("i2rt/robot_models/arm/big_yam/v1/big_yam.xml", "<mujoco/>")
        archive.writestr(f"{model_files.INSIDE}{model_files.STATION}", station)
        for name in meshes:
            archive.write(stl, f"{model_files.INSIDE}{name}")
    stl.unlink()
    monkeypatch.setattr(model_files, "WHEEL", offered(folder, wheel.name, wheel.version))


@pytest.fixture
def registry(fresh_home, monkeypatch):
    """A folder instead of the registry, with a small wheel."""
    folder = registry_in(fresh_home, monkeypatch)
    offer(folder, monkeypatch)
    return folder


@reducer
class TestFiles:
    def test_are_the_station_alone_and_nothing_of_them_runs(self, registry):
        place = model_files.files().get()
        assert place == model_files.folder() and model_files.station_file() == place / model_files.STATION
        there = {path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file()}
        assert there == {model_files.STATION, *model_files.MESHES, model_files.RECORD}

    def test_are_recorded_by_their_version(self, registry, monkeypatch):
        """`own` is the version of all published results."""
        assert model_files.WHEEL.version == scene_assets.YAM_OWN
        model_files.files().get()
        assert Yam.assets() == "own"
        newer = replace(model_files.WHEEL, version="1.4.0")
        monkeypatch.setattr(model_files, "WHEEL", newer)
        offer(registry, monkeypatch)
        model_files.files().get()
        assert Yam.assets() == "i2rt-1.4.0"

    def test_with_another_checksum_are_refused(self, registry, monkeypatch):
        monkeypatch.setattr(model_files, "WHEEL", replace(model_files.WHEEL, sha256="0" * 64))
        with pytest.raises(UnavailableError, match=r"cannot be downloaded: .* NOT MATCH THE HASHES"):
            model_files.files().get()
        assert not model_files.folder().exists()

    def test_of_another_version_are_refused_in_one_line(self, registry, monkeypatch):
        monkeypatch.setattr(model_files, "WHEEL", replace(model_files.WHEEL, version="1.2.3"))
        with pytest.raises(
            UnavailableError, match=r"dreamscale-i2rt cannot be downloaded: .*1\.2\.3"
        ) as caught:
            model_files.files().get()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("content", [{"meshes": model_files.MESHES[1:]}, {"meshes": ()}])
    def test_of_other_content_are_one_line(self, registry, monkeypatch, content):
        offer(registry, monkeypatch, **content)
        with pytest.raises(ToyflowError, match=r"does not hold the YAM station: .*base\.stl") as caught:
            model_files.files().get()
        assert "\n" not in str(caught.value) and not model_files.folder().exists()

    def test_a_kill_leaves_nothing_that_counts_and_the_next_call_goes_on(self, registry):
        run_until_killed(
            "from toyflow.robot.simulation.environments.yam import model_files\n"
            f"model_files.WHEEL = {model_files.WHEEL!r}\n"
            "model_files.write_stl = lambda *mesh: kill()\n"
            "model_files.files().get()\n"
        )
        with pytest.raises(UsageError, match="model files, which are not here"):
            model_files.station_file()
        model_files.files().get()
        assert model_files.station_file().is_file()

    def test_that_were_damaged_since_are_named(self, registry):
        place = model_files.files().get()
        mesh = place / model_files.MESHES[0]
        mesh.write_bytes(mesh.read_bytes()[:-1])
        with pytest.raises(
            UsageError, match=r"base\.stl is damaged: remove .* and run `toyflow robot-setup yam`"
        ):
            model_files.station_file()
        mesh.unlink()
        with pytest.raises(UsageError, match=r"base\.stl is missing"):
            model_files.station_file()
        (place / model_files.RECORD).write_text("{")
        with pytest.raises(DamagedError):
            model_files.station_file()


class TestMeshes:
    def test_survive_a_round_trip(self, tmp_path):
        corners, triangles = sphere(8)
        model_files.write_stl(tmp_path / "a.stl", corners, triangles)
        again, faces = model_files.read_stl(tmp_path / "a.stl")
        assert len(again) == 8 * 7 + 2 and len(faces) == 2 * 8 * 7  # those of no area are gone
        assert volume(again, faces) == pytest.approx(volume(corners, triangles), rel=1e-6)

    @reducer
    def test_have_so_many_triangles_and_nearly_their_volume(self):
        corners, triangles = model_files.decimated(*sphere(60))
        assert 0.9 * model_files.TRIANGLES < len(triangles) <= 1.02 * model_files.TRIANGLES
        assert volume(corners, triangles) == pytest.approx(4 / 3 * np.pi, rel=0.01)

    def test_that_are_small_stay(self):
        corners, triangles = sphere(6)
        assert model_files.decimated(corners, triangles)[1] is triangles

    @pytest.mark.parametrize("length", [0, 83, 200])
    def test_that_are_cut_off_raise(self, tmp_path, length):
        model_files.write_stl(tmp_path / "a.stl", *sphere(6))
        (tmp_path / "a.stl").write_bytes((tmp_path / "a.stl").read_bytes()[:length])
        with pytest.raises(ValueError):
            model_files.read_stl(tmp_path / "a.stl")


def volume(corners, triangles):
    a, b, c = corners[triangles].astype(np.float64).transpose(1, 0, 2)
    return float((np.cross(a, b) * c).sum() / 6)


def test_without_the_reducer_it_says_what_to_install(registry, monkeypatch):
    monkeypatch.setattr(model_files, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"package fast-simplification: pip install 'toyflow\[yam\]'"):
        model_files.files().get()
    assert not model_files.folder().exists()


def test_the_set_up_takes_no_archive():
    with pytest.raises(UsageError, match="takes no --assets"):
        setup_yam(Path("a.tar"))


@pytest.mark.slow
def test_the_set_up_ends_with_an_image(yam):
    shown = StringIO()
    setup_yam(console=Console(file=shown, width=200))
    assert "hanoi (3)" in shown.getvalue() and "left 128x128" in shown.getvalue()
    assert "downloading" not in shown.getvalue()
