"""What does a latency cost under each hand-over: success, jerk, and the jump where one chunk follows another?

    python benchmarks/handover.py CELL --out DIR                  # switch, blend, ensemble, rtc; K = 1 and 10
    python benchmarks/handover.py CELL --out DIR --adapt 1000     # the training-time form of rtc

CELL is a trained policy, OUT/cells/KEY, with objective flow, of a simulator. With --adapt its weights are
first trained on for so many iterations with a random prefix of clean actions, as in arXiv 2512.05964
(`delay_max` 8); the adapted policy is kept in DIR. It is run with rtc, which conditions it on that prefix,
and with switch, so that what the training changed is told from what the prefix changes.

An episode is that of `robot-run --latency-steps L --replan H/2`, with chunks of H actions: the loop goes on
while a plan is computed. Ensemble plans every H/4 steps. Initial states and the noise of plans are the same
in every setting. The gate keeps nothing but the robot's own bounds, so that what is measured is the
hand-over. Episodes are kept in DIR/episodes.csv, and not run again. Settings take turns, so that a run that
is stopped has some of each.

    success    share of episodes, with Wilson's 95 % interval
    jump       root of the mean square second difference of what was sent, where a chunk took over; in
               standard deviations of the action. Where actions are relative to the present pose, as in
               LIBERO, positions are their sums, so that it is the first difference
    elsewhere  the same over all other steps
    jerk       the same of the third difference over all steps, x rate^3, in 1000 standard deviations / s^3

A second table has each hand-over against switch in the same trials: success with Newcombe's paired 90 %
interval and McNemar's p, jump and jerk as ratios from the mean logarithm, with Student's 95 % interval over
trials.

Last come the times of plans of each kind, taken in turns, as ratios, which a busy machine changes little; and
how far known actions pull a plan, for one observation. `--episodes 0` prints these alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from safetensors.torch import load_file

from toyflow.flow import Decoding, FlowMatching
from toyflow.robot.data.data_source import open_data_set
from toyflow.robot.data.frames import open_frames
from toyflow.robot.handover import parse_handover
from toyflow.robot.latency import timed
from toyflow.robot.limits import Limits, Patience
from toyflow.robot.planner import Commitment
from toyflow.robot.policy.checkpoint import find_checkpoint, load_policy
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy.policy_training import batches, weights_of
from toyflow.robot.policy.sizes import ACTION_WIDTH
from toyflow.robot.runtime.control.clock import SteppedClock
from toyflow.robot.runtime.control.control_loop import ControlLoop, LoopSettings
from toyflow.robot.runtime.control.log import RunLog, read_log
from toyflow.robot.runtime.control.planning import SteppedPlanning
from toyflow.robot.runtime.control.safety import Gate
from toyflow.robot.runtime.control.signals import StopSignals
from toyflow.robot.runtime.robots import RobotSettings
from toyflow.robot.runtime.robots.simulated import SimulatedRobot
from toyflow.seeds import generator
from toyflow.stats import Interval, over_seeds, paired_proportions
from toyflow.sweep.stored import StoredTraining, wilson_bounds
from toyflow.tensors import save_tensors
from toyflow.training import PolicyRecipe, Trainer

DELAY_MAX = 8
SETTING = ["policy", "handover", "latency", "steps"]


def adapted(training: StoredTraining, iterations: int, out: Path) -> FlowPlanner:
    """The policy of `training` after so many iterations more with a random prefix; trained once."""
    policy, objective = load_policy(training)
    assert isinstance(objective, FlowMatching), "--adapt needs objective flow"
    given = FlowMatching(objective.schedule, objective.time_sampling, objective.prediction, DELAY_MAX)
    given.attach(policy, (policy.spec.horizon, ACTION_WIDTH))
    path = out / f"adapted-{training.record.key}-{iterations}.safetensors"
    if path.exists():
        policy.load_state_dict(load_file(path))
        return FlowPlanner(policy.eval(), given)
    recipe = replace(
        PolicyRecipe(**training.record.recipe),  # pyright: ignore[reportArgumentType]
        iterations=iterations, learning_rate=3e-4, warmup_iterations=iterations // 20,
    )  # fmt: skip
    data = open_data_set(training.details["dataset_path"])
    frames = open_frames(data, policy.spec.interface.cameras, policy.spec.image_size)
    trainer = Trainer(policy, given, recipe, generator(training.record.seed, "noise"))
    for done in trainer.steps(
        batches(policy, data, frames, recipe, training.record.seed),
        lambda point: print(
            f"adapting: {point.iteration} of {iterations}, loss {point.loss:.4f}", flush=True
        ),
    ):
        del done
    weights = dict(weights_of(trainer))
    save_tensors(weights, path)
    policy.load_state_dict(weights)
    return FlowPlanner(policy.eval(), given)


def ran(
    planner: FlowPlanner, robot: SimulatedRobot, handover: str, latency: int, state: int, numbers: slice
) -> dict[str, float]:
    """One episode's numbers; motion is that of these `numbers` of an action."""
    robot.settings = replace(robot.settings, states=(state,))
    way, rate = parse_handover(handover), planner.interface.fps
    free = np.full(planner.interface.action_dim, np.inf)
    loose = Limits(robot.limits.lower, robot.limits.upper, free, free, free)
    replan = planner.horizon // (4 if handover == "ensemble" else 2)
    with tempfile.TemporaryDirectory() as folder, RunLog(Path(folder) / "run.jsonl") as log:
        log.write("run", rate=rate, clock="stepped", action_names=robot.dimensions)
        gate = Gate(robot, loose, replace(Patience(), hold_after=0.0, stale_after=float("inf")), rate)
        planning = SteppedPlanning(planner, latency)
        loop = ControlLoop(
            robot, planning, way, gate, SteppedClock(rate), log, LoopSettings(replan, history=planner.history)
        )
        with StopSignals() as signals:
            [ending] = loop.run(signals)
            if signals.asked:  # an episode that was cut off is no episode
                raise KeyboardInterrupt
        recording = read_log(log.path)
    steps = [line for line in recording.of("step") if line["sent"] is not None]
    scale = np.array(planner.policy.normalisation.action.scale)
    sent = (np.array([line["sent"] for line in steps]) / scale)[:, numbers]
    if not robot.environment.absolute:
        sent = np.cumsum(sent, axis=0)
    places = {line["step"]: place for place, line in enumerate(steps)}
    taken = [places[line["step"]] for line in recording.of("plan")[1:] if line["step"] in places]
    return {
        "success": ending.solved,
        "length": ending.steps,
        "plans": ending.plans,
        **motion(sent, taken, rate),
    }


def motion(sent: Float[np.ndarray, "steps action"], taken: Sequence[int], rate: float) -> dict[str, float]:
    """Mean squares of what was sent; `taken` are the places of actions with which a chunk took over."""
    second, third = np.diff(sent, n=2, axis=0), np.diff(sent, n=3, axis=0)
    at = np.zeros(len(second), bool)
    at[[place - 2 for place in taken if place >= 2]] = True  # the difference whose last action it is
    return {
        "jump": float(np.square(second[at]).mean()) if at.any() else float("nan"),
        "elsewhere": float(np.square(second[~at]).mean()) if (~at).any() else float("nan"),
        "jerk": float(np.square(third).mean()) * rate**6 / 1e6,
    }


def table(episodes: pd.DataFrame) -> str:
    """A line for each setting."""
    lines = []
    for setting, group in episodes.groupby(SETTING, sort=True):
        policy, handover, latency, steps = setting  # pyright: ignore[reportGeneralTypeIssues]
        hits = int(group["success"].sum())
        bounds = [100 * bound for bound in wilson_bounds(hits, len(group)).values()]
        jump, elsewhere, jerk = (float(np.sqrt(group[name].mean())) for name in ("jump", "elsewhere", "jerk"))
        lines.append(
            f"| {policy} | {handover} | {latency} | {steps} | {hits} of {len(group)} "
            f"({bounds[0]:.0f} to {bounds[1]:.0f} %) | {jump:.3f} | {elsewhere:.3f} | {jerk:.1f} |"
        )
    head = "| policy | hand-over | latency | K | success | jump | elsewhere | jerk |"
    return "\n".join([head, "|---|---|--:|--:|---|--:|--:|--:|", *lines])


def changes(episodes: pd.DataFrame) -> str:
    """A line for each setting with another hand-over than switch, against switch in the same trials."""
    lines, same = [], ["policy", "latency", "steps", "task", "state"]
    plain = episodes[episodes["handover"] == "switch"]
    for setting, group in episodes[episodes["handover"] != "switch"].groupby(SETTING, sort=True):
        policy, handover, latency, steps = setting  # pyright: ignore[reportGeneralTypeIssues]
        pairs = group.merge(plain, on=same, suffixes=("", " of switch"))
        if len(pairs) < 2:
            continue
        solved = [pairs[name].to_numpy(bool) for name in ("success", "success of switch")]
        test = paired_proportions(*solved)
        cells = [f"{_change(test.difference, 'points')}, p {test.p_value:.2g}"]
        for name in ("jump", "jerk"):
            squares = pairs[[name, f"{name} of switch"]].dropna().to_numpy()
            logs = over_seeds((np.log(squares[:, 0] / squares[:, 1]) / 2).tolist())
            ratio = Interval(*np.expm1([logs.estimate, logs.low, logs.high]).tolist())
            cells.append(_change(ratio, "%"))
        lines.append(
            " | ".join([f"| {policy} | {handover} | {latency} | {steps} | {len(pairs)}", *cells]) + " |"
        )
    head = "| policy | against switch | latency | K | trials | success | jump | jerk |"
    return "\n".join([head, "|---|---|--:|--:|--:|---|---|---|", *lines])


def _change(interval: Interval, unit: str) -> str:
    ends = (100 * end for end in (interval.estimate, interval.low, interval.high))
    return "{:+.0f} {unit} [{:+.0f}, {:+.0f}]".format(*ends, unit=unit)


def time_ratios(planner: FlowPlanner, steps: Sequence[int]) -> list[str]:
    """How long a plan of rtc takes, relative to a plain plan in as many steps."""
    blank = [planner.any_observation()]
    left = np.zeros((planner.horizon - planner.horizon // 2, planner.interface.action_dim), np.float32)
    lines = []
    for k in steps:
        planner.set_decoding(Decoding(k))
        calls = {
            "plain": lambda: planner.plan(blank, [0]),
            "rtc": lambda: planner.continue_plan(blank, [0], [Commitment(left, len(left) // 2)]),
        }
        times = timed(calls, lambda: None)
        ratio = times["rtc"].p50 / times["plain"].p50
        lines.append(
            f"K={k}: a plan of rtc takes {ratio:.2f} x a plain one ({times['plain'].p50:.1f} ms here)"
        )
    return lines


def pulls(planner: FlowPlanner, steps: Sequence[int], shift: float = 0.5) -> list[str]:
    """How far rtc moves a plan to known actions that are `shift` standard deviations beside a plain plan: the
    share of that distance, in the actions that are known but not frozen."""
    scale = np.array(planner.policy.normalisation.action.scale, np.float32)
    middle = np.array(planner.policy.normalisation.state.centre, np.float32)
    left = planner.horizon - planner.horizon // 2
    seen, frozen = [planner.any_observation()._replace(state=middle)], left // 2
    lines = []
    for k in steps:
        planner.set_decoding(Decoding(k))
        [plain] = planner.plan(seen, [0])
        told = Commitment(plain[:left] + shift * scale, frozen)
        [moved] = planner.continue_plan(seen, [0], [told])
        share = ((moved - plain)[frozen:left] / scale).mean(1) / shift
        lines.append(f"K={k}: known actions pull by {', '.join(f'{each:.2f}' for each in share)}")
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("cell", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--adapt", type=int, default=0, help="iterations of training with a random prefix")
    parser.add_argument("--handovers", default="switch,blend,ensemble,rtc")
    parser.add_argument("--latencies", default="0,2,4,8", help="in control steps")
    parser.add_argument("--steps", default="1,10", help="K")
    parser.add_argument("--tasks", default="0", help="of the suite: 3,7,9")
    parser.add_argument("--episodes", type=int, default=20, help="initial states of each task")
    parser.add_argument(
        "--motion-of",
        type=int,
        help="motion is that of so many first numbers of an action: 6 leaves out a gripper",
    )
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    training = find_checkpoint(options.cell)
    if options.adapt:
        planner, name = adapted(training, options.adapt, options.out), f"{training.record.label}, adapted"
        options.handovers = "switch,rtc"
    else:
        planner, name = FlowPlanner(*load_policy(training)), training.record.label
    made_of = training.details["made_of"]
    settings = RobotSettings(planner.interface, suite=made_of["suite"], image_size=planner.image_size)
    tasks = [int(each) for each in options.tasks.split(",")]
    robots = {task: SimulatedRobot.of(made_of["environment"], replace(settings, task=task)) for task in tasks}
    steps = [int(k) for k in options.steps.split(",")]
    latencies = [int(each) for each in options.latencies.split(",")]
    path = options.out / "episodes.csv"
    rows = pd.read_csv(path).to_dict("records") if path.exists() else []
    done = {(*(row[key] for key in (*SETTING, "state")), row.get("task", 0)) for row in rows}
    every = product(range(options.episodes), tasks, latencies, steps, options.handovers.split(","))
    for state, task, latency, k, handover in every:
        if (name, handover, latency, k, state, task) in done:
            continue
        planner.set_decoding(Decoding(k))
        setting = dict(zip(SETTING, (name, handover, latency, k), strict=True))
        found = ran(planner, robots[task], handover, latency, state, slice(options.motion_of))
        rows.append({**setting, "task": task, "state": state, **found})
        pd.DataFrame(rows).to_csv(path, index=False)
    if rows:
        episodes = pd.DataFrame(rows)
        print(table(episodes), changes(episodes), sep="\n\n")
    print("\n".join([*time_ratios(planner, steps), *pulls(planner, steps)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
