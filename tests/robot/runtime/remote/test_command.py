"""`toyflow robot-eval ws://...` and `robot-run ws://...`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from robot.points import StraightPlanner
from robot.runtime.remote import openpi_server
from robot.runtime.remote.conftest import Noisy
from robot.runtime.serving.test_openpi_client import robot_python  # noqa: F401, a fixture

from toyflow.errors import UsageError
from toyflow.flow import Decoding
from toyflow.robot.interface import Interface
from toyflow.robot.policy.card import is_behind_server
from toyflow.robot.policy_opening import find_policy, open_planner, ready_planner
from toyflow.robot.runtime.remote.addresses import RemoteOptions, is_remote, parse_addresses
from toyflow.robot.runtime.remote.remote_cells import steps_of
from toyflow.robot.shards import SentPolicy
from toyflow.sweep.records import EvaluationRecord
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated

POINTS = ("--environment", "points", "--suite", "points", "--simulators", "2")


def test_a_policy_behind_toyflows_server_is_a_cell_wherever_it_listens(toyflow_server, tmp_path):
    one, other = toyflow_server(), toyflow_server()
    options = RemoteOptions(timeout=20)
    cell = find_policy(f"ws://127.0.0.1:{one.port}", None, tmp_path, options)
    again = find_policy(f"ws://localhost:{other.port}", None, tmp_path, options)
    assert cell.record.key == again.record.key and cell.record.label == "server:shift:4"
    assert is_behind_server(cell) and {1, 10} < steps_of(cell)
    assert "behind openpi's websocket protocol" in (cell.folder / "README.md").read_text()
    planner = ready_planner(again, None, "cpu", 1)
    look = planner.any_observation()
    assert (planner.plan([look], [3]) == Noisy().plan([look], [3])).all()
    with pytest.raises(UsageError, match="evaluated from this machine: --executor local"):
        SentPolicy.of(cell, "cpu", 1, Decoding())
    with pytest.raises(UsageError, match="--keys CAMERA=ENTRY names what a server reads"):
        find_policy(f"ws://127.0.0.1:{one.port}", "a=b", tmp_path, options)


def test_what_a_server_decodes_in_is_part_of_its_cell(toyflow_server, tmp_path):
    averaging = Noisy()
    averaging.set_decoding(Decoding(1, draws=4))
    plain, averaged = (
        find_policy(f"ws://127.0.0.1:{toyflow_server(each).port}", None, tmp_path)
        for each in (Noisy(), averaging)
    )
    assert plain.record.data == {"policy": averaged.record.data["policy"]} and plain.record.key
    assert averaged.record.data["draws"] == "4" and averaged.record.key != plain.record.key


def test_another_server_is_a_cell_by_its_name_or_address(openpi, tmp_path):
    seen = StraightPlanner.interface
    address = f"10=ws://127.0.0.1:{openpi()}"
    cell = find_policy(address, None, tmp_path, RemoteOptions(timeout=20), seen)
    named = find_policy(address, None, tmp_path, RemoteOptions(name="pi05", timeout=20), seen)
    moved = f"1=ws://127.0.0.1:{openpi()},10=ws://127.0.0.1:{openpi()}"
    same = find_policy(moved, None, tmp_path, RemoteOptions(name="pi05", timeout=20), seen)
    assert cell.record.label == f"server:{address.partition('//')[2]}" and named.record.label == "server:pi05"
    assert named.record.key == same.record.key and steps_of(same) == {1, 10}
    assert open_planner(same, torch.device("cpu")).horizon == openpi_server.HORIZON
    with pytest.raises(UsageError, match="name a simulator or robot whose cameras"):
        find_policy(address, None, tmp_path)


def test_results_of_a_server_without_a_name_are_warned_of(openpi, toyflow_server, tmp_path, caplog):
    def asked(address: str, name: str | None = None):
        caplog.clear()
        options = RemoteOptions(name=name, timeout=20)
        cell = find_policy(address, None, tmp_path, options, StraightPlanner.interface)
        store, outcomes = Store(tmp_path), pd.DataFrame({"success": [True]})
        if not list(store.evaluations(cell)):
            evaluated = Evaluated(outcomes, {"metrics": {"success": 1.0}, "examples": 1})
            store.write_evaluation(cell.record, EvaluationRecord("euler", 1), evaluated, {})
        return [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]

    address = f"10=ws://127.0.0.1:{openpi()}"
    assert asked(address) == []
    [warning] = asked(address)
    assert "does not name its policy" in warning and "--name" in warning and "\n" not in warning
    assert asked(address) == [], "it is said once"
    for other in ((address, "pi05"), (f"ws://127.0.0.1:{toyflow_server().port}",)):
        assert asked(*other) == asked(*other) == []


def test_a_server_for_another_robot_is_refused(openpi, tmp_path, toyflow):
    port = openpi(lambda observation: np.zeros((10, 7)))
    done = toyflow("robot-eval", f"10=ws://127.0.0.1:{port}", *POINTS, "--states", "2", "--out", "out")
    assert done.returncode == 2
    assert "points has actions of 2 numbers, the policy was made for 7" in " ".join(done.stderr.split())


def test_what_a_server_cannot_be_asked_for(toyflow):
    serve = toyflow("robot-serve", "ws://gpu:8000")
    assert serve.returncode == 2 and "ws://gpu:8000 is a server already" in serve.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (("robot-eval", "http://gpu:8000"), "write ws://gpu:8000"),
        (("robot-run", "10=https://gpu", "--robot", "idle"), "write wss://gpu"),
        (("probe", "http://gpu:8000", "--dataset", "data"), "write ws://gpu:8000"),
        (("robot-serve", "http://gpu:8000"), "write ws://gpu:8000"),
    ],
)
def test_the_address_of_a_web_page_gets_a_hint(toyflow, words, meant):
    done = toyflow(*words)
    assert done.returncode == 2 and f"is no policy server's address: {meant}" in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ws://", "'ws://' is no server's address"),
        ("0=ws://gpu:8000", "is no server's address"),
        ("ws://gpu:port", "is no server's address"),
        ("http://x,ws://gpu", "'http://x' is no server's address"),
        ("ws://a,ws://a/", "names an address twice"),
        ("1=ws://a,1=ws://b", "names a number of steps twice"),
    ],
)
def test_addresses_that_are_none(text, said):
    assert is_remote(text)
    with pytest.raises(UsageError, match=said):
        parse_addresses(text)


def test_options_that_make_no_sense():
    for seconds in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(UsageError, match="--timeout takes seconds"):
            RemoteOptions(timeout=seconds)
    with pytest.raises(UsageError, match="--name takes a word"):
        RemoteOptions(name="a b")


@pytest.mark.slow
def test_one_step_against_ten_of_servers_of_openpis_protocol(openpi, toyflow):
    """With `robot-eval`, whose policy is opened in a process of its own, and stopped where it is complete."""
    servers = f"1=ws://127.0.0.1:{openpi()},10=ws://127.0.0.1:{openpi()}"
    words = ("robot-eval", servers, *POINTS, "--states", "4", "--out", "out", "--name", "straight")
    done = toyflow.apart(*words)
    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "looks anew after 5 of the 10 actions" in said and "server:straight" in said
    assert "K = 1 against K = 10" in said and "network" in said
    [cell] = (toyflow.folder / "out" / "cells").glob("[!.]*")
    tables = [pd.read_csv(path) for path in sorted(cell.glob("evaluations/*/outcomes.csv"))]
    assert [len(table) for table in tables] == [12, 12] and all(table["success"].all() for table in tables)
    details = [json.loads(path.read_text())["details"] for path in cell.glob("evaluations/*/config.json")]
    assert all(each["network_seconds"] > 0 and each["latency_ms"]["network"]["p50"] > 0 for each in details)
    again = toyflow.apart(*words)
    assert again.returncode == 0
    assert [pd.read_csv(path).equals(table) for path, table in zip(
        sorted(cell.glob("evaluations/*/outcomes.csv")), tables, strict=True
    )] == [True, True]  # fmt: skip


@pytest.mark.slow
def test_a_simulator_and_a_robot_are_driven_through_a_server(openpi, toyflow_server, toyflow, tmp_path):
    address = f"10=ws://127.0.0.1:{openpi()}"
    simulated = toyflow(
        "robot-run", address, "--robot", "points", "--suite", "points", "--states", "0-2", "--out", "out"
    )
    assert simulated.returncode == 0 and "3 episodes ended, 3 solved" in simulated.stdout, simulated.stderr
    ours = f"ws://127.0.0.1:{toyflow_server().port}"
    idle = toyflow("robot-run", ours, "--robot", "idle", "--seconds", "1", "--out", "out")
    assert idle.returncode == 0 and "1 episode ended" in idle.stdout, idle.stderr
    unknown = toyflow("robot-run", address, "--robot", "idle", "--seconds", "1", "--out", "out")
    assert unknown.returncode == 2 and "name a simulator or robot" in " ".join(unknown.stderr.split())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_server_with_openpi_clients_own_packing(robot_python, remote):  # noqa: F811
    """The test's server in openpi-client's environment, with its numpy and its packing."""
    script = Path(openpi_server.__file__)
    probe = "import openpi_client.msgpack_numpy, numpy; print(numpy.__version__)"
    assert subprocess.run([robot_python, "-c", probe], capture_output=True, text=True).stdout.startswith("1.")
    server = subprocess.Popen([robot_python, script, "0"], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        there = remote(f"10=ws://127.0.0.1:{int(server.stdout.readline())}")
        here = StraightPlanner()
        here.horizon = openpi_server.HORIZON
        look = there.any_observation()._replace(state=np.array([0.1, 0.2, -0.3, 0.9], np.float32))
        assert (there.plan([look], [0]) == here.plan([look], [0])).all()
        assert there.interface == Interface(("front",), 4, 2, 10) and sys.executable != robot_python
    finally:
        server.kill()
        server.wait()
