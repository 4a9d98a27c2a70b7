import doctest
import os
from types import SimpleNamespace

import pytest

from toyflow import machine_load
from toyflow.machine_load import Load, LoadMeter


def test_the_examples_of_the_docstrings_are_true():
    found = doctest.testmod(machine_load)
    assert found.attempted and not found.failed


@pytest.fixture
def machine(monkeypatch):
    """A clock, the machine's work, and this process's, all in seconds."""
    now = SimpleNamespace(clock=0.0, busy=100.0, own=10.0)
    monkeypatch.setattr(
        machine_load,
        "time",
        SimpleNamespace(monotonic=lambda: now.clock, process_time=lambda: now.own),
    )
    monkeypatch.setattr(machine_load, "_busy_seconds", lambda: now.busy)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    return now


def test_the_work_of_others_is_what_is_not_ones_own(machine):
    meter = LoadMeter(threads=1)
    machine.clock, machine.busy, machine.own = 10.0, 117.0, 19.0
    assert meter.load() == Load(others=0.8, threads=1, processors=2)
    assert not Load(0.8, 1, 2).is_busy and Load(0.8, 2, 2).is_busy


def test_what_is_too_short_to_tell_is_not_told(machine, monkeypatch):
    meter = LoadMeter(threads=1)
    machine.clock = 0.1
    assert meter.load() is None
    machine.clock, machine.busy = 1.0, None  # no Linux
    assert meter.load() is None


def test_the_system_is_read():
    busy, later = machine_load._busy_seconds(), machine_load._busy_seconds()
    if busy is None or later is None:
        pytest.skip("this system does not tell")
    assert 0 < busy <= later
