"""Policies that are trained with a random prefix of clean actions."""

from __future__ import annotations

import pytest

from toyflow.errors import UsageError
from toyflow.flow import FlowMatching, make_objective, parse_schedule
from toyflow.robot.policy.checkpoint import delayed
from toyflow.robot.policy.policy_options import PolicyOptions


def test_records_leave_it_out_at_its_default_so_that_keys_stay():
    assert "delay-max" not in PolicyOptions().record()
    assert PolicyOptions(delay_max=8).record()["delay-max"] == "8"
    assert PolicyOptions.parse(PolicyOptions(delay_max=8).record()).delay_max == 8


def test_the_objective_is_the_records_with_the_delay():
    plain = make_objective("flow", parse_schedule("shift:4"), "iid", "data:velocity-loss")
    assert delayed(plain, 0) is plain
    late = delayed(plain, 5)
    assert isinstance(late, FlowMatching) and late.delay_max == 5
    for name in ("schedule", "time_sampling", "prediction"):
        assert getattr(late, name) == getattr(plain, name)


def test_an_objective_without_times_is_refused():
    with pytest.raises(UsageError, match="--delay-max is for objective flow; regression has no time"):
        delayed(make_objective("regression"), 3)
