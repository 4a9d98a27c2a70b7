"""The options of a sweep: defaults, then a preset, then flags."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from itertools import product
from typing import Any

from toyflow.errors import UsageError, unknown
from toyflow.parsing import parse_draws, parse_numbers, parse_steps

EXECUTORS = ("local", "debug", "ray")
DEFAULT_SCHEDULES = ("beta", "uniform")
RECIPE_NUMBERS = ("iterations", "batch_size", "learning_rate")
"""Numbers of a recipe that a sweep may vary."""
OF_A_PART = (
    "schedules", "objectives", "steps", "seeds", "samplers", "predict", "grid", "draws", "set", "variants",
    "iterations", "batch_size", "learning_rate", "time_sampling",
)  # fmt: skip
"""What a part of a sweep may have of its own; the rest, such as `task` and `out`, is one for all parts."""


@dataclass(frozen=True)
class SweepOptions:
    """The options of a sweep; the names are those of the flags of `toyflow sweep` and of the keys of presets.

    Attributes:
        task: name of the task.
        schedules: names of the training-time schedules; None for `DEFAULT_SCHEDULES`, where an objective uses
            one.
        objectives: names of the objectives.
        steps: numbers K of denoising steps to decode in.
        seeds: training seeds.
        samplers: names of the samplers.
        predict: names of what the model says: `velocity`, `data`, ...
        grid: names of the times of the steps: `uniform`, a schedule's name, or times such as `0:0.9:1`.
        draws: numbers M of noises whose answers are averaged: 1 or even.
        set: values of the task's own options by name; every combination is run.
        variants: further options of the task, one setting each, on top of `set`; in presets only.
        iterations, batch_size, learning_rate: numbers of the recipe; every combination is run. None is the
            task's own.
        time_sampling: how the times of a batch are drawn: stratified or iid.
        device: auto, cpu, cuda or mps.
        executor: where cells run: local, debug or ray.
        address: of the Ray cluster; None for $RAY_ADDRESS, or a new cluster on this machine.
        cpus_per_cell: processors that Ray reserves for a cell; None for as many as `threads`.
        gpus_per_cell: GPUs that Ray reserves for a cell, or a share of one.
        jobs: cells that run at a time; None for one per processor, or as many as the cluster takes.
        threads: of each cell.
        data_dir: folder of data sets that toyflow does not carry.
        out: the results folder.
        parts: sweeps of which this one is the union, each with options of its own on top of these; in presets
            only, as tables `[[parts]]`. See `updated`.
    """

    task: str = "grid-to-sequence"
    schedules: tuple[str, ...] | None = None
    objectives: tuple[str, ...] = ("flow",)
    steps: tuple[int, ...] = (1, 10)
    seeds: tuple[int, ...] = (0, 1, 2)
    samplers: tuple[str, ...] = ("euler",)
    predict: tuple[str, ...] = ("velocity",)
    grid: tuple[str, ...] = ("uniform",)
    draws: tuple[int, ...] = (1,)
    set: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    variants: tuple[Mapping[str, str], ...] = ()
    iterations: tuple[int, ...] | None = None
    batch_size: tuple[int, ...] | None = None
    learning_rate: tuple[float, ...] | None = None
    time_sampling: str = "stratified"
    device: str = "auto"
    executor: str = "local"
    address: str | None = None
    cpus_per_cell: float | None = None
    gpus_per_cell: float = 0
    jobs: int | None = None
    threads: int = 1
    data_dir: str | None = None
    out: str = "results/sweep"
    parts: tuple[SweepOptions, ...] = ()

    def __post_init__(self) -> None:
        for name in ("iterations", "batch_size", "learning_rate"):  # a single number is a list of one
            if isinstance(value := getattr(self, name), int | float):
                object.__setattr__(self, name, (value,))  # the class is frozen

    def updated(self, values: Mapping[str, Any], origin: str) -> SweepOptions:
        """These options with `values` in their place; None leaves one as it is. `origin` is where they
        were written ("--steps" is for flags), for the message.

        Parts that are there already get the values, too. `parts` among the values takes their place: tables
        of options that each part has in place of those here. `set` adds up, option by option.

        Raises:
            UsageError: an unknown key, a value that does not fit it, or a part with a key that is one for all
                parts.

        Example:
            >>> parts = [{"objectives": ["mip"], "learning-rate": 0.002}, {"predict": ["velocity", "data"]}]
            >>> options = SweepOptions().updated({"seeds": [0], "parts": parts}, "preset x")
            >>> [part.seeds for part in options.updated({"seeds": "5-6"}, "flags").parts]
            [(5, 6), (5, 6)]
        """
        parsed = self._parsed(values, origin)
        tables = parsed.pop("parts", None)
        if tables is None:
            return replace(self, **parsed, parts=tuple(part.updated(values, origin) for part in self.parts))
        whole = replace(self, **parsed, parts=())
        return replace(whole, parts=tuple(whole._part(table, origin, i) for i, table in enumerate(tables, 1)))

    def _parsed(self, values: Mapping[str, Any], origin: str) -> dict[str, Any]:
        """Fields by name, from `values` as `updated` takes them."""
        names = {f.name for f in fields(self)}
        parsed: dict[str, Any] = {}
        for key, value in values.items():
            name = key.replace("-", "_")
            if name not in names:
                raise unknown(f"key in {origin}", key, (n.replace("_", "-") for n in names))
            if value is not None:
                where = f"--{name.replace('_', '-')}" if origin == "flags" else f"{origin}: {key}"
                parsed[name] = _PARSERS[name](value, where)
        if "set" in parsed:
            parsed["set"] = {**self.set, **parsed["set"]}
        return parsed

    def _part(self, table: Mapping[str, Any], origin: str, number: int) -> SweepOptions:
        """These options with those of a part's table, the `number`-th of its list."""
        origin = f"part {number} of {origin}"
        parsed = self._parsed(table, origin)
        for key in table:
            if key.replace("-", "_") not in OF_A_PART:
                raise UsageError(f"{origin} sets {key}, which is one for all parts: set it above [[parts]].")
        return replace(self, **parsed)

    def with_set(self, values: Mapping[str, tuple[str, ...]]) -> SweepOptions:
        """These options, and their parts, with these values of the task's own options.

        Example:
            >>> SweepOptions(set={"side": ("2", "3")}).with_set({"side": ("4",)}).set
            {'side': ('4',)}
        """
        parts = tuple(part.with_set(values) for part in self.parts)
        return replace(self, set={**self.set, **values}, parts=parts)

    @property
    def sweeps(self) -> tuple[SweepOptions, ...]:
        """The sweeps that these options describe: their parts, or these options alone."""
        return self.parts or (self,)

    def choices(self) -> list[dict[str, str]]:
        """Every choice of the task's own options that is named: the product of `set`, under each variant."""
        return [
            {**dict(zip(self.set, values, strict=True)), **variant}
            for values in product(*self.set.values())
            for variant in self.variants or ({},)
        ]

    def recipes(self) -> list[dict[str, float]]:
        """Every combination of the numbers of the recipe that are named, by field.

        Example:
            >>> SweepOptions(batch_size=(16, 64), learning_rate=(0.001,)).recipes()
            [{'batch_size': 16, 'learning_rate': 0.001}, {'batch_size': 64, 'learning_rate': 0.001}]
        """
        given = {name: values for name in RECIPE_NUMBERS if (values := getattr(self, name)) is not None}
        return [dict(zip(given, numbers, strict=True)) for numbers in product(*given.values())]


def _names(value: Any, where: str) -> tuple[str, ...]:
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
        raise UsageError(f"{where} must be names separated by commas, got {value!r}.")
    names = tuple(item.strip() for item in items if item.strip())
    if not names:
        raise UsageError(f"{where} is empty.")
    return names


def _count(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{where} must be a whole number of 1 or more, got {value!r}.")
    return value


def _positive(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= sys.float_info.max:
        raise UsageError(f"{where} must be a number above 0, got {value!r}.")
    return float(value)


def _each(check: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    """The parser of one value or several that pass `check`: `300,1000`, a list, or a number."""

    def parse(value: Any, where: str) -> tuple[Any, ...]:
        items = value.split(",") if isinstance(value, str) else value
        items = items if isinstance(items, Sequence) else [items]
        numbers = tuple(dict.fromkeys(check(_number(item), where) for item in items))
        if not numbers:
            raise UsageError(f"{where} is empty.")
        return numbers

    return parse


def _number(item: Any) -> Any:
    """The number that text stands for, or `item` itself."""
    for kind in (int, float) if isinstance(item, str) else ():
        try:
            return kind(item)
        except ValueError:
            continue
    return item


def _executor(value: Any, where: str) -> str:
    if value not in EXECUTORS:
        raise unknown(where, str(value), EXECUTORS)
    return value


def _amount(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= sys.float_info.max:
        raise UsageError(f"{where} must be a number of 0 or more, got {value!r}.")
    return float(value)


def _settings(value: Any, where: str) -> dict[str, tuple[str, ...]]:
    """A table of lists, or a list of `name=value,value`."""
    if isinstance(value, Mapping):
        return {
            key: _names(
                [str(v) for v in values] if isinstance(values, list) else str(values), f"{where} {key}"
            )
            for key, values in value.items()
        }
    if not isinstance(value, list | tuple):
        raise UsageError(f"{where} must be a table of options, got {value!r}.")
    settings: dict[str, tuple[str, ...]] = {}
    for item in value:
        name, equals, values = str(item).partition("=")
        if not equals or not name.strip():
            raise UsageError(f"{where} must be NAME=VALUE,VALUE, got {str(item)!r}.")
        if name.strip() in settings:
            raise UsageError(f"{where} {name.strip()} is given twice; write {name.strip()}=VALUE,VALUE.")
        settings[name.strip()] = _names(values, f"{where} {name.strip()}")
    return settings


def _variants(value: Any, where: str) -> tuple[Mapping[str, str], ...]:
    """A list of tables of single values."""
    if not isinstance(value, list) or not all(isinstance(variant, Mapping) for variant in value):
        raise UsageError(f"{where} must be tables of options, [[variants]], got {value!r}.")
    return tuple({str(name): str(of) for name, of in variant.items()} for variant in value)


def _parts(value: Any, where: str) -> tuple[Mapping[str, Any], ...]:
    """A list of tables of options; an empty one stands for a sweep without parts."""
    if not isinstance(value, list) or not all(isinstance(part, Mapping) for part in value):
        raise UsageError(f"{where} must be tables of options, [[parts]], got {value!r}.")
    return tuple(value)


def _one_name(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where} must be a name, got {value!r}.")
    return value.strip()


_PARSERS: dict[str, Any] = {
    "task": _one_name,
    "schedules": _names,
    "objectives": _names,
    "steps": parse_steps,
    "seeds": parse_numbers,
    "samplers": _names,
    "predict": _names,
    "grid": _names,
    "draws": parse_draws,
    "set": _settings,
    "variants": _variants,
    "iterations": _each(_count),
    "batch_size": _each(_count),
    "learning_rate": _each(_positive),
    "time_sampling": _one_name,
    "device": _one_name,
    "executor": _executor,
    "address": _one_name,
    "cpus_per_cell": _amount,
    "gpus_per_cell": _amount,
    "jobs": _count,
    "threads": _count,
    "data_dir": _one_name,
    "out": _one_name,
    "parts": _parts,
}
