"""Prompts to token numbers: a hashed word table that needs nothing, or PaliGemma's tokeniser."""

from __future__ import annotations

import hashlib
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Int64
from torch import Tensor

from toyflow.robot.data.hub import PALIGEMMA, check_transformers, from_hub

TokeniserName = Literal["hashed", "paligemma"]
TOKENISERS: tuple[TokeniserName, ...] = get_args(TokeniserName)
PADDING, START, FIRST_WORD = 0, 2, 3
"""Token numbers, as in Gemma's vocabulary."""


class Tokeniser(ABC):
    """Prompts to rows of `length` tokens: START, the words, PADDING. What does not fit is cut off."""

    length: int

    @abstractmethod
    def __call__(self, prompts: Sequence[str]) -> Int64[Tensor, "batch length"]:
        """Token numbers, on the CPU."""


@dataclass(frozen=True)
class HashedWords(Tokeniser):
    """Each word, in lower case, is a number drawn by its BLAKE2 hash: the same in every process and on every
    machine, and for any language. Two words may share one."""

    vocabulary: int
    length: int

    def __call__(self, prompts: Sequence[str]) -> Int64[Tensor, "batch length"]:
        """See `Tokeniser`."""
        tokens = torch.full((len(prompts), self.length), PADDING)
        for row, prompt in zip(tokens, prompts, strict=True):
            numbers = [START, *map(self._number, re.findall(r"\w+", prompt.lower()))][: self.length]
            row[: len(numbers)] = torch.tensor(numbers)
        return tokens

    def _number(self, word: str) -> int:
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        return FIRST_WORD + int.from_bytes(digest, "big") % (self.vocabulary - FIRST_WORD)


class PaligemmaTokens(Tokeniser):
    """PaliGemma's own tokeniser, a prompt written as in its training: one line, closed by a line feed.

    Raises:
        UsageError: transformers or the tokeniser's files are not to be had.
    """

    def __init__(self, length: int, repo: str = PALIGEMMA) -> None:
        check_transformers("the tokeniser `paligemma`")
        from transformers import AutoTokenizer

        self.length = length
        self.tokeniser = from_hub(
            AutoTokenizer.from_pretrained, repo, "the tokeniser", "use the tokeniser `hashed`"
        )

    def __call__(self, prompts: Sequence[str]) -> Int64[Tensor, "batch length"]:
        """See `Tokeniser`."""
        lines = [" ".join(prompt.replace("_", " ").split()) + "\n" for prompt in prompts]
        encoded = self.tokeniser(
            lines,
            padding="max_length",
            padding_side="right",
            truncation=True,
            max_length=self.length,
            return_tensors="pt",
        )
        return encoded["input_ids"].masked_fill(encoded["attention_mask"] == 0, PADDING)


def make_tokeniser(name: TokeniserName, vocabulary: int, length: int) -> Tokeniser:
    """The tokeniser called `name`. Raises UsageError where its files cannot be had."""
    return HashedWords(vocabulary, length) if name == "hashed" else PaligemmaTokens(length)
