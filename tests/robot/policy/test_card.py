"""A policy's card, from a results folder that holds evaluations with two seeds of the noise."""

import shutil
from pathlib import Path

from toyflow.robot.policy.card import write_card
from toyflow.sweep.store import Store

LIBERO = Path(__file__).parents[3] / "results" / "reference" / "one-step" / "libero"
KEY = "02934fb03ab0358d"


def test_a_card_tells_evaluations_with_another_noise_apart(tmp_path):
    shutil.copy(LIBERO / "toyflow.json", tmp_path)
    shutil.copytree(LIBERO / "cells" / KEY, tmp_path / "cells" / KEY)
    card = tmp_path / "cells" / KEY / "README.md"
    card.unlink()
    write_card(Store(tmp_path), KEY)
    rows = [line for line in card.read_text().splitlines() if line.startswith("| K=10 |")]
    assert [row.count("noise seed 1") for row in rows if "libero_spatial" in row] == [0, 1]
    assert card.read_text() == (LIBERO / "cells" / KEY / "README.md").read_text()
