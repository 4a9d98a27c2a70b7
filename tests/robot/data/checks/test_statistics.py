"""Statistics that LeRobot writes are those of the frames; others are not."""

import numpy as np
import pytest

from toyflow.robot.data.checks.statistics import DimensionStatistics, differs


def statistics(values: np.ndarray, **stored: float) -> DimensionStatistics:
    computed = {name: float(getattr(values, name)()) for name in ("mean", "std", "min", "max")}
    return DimensionStatistics("action", 0, "joint", computed, {**computed, **stored})


@pytest.mark.parametrize(
    ("centre", "deviation"), [(90, 0.05), (170, 0.1), (2000, 1), (-45.3, 0), (100, 0), (0, 1), (0, 1e-3)]
)
def test_a_joint_that_hardly_moves_far_from_zero_as_lerobot_counts_it(centre, deviation):
    """In single precision the mean of squares less the square of the mean is off by as much as a joint in
    degrees may move."""
    compute = pytest.importorskip("lerobot.datasets.compute_stats")
    rng = np.random.default_rng(0)
    episodes = [(centre + deviation * rng.normal(size=(300, 1))).astype(np.float32) for _ in range(20)]
    features = {"action": {"dtype": "float32", "shape": (1,), "names": None}}
    each = [compute.compute_episode_stats({"action": episode}, features) for episode in episodes]
    stored = compute.aggregate_stats(each)["action"]
    frames = np.concatenate(episodes).astype(float)
    row = statistics(frames, **{key: float(stored[key][0]) for key in ("mean", "std", "min", "max")})
    assert not [key for key in row.stored if differs(row, key)]


@pytest.mark.parametrize("deviation", [1.0, 1e-3])
@pytest.mark.parametrize("factor", [0.5, 1.5, 100])
def test_a_standard_deviation_of_other_frames_differs(deviation, factor):
    frames = deviation * np.random.default_rng(0).normal(size=6000)
    assert differs(statistics(frames, std=float(factor * frames.std())), "std")
