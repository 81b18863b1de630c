"""A causal transformer over columns of codes, with rotary positions in time."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class CausalTransformer(nn.Module):
    """Pre-norm transformer blocks, in which each position attends to itself and to all before it.

    Queries and keys are rotated by their column's number, so that attention depends on the columns between two codes,
    at any length. Dropout applies to the residual branches only, since dropout of the attention weights would need the
    length × length matrix, which `scaled_dot_product_attention` never stores. With an `attention_window` the cost of
    training is linear in the length, and that of sampling is bounded.

    Args:
        width: channels of the residual stream.
        num_layers: transformer blocks.
        num_heads: attention heads in each block.
        feedforward_width: channels inside a feed-forward layer.
        dropout: dropout probability of each residual branch.
        rotary_base: ratio of the wavelengths of the rotation, which reach from 2π to 2π · `rotary_base` columns.
        activation_checkpointing: whether the backward pass computes the blocks again, which takes less memory and about
            a third more time.
        attention_window: positions that each position attends to, itself included; None for all.
        num_key_value_heads: heads of keys and values, shared by groups of query heads, so that sampling reads less;
            None for `num_heads`.

    Source: A. Vaswani et al., "Attention Is All You Need", 2017; pre-norm: R. Xiong et al., 2020, arXiv 2002.04745;
    rotary positions: J. Su et al., "RoFormer", 2021, arXiv 2104.09864, section 3.4.2.
    """

    def __init__(
        self,
        width: int,
        num_layers: int,
        num_heads: int,
        feedforward_width: int,
        dropout: float,
        rotary_base: float,
        activation_checkpointing: bool = False,
        attention_window: int | None = None,
        num_key_value_heads: int | None = None,
    ) -> None:
        super().__init__()
        if width % (2 * num_heads):
            raise ValueError(f"width = {width} must be a multiple of twice num_heads = {num_heads}.")
        num_key_value_heads = num_key_value_heads or num_heads
        if num_heads % num_key_value_heads:
            raise ValueError(
                f"num_heads = {num_heads} must be a multiple of num_key_value_heads = {num_key_value_heads}."
            )
        self.num_heads = num_heads
        self.activation_checkpointing = activation_checkpointing
        self.blocks = nn.ModuleList(
            TransformerBlock(width, num_heads, feedforward_width, dropout, attention_window, num_key_value_heads)
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.rotary_base = rotary_base
        for name, parameter in self.named_parameters():
            if name.endswith("weight") and parameter.dim() == 2:
                is_branch_end = name.endswith(("attention_out.weight", "shrink.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * num_layers) ** 0.5 if is_branch_end else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, columns: Tensor, kept: list[tuple[Tensor, Tensor]] | None = None) -> Tensor:
        """Activations (batch, length, width) and the column of each position (length,) → (batch, length, width).

        Each block appends its keys and values (batch, heads, length, head width) to `kept`, if it is a list.
        """
        angles = columns[:, None] * self.rotary_frequencies(x.device)
        rotation = (angles.cos(), angles.sin())
        for block in self.blocks:
            if self.activation_checkpointing and self.training and kept is None:
                x = checkpoint(block, x, rotation, use_reentrant=False)
            else:
                x = block(x, rotation, kept)
        return self.norm(x)

    def rotary_frequencies(self, device: torch.device) -> Tensor:
        """Radians per column for each pair of a head's channels (head width / 2,), in fp32."""
        half = self.norm.normalized_shape[0] // self.num_heads // 2
        return self.rotary_base ** -(torch.arange(half, device=device) / half)


class TransformerBlock(nn.Module):
    """Attention and a feed-forward layer, each with a norm and a residual; see `CausalTransformer`."""

    def __init__(
        self,
        width: int,
        num_heads: int,
        feedforward_width: int,
        dropout: float,
        attention_window: int | None,
        num_key_value_heads: int,
    ) -> None:
        super().__init__()
        self.num_heads, self.num_key_value_heads = num_heads, num_key_value_heads
        self.attention_window = attention_window
        self.attention_norm = nn.LayerNorm(width)
        self.to_queries_keys_values = nn.Linear(width, width + 2 * num_key_value_heads * (width // num_heads))
        self.attention_out = nn.Linear(width, width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feedforward_width)
        self.shrink = nn.Linear(feedforward_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, rotation: tuple[Tensor, Tensor], kept: list[tuple[Tensor, Tensor]] | None = None
    ) -> Tensor:
        x = x + self.dropout(self._attend(self.attention_norm(x), rotation, kept))
        return x + self.dropout(self.shrink(F.gelu(self.expand(self.feedforward_norm(x)))))

    def _attend(self, x: Tensor, rotation: tuple[Tensor, Tensor], kept: list[tuple[Tensor, Tensor]] | None) -> Tensor:
        batch_size, length, width = x.shape
        heads = self.to_queries_keys_values(x).unflatten(2, (self.num_heads + 2 * self.num_key_value_heads, -1))
        counts = [self.num_heads, self.num_key_value_heads, self.num_key_value_heads]
        queries, keys, values = heads.transpose(1, 2).split(counts, dim=1)
        queries, keys = _rotate(queries, *rotation), _rotate(keys, *rotation)
        if kept is not None:
            kept.append((keys, values))
        if self.num_key_value_heads < self.num_heads:
            group_size = self.num_heads // self.num_key_value_heads
            keys, values = keys.repeat_interleave(group_size, dim=1), values.repeat_interleave(group_size, dim=1)
        if self.attention_window is None or length <= self.attention_window:
            attended = F.scaled_dot_product_attention(queries, keys, values, is_causal=True)
        else:
            attended = windowed_attention(queries, keys, values, self.attention_window)
        return self.attention_out(attended.transpose(1, 2).reshape(batch_size, length, width))


def windowed_attention(queries: Tensor, keys: Tensor, values: Tensor, window: int) -> Tensor:
    """Causal attention to the last `window` positions, in chunks of that length that attend to the previous chunk.

    All tensors are (batch, heads, length, head width).
    """
    length = queries.shape[2]
    queries, keys, values = (
        F.pad(x, (0, 0, 0, -length % window)).unflatten(2, (-1, window)).transpose(1, 2)
        for x in (queries, keys, values)
    )
    first = F.scaled_dot_product_attention(queries[:, 0], keys[:, 0], values[:, 0], is_causal=True)
    keys, values = (torch.cat([x[:, :-1], x[:, 1:]], dim=3).flatten(0, 1) for x in (keys, values))
    is_seen = torch.ones(window, 2 * window, dtype=torch.bool, device=queries.device).triu(1).tril(window)
    rest = F.scaled_dot_product_attention(queries[:, 1:].flatten(0, 1), keys, values, attn_mask=is_seen)
    attended = torch.cat([first[:, None], rest.unflatten(0, (len(queries), -1))], dim=1)
    return attended.transpose(1, 2).flatten(2, 3)[:, :, :length]


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotates pairs of channels of (batch, heads, length, head width) by (length, head width / 2) angles."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).to(x.dtype)
