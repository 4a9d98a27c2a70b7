"""How results of `dial` are held against claims 7a to 7c of `findings`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from toyflow.report.contrasts import Contrast, contrast
from toyflow.report.effects import Effect, percent
from toyflow.report.evidence import ANY, Data
from toyflow.report.judgement import LEARNED, Judgement, conclude

CLEARLY = 0.10
"""A difference of proportions that is more than a matter of degree."""


def _between(low: float, high: float) -> Callable[[str], bool]:
    return lambda value: low <= float(value) <= high


def _dial_steps(
    data: Data, metric: str, among: str | None = None, **wanted: Any
) -> tuple[int, Contrast | None]:
    """Many, and one step minus many, where several tiles are ambiguous, `among` so many modes."""
    wanted |= {"modes": among or _between(2, 10), "tiles": _between(2, 16)}
    many = data.many(**wanted)
    one, ten = (data.flow(ANY, k, **wanted) for k in (1, many))
    alike = ["schedule", "modes", "certainty", "tiles"]
    return many, contrast(one, ten, metric, alike) if many > 1 else None


def _modes(data: Data, **wanted: Any) -> list[str]:
    """How many modes there are in what was run."""
    return sorted(set(data.flow(ANY, 1, modes=ANY, **wanted)["modes"]), key=int)


def one_step_mixes_modes(data: Data) -> Judgement | None:
    """Claim 7a: possible outcomes with equal modes, many steps minus one."""
    fair = {"coupling": "coupled", "certainty": _between(0, 0)}
    told, learned = [], []
    for modes in _modes(data, **fair):
        many, over = _dial_steps(data, "valid", **fair, among=modes)
        if over is None:
            continue
        said = f"with {modes} modes {percent(over.first)} at K = 1 and {percent(over.second)} at K = {many}"
        if max(over.first.mean(), over.second.mean()) > CLEARLY:
            learned.append(Effect(f"K = {many} minus K = 1, {modes} modes", over.reversed(), CLEARLY))
            told.append(said)
        else:
            told.append(f"{said} (neither has learned anything, so this is no evidence)")
    if not learned:
        return None
    evidence = (
        f"One fair die for all tiles; possible outcomes: {'; '.join(told)}; clearly means by more than "
        f"{100 * CLEARLY:g} points"
    )
    return conclude(evidence, *learned)


def one_step_takes_the_likeliest(data: Data) -> Judgement | None:
    """Claim 7b: right tiles with independent choices, one step minus many."""
    many, over = _dial_steps(data, "tile_accuracy", coupling="independent", certainty=_between(0.01, 0.99))
    if over is None:
        return None
    evidence = (
        f"With a die for each tile, one face being likelier, {percent(over.first)} of the tiles are right "
        f"at K = 1 and {percent(over.second)} at K = {many}"
    )
    return conclude(evidence, Effect(f"K = 1 minus K = {many}", over))


def one_step_loses_modes(data: Data) -> Judgement | None:
    """Claim 7c: total variation with one likelier mode, one step minus many."""
    coupled = {"coupling": "coupled", "certainty": _between(0.01, 0.99)}
    many, farther = _dial_steps(data, "total_variation", **coupled)
    if farther is None:
        return None
    told, single, valid = [], [], []
    for modes in _modes(data, **coupled):
        _, over = _dial_steps(data, "total_variation", **coupled, among=modes)
        _, possible = _dial_steps(data, "valid", **coupled, among=modes)
        if over is None or possible is None:
            continue
        unlearned = f" ({many} steps have not learned it)" if possible.second.mean() < LEARNED else ""
        name = f"total variation at K = 1 minus at K = {many}, {modes} modes{unlearned}"
        single.append(Effect(name, over, unit=""))
        valid += [possible.first, possible.second]
        told.append(
            f"with {modes} modes {over.first.mean():.2f} at K = 1, {over.second.mean():.2f} at K = {many}, "
            f"and possible outcomes {percent(possible.first)} and {percent(possible.second)}{unlearned}"
        )
    evidence = (
        f"One die for all tiles, one face being likelier; total variation to the truth: {'; '.join(told)}"
    )
    return conclude(evidence, *single, of=valid) if single else None
