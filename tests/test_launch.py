import pytest

from toyflow.launch import Launch, launch

LAUNCHED = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2"}


@pytest.fixture(autouse=True)
def not_launched(monkeypatch):
    for name in LAUNCHED:
        monkeypatch.delenv(name, raising=False)


def test_a_launchers_variables_say_which_process_this_is(monkeypatch):
    assert launch() == Launch() and launch().is_main
    for name, value in LAUNCHED.items():
        monkeypatch.setenv(name, value)
    assert launch() == Launch(rank=3, world_size=8, local_rank=1, local_world_size=2) and not launch().is_main


def test_a_cluster_that_numbers_its_pods_has_not_launched_anything(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert launch() == Launch()
