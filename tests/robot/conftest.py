"""A small data set in LeRobot's format, made once."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Folder of 3 episodes of 12, 7 and 9 frames: two cameras of 32 pixels, a state of 4, an action of 2."""
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
