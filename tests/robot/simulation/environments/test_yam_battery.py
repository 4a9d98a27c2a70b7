"""Battery and holder at the YAM station: what counts as solved, the clips, and the foot."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from toyflow.robot.simulation.environments.yam import YamState, battery
from toyflow.robot.simulation.environments.yam.battery import BATTERY, HOLDER, SEAT, seen_from_seat
from toyflow.robot.simulation.environments.yam.grasps import turned


@pytest.fixture(scope="module")
def environment(yam):
    made = YamState("battery", 0)
    yield made
    made.close()


def inserted(environment, out=0.0, along=0.0, turn=0.0, steps=40):
    """The battery in its slot, `out` of its seat, after some steps; whether that solves the task."""
    environment.reset(0, 0)
    station = environment.station
    holder = station.rotation(HOLDER)
    place = station.position(HOLDER) + holder.apply(np.add(SEAT, [along, out, 0]))
    station.place(BATTERY, place, holder * turned(turn))
    return rest(environment, steps)


def rest(environment, steps=40):
    return [environment.step(environment.still()) for _ in range(steps)][-1]


def push(environment, force, held):
    """Push the battery into the slot (newtons; negative: pull) for a second; where it is then, in mm out of
    its seat. Where the holder is `held`, it is pushed back as much."""
    station = environment.station
    bodies = [station.model.body(body).id for body in (BATTERY, HOLDER)]
    for _ in range(50):
        holder = station.rotation(HOLDER)
        pushed = holder.apply([0, -force, 0])
        seat = station.position(HOLDER) + holder.apply(SEAT)
        station.data.xfrc_applied[bodies[0], :3] = pushed
        if held:
            arm = np.cross(seat - station.data.xipos[bodies[1]], -pushed)
            station.data.xfrc_applied[bodies[1]] = [*-pushed, *arm]
        environment.step(environment.still())
    station.data.xfrc_applied[:] = 0
    return 1000 * seen_from_seat(station)[0][1]


class TestSolved:
    def test_with_the_battery_in_its_slot(self, environment):
        assert inserted(environment)
        assert inserted(environment, along=0.002)

    def test_not_the_wrong_way_round(self, environment):
        assert not inserted(environment, turn=np.pi)
        off, along = seen_from_seat(environment.station)
        assert abs(off[1]) < battery.SEATED and along < -battery.AGREEING

    def test_not_while_it_is_half_in(self, environment):
        assert not inserted(environment, out=0.006)
        off, _ = seen_from_seat(environment.station)
        assert off[1] > 0.002 and abs(off[2]) < battery.ACROSS  # the clips hold it there

    def test_not_with_the_battery_on_the_table(self, environment):
        environment.reset(0, 0)
        assert not rest(environment)

    def test_not_while_the_holder_lies(self, environment):
        assert inserted(environment)
        station, lying = environment.station, Rotation.from_euler("x", np.pi / 2)
        place = np.array([0.34, -0.3, 0.1])
        station.place(HOLDER, place, lying)
        station.place(BATTERY, place + lying.apply(SEAT), lying)
        assert not environment.step(environment.still())
        off, along = seen_from_seat(station)
        assert np.abs(off).max() < battery.SEATED and along > battery.AGREEING  # it is in nevertheless

    def test_only_at_rest(self, environment):
        assert inserted(environment)
        station = environment.station
        station.data.qvel[station.model.body(BATTERY).dofadr[0] + 2] = 0.1
        assert not environment.station_task.solved(station)


def test_the_clips_hold_the_battery_and_take_a_push(environment):
    inserted(environment)
    assert push(environment, -2, held=True) < 1000 * battery.SEATED
    inserted(environment, out=0.011, steps=1)  # before it falls out
    assert push(environment, 1, held=True) > 4
    assert push(environment, 5, held=True) < 1000 * battery.SEATED


def test_a_holder_that_nobody_holds_slides_away(environment):
    inserted(environment, out=0.006)
    before = environment.station.position(HOLDER)
    assert push(environment, 0.3, held=False) > 1000 * battery.SEATED
    assert np.linalg.norm(environment.station.position(HOLDER) - before) > 0.1
