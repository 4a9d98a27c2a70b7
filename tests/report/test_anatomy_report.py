"""The anatomy of models as a table, a figure and sentences."""

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib.patches import Rectangle
from rich.console import Console
from torch import Tensor

from toyflow.flow.anatomy import Moments, dissect
from toyflow.report.anatomy_report import (
    DissectedModel,
    anatomy_figure,
    anatomy_frame,
    anatomy_sentences,
    anatomy_table,
    over_seeds,
)


def model(
    label: str, odd: float, *, even: float = 0.0, seed: int = 0, variant: str = "", **given
) -> DissectedModel:
    """Of 400 conditions and 2 numbers: leaks of these sizes, and an answer that is 0 without noise."""
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(8, 400, 2, generator=generator, dtype=torch.float64)
    x0 = torch.stack([noise, -noise], dim=1).flatten(0, 1)
    answers = odd**0.5 * x0 + (even / 2) ** 0.5 * (x0.square() - 1)
    if "target" in given:
        given["targets"] = torch.full((1, 400, 2), given.pop("target"), dtype=torch.float64)
    steps = 10 if "samples" in given else None
    if steps:
        given["samples"] = given["samples"] ** 0.5 * x0[:4]
    return DissectedModel(label, variant, seed, dissect(answers, **given), 1.0, steps, may_predict_data=True)


def spread(size: float) -> Moments:
    return Moments(torch.zeros(400, 2).double(), torch.full((400, 2), size).double())


def text(models: list[DissectedModel]) -> str:
    console = Console(width=140, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(anatomy_table(over_seeds(models)))
    return console.export_text()


def bars(models: list[DissectedModel]) -> list[list[float]]:
    """Widths of the segments of each bar, by panel and from the top."""
    figure = anatomy_figure(over_seeds(models))
    found = []
    for axes in figure.axes:
        rows: dict[int, list[float]] = {}
        for bar in axes.patches:
            assert isinstance(bar, Rectangle)
            rows.setdefault(round(bar.get_y() + bar.get_height() / 2), []).append(bar.get_width())
        found += [rows[place] for place in sorted(rows)]
    plt.close(figure)
    return found


def test_seeds_of_a_label_are_one_row_of_their_mean():
    models = [model("uniform", 0.1, seed=0, target=0.0), model("uniform", 0.3, seed=1, target=0.0)]
    (row,) = anatomy_frame(over_seeds(models)).to_dict("records")
    assert (row["label"], row["seeds"], row["conditions"]) == ("uniform", 2, 400)
    assert row["leak"] == pytest.approx(0.2, rel=0.05) and row["leak_low"] < 0.2 < row["leak_high"]
    alone = anatomy_frame(over_seeds(models[:1]))["leak"].item()
    assert alone == pytest.approx(float(models[0].anatomy.leak.mean()))
    assert (row["advised_draws"], row["advised_steps"]) == (2, 1)
    assert "bias" not in row and "model_spread" not in row


def test_bars_are_the_parts_of_the_error():
    leaking = model("flow", 0.3, even=0.1, moments=spread(0.2))
    whole = model("one target", 0.0, target=0.5)
    told, untold = bars([leaking, whole])
    leak = float(leaking.anatomy.leak.mean())
    assert leaking.anatomy.leak_even is not None
    even = float(leaking.anatomy.leak_even.mean())
    assert told == pytest.approx([leak - even, 0.75 * even, even / 4, 0.0, 0.2], abs=5e-3)
    assert untold == pytest.approx([0, 0, 0, 0.25])
    assert len(bars([leaking, model("flow", 0.1, variant="encoder=large", target=0.0)])) == 2


def test_the_table_says_what_is_known_and_what_is_not():
    told = text(
        [
            model("flow", 0.25, moments=spread(0.25), samples=0.2),
            model("regression", 0.0, moments=spread(0.25)),
        ]
    )
    words = " ".join(told.split())
    assert "K=10" in words and "told apart" not in words and "100%" in words
    assert "bias²" in words and "+ spread" not in words.split("per number")[0]
    regression = next(line for line in told.splitlines() if "regression" in line)
    assert regression.count("n/a") == 4  # no leak to remove, no samples
    untold = " ".join(text([model("flow", 0.25, target=0.1)]).split())
    assert "+ spread" in untold.split("per number")[0]
    assert "bias² and spread are not told apart" in untold and "K=" not in untold and "variant" not in untold


def test_sentences_name_label_and_variant():
    models = [model("flow", 0.25, variant="encoder=small", target=0.0), model("flow", 0.0, target=0.0)]
    first, second = anatomy_sentences(over_seeds(models))
    assert first.startswith("flow, encoder=small: one step loses 0.2") and "average 2 draws" in first
    assert second.startswith("flow: one step loses nothing to speak of (<0.0001 of")


def test_a_leak_of_rounding_has_no_share_that_draws_remove():
    tiny = over_seeds([model("ideal", 1e-13, target=1.0)])[0]
    assert tiny.parts["removed_by_2"].estimate != tiny.parts["removed_by_2"].estimate
    assert over_seeds([model("flow", 1e-3, target=1.0)])[0].parts["removed_by_2"].estimate == pytest.approx(1)


def test_leak_alone_is_drawn_and_told():
    only: list[DissectedModel] = [model("flow", 0.25)]
    assert bars(only)[0] == pytest.approx([0.25, 0, 0], rel=0.1)
    assert "error" not in anatomy_frame(over_seeds(only))
    assert isinstance(only[0].anatomy.leak, Tensor) and "flow" in text(only)
