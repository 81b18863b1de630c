"""The autoregressive model of code grids: of the top codes, or of the bottom codes given the top codes."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.codec.code_grid import flatten_codes, unflatten_codes
from networks.prior.transformer import CausalTransformer
from runtime.described import Described


class TopContext(Described, nn.Module):
    """The bottom prior's view of the top grid: its embedding, mixed over a neighbourhood and upsampled.

    The top grid is known before the first bottom code is sampled, so the context may look ahead. Depthwise convolutions
    mix frequency and time, and low-rank layers mix the channels, as full layers would have too many weights.

    Args:
        num_codes: codes in the codebook of the top level.
        width: width of the prior.
        scale: bottom rows per top row, and bottom columns per top column.
        num_layers: residual pairs of a depthwise and a low-rank layer.
        kernel_size: top codes across the depthwise convolution's kernel; odd.
        rank: rank of the low-rank layer.
    """

    def __init__(
        self,
        num_codes: int = 128,
        width: int = 256,
        scale: int = 2,
        num_layers: int = 2,
        kernel_size: int = 5,
        rank: int = 64,
    ) -> None:
        super().__init__()
        self.scale, self.kernel_size = scale, kernel_size
        self.embedding = nn.Embedding(num_codes, width)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(width, width, kernel_size, padding=kernel_size // 2, groups=width),
                nn.Conv2d(width, rank, 1),
                nn.GELU(),
                nn.Conv2d(rank, width, 1),
            )
            for _ in range(num_layers)
        )

    @property
    def reach(self) -> int:
        """Top columns on either side that a code's context is mixed from."""
        return len(self.layers) * (self.kernel_size // 2)

    def forward(self, top_codes: Tensor) -> Tensor:
        """Top grid (batch, rows, columns) → (batch, scale² · rows · columns, width), in the bottom codes' order."""
        x = self.embedding(top_codes).movedim(-1, 1)
        for layer in self.layers:
            x = x + layer(x)
        x = x.repeat_interleave(self.scale, dim=-1).repeat_interleave(self.scale, dim=-2)
        return flatten_codes(x).transpose(1, 2)


class CodePrior(Described, nn.Module):
    """p(codes | class) or p(bottom codes | class, top codes), one code after the other, time-major.

    The sequence is a class token followed by the codes: 1 + columns · rows positions for a window. The input that
    predicts code *i* is the sum of the embeddings of code *i - 1* (if there is one), of the row of code *i* and of the
    class, and of the top context at code *i*. The class is added at every position, so that an endless sound does not
    lose it.

    Args:
        num_classes: classes of sounds.
        num_rows: frequencies in one time column.
        num_columns: time columns of a training window; sampled sounds may be longer.
        num_codes: codes in the codebook of the modelled level.
        width, num_layers, num_heads, num_key_value_heads, feedforward_width, dropout, rotary_base,
            activation_checkpointing: see `CausalTransformer`.
        attention_columns: columns' worth of codes that a code attends to, itself included; None for all codes before
            it. With a number, sampling continues endlessly from a cache of that size.
        top_context: the network that embeds the top grid; None for the top prior.

    Source: A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 3.2.
    """

    changeable = frozenset({"dropout", "activation_checkpointing"})

    def __init__(
        self,
        num_classes: int,
        num_rows: int,
        num_columns: int,
        num_codes: int = 128,
        width: int = 256,
        num_layers: int = 4,
        num_heads: int = 8,
        num_key_value_heads: int | None = None,
        feedforward_width: int = 2048,
        dropout: float = 0.1,
        rotary_base: float = 1000.0,
        activation_checkpointing: bool = False,
        attention_columns: int | None = None,
        top_context: TopContext | None = None,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_codes = num_classes, num_codes
        self.num_rows, self.num_columns = num_rows, num_columns
        if attention_columns is not None and attention_columns < 1:
            raise ValueError(f"attention_columns = {attention_columns}, expected 1 or more, or null.")
        self.attention_columns = attention_columns
        self.class_embedding = nn.Embedding(num_classes, width)
        self.code_embedding = nn.Embedding(num_codes, width)
        self.row_embedding = nn.Embedding(num_rows, width)
        for embedding in (self.class_embedding, self.code_embedding, self.row_embedding):
            nn.init.normal_(embedding.weight, std=0.02)
        if top_context is not None:
            if num_rows % top_context.scale:
                raise ValueError(
                    f"num_rows = {num_rows} must be a multiple of top_context.scale = {top_context.scale}."
                )
            if top_context.embedding.embedding_dim != width:
                found = top_context.embedding.embedding_dim
                raise ValueError(f"The top context's width = {found} must equal the prior's width = {width}.")
        self.top_context = top_context
        self.dropout = nn.Dropout(dropout)
        self.transformer = CausalTransformer(
            width,
            num_layers,
            num_heads,
            feedforward_width,
            dropout,
            rotary_base,
            activation_checkpointing,
            attention_window=attention_columns and attention_columns * num_rows,
            num_key_value_heads=num_key_value_heads,
        )
        self.to_logits = nn.Linear(width, num_codes)
        nn.init.normal_(self.to_logits.weight, std=0.02)
        nn.init.zeros_(self.to_logits.bias)

    @property
    def sequence_length(self) -> int:
        """Positions of a window's sequence: the class token and all codes."""
        return 1 + self.num_rows * self.num_columns

    def forward(self, codes: Tensor, labels: Tensor, top_codes: Tensor | None = None) -> Tensor:
        """Flattened codes (batch, length) → logits (batch, length, num_codes) of every code given those before it.

        Args:
            codes: codes of any length; the logits of code *i* are at position *i*.
            labels: (batch,) classes.
            top_codes: (batch, top length) flattened top codes that cover `codes`; None without a `top_context`.
        """
        return self.to_logits(self.hidden(codes[:, :-1], labels, self.context(top_codes)))

    def context(self, top_codes: Tensor | None) -> Tensor | None:
        """Flattened top codes (batch, top length) → (batch, bottom length, width); None for the top prior."""
        self.check_top_codes(top_codes is not None)
        if self.top_context is None or top_codes is None:
            return None
        return self.top_context(unflatten_codes(top_codes, self.num_rows // self.top_context.scale))

    def check_top_codes(self, are_given: bool) -> None:
        """Raises a ValueError if top codes are given to a prior without context, or missing for one with it."""
        if are_given != (self.top_context is not None):
            found = "top codes" if are_given else "no top codes"
            raise ValueError(f"This prior was built with top_context = {self.top_context!r}, and was given {found}.")

    def hidden(
        self, codes: Tensor, labels: Tensor, context: Tensor | None, kept: list[tuple[Tensor, Tensor]] | None = None
    ) -> Tensor:
        """The activations (batch, 1 + length, width) behind the logits; position *i* predicts code *i*.

        Args:
            codes, labels: see `forward`.
            context: result of `context`, for at least one position more than the codes.
            kept: list that takes the keys and values of each layer, see `CausalTransformer.forward`.
        """
        positions = torch.arange(1 + codes.shape[1], device=labels.device)
        x = self.row_embedding(positions % self.num_rows) + self.class_embedding(labels)[:, None]
        x = x + F.pad(self.code_embedding(codes), (0, 0, 1, 0))
        if context is not None:
            x = x + context[:, : len(positions)]
        columns = positions.div(self.num_rows, rounding_mode="floor")
        return self.transformer(self.dropout(x), columns, kept)
