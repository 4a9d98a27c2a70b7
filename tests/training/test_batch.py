"""Parts of batches, whatever their observations are made of."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from toyflow.errors import UsageError
from toyflow.training.batch import Batch, part_of


class Seen(NamedTuple):
    image: Tensor
    state: dict[str, Tensor]


def test_every_tensor_of_an_observation_is_parted_and_its_containers_stay_what_they_are():
    numbers = torch.arange(8)
    seen = Seen(numbers, {"joints": (10 * numbers)[:, None]})
    part = Batch((seen, numbers), numbers.float()[:, None]).part(slice(1, None, 4))
    (first, second), target = part.observation, part.target
    assert isinstance(first, Seen) and first.image.tolist() == second.tolist() == [1, 5]
    assert first.state["joints"].tolist() == [[10], [50]] and target.tolist() == [[1.0], [5.0]]


def test_a_batch_moves_with_its_observation():
    moved = Batch({"x": torch.ones(2)}, torch.ones(2, 1)).to(torch.device("meta"))
    assert moved.observation["x"].is_meta and moved.target.is_meta


def test_what_is_no_batch_is_refused_by_its_type():
    with pytest.raises(UsageError, match="not list"):
        part_of([torch.ones(2)], slice(1))
