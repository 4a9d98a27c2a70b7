"""Is the rule of `toyflow recommend` any good? Compare its choices with full sweeps of the same settings.

    python benchmarks/recommend.py [--out results/reference/recommend] [--only NAME,...]

For each setting: short trainings and the rule, on seeds 100 and 101; then the full sweep, on seeds 0 to 2,
in every K. The regret of a pair of schedule and K is the score of the full sweep's best pair minus its own.
The table has the rule's regret beside that of always taking one pair, which needs no training. Can be stopped
and resumed; writes OUT/regret.csv at the end.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from toyflow import Batch, Task, VectorModel, stats
from toyflow.api.command_options import RECOMMEND
from toyflow.api.recommending import recommend, seconds_of, yardstick_of
from toyflow.api.study import plan_study
from toyflow.atomic import atomic_file
from toyflow.machine import choose_device
from toyflow.report.recommendation import regret
from toyflow.report.results import load_results
from toyflow.sweep.executors import DebugExecutor, Executor, executor_of
from toyflow.sweep.run import run_missing, show_on
from toyflow.sweep.store import Store
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.task import make_task
from toyflow.toy.toy_runner import ToyRunner

RULE = "toyflow recommend"
SHORT_SEEDS, FULL_SEEDS = (100, 101), (0, 1, 2)


class Wave(Task):
    """The README's example, from a phase to 8 points of the wave: schedules differ much here."""

    name, metrics = "wave", ("close",)

    def train_batch(self, size: int, generator: torch.Generator) -> Batch:
        phase = 6.28 * torch.rand(size, 1, generator=generator)
        return Batch(phase, torch.sin(phase + torch.arange(8)))

    def test_set(self) -> Batch:
        return self.train_batch(500, torch.Generator().manual_seed(0))

    def build_model(self, options: object) -> VectorModel:
        return VectorModel(observation=1, target=8)

    def score(self, sample: torch.Tensor, test: Batch) -> dict[str, torch.Tensor]:
        return {"close": ((sample - test.target).abs().amax(1) < 0.3).float()}


@dataclass(frozen=True)
class Setting:
    """A task, its options, and the recipe of the full training."""

    name: str
    options: SweepOptions
    task: Task | None = None
    metric: str | None = None


def grid(**knobs: str) -> SweepOptions:
    return replace(RECOMMEND, set={name.replace("_", "-"): (value,) for name, value in knobs.items()})


def dial(**knobs: str) -> SweepOptions:
    return replace(grid(**knobs), task="dial", batch_size=(64,))


SETTINGS = (
    Setting("grid side 2", grid(side="2")),
    Setting("grid side 4", grid()),
    Setting("grid side 3, noise 0.5", grid(side="3", condition_noise="0.5")),
    Setting("dial coupled, 2 modes, certainty 0", dial(certainty="0")),
    Setting("dial coupled, 2 modes, certainty 0.4", dial(certainty="0.4")),
    Setting("dial coupled, 10 modes, certainty 0.4", dial(modes="10", certainty="0.4")),
    Setting(
        "dial coupled, 10 modes, certainty 0.4, by distance",
        dial(modes="10", certainty="0.4"),
        metric="total_variation",
    ),
    Setting(
        "dial independent, certainty 0.4", dial(coupling="independent", certainty="0.4"), None, "exact_match"
    ),
    Setting("wave", replace(RECOMMEND, task="wave"), Wave()),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/reference/recommend"))
    parser.add_argument("--only", default="", help="parts of names of settings, e.g. side,wave")
    arguments = parser.parse_args()
    parts = [part.strip() for part in arguments.only.split(",")]
    console = Console()
    rows: list[dict[str, object]] = []
    for setting in SETTINGS:
        if any(part in setting.name for part in parts):
            console.rule(setting.name)
            rows += measure(setting, arguments.out, console)
    frame = pd.DataFrame(rows)
    with atomic_file(arguments.out / "regret.csv") as temporary:
        frame.to_csv(temporary, index=False, float_format="%.6g")
    show(frame, console)


def measure(setting: Setting, out: Path, console: Console) -> list[dict[str, object]]:
    """A row for the rule and one for every fixed pair of schedule and K."""
    task = setting.task or make_task(setting.options.task, {k: v[0] for k, v in setting.options.set.items()})
    folder = out / setting.name.partition(", by")[0].replace(", ", "-").replace(" ", "-")
    executor: Executor = DebugExecutor() if setting.task else executor_of(setting.options)
    short = replace(setting.options, seeds=SHORT_SEEDS, out=str(folder / "short"))
    found = recommend(short, executor, show_on(console), metric=setting.metric, task=setting.task)
    cells = plan_study(replace(setting.options, seeds=FULL_SEEDS), setting.task)
    store = Store(folder / "full")
    runner = ToyRunner(task.name, choose_device("auto"), task=setting.task)
    if run_missing(cells, runner, store, executor, show_on(console)):
        raise SystemExit(f"{setting.name}: trainings failed; the same command tries them again.")
    full = load_results(store, cells)
    yardstick = yardstick_of(task, setting.metric, None)
    means = yardstick.scores(full).groupby(["label", "steps"])["value"].mean()
    probed = found.candidates["noise_end_mse"].idxmin()
    pairs = {
        RULE: found.choice,
        "law by the probe, K = 1": replace(found.choice, schedule=str(probed), steps=1),
    }
    for schedule, steps in means.index:
        pairs[f"{schedule}, K = {steps}"] = replace(found.choice, schedule=schedule, steps=int(steps))
    share = found.setting["seconds"] / seconds_of(full)
    return [
        {
            "setting": setting.name,
            "metric": yardstick.metric,
            "rule": rule,
            "law": choice.schedule,
            "steps": choice.steps,
            "regret": held.mean,
            "regret_by_seed": " ".join(f"{value:.4f}" for value in held.by_seed),
            "best_law": held.best_schedule,
            "best_steps": held.best_steps,
            "cost_share": share if rule == RULE else 0.0,
        }
        for rule, choice in pairs.items()
        if (held := regret(full, choice, yardstick))
    ]


def show(frame: pd.DataFrame, console: Console) -> None:
    """Print the choices, and the mean regret of every rule."""
    table = Table("setting", "metric", "chosen", "best of the full sweep", "regret", "cost")
    for _, line in frame[frame["rule"] == RULE].iterrows():
        table.add_row(
            line["setting"],
            line["metric"],
            f"{line['law']}, K = {line['steps']}",
            f"{line['best_law']}, K = {line['best_steps']}",
            f"{100 * line['regret']:.1f}",
            f"{line['cost_share']:.0%}",
        )
    console.print(table)
    headlines = frame[~frame["setting"].str.contains(", by ")]
    by_setting = headlines.pivot(index="setting", columns="rule", values="regret")
    steps = headlines.groupby("rule")["steps"].mean()
    rules = Table("rule", "mean regret", "worst", "mean K", "minus recommend [95 %]")
    for rule in by_setting.mean().sort_values().index:
        values = by_setting[rule]
        more = ""
        if rule != RULE and len(values) > 1:
            over = stats.over_seeds((values - by_setting[RULE]).tolist())
            more = f"{100 * over.estimate:+.1f} [{100 * over.low:+.1f}, {100 * over.high:+.1f}]"
        rules.add_row(
            rule, f"{100 * values.mean():.1f}", f"{100 * values.max():.1f}", f"{steps[rule]:.1f}", more
        )
    rules.caption = (
        f"Points of the headline metric, mean over {len(by_setting)} settings, t-intervals over settings; "
        "the rule chooses on the same test set that judges it."
    )
    console.print(rules)


if __name__ == "__main__":
    main()
