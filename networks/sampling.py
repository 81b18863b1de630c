"""Drawing codes from a prior, one after the other, for any length of sound."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from networks.prior import CodePrior


@dataclass(frozen=True)
class Sampling:
    """How a code is drawn from its distribution.

    Args:
        temperature: below 1 plays safe, above 1 takes risks; 0 always takes the most likely code.
        top_k: only the k most likely codes; None or 0 for all.
        top_p: only the fewest codes that together are this likely; 1 for all.

    Raises:
        ValueError: where a value lies outside its range.

    Source: top-p: A. Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, section 3.1.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}, expected 0 or more.")
        if self.top_k is not None and self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}, expected 0 or more, or none.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, expected above 0 and at most 1.")

    def draw(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """Logits (batch, num_codes) and uniform numbers (batch,) in [0, 1) → codes (batch,)."""
        if self.temperature == 0:
            return logits.argmax(dim=-1)
        logits = logits.float() - logits.amax(dim=-1, keepdim=True)  # a tiny temperature cannot overflow
        probabilities, order = (logits / self.temperature).softmax(dim=-1).sort(dim=-1, descending=True)
        if self.top_k:
            probabilities[:, self.top_k :] = 0
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities * (before < self.top_p * probabilities.sum(dim=-1, keepdim=True))
        cumulative = probabilities.cumsum(dim=-1)
        rank = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(dim=-1, keepdim=True)
        num_kept = (probabilities > 0).sum(dim=-1, keepdim=True)
        return order.gather(1, rank.minimum(num_kept - 1))[:, 0]


@torch.no_grad()
def sample_codes(
    prior: CodePrior,
    labels: Tensor,
    num_columns: int,
    seeds: list[int],
    sampling: Sampling,
    top_codes: Tensor | None = None,
    on_column: Callable[[], None] | None = None,
) -> Tensor:
    """Draw `num_columns` time columns of codes for each label, in windows that continue each other.

    The prior was trained on windows of `prior.num_columns`. A longer sound is made of such windows: the second half of
    one is the prefix of the next, which fills its own second half. Each row draws from its own seed, so that it comes
    out the same alone and in a batch.

    Args:
        prior: in evaluation mode.
        labels: (batch,) classes.
        num_columns: time columns wanted, of this prior's level.
        seeds: one for each row of the batch.
        sampling: how to draw.
        top_codes: (batch, length) flattened, at least as long as the bottom codes wanted; for the bottom prior only.
        on_column: called after each finished column, for progress.

    Returns:
        (batch, num_columns · num_rows) flattened codes.
    """
    assert len(seeds) == len(labels), "one seed for each row"
    rows, device = prior.num_rows, labels.device
    scale = prior.top_context.scale if prior.top_context is not None else 1
    stride = max(prior.num_columns // 2 // scale, 1) * scale  # windows start at whole columns of the top grid
    num_top = -(-num_columns // scale) * (rows // scale)
    if prior.top_context is not None and top_codes is not None and top_codes.shape[1] < num_top:
        raise ValueError(f"{num_columns} columns need {num_top} top codes, found {top_codes.shape[1]}.")
    uniforms = torch.stack(
        [torch.rand(num_columns * rows, generator=torch.Generator().manual_seed(seed)) for seed in seeds]
    ).to(device)
    codes = torch.empty(len(labels), 0, dtype=torch.long, device=device)
    start = 0
    while codes.shape[1] < num_columns * rows:
        end = min(start + prior.num_columns, num_columns)
        context = prior.context(_columns_of_top(prior, top_codes, start, end))
        cache = prior.new_cache(len(labels), (end - start) * rows)
        window = codes[:, start * rows :]
        while window.shape[1] < (end - start) * rows:
            logits = prior.next_logits(window, labels, context, cache)
            drawn = sampling.draw(logits, uniforms[:, start * rows + window.shape[1]])
            window = torch.cat([window, drawn[:, None]], dim=1)
            if on_column is not None and window.shape[1] % rows == 0:
                on_column()
        codes = torch.cat([codes[:, : start * rows], window], dim=1)
        start += stride
    return codes


def _columns_of_top(prior: CodePrior, top_codes: Tensor | None, start: int, end: int) -> Tensor | None:
    """The part of the flattened top codes that lies above the bottom columns `start` … `end - 1`."""
    if top_codes is None or prior.top_context is None:
        return top_codes
    scale = prior.top_context.scale
    top_rows = prior.num_rows // scale
    return top_codes[:, start // scale * top_rows : -(-end // scale) * top_rows]
