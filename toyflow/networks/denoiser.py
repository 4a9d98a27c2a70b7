"""A pre-LayerNorm transformer over noisy target tokens that reads condition tokens.

Three ways to read them, by name:

    cross   each block cross-attends to the condition tokens, then self-attends over the target
    joint   condition and target share one stack; the target attends to both under a prefix mask
    full    condition and target share one stack, and all attend to all

In the first two the condition never sees the target, so its keys and values are computed once (`read`) and
serve every denoising step. In `full`, the paper's own, it does, and takes part in every step anew. `joint`
and `full` have the same parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from toyflow.errors import UsageError
from toyflow.flow.model import repeat_condition
from toyflow.networks.attention_kinds import AttentionKind
from toyflow.networks.linear import Linear, many_rows
from toyflow.networks.time_embedding import TimeEmbedding


class Memory(NamedTuple):
    """Keys and values of one layer."""

    keys: Float[Tensor, "batch heads tokens dim"]
    values: Float[Tensor, "batch heads tokens dim"]


class Draws(NamedTuple):
    """The `Reading` for several draws of each example; see `Denoiser.repeat`."""

    reading: list[Memory] | Float[Tensor, "batch condition_tokens width"]


Reading = list[Memory] | Float[Tensor, "batch condition_tokens width"] | Draws
"""What the denoising steps need of the condition: keys and values for every block; for `full`, the condition
tokens."""


class Attention(nn.Module):
    """Multi-head attention, out(softmax(Q K^T / sqrt(width / heads)) V), whose keys and values are computed
    apart, so that they can be kept.

    Its maps start orthogonal: attention starts sharp, and what it reads starts at full size.

    Args:
        width: of tokens; `heads` divides it.
        heads: number of attention heads.

    Example:
        >>> import torch
        >>> from toyflow.networks import Attention
        >>> attention = Attention(width=8, heads=2)
        >>> memory = attention.memory(torch.randn(3, 5, 8))  # once
        >>> attention(torch.randn(3, 4, 8), memory).shape  # any number of times
        torch.Size([3, 4, 8])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(width, width)
        self.key_value = Linear(width, 2 * width)
        self.out = Linear(width, width)
        for weight in (self.query.weight, *self.key_value.weight.chunk(2), self.out.weight):
            nn.init.orthogonal_(weight)

    def memory(self, tokens: Float[Tensor, "batch tokens width"]) -> Memory:
        """Keys and values of `tokens`."""
        keys, values = self.key_value(tokens).chunk(2, dim=-1)
        return Memory(self._split(keys), self._split(values))

    def forward(
        self, x: Float[Tensor, "batch queries width"], memory: Memory, causal: bool = False
    ) -> Float[Tensor, "batch queries width"]:
        """Attend from `x` to `memory`; if `causal`, query k to the first k + 1 of it."""
        mixed = scaled_dot_product_attention(self._split(self.query(x)), *memory, is_causal=causal)
        return self.out(mixed.transpose(1, 2).flatten(2))

    def _split(self, x: Float[Tensor, "batch tokens width"]) -> Float[Tensor, "batch heads tokens dim"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class CrossBlock(nn.Module):
    """x += cross(LN x, condition); x += self(LN x); x += MLP(LN x).

    Example:
        >>> import torch
        >>> from toyflow.networks.denoiser import CrossBlock
        >>> block, condition = CrossBlock(width=8, heads=2), torch.randn(3, 5, 8)
        >>> block(torch.randn(3, 4, 8), block.memory(condition)).shape
        torch.Size([3, 4, 8])
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm_condition, self.norm_cross, self.norm_self = (nn.LayerNorm(width) for _ in range(3))
        self.cross, self.attention = Attention(width, heads), Attention(width, heads)
        self.mlp = _mlp(width)
        self.causal = False
        # Keys start equal to queries, so attention starts out at the condition token whose position a
        # target token shares. Without it, learning where to look takes hundreds of iterations, and for
        # objectives without noise in their input it may not happen at all.
        with torch.no_grad():
            self.cross.key_value.weight[:width] = self.cross.query.weight

    def memory(self, condition: Float[Tensor, "batch tokens width"]) -> Memory:
        return self.cross.memory(self.norm_condition(condition))

    def advance(
        self, condition: Float[Tensor, "batch tokens width"], memory: Memory
    ) -> Float[Tensor, "batch tokens width"]:
        return condition

    def forward(
        self, x: Float[Tensor, "batch tokens width"], memory: Memory
    ) -> Float[Tensor, "batch tokens width"]:
        x = x + self.cross(self.norm_cross(x), memory)
        normed = self.norm_self(x)
        x = x + self.attention(normed, self.attention.memory(normed), self.causal)
        return x + self.mlp(x)


class JointBlock(nn.Module):
    """x += attention(LN x, [condition, x]); x += MLP(LN x). The condition goes through the same
    weights and attends to itself alone: a prefix mask, without ever building the mask.

    Example:
        >>> import torch
        >>> from toyflow.networks.denoiser import JointBlock
        >>> block, condition = JointBlock(width=8, heads=2), torch.randn(3, 5, 8)
        >>> memory = block.memory(condition)
        >>> block(torch.randn(3, 4, 8), memory).shape, block.advance(condition, memory).shape
        (torch.Size([3, 4, 8]), torch.Size([3, 5, 8]))
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = Attention(width, heads)
        self.mlp = _mlp(width)

    def memory(self, condition: Float[Tensor, "batch tokens width"]) -> Memory:
        return self.attention.memory(self.norm(condition))

    def advance(
        self, condition: Float[Tensor, "batch tokens width"], memory: Memory
    ) -> Float[Tensor, "batch tokens width"]:
        condition = condition + self.attention(self.norm(condition), memory)
        return condition + self.mlp(condition)

    def forward(
        self, x: Float[Tensor, "batch tokens width"], memory: Memory
    ) -> Float[Tensor, "batch tokens width"]:
        normed = self.norm(x)
        own = self.attention.memory(normed)
        both = Memory(*(torch.cat(pair, dim=2) for pair in zip(memory, own, strict=True)))
        x = x + self.attention(normed, both)
        return x + self.mlp(x)


@dataclass(frozen=True)
class DenoiserSize:
    """The size of a `Denoiser`.

    Example:
        >>> from toyflow.networks import DenoiserSize
        >>> DenoiserSize(width=64, depth=2, heads=4).width
        64
    """

    width: int
    """Width of a token."""
    depth: int
    """Number of blocks."""
    heads: int
    """Number of attention heads in each block."""


class Denoiser(nn.Module):
    """Prediction of `x`'s shape from noisy `x`, time and condition tokens of the denoiser's width.

    Args:
        tokens: number of target tokens.
        dim: numbers in each.
        size: width, depth, heads.
        attention: how the condition is read: `cross`, `joint` or `full`, see this module's docstring.

    Example:
        >>> import torch
        >>> from toyflow.networks import Denoiser, DenoiserSize
        >>> denoiser = Denoiser(tokens=4, dim=10, size=DenoiserSize(width=16, depth=2, heads=2))
        >>> condition = denoiser.read(torch.randn(3, 7, 16))  # once for all denoising steps
        >>> denoiser(torch.randn(3, 4, 10), torch.zeros(3), condition).shape
        torch.Size([3, 4, 10])
    """

    def __init__(self, tokens: int, dim: int, size: DenoiserSize, attention: AttentionKind = "cross") -> None:
        super().__init__()
        width = size.width
        block = CrossBlock if attention == "cross" else JointBlock
        self.attention: AttentionKind = attention
        self.embed = nn.Linear(dim, width)
        self.position = nn.Parameter(torch.randn(tokens, width))
        self.time = TimeEmbedding(width)
        self.blocks = nn.ModuleList(block(width, size.heads) for _ in range(size.depth))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, dim)

    def read(self, condition: Float[Tensor, "batch condition_tokens width"]) -> Reading:
        """What can be computed of the condition once, for all denoising steps."""
        if self.attention == "full":
            return condition
        first, *rest = self._layers()
        memories = [first.memory(condition)]
        for before, block in zip([first, *rest], rest, strict=False):
            condition = before.advance(condition, memories[-1])
            memories.append(block.memory(condition))
        return memories

    def repeat(self, condition: Reading, times: int) -> Reading:
        """The reading for `times` draws of each example of the batch, draw by draw."""
        assert not isinstance(condition, Draws)
        return condition if times == 1 else Draws(repeat_condition(condition, times))

    def forward(
        self,
        x: Float[Tensor, "batch tokens dim"],
        t: Float[Tensor, "batch *tokens"],
        condition: Reading,
        r: Float[Tensor, "batch *tokens"] | None = None,
    ) -> Float[Tensor, "batch tokens dim"]:
        """One model call at the times `t`, or for the jumps from `t` to `r`.

        Args:
            x: noisy target tokens.
            t: times in [0, 1], of each sample or of each of its tokens; 0 is noise, 1 is data.
            condition: what `read` returned.
            r: second times, t <= r <= 1, for objectives that jump from t to r; None is r = t.

        Returns:
            The prediction, of `x`'s shape.
        """
        if isinstance(condition, Draws):
            with many_rows(x.shape[0] * x.shape[1]):
                return self(x, t, condition.reading, r)
        time = self.time(t, t if r is None else r)
        hidden = self.embed(x) + self.position + (time[:, None] if t.ndim == 1 else time)
        if isinstance(condition, Tensor):
            tokens = torch.cat([condition, hidden], dim=1)
            for block in self._layers():
                tokens = block.advance(tokens, block.memory(tokens))
            hidden = tokens[:, condition.shape[1] :]
        else:
            for block, memory in zip(self._layers(), condition, strict=True):
                hidden = block(hidden, memory)
        return self.head(self.norm(hidden))

    def make_causal(self) -> None:
        """Let a token see only itself and those before it. Raises UsageError unless attention is `cross`."""
        for block in self._layers():
            if not isinstance(block, CrossBlock):
                raise UsageError(
                    f"a causal denoiser needs --set attention=cross; {self.attention} has no causal form."
                )
            block.causal = True

    def _layers(self) -> list[CrossBlock | JointBlock]:
        return list(self.blocks)  # pyright: ignore[reportReturnType]


def _mlp(width: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), Linear(width, 4 * width), nn.GELU(), Linear(4 * width, width))
