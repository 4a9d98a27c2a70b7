from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from toyflow.errors import ToyflowError
from toyflow.tensors import save_tensors


def test_what_is_saved_is_loaded(tmp_path):
    transposed = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    save_tensors({"a": transposed}, tmp_path / "x.safetensors", {"of": "a test"})
    assert torch.equal(load_file(tmp_path / "x.safetensors")["a"], transposed)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no device that is always full")
def test_a_full_disk_is_one_line():
    with pytest.raises(ToyflowError, match=r"^cannot write /dev/full: .*No space left on device"):
        save_tensors({"a": torch.zeros(100_000)}, Path("/dev/full"))
