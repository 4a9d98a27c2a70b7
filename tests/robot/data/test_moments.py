import numpy as np
import pytest
import torch

from toyflow.errors import UsageError
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.moments import observations_at, spread_frames

pytest.importorskip("lerobot")


@pytest.fixture(scope="module")
def data(small):
    return DataSet(str(small[0]))


def test_frames_have_a_whole_chunk_ahead_and_are_evenly_spread(data):
    """Of episodes of 12, 7 and 9 frames."""
    every = [*range(12 - 4), *range(12, 12 + 7 - 4), *range(19, 19 + 9 - 4)]
    assert spread_frames(data, 5, 100).tolist() == every == data.whole(5).tolist()
    assert not data.chunks(spread_frames(data, 5, 100), 5).is_pad.any()
    assert spread_frames(data, 5, 3).tolist() == [0, 12, 23]
    assert spread_frames(data, 5, 100, [2, 1]).tolist() == every[8:]


def test_frames_that_do_not_exist(data):
    with pytest.raises(UsageError, match="has episodes 0 to 2, and no episode 3,5-6"):
        spread_frames(data, 5, 10, [1, 3, 5, 6])
    with pytest.raises(
        UsageError, match=r"none of the episodes 1-2 of data set .* a whole chunk of 10 actions"
    ):
        spread_frames(data, 10, 10, [1, 2])
    with pytest.raises(UsageError, match=r"no episode of data set .* is as long as a chunk of 13 actions"):
        spread_frames(data, 13, 10)


def test_observations_are_those_of_the_frames(data, small):
    first, second = observations_at(data, torch.tensor([3, 12]), ["front"], history=3)
    recorded = [made.trajectory for made in small[1]]
    assert first.prompt == "go left" and second.prompt == "go right" and set(first.images) == {"front"}
    for seen, episode, row in (
        (first, 0, 3), (first.before[0], 0, 1), (first.before[1], 0, 2),
        (second, 1, 0), (second.before[0], 1, 0), (second.before[1], 1, 0),
    ):  # fmt: skip
        np.testing.assert_array_equal(seen.state, recorded[episode].state[row])
        np.testing.assert_array_equal(seen.images["front"], recorded[episode].images["front"][row])
    [blind] = observations_at(data, torch.tensor([5]), [])
    assert blind.images == {} and blind.before == ()
