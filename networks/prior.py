"""The autoregressive model of code grids, used twice: for the top codes, and for the bottom codes given the top."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks.code_grid import flatten_codes, unflatten_codes
from networks.description import Described
from networks.transformer import CausalTransformer, KeyValueCache


class TopContext(Described, nn.Module):
    """What the bottom prior sees of the top grid: its embedding, mixed over a neighbourhood and upsampled.

    Why: the whole top grid is known before the first bottom code is sampled, so that this context may look both ways.
    A depthwise convolution mixes along frequency and time, a low-rank layer mixes the channels; full layers would
    outgrow the prior's share of weights.

    Args:
        num_codes: of the top level.
        width: of the prior.
        scale: bottom rows per top row, and bottom columns per top column.
        num_layers: residual pairs of a depthwise and a low-rank layer.
        kernel_size: of the depthwise convolution, in top codes; odd.
        rank: of the low-rank layer.
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
        self.scale = scale
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

    def forward(self, top_codes: Tensor) -> Tensor:
        """Top grid (batch, rows, columns) → (batch, scale² · rows · columns, width), in the bottom codes' order."""
        x = self.embedding(top_codes).movedim(-1, 1)
        for layer in self.layers:
            x = x + layer(x)
        x = x.repeat_interleave(self.scale, dim=-1).repeat_interleave(self.scale, dim=-2)
        return flatten_codes(x).transpose(1, 2)


class CodePrior(Described, nn.Module):
    """p(codes | class) or p(bottom codes | class, top codes), one code after the other, time-major.

    The sequence is a class token followed by the codes: 1 + columns · rows positions for a window. The input at the
    position that predicts code *i* is the embedding of code *i - 1* (nothing for the first: there the class stands
    alone), the row that is predicted, the class, and the context of the top grid at the place that is predicted. The
    class is added everywhere, not only at the start, so that it is never out of sight in an endless sound.

    Args:
        num_classes: classes of sounds.
        num_rows: frequencies in one time column.
        num_columns: time columns of a window, the length that is trained on; sampling may go on beyond it.
        num_codes: of the level that is modelled.
        width, num_layers, num_heads, feedforward_width, dropout, rotary_base, activation_checkpointing:
            see `CausalTransformer`.
        top_context: how the top grid is seen; None for the top prior.

    Source: A. Razavi et al., "Generating Diverse High-Fidelity Images with VQ-VAE-2", 2019, section 3.2.
    """

    def __init__(
        self,
        num_classes: int,
        num_rows: int,
        num_columns: int,
        num_codes: int = 128,
        width: int = 256,
        num_layers: int = 4,
        num_heads: int = 8,
        feedforward_width: int = 2048,
        dropout: float = 0.1,
        rotary_base: float = 1000.0,
        activation_checkpointing: bool = False,
        top_context: TopContext | None = None,
    ) -> None:
        super().__init__()
        self.num_classes, self.num_codes = num_classes, num_codes
        self.num_rows, self.num_columns = num_rows, num_columns
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
            width, num_layers, num_heads, feedforward_width, dropout, rotary_base, activation_checkpointing
        )
        self.to_logits = nn.Linear(width, num_codes)
        nn.init.normal_(self.to_logits.weight, std=0.02)
        nn.init.zeros_(self.to_logits.bias)

    @property
    def sequence_length(self) -> int:
        """Positions of a window's sequence: the class token and all codes."""
        return 1 + self.num_rows * self.num_columns

    def forward(self, codes: Tensor, labels: Tensor, top_codes: Tensor | None = None) -> Tensor:
        """Logits of every code given those before it.

        Args:
            codes: (batch, length) flattened codes, any length.
            labels: (batch,) classes.
            top_codes: (batch, top length) flattened top codes that cover `codes`; with a `top_context` only.

        Returns:
            (batch, length, num_codes): position *i* holds the logits of code *i*.
        """
        return self._logits(codes[:, :-1], labels, self.context(top_codes), 0, codes.shape[1], None)

    def context(self, top_codes: Tensor | None) -> Tensor | None:
        """Flattened top codes (batch, top length) → (batch, bottom length, width); None for the top prior.

        Raises:
            ValueError: where top codes are given to a prior without context, or missing for one with it.
        """
        if (top_codes is None) != (self.top_context is None):
            found = "no top codes" if top_codes is None else "top codes"
            raise ValueError(f"This prior was built with top_context = {self.top_context!r}, and was given {found}.")
        if self.top_context is None:
            return None
        return self.top_context(unflatten_codes(top_codes, self.num_rows // self.top_context.scale))

    def new_cache(self, batch_size: int, max_length: int) -> KeyValueCache:
        """An empty cache for `next_logits`, for at most `max_length` codes."""
        return KeyValueCache(self.transformer, batch_size, max_length)

    def next_logits(self, codes: Tensor, labels: Tensor, context: Tensor | None, cache: KeyValueCache) -> Tensor:
        """Logits (batch, num_codes) of the code that follows `codes` (batch, length).

        Only positions that the cache does not hold yet are computed: all of them at first, one at a time later.
        """
        start, end = cache.length, codes.shape[1] + 1
        new_codes = codes[:, max(start - 1, 0) :]
        return self._logits(new_codes, labels, context, start, end, cache, last_only=True)[:, 0]

    def _logits(
        self,
        previous_codes: Tensor,
        labels: Tensor,
        context: Tensor | None,
        start: int,
        end: int,
        cache: KeyValueCache | None,
        last_only: bool = False,
    ) -> Tensor:
        """Logits of the codes `start` … `end - 1`; `previous_codes` are those before each, as far as there are any."""
        positions = torch.arange(start, end, device=labels.device)
        columns = positions.div(self.num_rows, rounding_mode="floor")
        x = self.row_embedding(positions % self.num_rows) + self.class_embedding(labels)[:, None]
        previous = self.code_embedding(previous_codes)
        x = x + (F.pad(previous, (0, 0, 1, 0)) if start == 0 else previous)
        if context is not None:
            x = x + context[:, start:end]
        x = self.transformer(self.dropout(x), columns, cache)
        return self.to_logits(x[:, -1:] if last_only else x)
