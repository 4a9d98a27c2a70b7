import time

from toyflow.sweep.plan import plan_sweep
from toyflow.sweep.run import missing_cells
from toyflow.sweep.store import Store
from toyflow.sweep.sweep_options import SweepOptions


def test_very_many_cells_are_planned_and_looked_for_quickly(tmp_path):
    began = time.process_time()
    cells = plan_sweep(SweepOptions(seeds=tuple(range(5000))))
    assert len(missing_cells(cells, Store(tmp_path / "out"))) == 10_000
    assert time.process_time() - began < 10, (
        "a tenth of a benchmark's cells, and twenty times its time for them"
    )
