"""What LIBERO's registry holds, and its import."""

import os
import subprocess
import sys

import pytest

from toyflow import plugins
from toyflow.errors import UsageError
from toyflow.robot.simulation.environment import check_suite, find_tasks
from toyflow.robot.simulation.environments.libero import Libero, package, suites


def test_is_a_plug_in_that_imports_without_the_simulator():
    code = (
        "import sys; from toyflow import plugins; plugins.load('environments', 'libero');"
        "print([name for name in ('libero', 'robosuite', 'mujoco', 'torch') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
    assert plugins.load("environments", "libero") is Libero


def test_suites_and_tasks_come_from_the_registry(libero):
    assert {"libero_spatial", "libero_object", "libero_goal", "libero_10"} <= set(libero.suites())
    for suite in suites.suites():
        tasks = libero.tasks(suite)
        assert [task.index for task in tasks] == list(range(len(tasks)))
        assert all(suites.bddl_file(suite, task.index).is_file() for task in tasks)
        assert all(task.init_states == 50 and task.max_steps >= 220 and task.prompt for task in tasks)


def test_what_does_not_exist_is_named(libero):
    with pytest.raises(UsageError, match="Did you mean 'libero_goal'"):
        libero.tasks("libero_gaol")
    with pytest.raises(UsageError, match="libero_spatial"):
        check_suite(libero, "kitchen")
    with pytest.raises(UsageError, match="it has 0 to 9"):
        find_tasks(libero, "libero_object", [10])


@pytest.mark.parametrize(
    ("suite", "steps"),
    [("libero_10", 520), ("libero_goal_swap", 300), ("libero_100", 520), ("kitchen", 520)],
)
def test_a_forks_suite_has_the_steps_of_the_one_it_varies(suite, steps):
    assert suites.max_steps(suite) == steps


def test_missing_packages_are_one_line_with_the_command(monkeypatch):
    monkeypatch.setattr(package, "find_spec", lambda name: None)
    for ask in (package.folder, lambda: Libero("libero_object", 0), lambda: package.load.__wrapped__("")):
        with pytest.raises(UsageError, match="libero, robosuite, bddl, mujoco, which") as caught:
            ask()
        assert "\n" not in str(caught.value)


def test_a_missing_dependency_is_one_line_with_the_command(libero, monkeypatch):
    def import_module(name):
        raise ImportError("No module named 'easydict'")

    monkeypatch.setattr(package, "import_module", import_module)
    with pytest.raises(UsageError, match="No module named 'easydict'; `toyflow robot-setup libero`"):
        package.load.__wrapped__("envs")


@pytest.mark.slow
def test_the_first_import_asks_nothing_and_prints_nothing(libero, fresh_home):
    code = (
        "from toyflow.robot.simulation.environments.libero import Libero; "
        "assert Libero.tasks('libero_object')"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert list(fresh_home.glob("toyflow/libero/config-*/config.yaml"))
    assert not (fresh_home / ".libero").exists()


@pytest.mark.slow
def test_the_users_configuration_is_used(libero, fresh_home):
    own = fresh_home / "mine"
    own.mkdir()
    (own / "config.yaml").write_text(
        f"bddl_files: /nowhere\ninit_states: {package.folder() / 'init_files'}\n"
    )
    code = (
        "from toyflow.robot.simulation.environments.libero import suites;"
        "print(suites.bddl_file('libero_object', 0), len(suites.init_states('libero_object', 0)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "LIBERO_CONFIG_PATH": str(own)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.startswith("/nowhere/libero_object/") and result.stdout.strip().endswith(" 50")
