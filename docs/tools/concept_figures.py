"""The figures of docs/concepts.md, made by toyflow's own schedules, objectives, samplers and anatomy:

    python docs/tools/concept_figures.py

It trains four small models of a wave, which takes a minute at most, and prints the parts of their errors that
the page quotes. The figures are kept in the repository, so that the page can be read without building it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import matplotlib
import torch
from matplotlib.figure import Figure
from torch import Tensor

from toyflow import Decoding, FlowMatching, Model, draw_noise, parse_schedule
from toyflow.flow import interpolate
from toyflow.flow.anatomy import dissect_model
from toyflow.report.style import Style, save
from toyflow.toy.tasks.wave import Wave, WaveModel

FOLDER = Path(__file__).parents[1] / "concepts"
ITERATIONS = 1500
PHASE = 1.0
"""The condition under which answers are drawn, in radians."""
SMALL = (2.7, 2.3)
"""Width and height of a panel, in inches."""
SIZES: Any = {
    "axes.titlesize": 9.5,
    "axes.labelsize": 9,
    "legend.fontsize": 9,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
}
"""Of text, in points."""


def path_figure() -> Figure:
    """Straight paths from noise to the one right answer of a condition, and to two of them."""
    figure = Figure(figsize=(2 * SMALL[0], SMALL[1]), layout="constrained")
    noise = torch.randn(24, 1, generator=torch.Generator().manual_seed(3))
    times = torch.linspace(0, 1, 2)
    style = Style(["1", "-1"])
    signs = 2 * (torch.arange(24) % 2)[:, None] - 1
    for axes, answer, title in zip(
        figure.subplots(1, 2, sharey=True),
        (torch.ones(24, 1), signs.float()),
        ("one right answer: x1 = 1", "two right answers: x1 = 1 or -1"),
        strict=True,
    ):
        for x0, x1 in zip(noise, answer, strict=True):
            points = interpolate(x0.expand(2, 1), x1.expand(2, 1), times)
            axes.plot(times, points[:, 0], **_plain(style, f"{x1.item():g}"), linewidth=1)
        axes.set(title=title, xlabel="t: 0 is noise, 1 is data")
    figure.axes[0].set_ylabel("x_t = t x1 + (1 - t) x0")
    return figure


def schedule_figure() -> Figure:
    """Densities of the training time."""
    figure = Figure(figsize=(1.3 * SMALL[0], SMALL[1]), layout="constrained")
    axes = figure.subplots()
    names = ["uniform", "beta", "shift:4", "shift:8"]
    style, times = Style(names), torch.linspace(0.002, 0.998, 400)
    for name in names:
        density = parse_schedule(name).pdf(times)
        assert density is not None, f"{name} has a density"
        axes.plot(times, density, **_plain(style, name), linewidth=2, label=name)
    axes.set(xlabel="t: 0 is noise, 1 is data", ylabel="density of the training time", ylim=(0, 8.5))
    axes.legend(frameon=False)
    return figure


def ideal(x: Tensor, t: Tensor, condition: Tensor) -> Tensor:
    """E[x1 | x_t] where x1 is 1 or -1, equally likely: what an ideal network that predicts the data says."""
    return torch.tanh(x * (t / (1 - t).clamp(min=1e-3) ** 2)[:, None])


def sampler_figure() -> Figure:
    """Where the ideal model of two right answers takes eight noises, in one, two and ten Euler steps."""
    figure = Figure(figsize=(3 * 1.9, SMALL[1]), layout="constrained")
    objective = FlowMatching("uniform", prediction="data")
    noise = torch.linspace(-1.6, 1.6, 8)[:, None]
    style = Style(["path"])
    for axes, steps in zip(figure.subplots(1, 3, sharey=True), (1, 2, 10), strict=True):
        seen: list[tuple[float, Tensor]] = []

        def watched(
            x: Tensor, t: Tensor, condition: Tensor, seen: list[tuple[float, Tensor]] = seen
        ) -> Tensor:
            seen.append((float(t[0]), x))
            return ideal(x, t, condition)

        end = objective.decode(watched, torch.zeros(8, 1), noise=noise, steps=steps)
        times = [t for t, _ in seen] + [1.0]
        places = torch.stack([x for _, x in seen] + [end])[..., 0]
        axes.plot(times, places, **_plain(style, "path"), linewidth=1.2, marker="o", markersize=3)
        axes.set(title=f"K = {steps}", xlabel="t")
        for answer in (1, -1):
            axes.axhline(answer, color="0.6", linewidth=0.8, linestyle=":")
    figure.axes[0].set_ylabel("x_t")
    return figure


def trained(task: Wave, objective: FlowMatching) -> Model:
    """A model of the wave after README's recipe."""
    torch.manual_seed(0)
    model = task.build_model(WaveModel())
    optimiser = torch.optim.Adam(model.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(ITERATIONS):
        batch = task.train_batch(128, generator)
        loss = objective.loss(model, batch.observation, batch.target)
        optimiser.zero_grad()
        loss.value.backward()
        optimiser.step()
    return model


def anatomy_figure(say: Callable[[str], None] = print) -> Figure:
    """Sixteen one-step answers to one condition, and the parts of the error over 500, for four models."""
    settings: Mapping[str, tuple[dict[str, str], str, str]] = {
        "velocity, uniform": ({}, "uniform", "velocity"),
        "velocity, shift:8": ({}, "shift:8", "velocity"),
        "data, uniform": ({}, "uniform", "data"),
        "data, uniform,\ntwo right answers": ({"coin": "on"}, "uniform", "data"),
    }
    figure = Figure(figsize=(4 * 1.75, 4.2), layout="constrained")
    above, below = figure.subplots(2, 4, sharey="row", gridspec_kw={"height_ratios": (3, 2)})
    parts = ("leak", "bias", "spread")
    style = Style(["answer", *parts])
    for axes, bars, (name, (data, schedule, prediction)) in zip(above, below, settings.items(), strict=True):
        task, objective = Wave(data), FlowMatching(schedule, prediction=prediction)
        model, test = trained(task, objective), task.test_set()
        with torch.inference_mode():
            phase = torch.full((1, 1), PHASE)
            noise = draw_noise(16, lambda: torch.randn(1, 8))
            answers = torch.cat([Decoding().sample(objective, model, phase, x0) for x0 in noise])
            noise = draw_noise(16, lambda: torch.randn(500, 8))
            moments = task.conditional_moments(test.observation)
            found = dissect_model(
                objective, model, test.observation, noise, targets=test.target[None], moments=moments
            )
        wave = torch.sin(phase + torch.arange(8))[0]
        axes.plot(answers.T, **_plain(style, "answer"), linewidth=0.8, alpha=0.6)
        for right in (wave, -wave) if data else (wave,):
            axes.plot(right, color="black", linestyle=":", linewidth=2)
        axes.set(title=name.replace(", ", ",\n", 1), xlabel="point of the wave", ylim=(-1.8, 1.8))
        estimates = found.intervals()
        heights = [max(0.0, estimates[part].estimate) for part in parts]
        colours = [style.line(part)["color"] for part in parts]
        bars.bar(("leak", "bias²", "spread"), heights, color=colours)
        bars.set(yscale="log", ylim=(1e-4, 1))
        say(
            f"{' '.join(name.split())}: "
            + ", ".join(f"{p} {h:.4f}" for p, h in zip(parts, heights, strict=True))
        )
    above[0].set_ylabel("one-step answers")
    below[0].set_ylabel("squared error,\nlogarithmic")
    return figure


def _plain(style: Style, label: str) -> dict[str, Any]:
    """The colour and line style of a series, without its marker."""
    return {name: each for name, each in style.line(label).items() if name in ("color", "linestyle")}


if __name__ == "__main__":
    torch.set_num_threads(1)
    matplotlib.rcParams.update(SIZES)
    for name, make in (
        ("path", path_figure),
        ("schedules", schedule_figure),
        ("samplers", sampler_figure),
        ("anatomy", anatomy_figure),
    ):
        save(make(), FOLDER / f"{name}.png")
