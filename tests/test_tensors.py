import resource

import pytest
import torch
from safetensors.torch import load_file

from toyflow.errors import ToyflowError
from toyflow.tensors import save_tensors


def test_what_is_saved_is_loaded(tmp_path):
    transposed = torch.arange(6.0).reshape(2, 3).T.requires_grad_()
    save_tensors({"a": transposed}, tmp_path / "x.safetensors", {"of": "a test"})
    assert torch.equal(load_file(tmp_path / "x.safetensors")["a"], transposed)


def test_what_the_system_refuses_is_one_line(tmp_path):
    """As a full disk does; here, a file that is larger than allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ToyflowError, match=r"^cannot write .*x\.safetensors: .*File too large"):
            save_tensors({"a": torch.zeros(100_000)}, tmp_path / "x.safetensors")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
