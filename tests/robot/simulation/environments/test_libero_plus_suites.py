"""LIBERO-Plus's files, tasks and scenes, made of a small wheel of the same shape."""

import hashlib
import json
from pathlib import Path
from types import SimpleNamespace
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.simulation.environments.libero import Libero, known_collections
from toyflow.robot.simulation.environments.libero.plus import archive, plus_files, plus_suites
from toyflow.robot.simulation.environments.libero.plus.plus_suites import PlusSuites
from toyflow.robot.simulation.environments.libero.plus.robot_starts import start_pose
from toyflow.robot.simulation.environments.registry_wheels import UnavailableError
from toyflow.robot.simulation.task_selection import select_tasks

SOUP = "pick_up_the_soup"
MOKA = "KITCHEN_SCENE3_put_the_moka_pot_on_the_stove"
ENDS = (
    "_table_7", "_light_2", "_add_4", "_level2_sample0", "_language_1_view_0_0_100_0_0_initstate_0",
    "_view_0_0_100_2_352_initstate_0", "_view_0_0_100_0_0_initstate_9",
    "_view_0_0_100_0_0_initstate_0_noise_15",
)  # fmt: skip
NAMES = {
    "libero_spatial": [SOUP + end for end in ENDS], "libero_object": [SOUP + ENDS[5]],
    "libero_goal": [SOUP + ENDS[6]], "libero_10": [MOKA + ENDS[5], MOKA + ENDS[4]],
}  # fmt: skip
BDDL = "(define (problem {problem})\n (:language {said})\n (:objects\n  a_1 - plate\n  b_1 - {kind}\n))"
PROBLEM = """@register_problem
class {name}(Libero_Tabletop_Manipulation):
    def __init__(self, **kwargs):
        kwargs.update({{"scene_xml": "scenes/{name}.xml"}})
        kwargs.update({{"scene_properties": {{"floor_style": "gray", "wall_style": "marble"}}}})

"""
OBJECT = """@register_object
class AlarmClock_1(CustomObjects):
    def __init__(self, name="alarm_clock__1"):
        custom_path = os.path.join(str(absolute_path), f"assets/new_objects/alarm_clock/abc/abc.xml")
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def unpack_wheel(folder: Path) -> None:
    """What the wheel's package looks like, with 11 tasks."""
    write(
        folder / "benchmark" / "libero_suite_task_map.py",
        f"libero_task_map = {NAMES | {'libero_90': []}!r}\n",
    )
    write(
        folder / "envs" / "problems" / "libero_tabletop.py",
        "import sys\nsys.exit('no code of the wheel is run')\n"
        + "".join(PROBLEM.format(name=f"Libero_{end}") for end in ("table_7", "light_2", "unused")),
    )
    write(folder / "envs" / "objects" / "custom_objects.py", OBJECT)
    write(
        folder / "envs" / "arenas" / "style.py",
        "FLOOR_STYLE = {'gray': 'gray.png'}\nWALL_STYLE = {'marble': 'marble.png'}\nX = FLOOR_STYLE\n",
    )
    for suite, names in NAMES.items():
        for name in names:
            stem = name.split("_view_")[0]
            scene = stem.removeprefix(SOUP).removeprefix("_")
            problem = f"LIBERO_{scene}" if scene.startswith(("table", "light")) else "LIBERO_Tabletop"
            said = "Fetch  the Soup, please" if "_language_" in name else "pick up the soup"
            kind = "alarm_clock__1" if scene.startswith("add") else "plate"
            text = BDDL.format(problem=problem, said=said, kind=kind)
            write(folder / "bddl_files" / suite / f"{stem}.bddl", text)
        path = folder / "init_files" / suite / f"{names[0].rsplit('_table', 1)[0]}.pruned_init"
        path.parent.mkdir(parents=True, exist_ok=True)
        base = SOUP if suite != "libero_10" else MOKA
        torch.save(np.arange(12.0).reshape(3, 4), path.with_name(f"{base}.pruned_init"))
    layout = folder / "init_files" / "libero_newobj" / "libero_spatial"
    layout.mkdir(parents=True)
    torch.save(np.arange(100.0, 104.0), layout / f"{SOUP}_level2_sample0.pruned_init")
    write(folder / "bddl_files" / "libero_mix" / "other.bddl", "")


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A cache that has LIBERO-Plus's files, of a small wheel."""
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path / "cache"))
    forget()
    unpack_wheel(plus_files.folder())
    plus_files.finish(plus_files.folder())
    yield PlusSuites()
    forget()


def forget():
    for cached in (plus_files.tasks, plus_files.scenes, plus_files.levels, plus_suites._tasks):
        cached.cache_clear()


@pytest.fixture
def graded(installed, monkeypatch):
    """The same with a list of levels."""
    rows = {
        suite: [{"id": 1, "name": name, "category": "x", "difficulty_level": 1 + place % 3 or None}
                for place, name in enumerate(names)]
        for suite, names in NAMES.items()
    }  # fmt: skip
    rows["libero_spatial"][1]["difficulty_level"] = None
    content = json.dumps(rows).encode()
    monkeypatch.setattr(plus_files, "LEVELS_SHA256", hashlib.sha256(content).hexdigest())
    plus_files.get_levels(lambda url: content)
    forget()
    return installed


def test_without_its_files_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path))
    forget()
    assert PlusSuites().suites() == ()
    with pytest.raises(UsageError, match="robot-setup libero-plus"):
        known_collections.collection_of("libero_plus_goal")


def test_only_what_is_used_of_the_wheel_is_kept(installed):
    kept = sorted(path.name for path in plus_files.folder().iterdir())
    assert kept == ["bddl_files", "init_files", "scenes.json", "tasks.json"]
    assert not (plus_files.folder() / "bddl_files" / "libero_mix").exists()


def test_suites_and_their_tasks(installed):
    counts = {suite: len(installed.tasks(suite)) for suite in installed.suites()}
    assert counts == {
        "libero_plus_spatial": 8, "libero_plus_object": 1, "libero_plus_goal": 1, "libero_plus_10": 2,
        "libero_plus": 12,
    }  # fmt: skip
    whole = installed.tasks("libero_plus")
    assert [task.index for task in whole] == list(range(12))
    assert whole[9].base == ("libero_goal", SOUP) and whole[9].max_steps == 300
    assert {task.init_states for task in whole} == {1}


def test_prompts_are_clean_and_the_official_ones_beside(installed):
    tasks = installed.tasks("libero_plus_spatial")
    assert (tasks[4].prompt, tasks[4].official_prompt) == ("fetch the soup, please", "")
    assert tasks[5].prompt == "pick up the soup"
    assert tasks[5].official_prompt == "pick up the soup view 0 0 100 2 352 initstate 0"
    assert installed.tasks("libero_plus_10")[0].prompt == "put the moka pot on the stove"


def test_what_needs_the_archive_is_missing_and_counted(installed):
    able, missing = select_tasks(Libero, "libero_plus_spatial")
    assert sorted(task.perturbation for task in missing) == ["background", "layout", "light"]
    assert [task.perturbation for task in able] == ["layout", "language", "camera", "robot-start", "noise"]
    assert "--assets" in missing[0].missing


def test_levels_are_upstreams(graded):
    tasks = graded.tasks("libero_plus_spatial")
    assert [task.level for task in tasks] == [1, None, 3, 1, 2, 3, 1, 2]


def test_without_the_list_there_are_no_levels(installed):
    assert {task.level for task in installed.tasks("libero_plus")} == {None}


@pytest.mark.parametrize("content", [b"", b"{}"])
def test_another_list_of_levels_is_not_kept(installed, content):
    with pytest.raises(UnavailableError, match="SHA-256"):
        plus_files.get_levels(lambda url: content)
    assert not plus_files.levels_file().exists()


def test_a_list_that_cannot_be_downloaded_is_told_where_to_put(installed):
    def offline(url):
        raise OSError("no route to host")

    with pytest.raises(
        UnavailableError, match=f"no route to host; save https.* as {plus_files.levels_file()}"
    ):
        plus_files.get_levels(offline)


def test_a_damaged_list_of_levels_is_named(graded):
    plus_files.levels_file().write_bytes(b"{}")
    forget()
    with pytest.raises(ToyflowError, match="damaged"):
        graded.tasks("libero_plus_goal")


def test_a_damaged_list_of_tasks_is_named(installed):
    path = plus_files.folder() / plus_files.TASKS
    path.write_text(path.read_text().replace("soup", "soap"))
    with pytest.raises(ToyflowError, match="damaged"):
        installed.tasks("libero_plus_goal")


def test_a_scene_reads_one_official_state(installed):
    assert installed.scene("libero_plus_spatial", 5).init_states.tolist() == [[0, 1, 2, 3]]
    assert installed.scene("libero_plus_spatial", 3).init_states.tolist() == [[100, 101, 102, 103]]


class Model:
    """As much of a compiled model as a view needs."""

    def __init__(self):
        self.cam_pos, self.cam_quat = np.array([[9.0, 9, 9], [0.66, 0, 1.61]]), np.full((2, 4), 0.5)

    def camera(self, name):
        assert name == "agentview"
        return type("Camera", (), {"id": 1})


class Simulation:
    def __init__(self):
        self.model, self.robot = Model(), SimpleNamespace(init_qpos=None)


def test_a_view_moves_the_main_camera_only(installed):
    simulation = Simulation()
    installed.scene("libero_plus_spatial", 5).adapt(simulation)
    assert simulation.model.cam_pos[0].tolist() == [9, 9, 9]
    assert simulation.model.cam_pos[1] == pytest.approx([0.66, 0, 1.61])
    assert not np.allclose(simulation.model.cam_quat[1], 0.5, atol=1e-3)


def test_a_robot_start_is_set_before_the_reset(installed):
    simulation = Simulation()
    installed.scene("libero_plus_spatial", 6).before_reset(simulation)
    assert simulation.robot.init_qpos == pytest.approx(start_pose(9))
    installed.scene("libero_plus_spatial", 5).before_reset(plain := Simulation())
    assert plain.robot.init_qpos is None


def test_noise_is_of_the_main_camera_and_of_the_episode(installed):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    scene = installed.scene("libero_plus_spatial", 7)
    scene.after_reset(Simulation(), 0)
    assert np.array_equal(scene.image("image2", image), image)
    assert scene.image("image", image).std() < 0.5 * image.std()
    clean = installed.scene("libero_plus_spatial", 5)
    assert np.array_equal(clean.image("image", image), image)


def test_the_archive_brings_the_missing_tasks(installed, tmp_path):
    given = tmp_path / "given" / "assets"
    for name in archive.lacking(tmp_path):
        write(given / name / "part" if name.endswith("/") else given / name, "x")
    assert archive.install(tmp_path / "given").is_symlink()
    tasks = installed.tasks("libero_plus")
    assert not any(task.missing for task in tasks)
    assert [task.extra_assets for task in tasks[:4]] == ["archive", "archive", "archive", ""]
    assert installed.scene("libero_plus_spatial", 0).assets() == archive.own_folder()


def test_an_archive_that_lacks_files_is_refused_and_leaves_nothing(installed, tmp_path):
    write(tmp_path / "given" / "new_objects" / "readme", "")
    with pytest.raises(UsageError, match=r"does not hold LIBERO-Plus's archive: \d+ files are missing"):
        archive.install(tmp_path / "given")
    assert not archive.is_there()


@pytest.mark.parametrize("content", [b"nothing", b"PK\x03\x04 half of it"])
def test_a_damaged_archive_is_refused(installed, tmp_path, content):
    (tmp_path / "assets.zip").write_bytes(content)
    with pytest.raises(UsageError, match="cannot be unpacked"):
        archive.install(tmp_path / "assets.zip")
    assert not archive.own_folder().exists()


def zipped(path, given):
    with ZipFile(path, "w", ZIP_DEFLATED) as packed:
        for file in given.rglob("*"):
            if file.is_file():
                packed.writestr(file.relative_to(given.parent).as_posix(), "x" * 10_000)
    return path


@pytest.fixture
def given(installed, tmp_path):
    """A folder with all that the archive holds."""
    folder = tmp_path / "given" / "assets"
    for name in archive.lacking(tmp_path):
        write(folder / name / "part" if name.endswith("/") else folder / name, "x")
    return folder


def test_damaged_data_in_a_zip_is_one_line(given, tmp_path):
    raw = bytearray(zipped(tmp_path / "assets.zip", given).read_bytes())
    start = raw.index(b"PK\x03\x04") + 30
    start += int.from_bytes(raw[26:28], "little")
    raw[start : start + 8] = b"\xff" * 8
    (tmp_path / "damaged.zip").write_bytes(raw)
    with pytest.raises(UsageError, match="cannot be unpacked"):
        archive.install(tmp_path / "damaged.zip")
    assert not archive.is_there()


def test_a_zip_replaces_a_link_and_keeps_what_it_leads_to(given, tmp_path):
    assert archive.install(given).is_symlink()
    assert not archive.install(zipped(tmp_path / "assets.zip", given)).is_symlink()
    assert archive.is_there() and not archive.lacking(given)


def test_a_kill_after_the_link_is_made_leaves_nothing_that_hinders(given, tmp_path):
    partial = archive.own_folder().parent / ".assets.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.symlink_to(given)
    assert not archive.install(zipped(tmp_path / "assets.zip", given)).is_symlink()
    assert not archive.lacking(given)


def test_a_film_does_not_draw_from_the_noise(installed, monkeypatch):
    environment = Libero.__new__(Libero)
    environment._simulation = SimpleNamespace(data=None)  # pyright: ignore[reportAttributeAccessIssue]
    environment._scene = installed.scene("libero_plus_spatial", 7)
    environment._scene.after_reset(Simulation(), 0)
    shown = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    vars(environment)["_cameras"] = SimpleNamespace(image=lambda data, camera: shown)
    for image in environment.views().values():
        assert np.array_equal(image, shown[:, ::-1])
    observed = environment._scene.image("image", shown)
    environment._scene.after_reset(Simulation(), 0)
    assert np.array_equal(environment._scene.image("image", shown), observed)
