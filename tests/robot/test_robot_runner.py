from dataclasses import replace

import pytest

from toyflow.cluster import Cluster
from toyflow.errors import UsageError
from toyflow.robot.robot_runner import RobotRunner


def test_a_device_that_only_a_clusters_nodes_have_is_no_hindrance_at_the_driver(monkeypatch, tmp_path):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    here = RobotRunner("cuda", 1, str(tmp_path), {}, 1)
    with pytest.raises(UsageError, match="--device cuda: this machine has none"):
        here.environment()
    assert replace(here, cluster=Cluster("auto", 1, 1)).environment()["device"] == "cpu"
