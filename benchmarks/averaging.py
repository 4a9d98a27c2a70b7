"""Why does averaging draws harm one step on Push-T? Two explanations, tried by changing the averaged chunk.

    python benchmarks/averaging.py CELL [CELL ...] --out averaging.csv
    python benchmarks/averaging.py CELL_OF_REGRESSION --ways one,jittered:3.6 --out averaging.csv
    python benchmarks/averaging.py --out averaging.csv          # the tables alone

CELL is a policy, OUT/cells/KEY, decoded in one step; several of one training differ in their seed. Episodes
begin from the official initial states, and the noise of plan k is that of `toyflow robot-eval`, so that
`one` and `mean` repeat what --draws 1,8 does. A chunk is

    one         the answer to one noise
    mean        the mean of the answers to 8 noises, which has (nearly) no leaked noise
    jittered    the same, with white noise N(0, s^2) on every number of the chunk: s is what the 8 answers
                deviate from their mean (root mean square over draws and horizon, by number of an action), so
                that it has as much noise as `one`, which has nothing to do with what the network knows.
                jittered:S has s = S pixels
    stretched   `mean` with each move, from one action to the next, 1.35 times as long, the length of a move
                in the demonstrations over that in averaged chunks of the velocity's first seed. stretched:F
                makes it F times as long

Written before the first run. It is run on the scripted expert's demonstrations, velocity under uniform, 3
training seeds, 100 initial states; intervals of 95 % for new seeds and new states:

  1. "One draw solves more because of its noise alone, which shakes the agent loose": jittered minus mean is
     above 0. Refuted where it lies below 0, or jittered minus one lies below 0 and jittered minus mean does
     not lie above 0.
  2. "Averaged chunks solve less because they move too little": stretched minus mean is above 0. Refuted where
     its 90 % interval lies below 5 points.

Added after the first seed of the velocity (solved: one 18, mean 5, jittered 13, stretched 17) and of the data
(59, 45, 55; stretched:1.24 48, jittered:8 59), and before any other:

  3. 1 holds for data prediction under uniform, too; its seed 0 has been seen.
  4. A policy without noise is stuck as well: regression, jittered:3.6 (as much as the data's answers deviate)
     minus one is above 0. Refuted where it lies below 0.

Prints, by way: success, score, and how often the agent is at rest, that is nearer than 1 pixel to where it
was a chunk ago; then the contrasts. Outcomes are added to the table, a row per episode, and not run again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import pairwise, product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float32

from toyflow.atomic import atomic_file
from toyflow.flow import Decoding
from toyflow.robot.interface import Observation
from toyflow.robot.policy.checkpoint import find_checkpoint, load_policy
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.simulation.environments.pusht import PushTState
from toyflow.robot.simulation.environments.pusht.pusht_environment import INIT_STATES, MAX_STEPS, SUITE
from toyflow.robot.simulation.rollout import Episode, RolloutSetup, episode_seed, run_episodes
from toyflow.stats import Interval, crossed, over_seeds
from toyflow.sweep.stored import StoredTraining

WAYS = ("one", "mean", "jittered", "stretched")
DRAWS, STRETCH = 8, 1.35
REST = 1.0
"""Pixels in a chunk's time below which the agent is at rest."""


class Changed(FlowPlanner):
    """A policy whose averaged chunks are changed; it notes where the agent is whenever it plans."""

    def __init__(self, training: StoredTraining, way: str) -> None:
        super().__init__(*load_policy(training), Decoding())
        self.way, _, size = way.partition(":")
        self.size = float(size) if size else None
        self.seen: dict[int, Float32[np.ndarray, "place=2"]] = {}
        self.deviations: list[float] = []

    def plan(
        self, observations: Sequence[Observation], seeds: Sequence[int]
    ) -> Float32[np.ndarray, "batch horizon action"]:
        """See `Planner`."""
        self.seen |= {seed: each.state[:2] for seed, each in zip(seeds, observations, strict=True)}
        answers = self.answers(observations, seeds, DRAWS if self.takes_noise else 1)
        if self.way == "one":
            return answers[0]
        mean = answers.mean(0)
        if self.way == "stretched":
            return mean[:, :1] + (self.size or STRETCH) * (mean - mean[:, :1])
        if self.way == "jittered":
            measured = np.sqrt(np.square(answers - mean).mean((0, 2)))[:, None]
            self.deviations += measured.ravel().tolist()
            size = measured if self.size is None else self.size
            noise = [np.random.default_rng([7, seed]).standard_normal(mean.shape[1:]) for seed in seeds]
            return (mean + size * np.stack(noise)).astype(np.float32)
        return mean

    def at_rest(self, first: int, plans: int) -> float:
        """Share of an episode's plans, but the first, before which the agent was at rest."""
        places = [self.seen[first + plan] for plan in range(plans)]
        moved = [float(np.linalg.norm(after - before)) for before, after in pairwise(places)]
        return float(np.mean(np.array(moved) < REST)) if moved else 0.0


def episodes_of(training: StoredTraining, way: str) -> pd.DataFrame:
    """A row per initial state."""
    planner, replan = Changed(training, way), 8
    todo = [Episode(0, state, episode_seed(0, SUITE, 0, state), MAX_STEPS) for state in range(INIT_STATES)]
    rows = []
    for outcome in run_episodes(
        RolloutSetup(PushTState.name, SUITE, planner.image_size, replan), todo, planner, workers=1
    ):
        assert outcome.error is None, outcome.error
        plans = -(-outcome.steps // replan)
        rest = planner.at_rest(todo[outcome.state].seed, plans)
        rows.append((outcome.state, int(outcome.success), outcome.score, outcome.steps, rest))
    if planner.deviations:
        print(f"the {DRAWS} answers deviate from their mean by {np.mean(planner.deviations):.2f} px")
    frame = pd.DataFrame(rows, columns=["state", "success", "score", "steps", "at_rest"])
    record, data = training.record, Path(training.details["dataset_path"]).name
    return frame.sort_values("state").assign(
        data=data, objective=record.label, seed=record.seed, key=record.key, way=way
    )


def told(found: pd.DataFrame) -> None:
    """Prints the table and the contrasts of each training."""
    for (data, objective), rows in found.groupby(["data", "objective"]):
        print(f"\n{objective} on {data}")
        success = rows.pivot(index=["way", "seed"], columns="state", values="success")
        for way, mine in rows.groupby("way"):
            solved = (100 * mine.groupby("seed")["success"].mean()).tolist()
            text = f"{np.mean(solved):.1f} ({', '.join(f'{each:.0f}' for each in solved)})"
            if len(solved) > 1:
                interval = over_seeds(solved)
                text += f" [{interval.low:.1f}, {interval.high:.1f}]"
            rest = mine["at_rest"].mean()
            print(f"  {way:14} solved in %: {text}; score {mine['score'].mean():.3f}; at rest {rest:.1%}")
        for way, other in product(rows["way"].unique(), ("mean", "one")):
            if way == other or other not in success.index or (way, other) == ("mean", "one"):
                continue
            difference = (success.loc[way] - success.loc[other]).dropna().to_numpy(float)
            if len(difference) > 1:
                wide, narrow = (crossed(difference, level, within=(-1, 1)) for level in (0.95, 0.90))
                print(f"  {way} minus {other}: 95 %: {in_points(wide)}; 90 %: {in_points(narrow)}")


def in_points(interval: Interval) -> str:
    """A difference of two shares, in points."""
    return f"{100 * interval.estimate:+.1f} [{100 * interval.low:+.1f}, {100 * interval.high:+.1f}]"


def main() -> None:
    """Run what is missing, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cells", nargs="*", type=Path)
    parser.add_argument("--ways", default=",".join(WAYS))
    parser.add_argument("--out", type=Path, default=Path("averaging.csv"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    for cell in options.cells:
        training = find_checkpoint(cell)
        for way in options.ways.split(","):
            found = pd.read_csv(options.out) if options.out.exists() else pd.DataFrame()
            if len(found) and ((found["key"] == training.record.key) & (found["way"] == way)).any():
                continue
            rows = episodes_of(training, way)
            with atomic_file(options.out) as temporary:
                pd.concat([found, rows]).to_csv(temporary, index=False)
            print(
                f"{training.record.label} seed {training.record.seed} {way}: {rows['success'].sum()} solved"
            )
    told(pd.read_csv(options.out))


if __name__ == "__main__":
    main()
