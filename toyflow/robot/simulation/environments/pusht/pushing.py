"""The scripted expert of Push-T: it tries pushes in a simulator of its own, and carries out the best.

A push begins beside a point of the block's outline and goes straight in. Of all that can be reached, the one
is taken that brings the block's corners nearest to their targets for the time that it takes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32

from toyflow.robot.simulation.environment import Expert
from toyflow.robot.simulation.environments.pusht.board import open_board
from toyflow.robot.simulation.environments.pusht.routes import RADIUS, Point, Routes, corners, on_board

GAP = 3.0
"""Between the agent and the block where a push begins, in pixels."""
SPACING = 12.0
"""Between two pushes that are tried along an edge."""
TILTS = np.deg2rad([-25.0, 0.0, 25.0])
"""Directions of a push against the edge's normal."""
STRIDES = (14.0, 3.0)
"""How far a push goes in a control step where the block is far from its target, and where it is near."""
NEAR = 12.0
"""Root mean square distance of the corners from their targets from which on the block is near."""
LONGEST = 12
"""Most control steps of a push."""
PACE = 30.0
"""How far the agent goes in a control step on its way round the block."""
STEP_COSTS = (0.3, 0.03)
"""What a control step costs, in pixels of the corners' distance, where the block is far and where it is
near."""

Pose = Float[np.ndarray, "pose=5"]


class Push(NamedTuple):
    """A push: where the agent's centre begins, in which direction it goes, and how far in each step."""

    start: Point
    direction: Point
    stride: float

    def aim(self, step: int) -> Point:
        """Its action at a step, from 1."""
        return self.start + self.direction * (GAP + self.stride * step)


class PushExpert(Expert):
    """Pushes the block onto its target."""

    noise_scale = 20.0

    def __init__(self, board: Any) -> None:
        self._board, self._own = board, open_board()
        self._own.reset(seed=0)
        self._target = corners(np.array(board.goal_pose))
        self._push: Push | None = None
        self._pushed = 0

    def act(self) -> Float32[np.ndarray, "action=2"]:
        """See `Expert`."""
        pose = self._board.get_obs()
        if self._push is not None and self._pushed and not self._goes_on(pose, self._push):
            self._push = None
        if self._push is None:
            self._push, self._pushed = self._best(pose), 0
        if self._pushed or np.linalg.norm(pose[:2] - self._push.start) < 1.5:
            self._pushed += 1
            return self._push.aim(self._pushed).astype(np.float32)
        way = Routes(pose[2:]).way(pose[:2], self._push.start)[0] - pose[:2]
        length = float(np.linalg.norm(way))
        return (pose[:2] + way * min(1.0, PACE / length)).astype(np.float32)

    def _goes_on(self, pose: Pose, push: Push) -> bool:
        """Whether going on with a push will bring the block nearer still."""
        if self._pushed >= LONGEST:
            return False
        errors = self._tried(pose, push, self._pushed, np.array(self._board.agent.velocity))
        return len(errors) > 0 and bool(errors.min() < self._error(pose[2:]) - 1e-2)

    def _best(self, pose: Pose) -> Push:
        """The best push from here."""
        near = int(self._error(pose[2:]) < NEAR)
        routes, pushes = Routes(pose[2:]), _pushes(pose[2:], STRIDES[near])
        ways = routes.lengths(pose[:2], np.array([push.start for push in pushes]))
        best, lowest = None, np.inf
        for push, way in zip(pushes, ways, strict=True):
            after = self._tried(pose, push)
            steps = way / PACE + 2 + np.arange(1, len(after) + 1)
            cost = float((after + STEP_COSTS[near] * steps).min())
            if best is None or cost < lowest:
                best, lowest = push, cost
        assert best is not None
        return best

    def _tried(
        self, pose: Pose, push: Push, done: int = 0, velocity: Point | None = None
    ) -> Float[np.ndarray, "steps"]:
        """The block's error after each step of a push after the first `done`, as the simulator gives it."""
        own = self._own
        own.agent.position = tuple(pose[:2] if done else push.start)
        own.agent.velocity = (0.0, 0.0) if velocity is None else tuple(velocity)
        own.block.angle = float(pose[4])
        own.block.position = tuple(pose[2:4])
        own.block.velocity, own.block.angular_velocity = (0.0, 0.0), 0.0
        for body in (own.agent, own.block):
            own.space.reindex_shapes_for_body(body)
        errors: list[float] = []
        for step in range(done + 1, LONGEST + 1):
            _move(own, push.aim(step))
            errors.append(self._error(np.array([*own.block.position, own.block.angle])))
            if errors[-1] > min(errors) + 5:
                break
        return np.array(errors)

    def _error(self, block: Float[np.ndarray, "pose=3"]) -> float:
        """Root mean square distance of the block's corners from their targets."""
        return float(np.sqrt(np.square(corners(block) - self._target).sum(1).mean()))


def _move(board: Any, action: Point) -> None:
    """One control step of gym-pusht without its coverage, which takes longer than its physics."""
    for _ in range(round(1 / (board.dt * board.control_hz))):
        position, velocity = np.array(board.agent.position), np.array(board.agent.velocity)
        velocity = velocity + (board.k_p * (action - position) - board.k_v * velocity) * board.dt
        board.agent.velocity = tuple(velocity.tolist())
        board.space.step(board.dt)


def _pushes(block: Float[np.ndarray, "pose=3"], stride: float) -> list[Push]:
    """Pushes all along the block's outline, of those that begin on the board and clear of the block."""
    outline = corners(block)
    starts, directions = [], []
    for one, two in zip(outline, np.roll(outline, -1, 0), strict=True):
        length = float(np.linalg.norm(two - one))
        along = (two - one) / length
        outward = np.array([along[1], -along[0]])
        for place in np.linspace(4.0, length - 4.0, max(2, round(length / SPACING))):
            for tilt in TILTS:
                starts.append(one + along * place + outward * (RADIUS + GAP))
                directions.append(along * np.sin(tilt) - outward * np.cos(tilt))
    begin = np.array(starts)
    free = on_board(begin) & (Routes(block).distance(begin) >= RADIUS + GAP - 0.1)
    return [Push(starts[i], directions[i], stride) for i in np.flatnonzero(free)]
