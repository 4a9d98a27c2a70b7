"""Is the rule of `toyflow recommend` any good? Compare its choices with full sweeps of the same settings.

    python benchmarks/recommend.py [--out results/recommend] [--only NAME,...] [--parts sweeps,rules,table]

For each setting (`recommend_settings.py`) the full sweep trains every schedule and prediction and decodes
each in several steps and draws, on the test split. The rules see the validation split and other seeds. The
regret of a choice is the score of the full sweep's best minus its own, on the same seeds. Beside the rule
stand every constant choice, the first rule of `recommend`, and one that reads the same training's scores. Can
be stopped and resumed; the last part writes OUT/regret.csv. An hour of one core.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from recommend_settings import SETTINGS, Setting
from rich.console import Console
from rich.table import Table

from toyflow import stats
from toyflow.api.recommending import FILE, recommend, seconds_of, yardstick_of
from toyflow.api.study import plan_study
from toyflow.atomic import atomic_file
from toyflow.flow.decoding import decoding_label
from toyflow.report.recommendation import MARGIN, cheapest, name_of
from toyflow.report.recommendation_rule import Choice
from toyflow.report.results import load_results
from toyflow.sweep.executors import DebugExecutor
from toyflow.sweep.plan import Cell
from toyflow.sweep.run import run_missing, show_on
from toyflow.sweep.store import Store
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.toy.toy_runner import ToyRunner

SCHEDULES = ("uniform", "shift:4", "shift:8", "0.5:point:0+0.5:uniform")
PREDICTIONS = ("velocity", "data")
DECODINGS = (((1,), (1, 2, 8)), ((2,), (1, 2)), ((4, 10), (1,)))
"""Steps and draws that are decoded together."""
RULE, FIRST, BY_SCORE = "toyflow recommend", "the first rule", "by the short training's scores"
IN_FULL = {
    f"{label}, steps and draws by the trained model's scores": label
    for label in ("data(shift:4)", "data(shift:8)", "shift:8", "uniform")
}
"""The cheapest decoding within the margin of the best of one training, by its scores on the other seeds."""
CONSTANT = name_of(Choice())
"""The constant choice that did best on the development settings."""
FIRST_SCHEDULES, FIRST_STEPS, FIRST_SEEDS, FIRST_FRACTION = SCHEDULES[:3], (1, 2, 4, 10), (100, 101), 0.25
"""Of the first rule, which had shift:3 where the full sweeps have shift:4."""
SHOWN = 12
"""How many of the best rules and constant choices are printed; regret.csv has all."""
PARTS = ("sweeps", "rules", "table")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("results/recommend"))
    parser.add_argument("--only", default="", help="names of settings, e.g. wave,push-t")
    parser.add_argument("--parts", default=",".join(PARTS))
    arguments = parser.parse_args()
    only = [name.strip() for name in arguments.only.split(",") if name.strip()]
    parts = arguments.parts.split(",")
    torch.set_num_threads(1)
    console = Console()
    rows: list[dict[str, object]] = []
    for setting in SETTINGS:
        if only and setting.name not in only:
            continue
        if setting.needs and not os.environ.get(setting.needs):
            console.print(f"{setting.name}: left out, as ${setting.needs} does not say where its data are.")
            continue
        if "sweeps" in parts:
            console.rule(f"{setting.name}: full sweep")
            run(setting, "test", full_cells(setting), arguments.out / setting.folder / "full", console)
        if "rules" in parts:
            console.rule(f"{setting.name}: rules")
            run_rules(setting, arguments.out, console)
        if "table" in parts:
            rows += measured(setting, arguments.out, console)
    if rows:
        frame = pd.DataFrame(rows)
        with atomic_file(arguments.out / "regret.csv") as temporary:
            frame.to_csv(temporary, index=False, float_format="%.6g")
        show(frame, console)
        draw(frame, arguments.out / "regret.png")


def full_cells(setting: Setting) -> list[Cell]:
    """The cells of the full sweep, each with all its decodings."""
    options = SweepOptions(
        schedules=SCHEDULES, predict=PREDICTIONS, seeds=setting.seeds,
        iterations=(setting.iterations,), batch_size=(setting.batch_size,),
    )  # fmt: skip
    parts = tuple(replace(options, steps=steps, draws=draws) for steps, draws in DECODINGS)
    return plan_study(replace(options, parts=parts), setting.task("test"), setting.model)


def first_cells(setting: Setting) -> list[Cell]:
    """The short trainings of the first rule."""
    options = SweepOptions(
        schedules=FIRST_SCHEDULES, steps=FIRST_STEPS, seeds=FIRST_SEEDS, batch_size=(setting.batch_size,),
        iterations=(max(1, round(FIRST_FRACTION * setting.iterations)),),
    )  # fmt: skip
    return plan_study(options, setting.task("validation"), setting.model)


def run(setting: Setting, split: str, cells: list[Cell], out: Path, console: Console) -> None:
    """Run what is missing of `cells`."""
    task = setting.task(split)
    runner = ToyRunner(task.name, "cpu", task=task)
    if run_missing(cells, runner, Store(out), DebugExecutor(), show_on(console)):
        raise SystemExit(f"{setting.name}: trainings failed; the same command tries them again.")


def run_rules(setting: Setting, out: Path, console: Console) -> None:
    """The short trainings of the rule, and of the first rule."""
    folder = out / setting.folder
    options = SweepOptions(
        iterations=(setting.iterations,), batch_size=(setting.batch_size,), device="cpu",
        seeds=FIRST_SEEDS[:1],
        set={name: (value,) for name, value in setting.model.items()}, out=str(folder / "rule"),
    )  # fmt: skip
    recommend(
        options, DebugExecutor(), show_on(console), metric=setting.metric, task=setting.task("validation")
    )
    run(setting, "validation", first_cells(setting), folder / "first", console)


@dataclass(frozen=True)
class Chosen:
    """What a rule would do, named as the full sweep names it, and the seconds that it took."""

    name: str
    seconds: float = 0.0
    note: str = ""


def choices(setting: Setting, out: Path) -> dict[str, Chosen]:
    """What each rule says of a setting."""
    folder = out / setting.folder
    found = json.loads((folder / "rule" / FILE).read_text())
    own = {key: found[key] for key in ("schedule", "prediction", "steps", "draws")}
    short, note = found["trainings"][0], f"{found['reason']}, {len(found['trainings'])}"
    scores = {
        name_of(replace(Choice(), steps=each["steps"], draws=each["draws"])): each["score"]
        for each in short["scores"]
    }
    first = load_results(Store(folder / "first"), first_cells(setting))
    yardstick = yardstick_of(setting.task("test"), setting.metric)
    means = yardstick.scores(first).groupby(["steps", "label"], sort=False)["value"].mean()
    by_steps = {f"{label} K={steps}": value for (steps, label), value in means.items()}  # pyright: ignore[reportGeneralTypeIssues]
    return {
        RULE: Chosen(name_of(Choice(**own)), found["setting"]["seconds"], note),
        BY_SCORE: Chosen(cheapest(scores, MARGIN)),
        FIRST: Chosen(first_rule(by_steps), seconds_of(first)),
    }


def first_rule(scores: Mapping[str, float]) -> str:
    """The fewest steps in which some schedule is within the margin of the best; then the best of these."""
    in_order = dict(sorted(scores.items(), key=lambda item: _steps(item[0])))
    steps = cheapest(in_order, MARGIN).partition(" ")[2]
    return max((name for name in scores if name.endswith(f" {steps}")), key=lambda name: scores[name])


def _steps(name: str) -> int:
    return int(name.partition("K=")[2].partition(" ")[0])


def measured(setting: Setting, out: Path, console: Console) -> list[dict[str, object]]:
    """A row for every rule and every constant choice; none where the sweep or a rule is not complete."""
    store, cells = Store(out / setting.folder / "full"), full_cells(setting)
    if any(cell.missing(store) for cell in cells) or not (out / setting.folder / "rule" / FILE).exists():
        console.print(f"{setting.name}: not complete, left out of the table.")
        return []
    full = load_results(store, cells)
    names = [f"{e.training.record.label} {e.record.label}" for e in full.evaluations]
    yardstick = yardstick_of(setting.task("test"), setting.metric)
    scores = yardstick.scores(full).assign(name=names).pivot(index="seed", columns="name", values="value")
    best, budget = str(scores.mean().idxmax()), seconds_of(full)
    others = {seed: scores.drop(index=seed).mean() for seed in scores.index}
    unlucky = pd.Series({seed: scores.loc[seed, means.idxmax()] for seed, means in others.items()})
    told = {rule: dict.fromkeys(scores.index, each.name) for rule, each in choices(setting, out).items()}
    told |= {str(name): dict.fromkeys(scores.index, str(name)) for name in scores.columns}
    for rule, label in IN_FULL.items():
        by_cost = [f"{label} {decoding}" for decoding in _by_cost()]
        told[rule] = {s: cheapest(dict(means[by_cost]), MARGIN) for s, means in others.items()}
    rows: list[dict[str, object]] = []
    for rule, names_by_seed in told.items():
        own = pd.Series({seed: scores.loc[seed, name] for seed, name in names_by_seed.items()})
        regrets = (scores[best] - own).tolist()
        over = stats.over_seeds(regrets) if stats.has_spread(regrets) else None
        chosen = choices(setting, out).get(rule, Chosen(""))
        rows.append(
            {
                "setting": setting.name,
                "development": setting.development,
                "metric": yardstick.metric,
                "rule": rule,
                "choice": " or ".join(dict.fromkeys(names_by_seed.values())),
                "steps": sum(map(_steps, names_by_seed.values())) / len(names_by_seed),
                "score": own.mean(),
                "score_by_seed": " ".join(f"{value:.4f}" for value in own),
                "regret": sum(regrets) / len(regrets),
                "regret_low": over.low if over else None,
                "regret_high": over.high if over else None,
                "regret_of_other_seeds_best": float((unlucky - own).mean()),
                "best": best,
                "cost_share": chosen.seconds / budget,
                "note": chosen.note,
            }
        )
    return rows


def _by_cost() -> list[str]:
    """The decodings of the full sweep, the cheapest first."""
    return [
        decoding_label(steps, None, None, draws)
        for every_steps, every_draws in DECODINGS
        for steps in every_steps
        for draws in every_draws
    ]


def show(frame: pd.DataFrame, console: Console) -> None:
    """Print the choices of the rule, and the mean regret of every rule over the settings that test it."""
    table = Table(
        "setting", "metric", "choice of the rule", "why", "best of the full sweep", "regret", "cost"
    )
    for _, line in frame[frame["rule"] == RULE].iterrows():
        mark = " (development)" if line["development"] else ""
        table.add_row(
            line["setting"] + mark, line["metric"], line["choice"], line["note"], line["best"],
            f"{100 * line['regret']:.1f} ({100 * line['regret_of_other_seeds_best']:+.1f})",
            f"{line['cost_share']:.0%}",
        )  # fmt: skip
    table.caption = "Regret in points: against the best mean, and (against the best by the other seeds)."
    console.print(table)
    console.print(summary(frame[~frame["development"]]))


def draw(frame: pd.DataFrame, path: Path) -> None:
    """The regret of some rules and constant choices, setting by setting."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = {
        CONSTANT: ("D", "#1f4e9c"), "data(shift:8) K=1 M=8": ("s", "#e07a1f"),
        "shift:8 K=1": ("^", "#b02a5b"), FIRST: ("x", "#777777"), RULE: ("o", "#000000"),
    }  # fmt: skip
    settings = list(dict.fromkeys(frame["setting"]))
    seen = frame.groupby("setting")["development"].first()
    figure, axes = plt.subplots(figsize=(5.0, 0.24 * len(settings) + 1.6), layout="constrained")
    for rule, (marker, colour) in shown.items():
        regrets = frame[frame["rule"] == rule].set_index("setting")["regret"].reindex(settings)
        ring = {"markersize": 9, "markerfacecolor": "none", "markeredgewidth": 1.6} if rule == RULE else {}
        axes.plot(100 * regrets, range(len(settings)), marker, color=colour, label=rule, **ring)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlim(-0.1, 110)
    axes.set_xticks([0, 1, 3, 10, 30, 100], ["0", "1", "3", "10", "30", "100"])
    axes.set_yticks(range(len(settings)), [f"{n} *" if seen[n] else n for n in settings])
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_xlabel("points below the best of the sweep\n(* the rule was made on it)")
    figure.legend(loc="outside lower center", ncols=2, fontsize=8, frameon=False)
    figure.savefig(path, dpi=200)


def summary(tests: pd.DataFrame) -> Table:
    """Mean regret of every rule over the settings that test it, and paired with the rule."""
    regrets = tests.pivot(index="setting", columns="rule", values="regret")
    steps = tests.groupby("rule")["steps"].mean()
    table = Table("rule", "mean regret", "median", "worst", "mean K", "minus recommend [95 %]")
    named = (RULE, BY_SCORE, FIRST, CONSTANT, "shift:8 K=1", *IN_FULL)
    for place, rule in enumerate(regrets.mean().sort_values().index):
        if place >= SHOWN and rule not in named:
            continue
        values, more = regrets[rule], ""
        if rule != RULE and len(values) > 1 and (values != regrets[RULE]).any():
            over = stats.over_seeds((values - regrets[RULE]).tolist())
            more = f"{100 * over.estimate:+.1f} [{100 * over.low:+.1f}, {100 * over.high:+.1f}]"
        table.add_row(
            str(rule), f"{100 * values.mean():.1f}", f"{100 * values.median():.1f}",
            f"{100 * values.max():.1f}", f"{steps[rule]:.1f}", more,
        )  # fmt: skip
    table.caption = (
        f"Points of each setting's metric, over {len(regrets)} settings that the rule was not made on; "
        "t-intervals over settings."
    )
    return table


if __name__ == "__main__":
    main()
