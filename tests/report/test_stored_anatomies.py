"""Anatomies of models, written and read again."""

import pytest
import torch

from toyflow.atomic import DamagedError
from toyflow.flow.anatomy import Moments, dissect
from toyflow.report.anatomy_report import DissectedModel
from toyflow.report.stored_anatomies import FILE, read_anatomies, write_anatomies


def model(key, leak, bias):
    noise = torch.randn(8, 500, 2, generator=torch.Generator().manual_seed(0))
    pairs = torch.stack([noise, -noise], dim=1).flatten(0, 1)
    zero = torch.zeros(500, 2)
    anatomy = dissect(bias + leak**0.5 * pairs, moments=Moments(zero, zero))
    return DissectedModel("beta", "", 3, anatomy, 1.0, None, may_predict_data=True, key=key)


def test_each_trained_model_is_found_by_its_key(tmp_path):
    (tmp_path / "probe").mkdir()
    write_anatomies([model("a", 0.25, 1.0), model("b", 0.0, 2.0), model("", 1.0, 1.0)], tmp_path)
    found = read_anatomies(tmp_path).set_index("key")
    assert list(found.index) == ["a", "b"] and set(found["seed"]) == {3}
    assert found.loc["a", "leak"] == pytest.approx(0.25, rel=0.05)
    assert found["bias"].tolist() == pytest.approx([1.0, 4.0], rel=0.05)
    assert found["spread"].tolist() == [0.0, 0.0]


def test_a_folder_without_a_probe_has_none(tmp_path):
    assert read_anatomies(tmp_path).empty


def test_an_altered_number_is_refused(tmp_path):
    (tmp_path / "probe").mkdir()
    path = write_anatomies([model("a", 0.25, 1.0)], tmp_path)
    assert path == tmp_path / FILE
    path.write_text(path.read_text().replace('"seed": 3', '"seed": 4'))
    with pytest.raises(DamagedError, match=r"anatomy_by_model\.json"):
        read_anatomies(tmp_path)
