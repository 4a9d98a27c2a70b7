from dataclasses import replace

import pytest

from toyflow.errors import UsageError
from toyflow.sweep.methods import warn_of_unused
from toyflow.sweep.plan import Grid, Setting, plan_cells, plan_sweep
from toyflow.sweep.subject import ResolvedOptions
from toyflow.sweep.sweep_options import SweepOptions
from toyflow.training import OneCycle

GRID = Grid(
    task="points", schedules=["beta", "uniform"], objectives=["flow"], steps=[10, 1], seeds=[0, 1],
    samplers=["euler"], settings=[Setting(ResolvedOptions({}, {}), {"iterations": 5})],
)  # fmt: skip


def described(grid: Grid) -> list[tuple]:
    return [(c.label, [(e.sampler, e.steps) for e in c.evaluations]) for c in plan_cells(grid)]


def test_the_product_with_seeds_outermost():
    decodings = [("euler", 1), ("euler", 10)]
    names = ["beta seed 0", "uniform seed 0", "beta seed 1", "uniform seed 1"]
    assert described(GRID) == [(name, decodings) for name in names]


def test_an_objective_without_schedule_is_one_cell_a_seed_and_decodes_in_one_step():
    grid = replace(GRID, objectives=["flow", "regression"], seeds=[0], samplers=["euler", "heun"])
    cells = described(grid)
    assert [name for name, _ in cells] == ["beta seed 0", "uniform seed 0", "regression seed 0"]
    assert cells[0][1] == [("euler", 1), ("euler", 10), ("heun", 1), ("heun", 10)]
    assert cells[2][1] == [(None, 1)]


def test_such_an_objective_may_stand_among_the_schedules():
    short = plan_cells(replace(GRID, schedules=["beta", "pure-noise"]))
    long = plan_cells(replace(GRID, schedules=["beta"], objectives=["flow", "pure-noise"]))
    assert [c.training.key for c in short] == [c.training.key for c in long]
    only = plan_cells(replace(GRID, schedules=["regression"]))
    assert {c.training.objective for c in only} == {"regression"}


def test_what_is_named_twice_runs_once():
    grid = replace(
        GRID, schedules=["beta", "beta:1:1.5", "shift:4", "shift:4.0@uniform"], seeds=[0, 0], steps=[1, 1]
    )
    assert [name for name, _ in described(grid)] == ["beta seed 0", "shift:4 seed 0"]


def test_a_decoding_without_a_sampler_is_one_record_whatever_samplers_are_asked_for():
    keys = {
        cell.evaluations[0].key
        for samplers in (["heun"], ["euler", "heun"], ["euler"])
        for cell in plan_cells(replace(GRID, schedules=["regression"], samplers=samplers))
    }
    assert len(keys) == 1


def test_labels_tell_cells_of_one_plan_apart():
    settings = [
        Setting(ResolvedOptions({"side": side}, {"attention": kind, "encoder": "base"}), {})
        for side in ("2", "3")
        for kind in ("cross", "joint")
    ]
    grid = replace(GRID, settings=settings, seeds=[0], schedules=["beta"])
    labels = [name for name, _ in described(grid)]
    assert labels == [
        f"beta side={side} attention={kind} seed 0" for side in "23" for kind in ("cross", "joint")
    ]
    assert [cell.training.data for cell in plan_cells(grid)][2:] == [{"side": "3"}] * 2


def test_every_combination_of_the_recipe_is_a_setting():
    options = SweepOptions(
        task="dial", schedules=("beta",), seeds=(0,), iterations=(300, 1000), batch_size=(64,),
        learning_rate=(0.001, 0.004), set={"modes": ("2", "3")},
    )  # fmt: skip
    cells = plan_sweep(options)
    assert [cell.name for cell in cells] == [
        f"beta modes={modes} iterations={iterations} learning-rate={rate}"
        for modes in "23"
        for iterations in (300, 1000)
        for rate in ("0.001", "0.004")
    ]
    recipes = [cell.training.recipe for cell in cells[:4]]
    assert [(r["iterations"], r["learning_rate"]) for r in recipes] == [
        (300, 0.001), (300, 0.004), (1000, 0.001), (1000, 0.004),
    ]  # fmt: skip
    assert {r["batch_size"] for r in recipes} == {64}
    assert recipes[3] == {**vars(OneCycle()), "batch_size": 64}  # whatever is not named is the task's own
    [single] = plan_sweep(replace(options, iterations=(1000,), learning_rate=None, set={"modes": ("2",)}))
    assert single.training.key == cells[3].training.key and single.name == "beta"


def test_recipes_that_differ_with_the_model_are_told_by_the_model():
    """As those of a policy do with its size."""
    sizes = [Setting(ResolvedOptions({}, {"size": s}), {"iterations": n}) for s, n in (("a", 5), ("b", 9))]
    grid = replace(GRID, schedules=["beta"], seeds=[0], settings=sizes)
    assert [cell.name for cell in plan_cells(grid)] == ["beta size=a", "beta size=b"]


def test_settings_that_differ_in_their_test_set_share_a_model():
    settings = [Setting(ResolvedOptions({}, {}, test_set), {}) for test_set in ("near", "far", "near")]
    [cell] = plan_cells(replace(GRID, settings=settings, seeds=[0], schedules=["beta"]))
    decodings = [(e.test_set, e.steps) for e in cell.evaluations]
    assert decodings == [("near", 1), ("near", 10), ("far", 1), ("far", 10)]


def test_only_one_step_objectives_with_many_steps_is_an_error():
    with pytest.raises(UsageError, match=r"nothing to run in 10 steps: regression decodes in 1\."):
        plan_cells(replace(GRID, schedules=["regression"], steps=[10]))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schedules": ["bta"]}, "unknown schedule 'bta'"),
        ({"objectives": ["flw"]}, "unknown objective 'flw'"),
        ({"samplers": ["rk45"]}, "unknown sampler 'rk45'"),
        ({"steps": [0]}, "must be 1 or more"),
        ({"steps": []}, "nothing to run"),
        ({"seeds": []}, "nothing to run"),
        ({"schedules": []}, "nothing to run"),
        ({"time_sampling": "sobol"}, "stratified or iid"),
    ],
)
def test_what_does_not_exist_is_refused(change, words):
    with pytest.raises(UsageError, match=words):
        plan_cells(replace(GRID, **change))


def test_predictions_grids_and_draws_are_crossed_where_an_objective_has_the_choice():
    grid = replace(
        GRID, schedules=["uniform"], objectives=["flow", "pure-noise", "regression"], seeds=[0], steps=[1, 2],
        predict=["velocity", "data", "data:data-loss"], grids=["uniform", "0:0.9:1"], draws=[8, 1],
    )  # fmt: skip
    cells = plan_cells(grid)
    assert [(cell.name, cell.training.prediction) for cell in cells] == [
        ("uniform", None), ("data(uniform)", "data"), ("pure-noise", None), ("regression", None),
    ]  # fmt: skip
    by_name = {cell.name: [(e.steps, e.grid, e.draws) for e in cell.evaluations] for cell in cells}
    uniform = [(1, None, 1), (1, None, 8), (2, None, 1), (2, None, 8)]
    assert by_name["data(uniform)"] == [*uniform, (2, "0:0.9:1", 1), (2, "0:0.9:1", 8)]
    assert by_name["pure-noise"] == [(1, None, 1), (1, None, 8)]
    assert by_name["regression"] == [(1, None, 1)]


def test_the_default_prediction_grid_and_draws_leave_keys_as_they_were():
    old = plan_cells(GRID)
    new = plan_cells(replace(GRID, predict=["velocity"], grids=["uniform"], draws=[1]))
    assert [(c.training.key, [e.key for e in c.evaluations]) for c in old] == [
        (c.training.key, [e.key for e in c.evaluations]) for c in new
    ]
    assert "prediction" not in old[0].training.as_dict()


def test_equal_times_are_one_decoding_whatever_the_grid_is_called():
    grids = ["uniform", "shift:3", "0:1", "0:0.5:1"]
    [cell] = plan_cells(replace(GRID, schedules=["uniform"], seeds=[0], steps=[1, 2], grids=grids))
    assert [(e.steps, e.grid) for e in cell.evaluations] == [(1, None), (2, None), (2, "shift:3")]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"grids": ["0.5:point:0+0.5:uniform"]}, "names a time twice"),
        ({"predict": ["noise"]}, "says nothing of the data"),
        ({"predict": ["data"], "objectives": ["mip"]}, "--predict data: mip has no choice"),
        ({"draws": [3]}, "1 or an even number"),
        ({"draws": [2], "objectives": ["regression"]}, "nothing to average"),
        ({"grids": ["0.5:1"]}, "rise from 0 to 1"),
        ({"grids": ["shift:3"], "objectives": ["shortcut"]}, "steps of its own"),
        ({"schedules": ["0.5:point:0+0.4:uniform"]}, "sum to 0.9"),
    ],
)
def test_choices_that_mean_nothing_are_refused_in_one_line(change, message):
    with pytest.raises(UsageError, match=message) as error:
        plan_cells(replace(GRID, **change))
    assert "\n" not in str(error.value)


def planned(**values: object) -> dict[str, list[tuple[int, int]]]:
    """(steps, draws) of the decodings of each cell, by the cell's label."""
    options = SweepOptions().updated({"seeds": [0], "steps": [1], **values}, "preset x")
    cells = plan_sweep(options)
    assert len({cell.training.key for cell in cells}) == len({cell.label for cell in cells}) == len(cells)
    return {cell.label: [(e.steps, e.draws) for e in cell.evaluations] for cell in cells}


def test_a_sweep_with_parts_is_the_union_of_their_cells():
    factorial = {"schedules": ["uniform", "shift:4"], "predict": ["velocity", "data"], "steps": [1, 10]}
    controls = {"objectives": ["regression", "mip"], "steps": [1, 2, 4]}
    again = {"schedules": ["uniform"], "draws": [1, 8]}
    assert planned(parts=[factorial, controls, again]) == {
        "uniform seed 0": [(1, 1), (10, 1), (1, 8)],
        "data(uniform) seed 0": [(1, 1), (10, 1)],
        "shift:4 seed 0": [(1, 1), (10, 1)],
        "data(shift:4) seed 0": [(1, 1), (10, 1)],
        "regression seed 0": [(1, 1)],
        "mip seed 0": [(1, 1), (2, 1)],
    }


def test_each_objective_of_parts_has_its_own_learning_rate_and_seeds():
    parts = [
        {"schedules": ["beta"], "learning-rate": 0.002, "seeds": "0-1"},
        {"objectives": ["mip"], "learning-rate": 0.001, "steps": [2], "seeds": [1]},
    ]
    assert list(planned(parts=parts)) == [
        "beta learning-rate=0.002 seed 0",
        "beta learning-rate=0.002 seed 1",
        "mip learning-rate=0.001 seed 1",
    ]


def test_names_tell_cells_of_parts_apart_by_whatever_differs():
    parts = [{"set": {"side": [3]}}, {"time-sampling": "iid"}, {"iterations": 50}]
    assert list(planned(schedules=["beta"], set={"encoder": "small"}, parts=parts)) == [
        "beta side=3 iterations=1000 times=stratified seed 0",
        "beta side=4 iterations=1000 times=iid seed 0",
        "beta side=4 iterations=50 times=stratified seed 0",
    ]


def test_a_choice_is_refused_only_if_no_part_has_a_use_for_it():
    parts = [{"schedules": ["beta"]}, {"objectives": ["regression"]}]
    wanted = {"predict": ["data"], "draws": [1, 2], "grid": ["shift:3"], "steps": [1]}
    assert planned(parts=parts, **wanted) == {
        "data(beta) seed 0": [(1, 1), (1, 2)],
        "regression seed 0": [(1, 1)],
    }
    assert list(planned(parts=parts, steps=[10])) == ["beta seed 0"]
    for choice in ({"predict": ["data"]}, {"draws": [2]}, {"steps": [10]}):
        with pytest.raises(UsageError, match=r"regression (has no choice|decodes)"):
            planned(parts=parts[1:], **choice)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"objectives": ["regression"], "schedules": ["beta"]},
            "No schedule is used: regression trains without",
        ),
        ({"objectives": ["flow", "regression"], "schedules": ["beta"]}, ""),
        (
            {"objectives": ["flow", "mip", "meanflow"], "predict": ["velocity", "data"]},
            "mip, meanflow have no choice of prediction, so --predict data does not change",
        ),
        (
            {"schedules": ["beta", "regression"], "predict": ["data"]},
            "regression has no choice of prediction",
        ),
        ({"parts": [{"predict": ["data"]}, {"objectives": ["regression"]}]}, ""),
        ({"parts": [{"schedules": ["beta"]}, {"objectives": ["regression"]}]}, ""),
        ({"predict": ["data"], "parts": [{}, {"objectives": ["regression"]}]}, "regression has no choice"),
        (
            {"grid": ["0:0.9:1"], "steps": [10]},
            "--steps 10 is not used: the times of --grid 0:0.9:1 make K = 2.",
        ),
        ({"grid": ["0:0.9:1"]}, ""),
        ({"grid": ["0:0.9:1"], "steps": [2]}, ""),
        ({"grid": ["0:0.9:1", "uniform"], "steps": [5]}, ""),
        ({"grid": ["0:0.9:1"], "steps": [5], "objectives": ["flow", "shortcut"]}, ""),
    ],
)
def test_names_without_use_are_warned_of(options, said, caplog):
    warn_of_unused(SweepOptions().updated(options, "preset x"))
    assert [message.startswith(said) for message in caplog.messages] == [True] * bool(said)
