"""Which episodes train, and which are held out."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from toyflow.errors import UsageError
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.features import ACTION, STATE
from toyflow.robot.data.training_part import (
    Demonstrations,
    held_out_episodes,
    training_frames,
)
from toyflow.robot.robot_task import RobotTask


@given(st.integers(4, 300), st.sampled_from([0.01, 0.1, 0.25, 0.5]))
def test_a_larger_share_holds_out_those_of_a_smaller_one(episodes, share):
    small, large = (held_out_episodes(episodes, each) for each in (share / 2, share))
    assert len(large) == max(2, round(share * episodes)) == len({*large})
    assert large[: len(small)] == small and {*large} <= {*range(episodes)}


def test_nothing_is_held_out_unless_asked():
    assert held_out_episodes(7, 0) == []
    assert Demonstrations("here").record() == {"dataset": "here"}
    assert Demonstrations("here", 0.1).record() == {"dataset": "here", "hold-out": "0.1"}


@pytest.mark.parametrize(("episodes", "share", "left"), [(1, 0.1, 0), (3, 0.1, 1), (10, 0.9, 1)])
def test_two_episodes_are_left_to_train_on(episodes, share, left):
    with pytest.raises(UsageError, match=f"of {episodes} episodes leaves {left} to train on") as error:
        held_out_episodes(episodes, share)
    assert "\n" not in str(error.value)


def test_too_few_episodes_are_refused_before_anything_is_trained(small):
    given = {"dataset": str(small[0]), "suite": "none", "hold-out": "0.1", "constant-dims": "keep"}
    with pytest.raises(UsageError, match="holding out 2 of 3 episodes leaves 1 to train on"):
        RobotTask.choose(given)


def test_whole_episodes_are_held_out(four):
    data = DataSet(str(four[0]))
    kept = held_out_episodes(4, 0.1)
    spans = [range(0, 12), range(12, 19), range(19, 28), range(28, 36)]
    trained = [frame for episode, span in enumerate(spans) if episode not in kept for frame in span]
    assert len(kept) == 2 and training_frames(data, 0.1).tolist() == trained
    assert training_frames(data, 0).tolist() == [*range(36)]


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
