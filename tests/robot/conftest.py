"""LIBERO and YAM for the tests that need them, where this machine has them and their files."""

import importlib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest

from toyflow.errors import UsageError
from toyflow.robot.simulation.environments import rendering
from toyflow.robot.simulation.environments.libero import Libero, assets, package
from toyflow.robot.simulation.environments.yam import Yam


@pytest.fixture(scope="session")
def libero() -> type[Libero]:
    """The environment, where its packages and assets are installed."""
    if absent := package.missing():
        pytest.skip(f"not installed: {', '.join(absent)} (`toyflow robot-setup libero`)")
    try:
        assets.find()
    except UsageError as error:
        pytest.skip(str(error))
    return Libero


@pytest.fixture(scope="session")
def rendered_libero(libero: type[Libero]) -> type[Libero]:
    """The environment, where images can be rendered, too."""
    try:
        rendering.choose_backend()
    except UsageError as error:
        pytest.skip(str(error))
    return libero


@pytest.fixture(scope="session")
def grocery(rendered_libero: type[Libero]) -> Iterator[Libero]:
    """One task on the floor."""
    environment = rendered_libero("libero_object", 0)
    yield environment
    environment.close()


@pytest.fixture(scope="session")
def drawer(rendered_libero: type[Libero]) -> Iterator[Libero]:
    """One task with fixtures, and a bowl placed in one of them."""
    environment = rendered_libero("libero_spatial", 4)
    yield environment
    environment.close()


@pytest.fixture(scope="session")
def yam() -> type[Yam]:
    """The station of two arms, where its model files are here and images can be rendered."""
    if find_spec("mujoco") is None:
        pytest.skip("not installed: mujoco (`toyflow robot-setup yam`)")
    try:
        Yam.assets()
        rendering.choose_backend()
    except UsageError as error:
        pytest.skip(str(error))
    return Yam


@pytest.fixture(scope="session")
def one_disc(yam: type[Yam]) -> Iterator[Yam]:
    """Hanoi with one disc."""
    environment = yam("hanoi", 0, image_size=64)
    yield environment
    environment.close()


@pytest.fixture
def fresh_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user who never heard of LIBERO."""
    for name in ("LIBERO_ASSETS", "LIBERO_CONFIG_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TOYFLOW_CACHE", str(tmp_path / "toyflow"))
    return tmp_path


@pytest.fixture
def yam_twin(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The plug-in whose robot `lerobot:bi_yam_follower` is two YAM arms without arms."""
    pytest.importorskip("lerobot")
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "yam_twin"))
    return importlib.import_module("lerobot_robot_yam_twin")
