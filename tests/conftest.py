"""Shapes and types of every annotated function are checked while the tests run."""

from jaxtyping import install_import_hook

install_import_hook("toyflow", "typechecker.checked")

import atexit  # noqa: E402
import os  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from rich.console import Console  # noqa: E402

PLUGIN = '''
from dataclasses import dataclass
import torch
from toyflow import Batch, Schedule, Task, VectorModel


@dataclass(frozen=True)
class Power(Schedule):
    """t = u^p."""
    p: float
    key = "power"
    source = "the tests"

    def icdf(self, u):
        return u ** self.p


class Points(Task):
    """Copy a point. `TOYFLOW_TEST_FAULT` breaks one cell's training: raise, kill or wait."""
    name = "points"
    metrics = ("close",)
    target_shape = (2,)

    def train_batch(self, size, generator):
        self.fault(generator)
        x = torch.randn(size, 2, generator=generator)
        return Batch(x, x)

    def test_set(self):
        x = torch.randn(100, 2, generator=torch.Generator().manual_seed(1))
        return Batch(x, x)

    def build_model(self, options):
        return VectorModel(observation=2, target=2, width=32, depth=1)

    def score(self, sample, test):
        return {"close": ((sample - test.target).norm(dim=1) < 0.5).float()}

    def fault(self, generator):
        import os, signal, time
        fault, _, path = os.environ.get("TOYFLOW_TEST_FAULT", "").partition("@")
        if not fault:
            return
        if fault == "slow":
            time.sleep(0.02)
            return
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))  # the first to come is hit
        except FileExistsError:
            return
        if fault == "raise":
            raise RuntimeError("a fault was asked for")
        if fault == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
'''
ENTRY_POINTS = """
[toyflow.schedules]
power = toyflow_test_plugin:Power
[toyflow.tasks]
points = toyflow_test_plugin:Points
[toyflow.environments]
points = robot.points:Points
[toyflow.robots]
fake = robot.robots.fakes:FakeRobot
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("slow") is not None)


@pytest.fixture(autouse=True)
def single_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def _install_plugin() -> Path:
    """A folder on sys.path that holds another package's plug-ins, as pip would have installed them."""
    folder = Path(tempfile.mkdtemp(prefix="toyflow-tests-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "toyflow_test_plugin.py").write_text(PLUGIN)
    info = folder / "toyflow_test_plugin-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toyflow-test-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    sys.path[:0] = [str(folder), str(Path(__file__).parent)]
    return folder


PLUGIN_PATH = _install_plugin()


class CommandLine:
    """Runs `toyflow` in `folder`: in this process for speed, or in one of its own."""

    def __init__(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.folder, self.monkeypatch, self.capsys = folder, monkeypatch, capsys
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "140")

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        """In this process."""
        from toyflow import cli

        console = Console(highlight=False, width=140)
        self.monkeypatch.setattr(cli, "console", console)
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
        paths = filter(None, (str(PLUGIN_PATH), str(Path(__file__).parent), os.environ.get("PYTHONPATH")))
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(paths),
            "TOYFLOW_TEST_FAULT": fault,
            **environment,
        }
        return subprocess.Popen(
            [sys.executable, *under, "-m", "toyflow", *words],
            env=env,
            cwd=self.folder,
            start_new_session=True,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

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
    """The test that takes a node away comes last, in tests/sweep."""
    pytest.importorskip("ray", reason="pip install 'toyflow[ray]'")
    from ray_nodes import RayNodes

    nodes = RayNodes(tmp_path_factory.mktemp("ray"))
    yield nodes
    nodes.cluster.shutdown()


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """A LeRobot data set of 3 episodes of 12, 7 and 9 frames: two cameras of 32 pixels, state 4, action 2."""
    pytest.importorskip("lerobot")
    from toyflow.robot.demos.dataset import Demonstration, write_dataset
    from toyflow.robot.demos.episode import Episode
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
        return Demonstration(prompt, Episode(images, state, action))

    made = [demonstration(12, "go left"), demonstration(7, "go right"), demonstration(9, "go left")]
    write_dataset(folder, made, Interface(("front", "wrist"), 4, 2, 10), 32)
    return folder, made
