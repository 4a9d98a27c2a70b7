"""Schedules of published policies, against the code of LeRobot that draws their times."""

from types import SimpleNamespace

import pytest
import torch
from scipy import stats as scipy_stats

from toyflow.flow import parse_schedule

groot = pytest.importorskip("lerobot.policies.groot.action_head.flow_matching_action_head")


def test_groot_n1_draws_the_times_of_lerobots_groot():
    u = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    z = torch.from_numpy(scipy_stats.beta(1.5, 1).ppf(1 - u.numpy()))
    head = SimpleNamespace(
        beta_dist=SimpleNamespace(sample=lambda shape: z), config=SimpleNamespace(noise_s=0.999)
    )
    drawn = groot.FlowmatchingActionHead.sample_time(head, len(z), "cpu", torch.float64)
    torch.testing.assert_close(parse_schedule("groot-n1").icdf(u), drawn)
