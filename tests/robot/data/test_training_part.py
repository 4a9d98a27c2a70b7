"""Which episodes train, and which are held out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toyflow.errors import UsageError
from toyflow.robot.data.data_set import ACTION, STATE, DataSet
from toyflow.robot.data.training_part import (
    Demonstrations,
    held_out_episodes,
    held_out_frames,
    training_frames,
)


@given(st.integers(2, 300), st.sampled_from([0.01, 0.1, 0.25, 0.5]))
def test_a_larger_share_holds_out_those_of_a_smaller_one(episodes, share):
    small, large = (held_out_episodes(episodes, each) for each in (share / 2, share))
    assert len(large) == max(1, round(share * episodes)) == len({*large})
    assert large[: len(small)] == small and {*large} <= {*range(episodes)}


def test_nothing_is_held_out_unless_asked():
    assert held_out_episodes(7, 0) == []
    assert Demonstrations("here").record() == {"dataset": "here"}
    assert Demonstrations("here", 0.1).record() == {"dataset": "here", "hold-out": "0.1"}


def test_something_is_left_to_train_on():
    with pytest.raises(UsageError, match="holding out 1 of 1 episodes leaves none"):
        held_out_episodes(1, 0.1)


def test_whole_episodes_are_held_out(small):
    data = DataSet(str(small[0]))
    [episode] = held_out_episodes(3, 0.1)
    first, last = [(0, 12), (12, 19), (19, 28)][episode]
    assert held_out_frames(data, 0.1).tolist() == [*range(first, last)]
    assert sorted(held_out_frames(data, 0.1).tolist() + training_frames(data, 0.1).tolist()) == [*range(28)]
    assert len(held_out_frames(data, 0)) == 0 and len(training_frames(data, 0)) == 28


def test_statistics_are_of_the_frames_alone(small):
    data, frames = DataSet(str(small[0])), torch.tensor([2, 3, 20])
    for feature, place in ((STATE, "state"), (ACTION, "actions")):
        found = data.statistics_of(feature, frames)
        column = getattr(data._columns, place)[frames].numpy()
        np.testing.assert_allclose(found["mean"], column.mean(0), rtol=1e-5)
        np.testing.assert_allclose(found["std"], column.std(0), rtol=1e-5)
        np.testing.assert_allclose(found["q99"], np.quantile(column, 0.99, axis=0), rtol=1e-5)


def test_statistics_of_all_frames_are_the_stored_ones(small):
    data = DataSet(str(small[0]))
    ours, stored = data.statistics_of(ACTION, torch.arange(28)), data.statistics(ACTION)
    for name in ("mean", "std"):
        np.testing.assert_allclose(ours[name], stored[name], rtol=1e-4)
