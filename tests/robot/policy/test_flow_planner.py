"""toyflow's own policies as planners."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from toyflow.errors import UsageError
from toyflow.flow import Decoding, FlowMatching, make_objective, parse_schedule
from toyflow.networks.attention_kinds import AttentionKind
from toyflow.robot.data.normalisation import Normalisation
from toyflow.robot.interface import Interface
from toyflow.robot.planner import Commitment
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy.policy import Policy
from toyflow.robot.policy.spec import PolicySpec


def made(
    objective: str = "flow", attention: AttentionKind = "joint", delay_max: int = 0, size: str = "nano"
) -> FlowPlanner:
    torch.manual_seed(0)
    unit = {"mean": [0.0] * 2, "std": [1.0] * 2}
    cameras = () if size == "mlp" else ("front",)
    robot = Interface(cameras, state_dim=2, action_dim=2, fps=10)
    spec = PolicySpec(size, robot, image_size=32, attention=attention, language=size != "mlp")
    policy = Policy(spec, Normalisation.from_statistics(unit, unit))
    schedule = parse_schedule("shift:4")
    trained = (
        FlowMatching(schedule, delay_max=delay_max) if delay_max else make_objective(objective, schedule)
    )
    return FlowPlanner(policy.eval(), trained)


def compare() -> None:
    plain, compiled = made(), made()
    compiled.compile()
    seen = plain.any_observation()
    for decoding in (Decoding(), Decoding(10), Decoding(draws=8)):
        plain.set_decoding(decoding)
        compiled.set_decoding(decoding)
        ours, theirs = (planner.plan([seen], [3]) for planner in (plain, compiled))
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-5)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 1


@pytest.mark.parametrize(
    ("size", "attention"), [("nano", "cross"), ("nano", "joint"), ("nano", "full"), ("mlp", "joint")]
)
def test_answers_are_nested_pairs_and_a_plan_is_their_mean(size, attention):
    planner, steps = made(attention=attention, size=size), 2
    seen = [planner.any_observation(), planner.any_observation()._replace(state=np.ones(2, np.float32))]
    planner.set_decoding(Decoding(steps))
    one = planner.plan(seen, [3, 4])
    answers = planner.answers(seen, [3, 4], 8)
    assert answers.shape == (8, 2, planner.horizon, 2) and answers.dtype == np.float32
    np.testing.assert_allclose(answers[0], one, rtol=0, atol=1e-5)
    np.testing.assert_allclose(planner.answers(seen, [3, 4], 2), answers[:2], rtol=0, atol=1e-5)
    np.testing.assert_allclose(planner.answers(seen[1:], [4], 8)[:, 0], answers[:, 1], rtol=0, atol=1e-5)
    assert np.abs(answers[0] - answers[1]).max() > 0.1
    planner.set_decoding(Decoding(steps, draws=8))
    np.testing.assert_allclose(planner.plan(seen, [3, 4]), answers.mean(0), rtol=0, atol=1e-5)
    assert planner.model_calls == steps


def test_the_second_of_a_pair_starts_from_the_mirrored_noise():
    planner = made()
    noise = planner._noise([3, 4], 4)
    assert torch.equal(noise[1], -noise[0]) and torch.equal(noise[3], -noise[2])
    alone = torch.randn(noise.shape[2:], generator=torch.Generator().manual_seed(4))
    assert torch.equal(noise[0, 1], alone)


def test_a_policy_without_noise_has_nothing_to_draw():
    planner = made("regression")
    with pytest.raises(UsageError, match="'regression' decodes without noise"):
        planner.set_decoding(Decoding(draws=2))
    with pytest.raises(UsageError, match="'regression' decodes without noise"):
        planner.answers([planner.any_observation()], [0], 2)


def test_latency_compares_with_one_step_of_one_draw(monkeypatch):
    monkeypatch.setattr("toyflow.robot.latency.REPEATS", 2)
    planner = made()
    planner.set_decoding(Decoding(4, draws=2))
    latency = planner.latency()
    assert latency.one_step is not None and 0 < latency.one_step.p50 < latency.plan.p50


def test_several_decodings_are_timed_in_turns(monkeypatch):
    """So that a busy moment affects all alike."""
    monkeypatch.setattr("toyflow.robot.latency.REPEATS", 3)
    planner = made()
    calls: list[int] = []
    answers = Decoding.answers

    def answering(self, *words):
        calls.append(self.steps)
        return answers(self, *words)

    monkeypatch.setattr(Decoding, "answers", answering)
    one, ten, eight = planner.latencies([Decoding(1), Decoding(10), Decoding(1, draws=8)])
    assert calls == [1, 10, 1] * (len(calls) // 3) and len(calls) >= 9
    assert one.condition == ten.condition and one.step == ten.step != eight.step
    assert one.plan == one.one_step == ten.one_step and one.plan.p50 < ten.plan.p50
    with pytest.raises(UsageError):
        planner.latencies([Decoding(1, draws=3)])


@pytest.mark.slow
def test_a_compiled_policy_plans_the_same():
    """In a process of its own: types are not checked there, which cannot be compiled."""
    done = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    compare()


@pytest.mark.parametrize("attention", ["cross", "joint", "full"])
@pytest.mark.parametrize("delay_max", [0, 3])
@pytest.mark.parametrize(("steps", "draws"), [(1, 1), (1, 2), (4, 1)])
def test_a_plan_goes_on_from_what_is_committed(attention, delay_max, steps, draws):
    planner = made(attention=attention, delay_max=delay_max)
    planner.set_decoding(Decoding(steps, draws=draws))
    seen = [planner.any_observation(), planner.any_observation()._replace(state=np.ones(2, np.float32))]
    plain = planner.plan(seen, [3, 4])
    left = np.linspace(0.5, 1, 6, dtype=np.float32)[:, None].repeat(2, 1)
    got = planner.continue_plan(seen, [3, 4], [Commitment(left, 2), None])
    assert got.shape == plain.shape and got.dtype == np.float32
    np.testing.assert_allclose(got[0, :2], left[:2], rtol=0, atol=1e-6)
    np.testing.assert_allclose(got[1], plain[1], rtol=0, atol=1e-5)
    assert np.abs(got[0, 2:] - plain[0, 2:]).max() > 1e-3
    alone = planner.continue_plan(seen[:1], [3], [Commitment(left, 2)])
    np.testing.assert_allclose(alone[0], got[0], rtol=0, atol=1e-5)


def test_where_nothing_is_committed_a_plan_is_the_plain_one_to_the_bit():
    planner = made()
    planner.set_decoding(Decoding(4))
    seen, none = [planner.any_observation()], Commitment(np.zeros((0, 2), np.float32), 0)
    for committed in (None, none):
        assert np.array_equal(planner.continue_plan(seen, [3], [committed]), planner.plan(seen, [3]))


def test_more_is_committed_than_a_chunk_has():
    planner = made()
    left = np.ones((planner.horizon + 5, 2), np.float32)
    got = planner.continue_plan([planner.any_observation()], [0], [Commitment(left, planner.horizon + 5)])
    np.testing.assert_allclose(got[0], left[: planner.horizon], rtol=0, atol=1e-6)


def test_more_frozen_actions_than_in_training_are_said_once(caplog):
    planner = made(delay_max=3)
    seen, left = [planner.any_observation()], np.full((6, 2), 0.5, np.float32)
    planner.continue_plan(seen, [0], [Commitment(left, 3)])
    assert not caplog.records
    for _ in range(2):
        got = planner.continue_plan(seen, [0], [Commitment(left, 5)])
        np.testing.assert_allclose(got[0, :5], left[:5], rtol=0, atol=1e-6)
    [said] = caplog.messages
    assert said.startswith(
        "5 actions are decided when a plan begins; the policy was trained with --delay-max 3"
    )


def test_what_cannot_be_continued_is_refused_in_one_line():
    seen = [made().any_observation()]
    with pytest.raises(
        UsageError, match=r"--handover rtc is for policies with objective flow.* has regression"
    ):
        made("regression").continue_plan(seen, [0], [None])
    for actions, message in (
        (np.zeros((3, 5), np.float32), r"have shape \[left, 2\], not \[3, 5\]"),
        (np.zeros(2, np.float32), r"not \[2\]"),
        (np.full((3, 2), np.nan, np.float32), "not finite"),
    ):
        with pytest.raises(UsageError, match=message):
            made().continue_plan(seen, [0], [Commitment(actions, 1)])
