"""How a few test examples are denoised, call by call: stored with the results, and played by the page.

`FOLDER/denoising/KEY.json` belongs to the trained model KEY. It affects no key or score, can be read without
weights, and has a few KB per decoding: values are stored in 8 bits.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Float

from toyflow.atomic import DamagedError, read_sealed, write_sealed
from toyflow.report.explore.embedded import text_of

FOLDER = "denoising"
"""Where the files lie in a results folder."""
HINT = "`toyflow explore` writes it again where the model's weights are; else delete it."
LOG = logging.getLogger(__name__)
BOUND = 3.5
"""Values are stored from -BOUND to BOUND; what lies beyond is cut off. Noise and targets have variance 1."""

Kind = Literal["curve", "digits", "image"]
"""How a target is drawn: numbers in a row, or several rows of them; the codes of digits; pixels."""


@dataclass(frozen=True)
class DenoisedBy:
    """One decoding of the examples.

    Attributes:
        steps, draws, sampler, grid: those of its record; the last two None where it has none.
        calls: how often the network is called for an answer.
        draws_shown: of how many draws the way is stored.
        frames: what the network is given at each call, and last the answer, [draws_shown, calls + 1,
            examples, *shape], in 8 bits.
        answer: the mean over all draws, [examples, *shape], in 8 bits.
        right: of each answer, 1 or 0: the headline metric; for a policy, whether every number of the chunk is
            close to the demonstration's.
    """

    steps: int
    draws: int
    sampler: str | None
    grid: str | None
    calls: int
    draws_shown: int
    frames: str
    answer: str
    right: Sequence[float]


@dataclass(frozen=True)
class Denoising:
    """The examples of one trained model, and how each decoding denoises them.

    Attributes:
        key: of the trained model.
        weights: checksum of the weights that were decoded; of other weights, the decodings are made again.
        shape: of one target.
        target: [examples, *shape], in 8 bits.
        conditions: what the network is told, in words; "" where words do not say it.
        pictures: the same as a picture, a data URI; "" where it is none.
    """

    key: str
    weights: str
    kind: Kind
    shape: Sequence[int]
    target: str
    conditions: Sequence[str]
    pictures: Sequence[str]
    decodings: Sequence[DenoisedBy]

    @property
    def size(self) -> int:
        """Bytes that it takes of a page, or nearly so."""
        texts = [each.frames + each.answer for each in self.decodings]
        return sum(map(len, (*texts, *self.pictures, self.target)))


def in_8_bits(values: Float[np.ndarray, "..."]) -> str:
    """Numbers as base64 text of bytes, 0 for -BOUND and 255 for BOUND.

    >>> in_8_bits(np.array([-3.5, 0.0, 9.0]))
    'AID/'
    """
    return text_of(
        np.rint((values.clip(-BOUND, BOUND) + BOUND) * (255 / (2 * BOUND))).astype(np.uint8).tobytes()
    )


def path_of(out: Path, key: str) -> Path:
    """Where the denoising of the model `key` lies in the results folder `out`."""
    return out / FOLDER / f"{key}.json"


def write_denoising(denoising: Denoising, out: Path) -> Path:
    """Write it into the results folder `out`, with a checksum, and return the path."""
    path = path_of(out, denoising.key)
    path.parent.mkdir(exist_ok=True)
    write_sealed(path, asdict(denoising))
    return path


def read_denoising(out: Path, keys: Iterable[str]) -> Denoising | None:
    """That of the first of the models `keys` that has one; None where none has. A damaged one is warned of
    and left out."""
    for path in (path_of(out, key) for key in keys):
        try:
            if path.is_file():
                return _read(path)
        except DamagedError as error:
            LOG.warning(f"{error} It is left out. {error.hint}")
    return None


def _read(path: Path) -> Denoising:
    content: dict[str, Any] = read_sealed(path, HINT)
    try:
        if content["kind"] not in get_args(Kind):
            raise KeyError(content["kind"])
        decodings = [DenoisedBy(**each) for each in content.pop("decodings")]
        return Denoising(**content, decodings=decodings)
    except (KeyError, TypeError) as error:
        raise DamagedError(f"{path} is not a denoising that this toyflow knows: {error}.", HINT) from None
