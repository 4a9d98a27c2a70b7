"""Tensors: as safetensors files, with a full disk reported in one line, and computed on one thread."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
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


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread of PyTorch inside. The order of sums, and so the last digits of a result, depend
    on the number of threads; and on a busy machine several threads wait for each other at each of many small
    operations."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
