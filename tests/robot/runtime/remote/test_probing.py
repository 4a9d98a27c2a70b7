"""`toyflow probe ws://...`: what servers' answers tell of a policy, and what they do not."""

from __future__ import annotations

import json
from collections import defaultdict
from io import StringIO

import numpy as np
import pytest
import torch
from rich.console import Console
from robot.runtime.remote.conftest import Noisy

pytest.importorskip("lerobot", reason="data sets are read by LeRobot")

from toyflow.api import probing_policies
from toyflow.api.probing_policies import probe_planner, probe_policy
from toyflow.errors import UsageError
from toyflow.flow import Decoding
from toyflow.report.policy_probe_report import show_policy_probe, write_policy_probe
from toyflow.report.policy_probe_sentences import policy_sentences
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.runtime.remote.addresses import RemoteOptions
from toyflow.robot.simulation.trials import DemoSource

HORIZON, EXAMPLES = 5, 12


class Seeded(Noisy):
    """`Noisy`, which says that it is random: by 1 / (2 + K) in every number of an action."""

    @property
    def is_random_otherwise(self) -> bool:
        return True


def wandering(scale: float, seed: int = 0):
    """A policy of openpi's form whose answers are noise of its own around the state."""
    generator = np.random.default_rng(seed)

    def policy(observation):
        at = np.tile(np.asarray(observation["observation/state"])[:2], (HORIZON, 1))
        return at + scale * generator.normal(size=at.shape)

    return policy


def probed(address: str, data, out, name: str | None = None, **named):
    options = {"examples": EXAMPLES, "threads": 1, "device": "cpu", "out": out, **named}
    return probe_policy(address, str(data), remote=RemoteOptions(name=name, timeout=20), **options)[0]


@pytest.mark.parametrize(("made_in", "expected"), [("aloha", "aloha"), ("elsewhere", "None"), (None, "None")])
def test_a_probe_names_the_simulator_of_its_data(openpi, data, tmp_path, monkeypatch, made_in, expected):
    def opened(training, device, environment=None):
        raise RuntimeError(f"opened for {environment}")

    source = made_in and DemoSource(made_in, "suite", "0")
    monkeypatch.setattr(probing_policies, "demo_source", lambda where: source)
    monkeypatch.setattr(probing_policies, "open_planner", opened)
    with pytest.raises(RuntimeError, match=f"opened for {expected}$"):
        probed(f"10=ws://127.0.0.1:{openpi(wandering(0.2))}", data.where, tmp_path)


def shown(found) -> str:
    console = Console(record=True, width=200, file=StringIO())
    show_policy_probe(found, console)
    return " ".join(console.export_text().split())


@pytest.fixture
def data(small):
    return DataSet(str(small[0]))


@pytest.fixture
def known(data):
    """The mean of 1 / variance of the numbers of an action: what a leak of 1 is in the table's units."""
    return float((1 / np.square(data.statistics("action")["std"])).mean())


def test_a_server_of_toyflow_tells_leak_bias_and_spread(toyflow_server, data, known, tmp_path):
    found = probed(f"ws://127.0.0.1:{toyflow_server(Seeded()).port}", data.where, tmp_path)
    parts = found.model.anatomy.intervals()
    assert found.decodings == (Decoding(1), Decoding(10)) and found.dissected and found.same_noises
    assert parts["leak"].estimate == pytest.approx(known / 3**2, rel=0.25)
    assert parts["model_spread"].estimate == pytest.approx(known / 12**2, rel=0.25)
    assert parts["error"].estimate > parts["bias_and_spread"].estimate > 0
    assert not any(name.startswith(("removed", "leak_")) for name in parts)
    [told] = found.not_measured
    assert told.startswith("A server answers one noise at a time") and told in policy_sentences(found)
    text = shown(found)
    assert "leak" in text and "removed by" not in text and "all decodings from the same noises" in text


def test_errors_through_a_server_are_those_of_the_policy_to_the_bit(toyflow_server, data, tmp_path):
    there = probed(f"ws://127.0.0.1:{toyflow_server(Seeded()).port}", data.where, tmp_path)
    here = probe_planner(Seeded(), data, steps=[1, 10], examples=EXAMPLES)
    for decoding in (Decoding(1), Decoding(10)):
        assert torch.equal(there.actions.squares[decoding], here.actions.squares[decoding])


def test_a_server_says_whether_its_policy_takes_noise(toyflow_server, data, tmp_path):
    found = probed(f"ws://127.0.0.1:{toyflow_server(Noisy()).port}", data.where, tmp_path)
    assert found.decodings == (Decoding(1),) and not found.takes_noise and found.not_measured == ()
    assert any("leak is 0 by construction" in line for line in policy_sentences(found))


def test_what_a_server_averages_by_itself_is_said(toyflow_server, data, tmp_path):
    served = Seeded()
    served.set_decoding(Decoding(1, draws=4))
    found = probed(f"ws://127.0.0.1:{toyflow_server(served).port}", data.where, tmp_path)
    assert [each.label for each in found.decodings] == ["K=1 M=4", "K=10 M=4"]


def test_servers_of_openpis_protocol_for_one_and_ten_steps(openpi, data, known, tmp_path):
    """Written from the protocol alone; the noise is their own."""
    servers = ",".join(
        f"{steps}=ws://127.0.0.1:{openpi(wandering(scale))}" for steps, scale in ((1, 0.5), (10, 0.2))
    )
    found = probed(servers, data.where, tmp_path, "pi05")
    parts = found.model.anatomy.intervals()
    assert found.decodings == (Decoding(1), Decoding(10)) and not found.same_noises
    assert parts["leak"].estimate == pytest.approx(known * 0.5**2, rel=0.25)
    assert parts["model_spread"].estimate == pytest.approx(known * 0.2**2, rel=0.25)
    assert found.model.label == "server:pi05" and found.origin == "frames that may be of training"
    assert any("met the same frames, but not the same noise" in line for line in found.not_measured)
    assert "same noises" not in shown(found)


def test_one_server_in_ten_steps_has_errors_and_a_spread_and_no_anatomy(openpi, data, known, tmp_path):
    found = probed(f"10=ws://127.0.0.1:{openpi(wandering(0.2))}", data.where, tmp_path)
    parts = found.model.anatomy.intervals()
    assert found.decodings == (Decoding(10),) and not found.dissected and found.advice is None
    assert parts["model_spread"].estimate == pytest.approx(known * 0.2**2, rel=0.25)
    said, text = policy_sentences(found), shown(found)
    assert "its actions err by" in said[0] and any("Name a server that does: 1=ws" in line for line in said)
    assert "spread of answers in 10 steps" in text and "leak + bias" not in text
    written = write_policy_probe(found, tmp_path)
    assert [path.name for path in written] == ["anatomy.csv", "errors.csv", "probe.json", "errors.png"]
    summary = json.loads(written[2].read_text())
    assert set(summary["actions"]["anatomy"]) == {"model_spread", "sample_error"}
    assert summary["advice"] is None and summary["not_measured"] == list(found.not_measured)
    assert summary["actions"]["rms"].keys() == {"K=10"}


def test_what_does_not_vary_has_no_leak_of_zero(openpi, data, tmp_path):
    """A server whose noise is always the same cannot be told from one without."""
    servers = f"1=ws://127.0.0.1:{openpi(wandering(0.0))},10=ws://127.0.0.1:{openpi(wandering(0.0))}"
    found = probed(servers, data.where, tmp_path, "still")
    parts = found.model.anatomy.intervals()
    assert not found.dissected and np.isnan(parts["leak"].estimate) and "model_spread" not in parts
    assert any("leak and spread are not known" in line for line in found.not_measured)
    summary = json.loads(write_policy_probe(found, tmp_path)[2].read_text())
    assert summary["actions"]["anatomy"] == {} and summary["advice"] == {"steps": 1, "draws": 1}
    assert "anatomy of one step" not in shown(found)


def test_a_plan_that_is_lost_is_asked_for_again(openpi, toyflow_server, data, tmp_path):
    """A server of openpi's protocol ends a connection after an error."""
    calls = defaultdict(int)

    def policy(observation):
        calls["all"] += 1
        if calls["all"] == 40:
            raise RuntimeError("out of memory")
        return np.tile(np.asarray(observation["observation/state"])[:2], (HORIZON, 1))

    still = probed(f"10=ws://127.0.0.1:{openpi(wandering(0.0))}", data.where, tmp_path, "still")
    lost = probed(f"10=ws://127.0.0.1:{openpi(policy)}", data.where, tmp_path, "lost")
    assert torch.equal(lost.actions.squares[Decoding(10)], still.actions.squares[Decoding(10)])
    assert calls["all"] > 40


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "does not say what it was trained on: name a data set by --dataset"),
        (("--draws", "1,8"), "--draws is chosen where ws://"),
        (("--steps", "7"), "no server decodes in 7 steps"),
        (("--rename", "a=b"), "--keys CAMERA=ENTRY names what a server reads"),
    ],
)
def test_what_a_server_cannot_be_asked_for(toyflow_server, data, toyflow, words, said):
    where = ("--dataset", str(data.where)) if words else ()
    done = toyflow("probe", f"ws://127.0.0.1:{toyflow_server(Seeded()).port}", *where, *words)
    assert done.returncode == 2 and said in " ".join(done.stderr.split())


def test_data_of_another_robot(openpi, data, tmp_path):
    port = openpi(lambda observation: np.zeros((HORIZON, 7)))
    with pytest.raises(UsageError, match="has actions of 2 numbers, the policy was made for 7"):
        probed(f"10=ws://127.0.0.1:{port}", data.where, tmp_path)


def test_the_command(openpi, data, toyflow, tmp_path):
    address = f"10=ws://127.0.0.1:{openpi(wandering(0.2))}"
    done = toyflow(
        "probe", address, "--dataset", str(data.where), "--examples", "6", "--name", "pi05", "--threads", "1",
        "--out", str(tmp_path / "out"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "server:pi05" in done.stdout and "K=10" in done.stdout
    assert len(list((tmp_path / "out" / "probe").glob("*/*"))) == 5
