"""A Ray cluster of two nodes with a processor each, on this machine."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class RayNodes:
    """Its workers have the tests' plug-ins, whose task can be told to break."""

    def __init__(self, folder: Path) -> None:
        from ray.cluster_utils import Cluster

        self.flag = folder / "flags" / "killed"
        self.flag.parent.mkdir()
        self.flag.touch()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
            patch.setenv("TOYFLOW_TEST_FAULT", f"kill@{self.flag}")
            head = {"num_cpus": 1, "include_dashboard": False}
            self.cluster = Cluster(initialize_head=True, head_node_args=head)
            self.second = self.cluster.add_node(num_cpus=1)

    @property
    def options(self) -> tuple[str, ...]:
        """Of a command that is to run here."""
        return "--executor", "ray", "--address", str(self.cluster.address)

    def kill_a_worker(self) -> None:
        """The first to train from now on."""
        self.flag.unlink()

    @contextmanager
    def every_cell_fails(self) -> Iterator[None]:
        """While inside: the fault cannot leave its flag."""
        away = self.flag.parent.rename(self.flag.parent.with_name("away"))
        yield
        away.rename(self.flag.parent)

    def lose_a_node(self) -> None:
        """At once, with all that runs there."""
        self.cluster.remove_node(self.second, allow_graceful=False)

    def replace_the_lost_node(self) -> None:
        """For whoever comes next."""
        self.second = self.cluster.add_node(num_cpus=1)
