"""Shapes and types of every annotated function are checked while the tests run."""

import os

# Tests run side by side, each with commands in processes of their own: a thread each is what the processors
# have room for. Before torch is imported, which reads it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

from jaxtyping import install_import_hook

install_import_hook("toyflow", "typechecker.checked")

import signal  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from commands import start  # noqa: E402
from hypothesis import settings  # noqa: E402

settings.register_profile(
    "toyflow", deadline=None, max_examples=50
)  # a busy machine is slow, and nothing is wrong
settings.load_profile("toyflow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with the longest tests come first, so that no processor waits at the end while another works.
    How long a test may take is in its `timeout` marker; `slow` is more than a few seconds."""
    weights: dict[Path, tuple[int, int]] = {}
    for item in items:
        limit = item.get_closest_marker("timeout")
        slow = item.get_closest_marker("slow") is not None
        most, count = weights.get(item.path, (0, 0))
        weights[item.path] = max(most, limit.args[0] if limit else 0), count + slow
    items.sort(key=lambda item: weights[item.path], reverse=True)


@pytest.fixture(autouse=True)
def single_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class CommandLine:
    """Runs `toyflow` in `folder`: in this process for speed, or in one of its own."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "140")

    def __call__(self, *words: str, width: int = 140) -> subprocess.CompletedProcess[str]:
        """In this process."""
        from toyflow import cli
        from toyflow.cli import terminal

        self.monkeypatch.setattr(terminal.console, "width", width)
        self.monkeypatch.setattr(sys, "argv", ["toyflow", *words])
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            cli.main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(bool(end.code))
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        out, err = self.capsys.readouterr()
        return subprocess.CompletedProcess(words, code, out, err)

    def start(
        self, *words: str, fault: str = "", under: tuple[str, ...] = (), **environment: str
    ) -> subprocess.Popen[str]:
        """In a process of its own, or `under` a launcher; the test plug-in's task may be told to break."""
        return start(self.folder, *words, fault=fault, under=under, **environment)

    def apart(
        self, *words: str, fault: str = "", under: tuple[str, ...] = (), **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """`start`, and wait for the end."""
        process = self.start(*words, fault=fault, under=under, **environment)
        out, err = process.communicate(timeout=200)
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def toyflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    return CommandLine(tmp_path, monkeypatch, capsys)


@pytest.fixture(scope="session")
def ray_nodes(tmp_path_factory: pytest.TempPathFactory):
    pytest.importorskip("ray", reason="pip install 'toyflow[ray]'")
    from ray_nodes import RayNodes

    nodes = RayNodes(tmp_path_factory.mktemp("ray"))
    yield nodes
    nodes.cluster.shutdown()


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A LeRobot data set of 3 episodes of 12, 7 and 9 frames: two cameras of 32 pixels, state 4, action 2."""
    return small_data_set(tmp_path_factory, [(12, "go left"), (7, "go right"), (9, "go left")])


@pytest.fixture(scope="session")
def four(tmp_path_factory):
    """As `small`, with an episode of 8 frames more: enough to hold out 2."""
    return small_data_set(
        tmp_path_factory, [(12, "go left"), (7, "go right"), (9, "go left"), (8, "go right")]
    )


def small_data_set(tmp_path_factory, episodes: list[tuple[int, str]]):
    """The folder of a LeRobot data set of episodes of (frames, prompt), and what was written."""
    pytest.importorskip("lerobot")
    from toyflow.robot.data.demos.data_set_writer import Demonstration, write_data_set
    from toyflow.robot.data.demos.recording import Trajectory
    from toyflow.robot.interface import Interface

    generator = np.random.default_rng(0)
    folder = tmp_path_factory.mktemp("small") / "data"
    folder.mkdir()

    def demonstration(length: int, prompt: str) -> Demonstration:
        images = {
            camera: generator.integers(0, 256, (length, 32, 32, 3), dtype=np.uint8)
            for camera in ("front", "wrist")
        }
        state, action = (generator.normal(size=(length, dim)).astype(np.float32) for dim in (4, 2))
        return Demonstration(prompt, Trajectory(images, state, action))

    made = [demonstration(length, prompt) for length, prompt in episodes]
    write_data_set(folder, made, Interface(("front", "wrist"), 4, 2, 10), 32)
    return folder, made
