"""`toyflow probe CHECKPOINT --dataset D`: what one step loses for a policy, and one step against several, on
the frames of a data set. No simulator is needed.

    found = probe_policy("results/robot/cells/KEY", "data/demos/libero_object")
    for sentence in policy_sentences(found):        # of toyflow.report.policy_probe_sentences
        print(sentence)

Over 300 lines, as all errors are of the same answers at the same frames.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from toyflow.api.probed_episodes import held_out_of, is_of_training, origin_of
from toyflow.errors import UsageError
from toyflow.flow import Decoding, VelocityPrediction
from toyflow.flow.anatomy import MANY_STEPS, ONE_STEP_DRAWS, SAMPLE_DRAWS, Anatomy, dissect
from toyflow.machine import choose_device, cores
from toyflow.report.anatomy_report import DissectedModel
from toyflow.report.policy_probe import Origin, PlanErrors, ProbedPolicy
from toyflow.robot.data.data_set import ACTION, DataSet
from toyflow.robot.data.data_source import open_data_set, short_name
from toyflow.robot.data.moments import episodes_of, observations_at, spread_frames
from toyflow.robot.data.normalisation import CONSTANT, scaling_of
from toyflow.robot.planner import Planner
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy_opening import find_policy, open_planner
from toyflow.robot.runtime.remote.addresses import is_remote
from toyflow.sweep.stored import StoredTraining

EXAMPLES = 500
"""Most frames that a policy is probed on."""
ROWS = 128
"""Most action chunks that are decoded at once."""
OnProgress = Callable[[int, int], None]
"""(frames done, frames in all)."""


def probe_policy(
    checkpoint: str,
    dataset: str | None = None,
    *,
    episodes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
    draws: Sequence[int] | None = None,
    examples: int = EXAMPLES,
    fps: float | None = None,
    device: str = "auto",
    threads: int | None = None,
    rename: str | None = None,
    out: Path | str = "results/robot",
    on_progress: OnProgress = lambda done, total: None,
) -> tuple[ProbedPolicy, Path]:
    """Probe a policy of toyflow or LeRobot.

    Args:
        checkpoint: OUT/cells/KEY, or a LeRobot policy: a folder, or a name on the hub.
        dataset: a LeRobot data set, a folder or a name on the hub; None for the one that a policy of toyflow
            was trained on.
        episodes: numbers of the episodes to take frames of; None for those that were held out of the training
            of a policy of toyflow, where some were, else for all.
        steps: numbers K of steps whose action errors are compared; None for 1 and 10 where the policy can.
        draws: numbers M of averaged draws; None for 1 and 8 where the policy takes noise. What the anatomy
            advises is added, in one step.
        examples: most frames.
        fps: actions per second at which the data were recorded; None for what the data set says or, of the
            data that the policy was trained on, what the training was told.
        device: auto, cpu, cuda or mps.
        threads: processor threads; None for all.
        rename: renamed cameras of a LeRobot policy, POLICY_CAMERA=DATA_CAMERA, ...
        out: the results folder that a LeRobot policy is added to.
        on_progress: called with (frames done, frames in all).

    Returns:
        What was found, and the results folder that the policy is in.

    Raises:
        UsageError: the policy or the data set is not there, they do not fit each other, the policy cannot
            decode so or is random other than by normal noise, or there are fewer than 2 episodes to take
            frames of.
        DamagedError: a file of either is missing or altered.
    """
    if examples < 2:
        raise UsageError(f"a probe needs at least 2 frames, got --examples {examples}.")
    if is_remote(checkpoint):
        raise UsageError(
            "a probe needs a policy's answers from many noises, which servers do not send: compare its "
            "numbers of steps by toyflow robot-eval."
        )
    torch.set_num_threads(threads or cores())
    training = find_policy(checkpoint, rename, Path(out))
    if not {"policy", "imported"} & training.details.keys():
        raise UsageError(
            f"{checkpoint} is a toy model, of task {training.record.task}: probe it by toyflow probe "
            f"{training.record.key} --out {training.folder.parent.parent}"
        )
    data = open_data_set(dataset or _own_data(training, checkpoint))
    if episodes is None and is_of_training(training, data):
        episodes = held_out_of(training, data) or None
    planner = open_planner(training, torch.device(choose_device(device)))
    found = probe_planner(
        planner,
        data,
        label=training.record.label,
        key=training.record.key,
        origin=origin_of(training, planner, data, episodes),
        episodes=episodes,
        steps=steps,
        draws=draws,
        examples=examples,
        fps=fps or (planner.interface.fps if is_of_training(training, data) else None),
        on_progress=on_progress,
    )
    return found, training.folder.parent.parent


def probe_planner(
    planner: Planner,
    data: DataSet,
    *,
    label: str = "policy",
    key: str = "",
    origin: Origin = "frames that may be of training",
    episodes: Sequence[int] | None = None,
    steps: Sequence[int] | None = None,
    draws: Sequence[int] | None = None,
    examples: int = EXAMPLES,
    fps: float | None = None,
    on_progress: OnProgress = lambda done, total: None,
) -> ProbedPolicy:
    """Probe any `Planner`, such as that of a policy of your own.

    Every frame is decoded from the same noises in each number of steps. Errors are measured of actions, in
    units of each number's standard deviation over the data set, and of moves from one action to the next, in
    units of the data's root mean square move. Numbers that never change have no unit, and are left out of the
    anatomy, which is that of answers in one step and of samples in the largest number of steps.

    Args:
        planner: the policy; it is left in another decoding.
        data: the demonstrations.
        label, key: how reports call the policy; the key of its cell.
        origin: whether the frames were trained on.
        episodes, steps, draws, examples, fps, on_progress: as for `probe_policy`.

    Raises:
        UsageError: as `probe_policy`.
    """
    _check_fits(planner, data, fps)
    if planner.is_random_otherwise:
        raise UsageError(
            "this policy is random, but not by normal noise: it cannot be averaged in pairs, and its leak "
            "cannot be told; compare its decodings by robot-eval."
        )
    scaling = scaling_of(f"data set {data.where}, action statistics", data.statistics(ACTION))
    if not any(scaling.scale):
        raise UsageError(f"the actions of data set {data.where} never change, so there is nothing to probe.")
    counts = _steps(planner, steps)
    averaged = _draws(planner, draws)
    frames = spread_frames(data, planner.horizon, examples, episodes)
    groups = episodes_of(data, frames)
    decoded = _decoded(planner, data, frames, _noises(planner, counts, averaged), on_progress)
    actions = data.chunks(frames, planner.horizon).actions.double()
    decoded = {count: found.double() for count, found in decoded.items()}
    sampled = max(counts) if planner.takes_noise and max(counts) > 1 else None
    may_predict_data = _may_predict_data(planner)

    def errors_of(
        of: Literal["actions", "moves"],
        scale: tuple[float, ...],
        changed: Callable[[Tensor], Tensor],
        once: Sequence[int],
    ) -> PlanErrors:
        """The errors of what `changed` makes of chunks, of plans in one step that average `once` draws."""
        answers = {count: changed(found) for count, found in decoded.items()}
        targets = changed(actions)
        anatomy = _anatomy(answers, targets, scale, sampled, groups)
        return PlanErrors(
            of,
            DissectedModel(label, "", None, anatomy, 1.0, sampled, may_predict_data, key),
            scale,
            _squared_errors(answers, targets, averaged, once),
        )

    moved = _moved(actions, scaling.scale)

    def measured(once: Sequence[int]) -> ProbedPolicy:
        return ProbedPolicy(
            actions=errors_of("actions", scaling.scale, lambda chunks: chunks, once),
            moves=errors_of("moves", moved, _moves, once) if any(moved) else None,
            takes_noise=planner.takes_noise,
            dataset=short_name(data.where),
            fingerprint=data.fingerprint,
            origin=origin,
            joints=data.action_names,
        )

    found = measured(averaged)
    advised = found.one_step.draws  # is measured, too
    return found if advised in averaged else measured(sorted({*averaged, advised}))


def _own_data(training: StoredTraining, checkpoint: str) -> str:
    if "dataset_path" not in training.details:
        raise UsageError(f"{checkpoint} does not say what it was trained on: name a data set by --dataset.")
    return training.details["dataset_path"]


def _check_fits(planner: Planner, data: DataSet, fps: float | None) -> None:
    """Raise UsageError unless the data set has all that the policy reads, and its actions."""
    policy, has = planner.interface, replace(data.interface, fps=fps or data.interface.fps)
    state = policy.state_dim or has.state_dim  # 0: it reads none
    has.check_serves(replace(policy, state_dim=state), f"data set {data.where}")


def _steps(planner: Planner, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The numbers of steps to decode in, 1 among them. Raises UsageError where the policy cannot."""
    if asked is not None:
        counts = tuple(sorted({1, *asked}))
        for count in counts:
            planner.set_decoding(Decoding(count))
        return counts
    planner.set_decoding(Decoding())
    many = next((count for count in range(MANY_STEPS, 1, -1) if _can_decode(planner, count)), None)
    return (1,) if many is None or not planner.takes_noise else (1, many)


def _can_decode(planner: Planner, steps: int) -> bool:
    try:
        planner.set_decoding(Decoding(steps))
    except UsageError:
        return False
    return True


def _draws(planner: Planner, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The numbers of draws to average. Raises UsageError for several of a policy that takes no noise."""
    if asked is None:
        return (1, 8) if planner.takes_noise else (1,)
    counts = tuple(sorted(set(asked)))
    for count in counts:
        decoding = Decoding(draws=count)
        if count > 1 and not planner.takes_noise:
            raise UsageError(
                f"this policy takes no noise: its leak is 0 by construction, and {count} draws are all the "
                "same. Leave --draws at 1."
            )
        planner.set_decoding(decoding)
    return counts


def _noises(planner: Planner, counts: Sequence[int], averaged: Sequence[int]) -> dict[int, int]:
    """From how many noises to decode in each number of steps."""
    if not planner.takes_noise:
        return dict.fromkeys(counts, 1)
    several = max(SAMPLE_DRAWS, *averaged)
    return {count: max(several, ONE_STEP_DRAWS) if count == 1 else several for count in counts}


def _decoded(
    planner: Planner,
    data: DataSet,
    frames: Int64[Tensor, "frames"],
    noises: dict[int, int],
    on_progress: OnProgress,
) -> dict[int, Float[Tensor, "draws frames horizon action"]]:
    """The answers at each frame by number of steps. A frame's noise is seeded by its number."""
    at_once = max(1, ROWS // max(noises.values()))
    answers: dict[int, list[Tensor]] = {count: [] for count in noises}
    done = 0
    for part in frames.split(at_once):
        seen = observations_at(data, part, planner.interface.cameras, planner.history)
        for count, draws in noises.items():
            planner.set_decoding(Decoding(count))
            answers[count].append(torch.from_numpy(planner.answers(seen, part.tolist(), draws)))
            if not torch.isfinite(answers[count][-1]).all():
                raise UsageError("the policy answers with numbers that are not finite; it cannot be probed.")
        done += len(part)
        on_progress(done, len(frames))
    return {count: torch.cat(found, dim=1) for count, found in answers.items()}


def _moves(chunks: Float[Tensor, "*batch horizon action"]) -> Float[Tensor, "*batch moves action"]:
    """The change from each action of a chunk to the next."""
    return chunks[..., 1:, :] - chunks[..., :-1, :]


def _moved(actions: Float[Tensor, "frames horizon action"], scale: tuple[float, ...]) -> tuple[float, ...]:
    """The root mean square move of each number of an action; 0 for one that stays where it is up to rounding:
    one without a `scale`, or whose moves are below `CONSTANT` times that or times its largest value."""
    moves = _moves(actions).flatten(0, 1)
    if not len(moves):
        return (0.0,) * len(scale)
    size = actions.abs().amax((0, 1)).tolist()
    rms = moves.square().mean(0).sqrt().tolist()
    return tuple(
        0.0 if not unit or move < CONSTANT * max(unit, largest) else move
        for move, unit, largest in zip(rms, scale, size, strict=True)
    )


def _anatomy(
    answers: Mapping[int, Float[Tensor, "draws frames times action"]],
    targets: Float[Tensor, "frames times action"],
    scale: tuple[float, ...],
    sampled: int | None,
    groups: Int64[Tensor, "frames"],
) -> Anatomy:
    """The anatomy of one step in units of `scale`, without the numbers that have none."""
    scales = torch.tensor(scale, dtype=torch.float64)
    moving = scales > 0

    def scaled(chunks: Tensor) -> Tensor:
        return chunks[..., moving] / scales[moving]

    once = scaled(answers[1])
    if len(once) == 1:  # without noise, two pairs would be four times the same
        once = once.expand(4, *once.shape[1:])
    samples = None if sampled is None else scaled(answers[sampled])
    return dissect(once, targets=scaled(targets)[None], samples=samples, groups=groups)


def _squared_errors(
    answers: Mapping[int, Float[Tensor, "draws frames times action"]],
    targets: Float[Tensor, "frames times action"],
    averaged: Sequence[int],
    once: Sequence[int],
) -> dict[Decoding, Float[Tensor, "frames times action"]]:
    """E (plan - target)^2 of plans that average M answers, M of `averaged` or, in one step, of `once`: over
    all such plans of the noises from which every number of steps was decoded, or over one plan of more."""
    common = min(map(len, answers.values()))
    found: dict[Decoding, Tensor] = {}
    for count, every in answers.items():
        for draws in once if count == 1 else averaged:
            whole = max(common // draws, 1) * draws
            plans = every[:whole].unflatten(0, (-1, draws)).mean(1)
            found[Decoding(count, draws=draws)] = (plans - targets).square().mean(0)
    return found


def _may_predict_data(planner: Planner) -> bool:
    if not isinstance(planner, FlowPlanner):
        return False
    objective = planner.objective
    return objective.uses_prediction and objective.prediction.key == VelocityPrediction.key
