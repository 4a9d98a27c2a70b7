"""Suites of the environment `libero` that come from elsewhere than LIBERO."""

import numpy as np
import pytest

from toyflow.errors import UsageError
from toyflow.robot.simulation.environment import SuiteTask
from toyflow.robot.simulation.environments.libero import known_collections, suites
from toyflow.robot.simulation.environments.libero.collection import Collection, Scene


class Tilted(Scene):
    """A task with another start of the robot, a higher camera and dark images; it notes what it is asked."""

    def __init__(self, asked):
        super().__init__(
            suites.bddl_file("libero_object", 0), lambda: suites.init_states("libero_object", 0)[:2]
        )
        self.asked = asked

    def prepare(self):
        self.asked.append("prepare")

    def adapt(self, simulation):
        self.asked.append("adapt")
        simulation.model.camera("agentview").pos[2] += 0.1

    def before_reset(self, simulation):
        self.asked.append("before")
        simulation.robot.init_qpos = np.array([0.1, -0.16, 0, -2.44, 0, 2.23, 0.785])

    def after_reset(self, simulation, episode):
        self.asked.append(episode)

    def image(self, camera, image):
        return image // 2 if camera == "image" else image


class Benchmark(Collection):
    title, setup = "Benchmark", "toyflow robot-setup benchmark"

    def __init__(self, installed=True):
        self.asked, self.installed = [], installed

    def names(self):
        return ["tilted"]

    def suites(self):
        return ["tilted"] if self.installed else []

    def tasks(self, suite):
        base = "libero_object", "pick_up_the_alphabet_soup_and_place_it_in_the_basket"
        able = SuiteTask(0, "soup", "take the soup", 2, 280, "tilt", 1, base)
        return [able, SuiteTask(1, "pie", "take the pie", 2, 280, "tilt", 2, base, "no pie; bake one.")]

    def scene(self, suite, index):
        return Tilted(self.asked)


@pytest.fixture
def benchmark(monkeypatch):
    def add(installed=True):
        benchmark = Benchmark(installed)
        monkeypatch.setattr(known_collections, "COLLECTIONS", (*known_collections.COLLECTIONS, benchmark))
        return benchmark

    return add


def test_its_suites_are_beside_liberos_own(libero, benchmark):
    own = libero.suites()
    benchmark()
    assert [*libero.suites()] == [*own, "tilted"]
    assert libero.tasks("tilted")[0].perturbation == "tilt"
    assert len(libero.tasks("libero_object")) == 10


def test_one_that_is_not_installed_is_said_with_the_command(libero, benchmark):
    benchmark(installed=False)
    with pytest.raises(UsageError) as caught:
        libero.tasks("tilted")
    assert str(caught.value) == (
        "tilted is a suite of Benchmark, which is not installed; `toyflow robot-setup benchmark` installs it."
    )
    with pytest.raises(UsageError, match="Did you mean 'libero_goal'"):
        libero.tasks("libero_gaol")


def test_a_task_that_cannot_run_says_why(libero, benchmark):
    benchmark()
    with pytest.raises(UsageError, match=r"tilted task 1 cannot run here: no pie; bake one\.$"):
        libero("tilted", 1)


@pytest.mark.slow
def test_a_scene_changes_simulation_and_images(rendered_libero, benchmark):
    asked = benchmark().asked
    plain, varied = rendered_libero("libero_object", 0, 64), rendered_libero("tilted", 0, 64)
    plain.reset(seed=0)
    plain.reset(seed=0, init_state=1)
    varied.reset(seed=7)
    started = varied._simulation.data.qpos[:7].copy()
    varied.reset(seed=0, init_state=1)
    assert asked == ["prepare", "adapt", "before", 7, "before", 1]
    assert abs(started[0] - 0.1) < 0.05, "the arm starts, and rests, where it was told to"
    heights = [each._simulation.model.camera("agentview").pos[2] for each in (plain, varied)]
    assert heights[1] - heights[0] == pytest.approx(0.1)
    assert varied.observe().images["image"].max() <= 127 < varied.observe().images["image2"].max()
    with pytest.raises(UsageError, match="tilted task 0 has no initial state 2; it has 0 to 1"):
        varied.reset(seed=0, init_state=2)
    for environment in (plain, varied):
        environment.close()
