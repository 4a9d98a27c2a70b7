"""`toyflow probe CHECKPOINT --dataset D`: what one step loses for a policy, and one step against several, on
the frames of a data set. No simulator is needed.

    found = probe_policy("results/robot/cells/KEY", "data/demos/libero_object")
    for sentence in policy_sentences(found):        # of toyflow.report.policy_probe_sentences
        print(sentence)

A policy behind a server is named by its address; `docs/guides/behind-a-server.md` says what is measured of
one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from toyflow import plugins
from toyflow.api.probed_answers import (
    Answers,
    Noise,
    OnProgress,
    ask,
    draws_to_probe,
    noise_of,
    steps_to_probe,
)
from toyflow.api.probed_episodes import held_out_of, is_of_training, origin_of
from toyflow.errors import UsageError
from toyflow.flow import Decoding, VelocityPrediction
from toyflow.flow.anatomy import Anatomy, dissect
from toyflow.machine import choose_device, cores
from toyflow.report.anatomy_report import DissectedModel
from toyflow.report.policy_probe import Origin, PlanErrors, ProbedPolicy
from toyflow.robot.data.data_set import DataSet
from toyflow.robot.data.data_source import open_data_set, short_name
from toyflow.robot.data.demo_source import demo_source
from toyflow.robot.data.features import ACTION, renaming_text
from toyflow.robot.data.moments import episodes_of, spread_frames
from toyflow.robot.data.normalisation import CONSTANT, scaling_of
from toyflow.robot.planner import Planner
from toyflow.robot.policy.flow_planner import FlowPlanner
from toyflow.robot.policy_opening import find_policy, open_planner
from toyflow.robot.runtime.remote.addresses import RemoteOptions, is_remote, parse_addresses
from toyflow.sweep.stored import StoredTraining

EXAMPLES = 500
"""Most frames that a policy is probed on."""


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
    remote: RemoteOptions = RemoteOptions(),  # noqa: B008, which is frozen
    out: Path | str = "results/robot",
    on_progress: OnProgress = lambda done, total: None,
) -> tuple[ProbedPolicy, Path]:
    """Probe a policy of toyflow or LeRobot, or one behind servers.

    Args:
        checkpoint: OUT/cells/KEY; a LeRobot policy: a folder, or a name on the hub; or servers' addresses.
        dataset: a LeRobot data set, a folder or a name on the hub; None for the one that a policy of toyflow
            was trained on.
        episodes: numbers of the episodes to take frames of; None for those that were held out of the training
            of a policy of toyflow, where some were, else for all.
        steps: numbers K of steps whose action errors are compared; None for 1 and 10 where the policy can,
            and for those that are written before servers' addresses.
        draws: numbers M of averaged draws; None for 1 and 8 where the policy takes noise. What the anatomy
            advises is added, in one step.
        examples: most frames.
        fps: actions per second at which the data were recorded; None for what the data set says or, of the
            data that the policy was trained on, what the training was told.
        device: auto, cpu, cuda or mps.
        threads: processor threads; None for all.
        rename: renamed cameras of a LeRobot policy, POLICY_CAMERA=DATA_CAMERA, ...
        remote: how servers are asked.
        out: the results folder that a policy of LeRobot or of a server is added to.
        on_progress: called with (frames done, frames in all).

    Returns:
        What was found, and the results folder that the policy is in.

    Raises:
        UsageError: the policy or the data set is not there, they do not fit each other, the policy cannot
            decode so, or there are fewer than 2 episodes to take frames of.
        DamagedError: a file of either is missing or altered.
    """
    if examples < 2:
        raise UsageError(f"a probe needs at least 2 frames, got --examples {examples}.")
    torch.set_num_threads(threads or cores())
    seen = None
    if is_remote(checkpoint):
        if dataset is None:
            raise UsageError(
                f"{checkpoint} does not say what it was trained on: name a data set by --dataset."
            )
        named = [each.steps for each in parse_addresses(checkpoint) if each.steps]
        seen, steps = open_data_set(dataset).interface, steps or named or None
    training = find_policy(checkpoint, rename, Path(out), remote, seen)
    if not {"policy", "imported"} & training.details.keys():
        raise UsageError(
            f"{checkpoint} is a toy model, of task {training.record.task}: probe it by toyflow probe "
            f"{training.record.key} --out {training.folder.parent.parent}"
        )
    renaming = renaming_text(training.details.get("renamed_features", {}))
    data = open_data_set(dataset or _own_data(training, checkpoint), renaming)
    if episodes is None and is_of_training(training, data):
        episodes = held_out_of(training, data) or None
    planner = open_planner(training, torch.device(choose_device(device)), _simulator_of(data))
    try:
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
    finally:
        planner.close()
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

    Every frame is decoded from the same noises in each number of steps, unless a server draws its own. Errors
    are measured of actions, in units of each number's standard deviation over the data set, and of moves from
    one action to the next, in units of the data's root mean square move. Numbers that never change have no
    unit, and are left out of the anatomy, which is that of answers in one step and of samples in the largest
    number of steps. What of it cannot be measured of a policy is said in `ProbedPolicy.not_measured`.

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
    scaling = scaling_of(f"data set {data.where}, action statistics", data.statistics(ACTION))
    if not any(scaling.scale):
        raise UsageError(f"the actions of data set {data.where} never change, so there is nothing to probe.")
    noise = noise_of(planner)
    counts = steps_to_probe(planner, noise, steps)
    averaged = draws_to_probe(planner, noise, draws)
    frames = spread_frames(data, planner.horizon, examples, episodes)
    groups = episodes_of(data, frames)
    asked = ask(planner, data, frames, noise, counts, averaged, on_progress)
    actions = data.chunks(frames, planner.horizon).actions.double()
    dissected = 1 in counts and asked.noise == noise and (noise != "independent" or planner.is_remote)
    sampled = max(counts) if asked.noise != "none" and (max(counts) > 1 or not dissected) else None
    may_predict_data = _may_predict_data(planner)

    def errors_of(
        of: Literal["actions", "moves"],
        scale: tuple[float, ...],
        changed: Callable[[Tensor], Tensor],
        once: Sequence[int],
    ) -> PlanErrors:
        """The errors of what `changed` makes of chunks, of plans in one step that average `once` draws."""
        answers = asked._replace(chunks={k: changed(found) for k, found in asked.chunks.items()})
        targets = changed(actions)
        anatomy = _anatomy(answers, targets, scale, dissected, sampled, groups)
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
            takes_noise=noise != "none",
            dataset=short_name(data.where),
            fingerprint=data.fingerprint,
            origin=origin,
            joints=data.action_names,
            dissected=dissected,
            same_noises=planner.takes_seeds,
            not_measured=_not_measured(planner, noise, asked),
        )

    found = measured(averaged)
    advised = found.one_step  # is measured, too
    if advised is None or advised in found.decodings:
        return found
    return measured(sorted({*averaged, advised.draws}))


def _not_measured(planner: Planner, noise: Noise, asked: Answers) -> tuple[str, ...]:
    """What cannot be measured of a policy, and why, a sentence each."""
    told = []
    if 1 not in asked.chunks:
        named = " Name a server that does: 1=ws://HOST:8000,10=ws://HOST:8001." if planner.is_remote else ""
        told.append(f"It does not decode in one step, so that there is no anatomy of one.{named}")
    if noise == "independent" and asked.noise == "none":
        told.append(
            "It answered every observation alike each time, from a noise that stays the same or from none: "
            "leak and spread are not known, and bias not apart from them."
        )
    elif noise == "independent" and not planner.is_remote:
        told.append(
            "It is random, but not by normal noise: what its answers to an observation vary by is its "
            "spread, and there is no leak to tell, nor draws to average."
        )
    elif noise == "independent" and 1 in asked.chunks:
        told.append(
            "A server answers one noise at a time, not pairs x0, -x0: what averaged draws remove of the leak "
            "is not known."
        )
    if noise == "independent" and not planner.takes_seeds and len(asked.chunks) > 1:
        told.append(
            "The server draws its own noise: different numbers of steps met the same frames, but not the "
            "same noise."
        )
    return tuple(told)


def _simulator_of(data: DataSet) -> str | None:
    """The simulator that data were made in; None unless it is installed."""
    source = demo_source(data.where)
    if source is None or source.environment not in plugins.available("environments"):
        return None
    return source.environment


def _own_data(training: StoredTraining, checkpoint: str) -> str:
    if "dataset_path" not in training.details:
        raise UsageError(f"{checkpoint} does not say what it was trained on: name a data set by --dataset.")
    return training.details["dataset_path"]


def _check_fits(planner: Planner, data: DataSet, fps: float | None) -> None:
    """Raise UsageError unless the data set has all that the policy reads, and its actions."""
    policy, has = planner.interface, replace(data.interface, fps=fps or data.interface.fps)
    state = policy.state_dim or has.state_dim  # 0: it reads none
    has.check_serves(replace(policy, state_dim=state), f"data set {data.where}")


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
    answers: Answers,
    targets: Float[Tensor, "frames times action"],
    scale: tuple[float, ...],
    dissected: bool,
    sampled: int | None,
    groups: Int64[Tensor, "frames"],
) -> Anatomy:
    """The anatomy of one step in units of `scale`, without the numbers that have none. Where one step is not
    `dissected`, the spread and error of samples alone."""
    scales = torch.tensor(scale, dtype=torch.float64)
    moving = scales > 0

    def scaled(chunks: Tensor) -> Tensor:
        return chunks[..., moving] / scales[moving]

    paired, target = answers.noise != "independent", scaled(targets)[None]
    samples = None if sampled is None else scaled(answers.chunks[sampled])
    if dissected:
        once = scaled(answers.chunks[1])
        if len(once) == 1:  # without noise, two pairs would be four times the same
            once = once.expand(4, *once.shape[1:])
        return dissect(once, targets=target, samples=samples, groups=groups, paired=paired)
    unknown = torch.full_like(target[0], torch.nan)
    if samples is None:
        return Anatomy(leak=unknown, groups=groups)
    found = dissect(samples, targets=target, samples=samples, groups=groups, paired=paired)
    return Anatomy(
        leak=unknown, model_spread=found.model_spread, sample_error=found.sample_error, groups=groups
    )


def _squared_errors(
    answers: Answers,
    targets: Float[Tensor, "frames times action"],
    averaged: Sequence[int],
    once: Sequence[int],
) -> dict[Decoding, Float[Tensor, "frames times action"]]:
    """E (plan - target)^2 of plans that average M answers, M of `averaged` or, in one step, of `once`: over
    all such plans of the noises from which every number of steps was decoded, or over one plan of more."""
    common = min(map(len, answers.chunks.values()))
    found: dict[Decoding, Tensor] = {}
    for count, every in answers.chunks.items():
        for draws in once if count == 1 else averaged:
            whole = max(common // draws, 1) * draws
            plans = every[:whole].unflatten(0, (-1, draws)).mean(1)
            found[Decoding(count, draws=draws * answers.draws)] = (plans - targets).square().mean(0)
    return found


def _may_predict_data(planner: Planner) -> bool:
    if not isinstance(planner, FlowPlanner):
        return False
    objective = planner.objective
    return objective.uses_prediction and objective.prediction.key == VelocityPrediction.key
