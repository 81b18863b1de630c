"""A causal transformer over columns of codes: attention, rotary time and the cache that makes sampling cheap."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint


class KeyValueCache:
    """Keys and values of everything seen so far, preallocated: one token then costs one token.

    Shapes: (layers, 2, batch, heads, max_length, head width). `length` counts the positions that are filled.
    """

    def __init__(self, transformer: "CausalTransformer", batch_size: int, max_length: int) -> None:
        weight = transformer.blocks[0].to_queries_keys_values.weight
        num_heads = transformer.num_heads
        head_width = weight.shape[1] // num_heads
        shape = (len(transformer.blocks), 2, batch_size, num_heads, max_length, head_width)
        device = weight.device.type
        dtype = torch.get_autocast_dtype(device) if torch.is_autocast_enabled(device) else weight.dtype
        self.entries = torch.zeros(shape, dtype=dtype, device=weight.device)
        self.length = 0

    def append(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new positions of one layer, return all its keys and values; `length` is moved by the caller."""
        end = self.length + keys.shape[2]
        self.entries[layer, 0, :, :, self.length : end] = keys
        self.entries[layer, 1, :, :, self.length : end] = values
        return self.entries[layer, 0, :, :, :end], self.entries[layer, 1, :, :, :end]


class CausalTransformer(nn.Module):
    """Pre-norm transformer blocks; every position sees itself and what lies before it.

    Position in time enters by rotating queries and keys by their column's number, so that attention depends on how many
    columns lie between two codes, at any length; there is no table over the sequence.

    Attention is `scaled_dot_product_attention`, which never stores the length × length matrix; dropout is applied to
    the residual branches only, for dropout of the attention weights would need that matrix.

    Args:
        width: of the residual stream.
        num_layers, num_heads, feedforward_width: as usual.
        dropout: of each residual branch.
        rotary_base: wavelengths of the rotation go from 2π to 2π · `rotary_base` columns.
        activation_checkpointing: recompute the blocks in the backward pass: less memory, about a third more time.

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
    ) -> None:
        super().__init__()
        if width % (2 * num_heads):
            raise ValueError(f"width = {width} must be a multiple of twice num_heads = {num_heads}.")
        self.num_heads = num_heads
        self.activation_checkpointing = activation_checkpointing
        self.blocks = nn.ModuleList(
            _Block(width, num_heads, feedforward_width, dropout, layer) for layer in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.rotary_base = rotary_base
        for name, parameter in self.named_parameters():
            if name.endswith("weight") and parameter.dim() == 2:
                is_branch_end = name.endswith(("attention_out.weight", "shrink.weight"))
                nn.init.normal_(parameter, std=0.02 / (2 * num_layers) ** 0.5 if is_branch_end else 0.02)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)

    def forward(self, x: Tensor, columns: Tensor, cache: KeyValueCache | None = None) -> Tensor:
        """(batch, length, width) and the column of each position (length,) → (batch, length, width).

        With a cache, `x` continues what the cache holds: either the cache is empty or `length` is 1.
        """
        half = x.shape[-1] // self.num_heads // 2
        frequencies = self.rotary_base ** -(torch.arange(half, device=x.device) / half)  # fp32 under every precision
        angles = columns[:, None] * frequencies
        rotation = (angles.cos(), angles.sin())
        for block in self.blocks:
            if self.activation_checkpointing and self.training and cache is None:
                x = checkpoint(block, x, rotation, use_reentrant=False)
            else:
                x = block(x, rotation, cache)
        if cache is not None:
            cache.length += x.shape[1]
        return self.norm(x)


class _Block(nn.Module):
    def __init__(self, width: int, num_heads: int, feedforward_width: int, dropout: float, layer: int) -> None:
        super().__init__()
        self.num_heads, self.layer = num_heads, layer
        self.attention_norm = nn.LayerNorm(width)
        self.to_queries_keys_values = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, feedforward_width)
        self.shrink = nn.Linear(feedforward_width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: KeyValueCache | None = None) -> Tensor:
        x = x + self.dropout(self._attend(self.attention_norm(x), rotation, cache))
        return x + self.dropout(self.shrink(F.gelu(self.expand(self.feedforward_norm(x)))))

    def _attend(self, x: Tensor, rotation: tuple[Tensor, Tensor], cache: KeyValueCache | None) -> Tensor:
        batch_size, length, width = x.shape
        heads = self.to_queries_keys_values(x).view(batch_size, length, 3, self.num_heads, -1)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        queries, keys = _rotate(queries, *rotation), _rotate(keys, *rotation)
        if cache is not None:
            assert cache.length == 0 or length == 1, "a cache that holds something is continued one code at a time"
            keys, values = cache.append(self.layer, keys, values)
        attended = F.scaled_dot_product_attention(queries, keys, values, is_causal=length > 1)
        return self.attention_out(attended.transpose(1, 2).reshape(batch_size, length, width))


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate pairs of (batch, heads, length, head width) by (length, head width / 2) angles."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1).to(x.dtype)
