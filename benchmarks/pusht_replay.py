"""How far demonstrations of Push-T get when their actions are carried out again in gym-pusht.

    python benchmarks/pusht_replay.py data/demos/pusht-human

Takes a data set with the whole state, as `toyflow robot-data convert` and `robot-demos --environment
pusht-state` write it. Each episode starts from its first recorded state. Prints how many pass the criterion,
their mean score, and how far agent and block end up from where they were recorded.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from toyflow.robot.simulation.environments.pusht import PushTState
from toyflow.stats import mean_over_conditions, wilson


def main() -> None:
    """Replay every episode."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("dataset", type=Path)
    folder = parser.parse_args().dataset
    frames = pd.concat(map(pd.read_parquet, sorted(folder.glob("data/*/*.parquet"))))
    environment = PushTState("pusht", 0)
    solved, scores, agents, blocks = [], [], [], []
    for _, episode in frames.groupby("episode_index"):
        state, action = (np.stack(list(episode[name])) for name in ("observation.state", "action"))
        environment.reset(0)
        place(environment, state[0])
        passed = False
        for step, each in enumerate(action):
            if step == len(action) - 1:  # now it is where the last frame was recorded
                agents.append(np.linalg.norm(environment.pose[:2] - state[-1, :2]))
                blocks.append(np.linalg.norm(environment.pose[2:4] - state[-1, 2:4]))
            passed |= environment.step(each)
        solved.append(passed)
        scores.append(environment.score())
    success, score = wilson(sum(solved), len(solved)), mean_over_conditions(np.array(scores))
    print(
        f"{folder}: {sum(solved)} of {len(solved)} episodes pass, {success.estimate:.1%} "
        f"[{success.low:.1%}, {success.high:.1%}]; mean score {score.estimate:.3f} [{score.low:.3f}, "
        f"{score.high:.3f}]; at the last frame the agent is {np.median(agents):.2g} px from where it was "
        f"recorded (median), the block {np.median(blocks):.2g} px, at most {np.max(blocks):.2g} px"
    )


def place(environment: PushTState, state: np.ndarray) -> None:
    """Put agent and block where a recorded state has them."""
    board = environment.board
    board.agent.position = tuple(map(float, state[:2]))
    board.block.angle = float(
        np.arctan2(state[5], state[4])
    )  # before its position, as it turns about its centre
    board.block.position = tuple(map(float, state[2:4]))
    for body in (board.agent, board.block):
        board.space.reindex_shapes_for_body(body)


if __name__ == "__main__":
    main()
