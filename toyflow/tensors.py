"""Tensors as safetensors files, with a full disk reported in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from toyflow.errors import ToyflowError


def save_tensors(
    tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None
) -> None:
    """Write `tensors`, by name, to `path`.

    Raises:
        ToyflowError: the file cannot be written, as when the disk is full; the message says why.
    """
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    try:
        save_file(contiguous, path, None if metadata is None else dict(metadata))
    except SafetensorError as error:
        raise ToyflowError(f"cannot write {path}: {error}.") from error
