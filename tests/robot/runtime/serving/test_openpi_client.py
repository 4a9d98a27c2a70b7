"""openpi's own client, unchanged, in an environment of its own: it pins numpy < 2."""

import json
import subprocess
import sys
import venv
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from toyflow.flow import Decoding
from toyflow.machine import cache_folder
from toyflow.robot.interface import Interface
from toyflow.robot.latency import Latency, Times
from toyflow.robot.planner import Planner

pytestmark = pytest.mark.slow
VERSION = "0.1.2"


@pytest.fixture(scope="session")
def robot_python() -> str:
    """The Python of an environment with openpi-client, made once and kept with other caches."""
    if sys.version_info >= (3, 13):
        pytest.skip(f"openpi-client {VERSION} wants numpy < 2, which Python 3.13 has none of")
    folder = cache_folder() / f"openpi-client-{VERSION}-py{sys.version_info[0]}.{sys.version_info[1]}"
    python, done = folder / "bin" / "python", folder / "complete"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not done.exists():
            venv.create(folder, clear=True, with_pip=True)
            # typing_extensions is a dependency that its metadata forget
            words = ["-m", "pip", "install", "-q", f"openpi-client=={VERSION}", "typing_extensions"]
            installed = subprocess.run([python, *words], capture_output=True, text=True, timeout=250)
            if installed.returncode:
                pytest.skip(f"openpi-client cannot be installed here: {installed.stderr.strip()[-200:]}")
            done.touch()
    return str(python)


class Libero(Planner):
    """Answers with what it was told: action k is the state's first seven numbers plus k."""

    interface = Interface(("image", "image2"), state_dim=8, action_dim=7, fps=20)
    image_size, horizon = 224, 5

    def __init__(self) -> None:
        self.stage_seconds, self.seen = defaultdict(float), []
        self.set_decoding(Decoding())

    def set_decoding(self, decoding):
        self.decoding, self.model_calls = decoding, decoding.steps

    def answers(self, observations, seeds, draws):
        self.seen += observations
        chunks = [o.state[:7] + np.arange(5, dtype=np.float32)[:, None] for o in observations]
        return np.stack([np.stack(chunks)] * draws)

    def latencies(self, decodings: Sequence[Decoding]) -> list[Latency]:
        return [Latency(Times(0, 0), Times(0, 0), Times(0, 0))] * len(decodings)


def test_openpis_client_runs_unchanged(serving, robot_python):
    planner = Libero()
    served = serving(planner, key="robots-only")
    script = Path(__file__).with_name("openpi_robot.py")
    words = [robot_python, str(script), str(served.port), "robots-only"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["numpy"].startswith("1.") and told["metadata"] == {"action_horizon": 5}
    assert told["actions"] == [[float(i + k) for i in range(7)] for k in range(5)]
    assert told["timing"]["infer_ms"] > 0
    assert "observation/state: expected 8 finite numbers" in told["refused"]
    assert [step[0] for step in told["steps"]] == [0, 1, 2, 0]  # on the connection that was refused once
    assert "401" in told["locked"]
    image = np.arange(224 * 224 * 3, dtype=np.uint8).reshape(224, 224, 3)
    seen = planner.seen[-1]
    assert (seen.images["image"] == image).all() and (seen.images["image2"] == image[::-1]).all()
    assert seen.prompt == "pick up the soup"
