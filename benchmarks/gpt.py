"""The baseline of the priors: a GPT of the same sizes, in the usual form."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from networks import CodePrior


class GPT(nn.Module):
    """Learned absolute positions, pre-norm blocks, GELU, `scaled_dot_product_attention`.

    A sequence is a class token followed by codes, as in a `CodePrior`; class *c* is the token `num_codes + c`. Dropout
    is applied at the same points as in a `CodePrior`. On the attention weights it would make the baseline many times
    slower on a CPU.

    Args:
        num_codes, num_classes: numbers of codes and classes, which form the vocabulary.
        num_positions: length of the longest sequence.
        width, num_layers, num_heads, feedforward_width, dropout: sizes as in a `CodePrior`.
        stores_matrix: compute attention as softmax(QKᵀ)V, which stores the length × length matrix.
    """

    def __init__(
        self,
        num_codes: int,
        num_classes: int,
        num_positions: int,
        width: int,
        num_layers: int,
        num_heads: int,
        feedforward_width: int,
        dropout: float,
        stores_matrix: bool = False,
    ) -> None:
        super().__init__()
        self.num_codes, self.num_heads, self.num_positions = num_codes, num_heads, num_positions
        self.tokens = nn.Embedding(num_codes + num_classes, width)
        self.positions = nn.Embedding(num_positions, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(
            GPTBlock(width, num_heads, feedforward_width, dropout, stores_matrix) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(width)
        self.to_logits = nn.Linear(width, num_codes, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (batch, length) → logits (batch, length, num_codes) of the next code."""
        return self.to_logits(self.hidden(tokens))

    def hidden(self, tokens: Tensor, cache: Tensor | None = None, start: int = 0) -> Tensor:
        """Last hidden layer (batch, length, width) of tokens (batch, length).

        Args:
            cache: keys and values of earlier tokens, see `empty_cache`; those of these tokens are added.
            start: position of the first token; above 0 only with a cache, for a single token.
        """
        positions = torch.arange(start, start + tokens.shape[1], device=tokens.device)
        x = self.dropout(self.tokens(tokens) + self.positions(positions))
        for number, block in enumerate(self.blocks):
            x = block(x, None if cache is None else cache[number], start)
        return self.norm(x)

    def empty_cache(self, batch_size: int) -> Tensor:
        """Space for all keys and values: (layers, 2, batch, heads, num_positions, head width)."""
        head_width = self.tokens.embedding_dim // self.num_heads
        shape = (len(self.blocks), 2, batch_size, self.num_heads, self.num_positions, head_width)
        return torch.zeros(shape, device=self.tokens.weight.device)


class GPTBlock(nn.Module):
    """Pre-norm residual attention and feed-forward layer."""

    def __init__(self, width: int, num_heads: int, feedforward_width: int, dropout: float, stores_matrix: bool) -> None:
        super().__init__()
        self.num_heads, self.stores_matrix = num_heads, stores_matrix
        self.attention_norm = nn.LayerNorm(width)
        self.to_queries_keys_values = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feedforward = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, feedforward_width), nn.GELU(), nn.Linear(feedforward_width, width)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, cache: Tensor | None, start: int) -> Tensor:
        batch_size, length, width = x.shape
        heads = self.to_queries_keys_values(self.attention_norm(x)).view(batch_size, length, 3, self.num_heads, -1)
        queries, keys, values = heads.permute(2, 0, 3, 1, 4)
        if cache is not None:
            cache[0, :, :, start : start + length] = keys
            cache[1, :, :, start : start + length] = values
            keys, values = cache[:, :, :, : start + length]
        attend = written_out_attention if self.stores_matrix else F.scaled_dot_product_attention
        attended = attend(queries, keys, values, is_causal=length > 1)
        x = x + self.dropout(self.attention_out(attended.transpose(1, 2).reshape(batch_size, length, width)))
        return x + self.dropout(self.feedforward(x))


def written_out_attention(queries: Tensor, keys: Tensor, values: Tensor, is_causal: bool) -> Tensor:
    """Computes softmax(QKᵀ)V and stores the matrix."""
    scores = queries @ keys.mT * queries.shape[-1] ** -0.5
    if is_causal:
        is_hidden = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(1)
        scores = scores.masked_fill(is_hidden, -torch.inf)
    return scores.softmax(dim=-1) @ values


def gpt_sizes(prior: CodePrior) -> dict[str, Any]:
    """Arguments for a `GPT` with as many weights as a prior, as plain data.

    It has keys and values for each head, so its feed-forward layers are narrower.
    """
    arguments = prior.describe()["init_args"]
    width, num_heads = arguments["width"], arguments["num_heads"]
    num_key_value_heads = arguments["num_key_value_heads"] or num_heads
    same = ("num_codes", "num_classes", "width", "num_layers", "num_heads", "dropout")
    return {name: arguments[name] for name in same} | {
        "num_positions": prior.sequence_length,
        "feedforward_width": arguments["feedforward_width"] - width + width * num_key_value_heads // num_heads,
    }


def with_class_token(gpt: GPT, codes: Tensor, labels: Tensor) -> Tensor:
    """Codes (batch, length) → tokens (batch, 1 + length)."""
    return torch.cat([gpt.num_codes + labels[:, None], codes], dim=1)


def gpt_loss(gpt: GPT, codes: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of every code, given the codes before it."""
    logits = gpt(with_class_token(gpt, codes[:, :-1], labels))
    return F.cross_entropy(logits.float().transpose(1, 2), codes)
