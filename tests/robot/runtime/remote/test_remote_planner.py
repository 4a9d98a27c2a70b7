"""Plans through a server, toyflow's own and one of openpi's protocol alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from robot.points import Points, StraightPlanner
from robot.runtime.remote import openpi_server
from robot.runtime.remote.conftest import Noisy, metadata_of, running
from robot.runtime.serving.conftest import Served

from toyflow.errors import ToyflowError, UsageError
from toyflow.flow import Decoding
from toyflow.robot.interface import Interface, Observation
from toyflow.robot.latency import Times
from toyflow.robot.planner import Commitment, PlanLost
from toyflow.robot.policy_opening import compile_planner
from toyflow.robot.runtime.remote import connection
from toyflow.robot.runtime.remote.addresses import RemoteOptions
from toyflow.robot.runtime.serving.observations import Keys, ObservationReader
from toyflow.robot.runtime.serving.server import ServerOptions
from toyflow.robot.simulation.rollout import Episode, RolloutSetup, run_episodes

TODO = [Episode(task, state, 100 * task + 10 * state, 60) for task in (0, 1, 2) for state in range(8)]


def seen(fill: float = 0.1, prompt: str = "go", before: tuple[float, ...] = ()) -> Observation:
    image = np.full((24, 32, 3), int(200 * abs(fill)), np.uint8)
    state = np.array([fill, 0.2, -0.3, 0.4], np.float32)
    return Observation({"front": image}, state, prompt, tuple(seen(each) for each in before))


def outcomes(planner, workers: int = 2, replan: int = 3) -> list[tuple]:
    setup = RolloutSetup("points", "clumsy", planner.image_size, replan)
    every = run_episodes(setup, TODO, planner, workers)
    return sorted((o.task, o.state, o.success, o.steps, o.error, o.not_finite) for o in every)


def test_plans_through_a_server_are_those_of_the_policy(toyflow_server, remote):
    here, there = Noisy(), remote(toyflow_server().port)
    assert there.interface == here.interface and there.horizon == 5 and there.replan == 5
    assert 1 in there.steps and 100 in there.steps and 7 not in there.steps
    looks, seeds = [seen(0.1), seen(-0.5), seen(0.7)], [3, 2**40, 0]
    for steps in (1, 10, 3):
        for planner in (here, there):
            planner.set_decoding(Decoding(steps))
        assert (there.plan(looks, seeds) == here.plan(looks, seeds)).all()
    assert there.plan(looks, [4, 4, 4]).tolist() != there.plan(looks, seeds).tolist()
    assert there.stage_seconds["network"] > 0 and there.stage_seconds["decoding"] > 0
    with pytest.raises(UsageError, match=r"no server decodes in 7 steps; ws://.* does in 1, 2, 3, 4"):
        there.set_decoding(Decoding(7))


def test_episodes_through_a_server_equal_those_in_process_to_the_bit(toyflow_server, remote):
    there, here = remote(toyflow_server().port), Noisy()
    for steps in (1, 10):
        here.set_decoding(Decoding(steps))
        there.set_decoding(Decoding(steps))
        assert outcomes(there) == outcomes(here)
    assert {success for _, _, success, *_ in outcomes(here)} == {True, False}


def test_episodes_through_openpis_protocol_equal_those_in_process(openpi, remote):
    here = StraightPlanner()
    here.horizon = openpi_server.HORIZON
    there = remote(f"10=ws://127.0.0.1:{openpi()}")
    assert (there.horizon, there.replan, there.image_size) == (10, 5, 256)
    assert there.steps == (10,) and there.decoding.steps == 10
    here.image_size = there.image_size
    assert outcomes(there) == outcomes(here)


def test_a_history_goes_with_the_request(toyflow_server, remote):
    served = Noisy()
    served.history = 3
    there = remote(toyflow_server(served).port)
    look = seen(0.1, before=(0.3, -0.2))
    assert there.history == 3
    assert (there.plan([look], [5]) == Noisy().plan([look], [5])).all()


def test_more_observations_than_connections_are_all_answered_in_their_order(toyflow_server, remote):
    there = remote(toyflow_server(connections=3).port)
    looks = [seen(fill / 20) for fill in range(-9, 10)]
    assert (there.plan(looks, range(19)) == Noisy().plan(looks, range(19))).all()
    assert (there.plan(looks[:1], [0]) == Noisy().plan(looks[:1], [0])).all()


def test_connections_that_were_refused_are_asked_for_again_only_after_a_reconnection(
    toyflow_server, remote, monkeypatch
):
    there, attempts = remote(toyflow_server(connections=3).port), []
    connect = connection.connect
    monkeypatch.setattr(
        connection, "connect", lambda *given, **named: attempts.append(1) or connect(*given, **named)
    )
    looks = [seen(fill / 20) for fill in range(5)]
    counts = []
    for drop in (False, False, True):
        if drop:
            there._by_steps[10][0].connections.drop()
        attempts.clear()
        there.plan(looks, range(5))
        counts.append(len(attempts))
    assert counts == [3, 0, 4]  # the first connection is there already; the fourth is refused


def test_an_action_that_is_not_finite_is_the_policys_as_in_process(toyflow_server, remote):
    there = remote(toyflow_server().port)
    chunks = there.plan([seen(), seen(prompt="nan"), seen(0.3)], [1, 2, 3])
    assert np.isfinite(chunks[[0, 2]]).all() and np.isnan(chunks[1]).all()
    assert there.lives == 0


def test_a_server_for_each_number_of_steps(toyflow_server, openpi, remote):
    one, ten = Noisy(), Noisy()
    ten.set_decoding(Decoding(10))
    there = remote(toyflow_server(one).port, toyflow_server(ten).port)
    assert there.steps == (1, 10)
    there.set_decoding(Decoding(10))
    assert (there.plan([seen()], [5]) == ten.plan([seen()], [5])).all()
    other = remote(f"1=ws://127.0.0.1:{openpi()}", f"10=ws://127.0.0.1:{openpi()}")
    assert other.steps == (1, 10) and other.plan([seen()], [0]).shape == (1, 10, 2)
    with pytest.raises(UsageError, match=r"does not say in how many steps .* such as 10=ws://"):
        remote(openpi())
    assert remote(openpi(metadata={"num_steps": 5})).steps == (5,)
    with pytest.raises(UsageError, match="decodes in 5 steps, not in 10"):
        remote(f"10=ws://127.0.0.1:{openpi(metadata={'num_steps': 5})}")
    with pytest.raises(UsageError, match="both decode in 1 steps"):
        remote(toyflow_server(Noisy()).port, toyflow_server(Noisy()).port)
    with pytest.raises(UsageError, match="serve different policies"):
        remote(toyflow_server(one).port, toyflow_server(ten, {"seed": 1}).port)


def test_what_the_server_chose_is_said(toyflow_server, remote):
    planner = Noisy()
    planner.set_decoding(Decoding(1, draws=8))
    there = remote(toyflow_server(planner).port)
    there.set_decoding(Decoding(10))
    assert there.decoding == Decoding(10, draws=8)
    with pytest.raises(UsageError, match=r"--draws is chosen where ws://.* is started; there it is 8"):
        there.set_decoding(Decoding(1, draws=2))
    with pytest.raises(UsageError, match="not with the draws that they average"):
        there.answers([seen()], [0], 2)


def test_openpis_conventions(openpi, remote):
    asked = []

    def policy(observation):
        asked.append(observation)
        return np.zeros((10, 7))

    libero = Interface(("image", "image2"), state_dim=8, action_dim=7, fps=20)
    there = remote(f"10=ws://127.0.0.1:{openpi(policy)}", otherwise=libero)
    wide = np.full((120, 240, 3), 100, np.uint8)
    look = Observation({"image": wide, "image2": wide[:224, :224]}, np.arange(8, dtype=np.float32), "go")
    there.plan([look], [0])
    sent = asked[-1]
    assert set(sent) == {
        "observation/image", "observation/wrist_image", "observation/state", "prompt"
    }  # fmt: skip
    assert sent["observation/image"].shape == (224, 224, 3) and sent["observation/image"].dtype == np.uint8
    assert sent["observation/image"][:, 0, 0].tolist() == [0] * 56 + [100] * 112 + [0] * 56
    assert sent["observation/state"].tolist() == list(range(8)) and sent["prompt"] == "go"


def test_other_names(openpi, remote):
    asked = []

    def policy(observation):
        asked.append(observation)
        return np.zeros((10, 2))

    keys = "front=observation/exterior_image_1_left,state=joints:3+gripper,prompt=task"

    port = openpi(policy, metadata={"steps": 2})
    with pytest.raises(
        UsageError, match=r"KeyError: 'observation/state'.*blank observation of .*joints, grip"
    ):
        remote(port, options=RemoteOptions(keys=keys, timeout=20))
    assert set(asked[-1]) == {"observation/exterior_image_1_left", "joints", "gripper", "task"}
    assert [len(asked[-1][name]) for name in ("joints", "gripper")] == [3, 1]
    with pytest.raises(UsageError, match="there is no camera 'back'; there are front, state, prompt"):
        remote(port, options=RemoteOptions(keys="back=x"))
    with pytest.raises(UsageError, match="state names 5 numbers in all; the state has 4"):
        remote(port, options=RemoteOptions(keys="state=a:3+b:2"))


def test_an_observation_that_does_not_fit_is_named(toyflow_server, remote):
    there = remote(toyflow_server().port)
    with pytest.raises(UsageError, match="no camera front, which the server reads; it has none"):
        there.plan([seen()._replace(images={})], [0])
    with pytest.raises(UsageError, match="a state of 3 numbers, the server reads 4"):
        there.plan([seen()._replace(state=np.zeros(3, np.float32))], [0])


def test_a_camera_renamed_for_training_goes_by_either_name(toyflow_server, remote):
    renamed = Noisy()
    renamed.interface = replace(Points.interface, cameras=("top",), renamed=(("top", "front"),))
    there = remote(toyflow_server(renamed).port)
    Points.interface.check_serves(there.interface, "points")
    look = seen()
    image = {"top": look.images["front"]}
    assert there.interface == renamed.interface
    assert (there.plan([look], [0]) == there.plan([look._replace(images=image)], [0])).all()


def test_latency_is_split_into_network_and_plan(toyflow_server, openpi, remote, monkeypatch):
    from toyflow.robot.runtime.remote import remote_planner

    monkeypatch.setattr(remote_planner, "REPEATS", 3)
    there = remote(toyflow_server().port)
    one, ten = there.latencies([Decoding(1), Decoding(10)])
    for each in (one, ten):
        assert each.network is not None and 0 < each.network.p50 < each.plan.p50
        assert each.one_step is not None and each.as_dict()["network"]["p50"] == each.network.p50
    assert there.decoding == Decoding() and not there.stage_seconds
    assert one.condition == ten.condition and one.step == ten.step
    [alone] = remote(f"10=ws://127.0.0.1:{openpi()}").latencies([Decoding(10)])
    assert alone.one_step is None and alone.step == Times(0.0, 0.0) and alone.network is not None


def test_a_key_is_sent(toyflow_server, remote, tmp_path, monkeypatch):
    served = toyflow_server(key="robots-only")
    with pytest.raises(UsageError, match="wants another API key: give --api-key-file"):
        remote(served.port)
    (tmp_path / "key").write_text("robots-only\n")
    assert remote(served.port, options=RemoteOptions(key_file=tmp_path / "key", timeout=20)).horizon == 5
    monkeypatch.setenv("TOYFLOW_API_KEY", "robots-only")
    assert remote(served.port).horizon == 5


class Mortal(Noisy):
    """Ends its server at its n-th plan, in the middle of a request."""

    def __init__(self, plans: int, end) -> None:
        super().__init__()
        self.plans, self.end, self.made = plans, end, 0

    def plan(self, observations, seeds):
        self.made += 1
        if self.made == self.plans:
            self.end()
        return super().plan(observations, seeds)


def served(planner, port: int) -> Served:
    reader = ObservationReader
    return Served(planner, ServerOptions(port=port, timeout=5.0), None, reader, metadata_of(Noisy()))


def test_a_server_that_is_restarted_in_the_middle_costs_no_episode(remote):
    """Its connections are torn at the 60th plan, and a new server comes at the same address."""
    servers: list[Served] = []

    def tear():
        first = servers[0]
        for each in [*first.server._sessions]:
            first.loop.call_soon_threadsafe(each.transport.abort)
        first.stop()

    servers.append(served(Mortal(60, tear), 0))
    port = servers[0].port
    there = remote(port)
    first_plans = there.plan

    def plan(observations, seeds):
        try:
            return first_plans(observations, seeds)
        except PlanLost:
            servers[0].thread.join(20)
            servers.append(served(Noisy(), port))
            raise

    there.plan = plan
    found = outcomes(there)
    assert found == outcomes(Noisy()) and len(servers) == 2 and there.lives == 1
    assert len({(task, state) for task, state, *_ in found}) == len(TODO)
    servers[1].stop()


def test_another_policy_at_the_same_address_is_noticed(openpi, remote):
    with running(openpi_server.server(metadata={"policy": "a", "steps": 10})) as port:
        there = remote(port)
        assert there.plan([seen()], [0]).shape == (1, 10, 2)
    with running(openpi_server.server(metadata={"policy": "b", "steps": 10}, port=port)):
        with pytest.raises(PlanLost, match=r"closed the connection|is lost"):
            there.plan([seen()], [0])
        with pytest.raises(ToyflowError, match=r"another policy answers at ws://.* now"):
            there.plan([seen()], [0])


def test_a_server_that_is_gone_for_good_ends_the_evaluation(remote, monkeypatch):
    monkeypatch.setattr(connection, "RECONNECT_SECONDS", 0.3)
    with running(openpi_server.server(metadata={"steps": 10})) as port:
        there = remote(port)
    with pytest.raises(ToyflowError, match=r"no server answers at ws://.*refused, for 0.3 s now"):
        outcomes(there)


def test_an_episode_whose_plans_are_always_lost_ends_the_evaluation(toyflow_server, remote):
    class Grumpy(Noisy):
        def plan(self, observations, seeds):
            if observations[0].prompt.startswith("go to goal"):
                raise RuntimeError("out of memory")
            return super().plan(observations, seeds)

    there = remote(toyflow_server(Grumpy()).port)
    with pytest.raises(PlanLost, match="gave no plan: the policy failed: RuntimeError: out of memory"):
        outcomes(there)


def test_nobody_listens(remote):
    with running(openpi_server.server()) as port:
        pass
    with pytest.raises(UsageError, match=f"no server answers at ws://127.0.0.1:{port}: Connection refused"):
        remote(port)


def test_points_is_as_the_server_says():
    assert openpi_server.REACH == 0.05
    assert Keys.of(Points.interface).as_dict()["cameras"] == {"front": "observation/front"}


class Continuing(Noisy):
    """Goes on from what is committed at once."""

    def compile(self):
        pass

    def check_continues(self):
        pass

    def continue_plan(self, observations, seeds, committed):
        chunks = self.plan(observations, seeds)
        for chunk, each in zip(chunks, committed, strict=True):
            if each is not None:
                chunk[: each.frozen] = each.actions[: each.frozen]
        return chunks


def test_what_is_committed_goes_with_the_request(toyflow_server, remote):
    here, there = Continuing(), remote(toyflow_server(Continuing()).port)
    looks, seeds = [seen(0.1), seen(-0.5)], [3, 4]
    committed = [Commitment(np.full((4, 2), 0.5, np.float32), 2), None]
    expected = here.continue_plan(looks, seeds, committed)
    assert (there.continue_plan(looks, seeds, committed) == expected).all()
    assert (there.plan(looks, seeds) == here.plan(looks, seeds)).all()


def test_a_server_whose_policy_cannot_go_on_says_so(toyflow_server, remote, openpi):
    for there in (remote(toyflow_server(Noisy()).port), remote(f"10=ws://127.0.0.1:{openpi()}")):
        with pytest.raises(UsageError, match=r"--handover rtc is for policies of toyflow .* ws://"):
            there.continue_plan([seen()], [0], [None])


def test_a_policy_that_goes_on_has_done_so_before_the_first_client(toyflow_server):
    """Where it is compiled, that is compiled apart, and would make the first client wait."""
    told = []

    class Slow(Continuing):
        def continue_plan(self, observations, seeds, committed):
            told.append(committed)
            return super().continue_plan(observations, seeds, committed)

    toyflow_server(Slow())
    [[each]] = told
    assert each.actions.shape == (2, 2) and each.frozen == 1
    told.clear()
    compile_planner(compiled := Slow(), 8, continues=True)
    assert [len(each) for each in told] == [1, 2, 3] and compiled.batches == [1, 1, 2, 2, 3, 3]
    told.clear()
    compile_planner(Slow(), 8, continues=False)
    assert told == []
