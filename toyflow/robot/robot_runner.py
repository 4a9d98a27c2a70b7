"""The robot's side of a sweep: train a policy on demonstrations, evaluate it in closed loop.

Over 300 lines, as training and evaluation share device, data sets and folders of a cell.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from toyflow.cluster import Cluster
from toyflow.errors import UsageError
from toyflow.machine import choose_device, cores, device_name
from toyflow.machine_load import LoadMeter
from toyflow.robot.data.data_set import STATE, DataSet
from toyflow.robot.data.data_source import open_data_set, short_name
from toyflow.robot.data.demo_source import demo_source
from toyflow.robot.data.frames import open_frames
from toyflow.robot.data.training_part import Demonstrations, held_out_episodes
from toyflow.robot.handover import parse_handover
from toyflow.robot.interface import Observation
from toyflow.robot.planner import Planner
from toyflow.robot.policy.card import write_card
from toyflow.robot.policy.checkpoint import build_policy
from toyflow.robot.policy.logs import Logs, check_wandb
from toyflow.robot.policy.policy_training import batches, train_on_nothing, train_policy, weights_of
from toyflow.robot.policy_opening import open_planner
from toyflow.robot.policy_ranges import trained_ranges
from toyflow.robot.probe_moments import bench_of
from toyflow.robot.shards import SentPolicy, run_shards
from toyflow.robot.simulation.conventions import action_doubts, state_doubts
from toyflow.robot.simulation.environment import load_environment
from toyflow.robot.simulation.evaluation import Run, counts, evaluate_policy, missing_tasks
from toyflow.robot.simulation.rollout import EpisodeOutcome, run_episodes
from toyflow.robot.simulation.trials import Trials
from toyflow.seeds import generator
from toyflow.sweep.records import EvaluationRecord, TrainingRecord
from toyflow.sweep.runner import Estimate, OnProgress, Runner, Seconds
from toyflow.sweep.store import Store
from toyflow.sweep.stored import Evaluated, StoredTraining, Trained, errors_in_words
from toyflow.sweep.subject import Subject
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.sweep.timing import iteration_seconds
from toyflow.training import Bench, CurvePoint, PolicyRecipe, measure_cost
from toyflow.training.process_group import SINGLE, ProcessGroup

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class RobotRunner(Runner):
    """Trains and evaluates policies on one device with a fixed number of threads.

    Attributes:
        device: cpu, cuda or auto; `auto` is chosen on each machine.
        threads: threads of PyTorch.
        out: the results folder.
        data_sets: (folder or hub name, renamed features) of the demonstrations, by fingerprint.
        simulators: simulators that run at a time, for each cell.
        videos: episodes of each task and decoding that are filmed.
        wandb: a project of Weights & Biases to log to, or None.
        cluster: where simulators run, with a copy of the policy each; None for this machine.
        accumulate: parts into which a batch, or a process's share of it, is split to save memory.
        bfloat16: train in mixed precision on a CPU, too; on a GPU it is the rule.
        group: the processes that train together.
    """

    device: str
    threads: int
    out: str
    data_sets: Mapping[str, tuple[str, str]]
    simulators: int
    videos: int = 0
    wandb: str | None = None
    cluster: Cluster | None = None
    accumulate: int = 1
    bfloat16: bool = False
    group: ProcessGroup = SINGLE

    @classmethod
    def from_options(cls, subject: type[Subject], options: SweepOptions) -> RobotRunner:
        """See `Runner`. Opens every data set that the options name, for its fingerprint."""
        places: dict[str, tuple[str, str]] = {}
        choices = [choice for sweep in options.sweeps for choice in sweep.choices()]
        chosen = [Demonstrations.parse(choice) for choice in choices if choice.get("dataset")]
        for where, rename in dict.fromkeys((each.dataset, each.rename) for each in chosen):
            there = Path(where).expanduser()
            place = str(there.resolve()) if there.exists() else where
            places[open_data_set(where, rename).fingerprint] = place, rename
        return cls(options.device, options.threads, options.out, places, cores())

    @classmethod
    def bench(
        cls, training: StoredTraining, examples: int, device: torch.device, data_dir: str | None = None
    ) -> Bench:
        """See `Runner`: frames of the demonstrations; `data_dir` says where these are now, if they moved."""
        return bench_of(training, examples, device, data_dir)

    def train(self, record: TrainingRecord, on_progress: OnProgress) -> Trained:
        """Train the policy of `record`, from its last checkpoint where there is one."""
        torch.set_num_threads(self.threads)
        device = self._device
        data = self._data_set(record)
        policy, objective = build_policy(record, data)
        policy.to(device)
        recipe = PolicyRecipe(**record.recipe)  # pyright: ignore[reportArgumentType]
        cameras, size = policy.spec.interface.cameras, policy.spec.image_size
        frames = open_frames(
            data,
            cameras,
            size,
            lambda done, total: on_progress("decoding images", done, total, None),
            readers=self.group.local_world_size,
        )
        held_out = Demonstrations.parse(record.data).hold_out
        example = next(batches(policy, data, frames, replace(recipe, batch_size=1), record.seed))
        cost = measure_cost(policy, objective, (example.observation, example.target))
        with ExitStack() as stack:
            logs = Logs(Path(self.out) / "logs" / record.key, record, self.wandb)
            listening = [stack.enter_context(logs)] if self.group.is_main else []

            def on_point(point: CurvePoint) -> None:
                speed = point.iteration * recipe.batch_size / max(point.seconds, 1e-9)
                for each in listening:
                    each.write(point, speed)
                on_progress("training", point.iteration, recipe.iterations, _in_words(point, speed))

            trainer = train_policy(
                policy,
                objective,
                lambda start: batches(
                    policy, data, frames, recipe, record.seed, start, self.group.own, held_out
                ),
                recipe,
                generator(record.seed, "noise"),
                self._work(record.key),
                on_point,
                torch.bfloat16 if self._mixed else None,
                self.group,
                self.accumulate,
            )
        counts = policy.parameter_counts()
        details = {
            "parameters": counts["total"],
            "backbone_parameters": counts["backbone"],
            **asdict(cost),
            "training_passes": objective.training_passes._asdict(),
            "seconds": trainer.curve.seconds,
            "final_loss": trainer.curve.points[-1].loss,
            "policy": policy.spec.as_dict(),
            "normalisation": policy.normalisation.as_dict(),
            "motion": data.motion(),
            "action_names": list(data.action_names),
            "state": _state_of(data),
            "frames": data.frames,
            "episodes": data.episodes,
            "held_out_episodes": sorted(held_out_episodes(data.episodes, held_out)),
            "prompts": list(data.prompts),
            "made_of": source.as_dict() if (source := demo_source(data.where)) else {},
            **({"renamed_features": data.renaming} if data.renaming else {}),
            **({"camera_features": other_names} if (other_names := data.names.other_names()) else {}),
            "dataset": short_name(data.where),
            "dataset_path": str(Path(data.where).resolve()) if Path(data.where).exists() else data.where,
        }
        return Trained(dict(weights_of(trainer)), pd.DataFrame(trainer.curve.rows()), details)

    def evaluate(
        self, training: StoredTraining, evaluations: Sequence[EvaluationRecord], on_progress: OnProgress
    ) -> Iterator[Evaluated]:
        """Run every evaluation's episodes: the same initial states and noise for each decoding."""
        for environment, alike in groupby(evaluations, lambda each: Trials.parse(each.test_set).environment):
            yield from self._evaluate_in(environment, training, list(alike), on_progress)

    def _evaluate_in(
        self,
        environment: str,
        training: StoredTraining,
        evaluations: Sequence[EvaluationRecord],
        on_progress: OnProgress,
    ) -> Iterator[Evaluated]:
        torch.set_num_threads(self.threads)
        planner = open_planner(training, self._device, environment)
        load = LoadMeter(self.threads)
        latencies = planner.latencies([record.decoding for record in evaluations])
        timed_under = load.load()
        for record, latency in zip(evaluations, latencies, strict=True):
            trials = Trials.parse(record.test_set)
            interface = load_environment(trials.environment).interface
            interface.check_serves(planner.interface, trials.environment)
            for doubt in action_doubts(load_environment(trials.environment), trained_ranges(training)[1]):
                LOG.warning("conventions differ? %s", doubt)
            planner.set_decoding(record.decoding)
            if parse_handover(trials.handover).continues:
                planner.check_continues()
            planner.stage_seconds.clear()

            def on_episode(
                done: int, total: int, outcomes: Sequence[EpisodeOutcome], label: str = record.label
            ) -> None:
                right = sum(outcome.success for outcome in outcomes)
                lost = sum(outcome.error is not None for outcome in outcomes)
                scores = [outcome.score for outcome in outcomes if outcome.score is not None]
                beside = f", mean score {np.mean(scores):.2f}" if scores else ""
                beside += f", {errors_in_words(lost)}" if lost else ""
                on_progress(
                    "evaluating", done, total, f"{label}: {right} of {done - lost} episodes solved{beside}"
                )

            workers: set[str] = set()
            outcomes = evaluate_policy(
                planner, trials, record, self.rollouts(training.record.key),
                self._run(training, planner, record, workers), self.videos, on_episode,
            )  # fmt: skip
            details = {
                **counts(outcomes),
                "model_calls": planner.model_calls,
                "encode_seconds": planner.stage_seconds["condition"],
                "decode_seconds": planner.stage_seconds["decoding"],
                **({"network_seconds": network} if (network := planner.stage_seconds.get("network")) else {}),
                **({"load": asdict(timed_under)} if timed_under else {}),
                "latency_ms": {**latency.as_dict(), "plan": {record.label: asdict(latency.plan)}},
                "trials": vars(trials),
                **({"missing": missing} if (missing := missing_tasks(trials)) else {}),
                **({"workers": sorted(workers)} if workers else {}),
            }
            yield Evaluated(outcomes, details)

    def estimate(self, record: TrainingRecord, evaluations: Sequence[EvaluationRecord]) -> Iterator[Estimate]:
        """See `Runner`: iterations are timed without loading their data; an episode is taken at 300 control
        steps of 1/25 s."""
        torch.set_num_threads(self.threads)
        policy, objective = build_policy(record, self._data_set(record))
        policy.to(self._device)
        recipe = PolicyRecipe(**record.recipe)  # pyright: ignore[reportArgumentType]
        trials = [Trials.parse(evaluation.test_set) for evaluation in evaluations]
        episodes = sum(len(each.tasks) * len(each.states) for each in trials)
        evaluating = episodes * 300 / 25 / self.simulators
        for seconds in iteration_seconds(
            partial(train_on_nothing, policy, objective, recipe), recipe.batch_size
        ):
            yield Estimate(seconds.times(recipe.iterations), Seconds(evaluating, evaluating))

    def prepare(self, records: Sequence[TrainingRecord]) -> None:
        """Open the data set and build the policy of every record that is still to be trained, to fail
        early."""
        store = Store(self.out)
        records = [record for record in records if not store.has_training(record)]
        if records:
            check_wandb(self.wandb)
        for record in {record.alike: record for record in records}.values():
            build_policy(record, self._data_set(record), "meta")
        if earlier := [record for record in records if self._was_trained_earlier(record, store)]:
            LOG.warning(
                "%d of the policies to train are in %s already, under the earlier kind of fingerprint, which "
                "did not cover pictures and prompts, so nobody can tell whether they saw the data as it is "
                "now. They are trained anew; the earlier ones stay and are reported beside.",
                len(earlier), store.root,
            )  # fmt: skip

    def environment(self) -> dict[str, Any]:
        """The device, its threads and precision, and how many processes and parts share a batch."""
        kind = self._device.type
        return {
            "device": kind,
            "device_name": device_name(kind),
            "threads": self.threads,
            "precision": "bfloat16" if self._mixed else "float32",
            "processes": self.group.world_size,
            "accumulate": self.accumulate,
        }

    def elsewhere(self, out: str, processors: int) -> RobotRunner:
        """See `Runner`."""
        return replace(self, out=out, simulators=processors)

    def finish(self, store: Store, key: str) -> None:
        """Write the model card; delete the checkpoints of the training."""
        write_card(store, key)
        shutil.rmtree(self._work(key), ignore_errors=True)

    def _run(
        self, training: StoredTraining, planner: Planner, record: EvaluationRecord, workers: set[str]
    ) -> Run:
        if self.cluster is None:
            trials, (states, _) = Trials.parse(record.test_set), trained_ranges(training)
            environment = load_environment(trials.environment)

            def on_first(observation: Observation) -> None:
                for doubt in state_doubts(environment, states, observation):
                    LOG.warning("conventions differ? %s", doubt)

            return partial(run_episodes, planner=planner, workers=self.simulators, on_first=on_first)
        self.cluster.connect()
        policy = SentPolicy.of(training, self.device, self.threads, record.decoding)
        return partial(run_shards, self.cluster, policy, planner.stage_seconds, workers)

    @property
    def _mixed(self) -> bool:
        return self.bfloat16 or self._device.type == "cuda"

    def _work(self, key: str) -> Path:
        return Path(self.out) / "training" / key

    def rollouts(self, key: str) -> Path:
        """Where the episodes and videos of a policy are kept."""
        return Path(self.out) / "rollouts" / key

    @property
    def _device(self) -> torch.device:
        """The device on this machine: `auto` where a cluster has the one that is asked for and this has
        not."""
        try:
            return torch.device(choose_device(self.device))
        except UsageError:
            if self.cluster is None:
                raise
            return torch.device(choose_device("auto"))

    def _place(self, record: TrainingRecord) -> tuple[str, str]:
        fingerprint = record.data.get("fingerprint", "")
        if fingerprint not in self.data_sets:
            raise UsageError("name the demonstrations to train on: --dataset FOLDER_OR_HUB_NAME.")
        return self.data_sets[fingerprint]

    def _was_trained_earlier(self, record: TrainingRecord, store: Store) -> bool:
        """Whether `store` has this training under the data set's name and `earlier_fingerprint`."""
        data = self._data_set(record)
        known = {"dataset": short_name(data.where), "fingerprint": data.earlier_fingerprint}
        return store.has_training(replace(record, data={**record.data, **known}))

    def _data_set(self, record: TrainingRecord) -> DataSet:
        """The data set of `record`. Raises UsageError where this machine has another one under its name."""
        data = open_data_set(*self._place(record))
        if not data.is_of(record.data):
            raise UsageError(
                f"data set {data.where} has changed, or is another one here: its fingerprint is "
                f"{data.fingerprint}, not {record.data['fingerprint']}."
            )
        return data


def _state_of(data: DataSet) -> dict[str, Any]:
    """Names and range of the states of a data set."""
    statistics = data.statistics(STATE)
    both = {"lower": statistics.get("min"), "upper": statistics.get("max")}
    known = {name: np.asarray(numbers).tolist() for name, numbers in both.items() if numbers is not None}
    return {"names": list(data.state_names), **(known if len(known) == 2 else {})}


def _in_words(point: CurvePoint, samples_per_second: float) -> str:
    bins = [loss for loss in point.loss_by_noise if loss == loss]
    by_noise = f"{bins[0]:.2f} near data, {bins[-1]:.2f} near noise"
    return f"loss {point.loss:.3f} ({by_noise}), {samples_per_second:.0f} samples/s"
