"""What a server counts and times."""

from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("prometheus_client")
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from toyflow.robot.runtime.serving.faults import Fault
from toyflow.robot.runtime.serving.metrics import REASONS, WINDOW, Metrics


def metrics(clients: int = 2) -> Metrics:
    return Metrics(lambda: True, lambda: clients)


def test_every_fault_has_a_reason_that_is_counted():
    def kinds(fault: type[Fault]) -> set[str]:
        own = {fault.kind} if "kind" in vars(fault) else set()
        return own.union(*map(kinds, fault.__subclasses__()))

    assert kinds(Fault) <= set(REASONS)


def test_servers_of_one_process_count_apart_and_histograms_add_up():
    first, second = metrics(), metrics()
    for seconds in (0.003, 0.03, 30.0):
        first.answered(seconds, {"read": seconds / 2})
    second.answered(0.003, {"read": 0.001})
    assert (first.requests, second.requests) == (3, 1)

    def buckets(of: Metrics) -> list[float]:
        [family] = [
            family
            for family in text_string_to_metric_families(of.text().decode())
            if family.name == "toyflow_request_seconds"
        ]
        return [sample.value for sample in family.samples if sample.name.endswith("_bucket")]

    both = [a + b for a, b in zip(buckets(first), buckets(second), strict=True)]
    assert both == sorted(both) and both[-1] == 4 and both[-2] == 3
    assert not [family for family in REGISTRY.collect() if family.name.startswith("toyflow")]


def test_quantiles_are_of_the_latest_requests():
    counted = metrics()
    assert counted.request_times is None and counted.summary() == "0 requests were answered"
    for _ in range(10):
        counted.answered(9.0, {})
    for number in range(WINDOW):
        counted.answered(0.001 * (number % 100), {})
    counted.refused("key")
    times = counted.request_times
    assert times is not None and times.number == WINDOW
    assert times.p50 == pytest.approx(49, abs=1) and times.p99 == pytest.approx(98, abs=1)
    assert counted.summary().endswith(f"ms (the latest {WINDOW}); refused: 1 x key")


def test_plans_are_counted_from_another_thread_without_a_loss():
    counted = metrics()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda size: counted.planned(size, 0.01), [1, 3] * 500))
    lines = counted.text().decode().splitlines()
    assert 'toyflow_batch_size_bucket{le="2.0"} 500.0' in lines and "toyflow_batch_size_sum 2000.0" in lines
    assert "toyflow_plan_seconds_count 1000.0" in lines and "toyflow_clients 2.0" in lines


def test_a_reason_that_nobody_declared_is_an_error():
    with pytest.raises(KeyError):
        metrics().refused("mood")
