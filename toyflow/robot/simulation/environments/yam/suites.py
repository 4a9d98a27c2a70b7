"""The suites of tasks at the station."""

from __future__ import annotations

from collections.abc import Mapping

from toyflow.robot.simulation.environments.yam.battery import Battery
from toyflow.robot.simulation.environments.yam.bottle_cap import BottleCap
from toyflow.robot.simulation.environments.yam.hanoi import Hanoi
from toyflow.robot.simulation.environments.yam.station_task import StationTask

SUITES: Mapping[str, tuple[StationTask, ...]] = {
    "hanoi": (Hanoi(1), Hanoi(2), Hanoi(3)),
    "bottle_cap": (BottleCap(),),
    "battery": (Battery(),),
}
