"""Load, reset and step every task of a suite, from an official initial state, and count what works.

    python benchmarks/every_task.py libero_pro                 # all 160, about 4 minutes on 2 idle cores
    python benchmarks/every_task.py libero_pro --sample 8      # a few of each perturbation

Prints a table by perturbation and suite, and a line for each task that failed; exits with 1 if one did.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from multiprocessing import get_context
from typing import NamedTuple

import numpy as np

from toyflow.errors import ToyflowError, named_line
from toyflow.machine import cores
from toyflow.parsing import parse_numbers
from toyflow.robot.simulation.environment import SuiteTask, load_environment
from toyflow.robot.simulation.task_selection import select_tasks
from toyflow.robot.simulation.trial_options import ALL

STEPS = 5
TASKS_PER_PROCESS = 20
"""A process that has built many scenes has used much memory, which it does not give back."""


class Tried(NamedTuple):
    """A task, and what is wrong with it; "" where nothing is."""

    task: SuiteTask
    wrong: str
    build: float
    reset: float


def attempt(environment: str, suite: str, task: SuiteTask) -> Tried:
    """Build the task, reset it, take `STEPS` steps without moving."""
    start = time.perf_counter()
    built = reset = np.nan
    try:
        made = load_environment(environment)(suite, task.index, image_size=64)
        built = time.perf_counter() - start
        try:
            start = time.perf_counter()
            made.reset(0, init_state=0)
            reset = time.perf_counter() - start
            solved = [made.step(made.still()) for _ in range(STEPS)]
            seen = made.observe()
            wrong = "is solved at the start" if any(solved) else ""
            if not np.isfinite(seen.state).all() or min(image.std() for image in seen.images.values()) < 1:
                wrong = "shows nothing, or a state that is no number"
        finally:
            made.close()
    except Exception as error:  # each is counted
        wrong = named_line(error)
    return Tried(task, wrong, built, reset)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("--environment", default="libero")
    parser.add_argument("--tasks", default=ALL, help="all, or numbers such as 0-9")
    parser.add_argument("--perturb", default=ALL)
    parser.add_argument("--sample", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=cores())
    options = parser.parse_args()
    environment = load_environment(options.environment)
    try:
        asked = None if options.tasks == ALL else parse_numbers(options.tasks, "--tasks")
        tasks, missing = select_tasks(
            environment,
            options.suite,
            asked,
            options.perturb,
            sample=options.sample,
            sample_seed=options.seed,
        )
    except ToyflowError as error:
        raise SystemExit(str(error)) from error
    jobs = [(options.environment, options.suite, task) for task in tasks]
    tried = []
    with get_context("spawn").Pool(options.jobs, maxtasksperchild=TASKS_PER_PROCESS) as pool:
        for last in pool.imap_unordered(_attempt, jobs):
            tried.append(last)
            line = f"[{len(tried)}/{len(tasks)}] {_cell(last.task)}: {last.wrong or 'runs'}"
            print(line, file=sys.stderr, flush=True)
    cells = Counter(_cell(each.task) for each in tried)
    failed = Counter(_cell(each.task) for each in tried if each.wrong)
    absent = Counter(_cell(task) for task in missing)
    for cell in sorted(cells | absent):
        print(f"{cell:40} {cells[cell] - failed[cell]:5} of {cells[cell]:5} run, {absent[cell]} are missing")
    for each in tried:
        if each.wrong:
            print(f"task {each.task.index}, {each.task.name}: {each.wrong}")
    build, reset = (np.nanmedian([getattr(each, name) for each in tried]) for name in ("build", "reset"))
    print(
        f"{len(tried) - sum(failed.values())} of {len(tried)} tasks load, reset and step; {len(missing)} are "
        f"missing; building takes {build:.2f} s, a reset {reset:.2f} s (medians)"
    )
    sys.exit(bool(failed))


def _attempt(job: tuple[str, str, SuiteTask]) -> Tried:
    return attempt(*job)


def _cell(task: SuiteTask) -> str:
    return f"{task.perturbation or 'unchanged'} {task.base[0] if task.base else ''}".strip()


if __name__ == "__main__":
    main()
