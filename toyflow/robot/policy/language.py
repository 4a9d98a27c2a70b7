"""Tokenisers: a hash of words, which needs no files, or PaliGemma's."""

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
    """Turns prompts into rows of `length` tokens: START, the words, PADDING. Longer prompts are cut off."""

    length: int

    @abstractmethod
    def __call__(self, prompts: Sequence[str]) -> Int64[Tensor, "batch length"]:
        """Token numbers of each prompt, on the CPU."""


@dataclass(frozen=True)
class HashedWords(Tokeniser):
    """The token of a word, in lower case, is its BLAKE2 hash modulo the vocabulary: the same on every
    machine, for any language. Two words may share a token.

    >>> HashedWords(vocabulary=100, length=6)(["Pick up the cube"]).shape
    torch.Size([1, 6])
    """

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
    """PaliGemma's tokeniser. A prompt is written as in its training: one line that ends in a line feed.

    Raises:
        UsageError: transformers is not installed, or the tokeniser's files cannot be downloaded.
    """

    def __init__(self, length: int, repo: str = PALIGEMMA) -> None:
        check_transformers("the tokeniser `paligemma`")
        from transformers import AutoTokenizer  # heavy and optional

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
    """The tokeniser called `name`. Raises UsageError where its files cannot be downloaded."""
    return HashedWords(vocabulary, length) if name == "hashed" else PaligemmaTokens(length)
