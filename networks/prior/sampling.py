"""Sampling of codes from a prior, for sounds of any length."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor

from networks.codec.code_grid import unflatten_codes
from networks.prior.code_prior import CodePrior
from networks.prior.incremental import Precision, PriorStepper


@dataclass(frozen=True)
class Sampling:
    """How a code is drawn from its distribution.

    Args:
        temperature: divisor of the logits: below 1 for likely codes, above 1 for variety; 0 takes the most likely code.
        top_k: number of the most likely codes to draw from; None or 0 for all.
        top_p: probability that the fewest, most likely codes to draw from have together; 1 for all.
        precision: precision of the prior's weights on a CPU: `float32` is exact, the others are faster.

    Raises:
        ValueError: if a value is outside its range.

    Source: top-p: A. Holtzman et al., "The Curious Case of Neural Text Degeneration", 2019, section 3.1.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float = 1.0
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if not self.temperature >= 0:
            raise ValueError(f"temperature is {self.temperature}, expected 0 or more.")
        if self.top_k is not None and self.top_k < 0:
            raise ValueError(f"top_k is {self.top_k}, expected 0 or more, or null.")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, expected above 0 and at most 1.")

    def draw(self, logits: Tensor, uniform: Tensor) -> Tensor:
        """Logits (batch, num_codes) and uniform numbers (batch,) in [0, 1) → codes (batch,)."""
        if self.temperature == 0:
            return logits.argmax(dim=-1)
        logits = logits.float() - logits.amax(dim=-1, keepdim=True)  # a tiny temperature cannot overflow
        probabilities = (logits / self.temperature).softmax(dim=-1)
        if not self.top_k and self.top_p == 1:
            cumulative = probabilities.cumsum(dim=-1)
            total = cumulative[:, -1:]
            return (cumulative <= (uniform[:, None] * total)).logical_and_(cumulative < total).sum(dim=-1)
        probabilities, order = probabilities.sort(dim=-1, descending=True)
        if self.top_k:
            probabilities[:, self.top_k :] = 0
        before = probabilities.cumsum(dim=-1) - probabilities
        probabilities = probabilities * (before < self.top_p * probabilities.sum(dim=-1, keepdim=True))
        cumulative = probabilities.cumsum(dim=-1)
        rank = (cumulative <= uniform[:, None] * cumulative[:, -1:]).sum(dim=-1, keepdim=True)
        num_kept = (probabilities > 0).sum(dim=-1, keepdim=True)
        return order.gather(1, rank.minimum(num_kept - 1))[:, 0]


def sample_codes(
    prior: CodePrior,
    labels: Tensor,
    num_columns: int,
    seeds: list[int],
    sampling: Sampling,
    top_codes: Tensor | None = None,
) -> Tensor:
    """Samples `num_columns` time columns for each label: flattened codes (batch, num_columns · num_rows).

    Args:
        prior, labels, seeds, sampling: see `stream_columns`.
        num_columns: time columns, of this prior's level.
        top_codes: (batch, length) flattened top codes that cover these columns; for the bottom prior only.

    Raises:
        ValueError: if the top codes are too few, or if they are missing or not expected.
    """
    prior.check_top_codes(top_codes is not None)
    top_columns = None
    if prior.top_context is not None and top_codes is not None:
        scale = prior.top_context.scale
        found = unflatten_codes(top_codes, prior.num_rows // scale)[..., : -(-num_columns // scale)].unbind(-1)
        if len(found) * scale < num_columns:
            raise ValueError(f"{num_columns} columns need 1 / {scale} as many of top codes, found {len(found)}.")
        top_columns = iter(found)
    columns = stream_columns(prior, labels, seeds, sampling, top_columns)
    return torch.cat(list(islice(columns, num_columns)), dim=1)


@torch.inference_mode()
def stream_columns(
    prior: CodePrior, labels: Tensor, seeds: list[int], sampling: Sampling, top_columns: Iterator[Tensor] | None = None
) -> Iterator[Tensor]:
    """Samples time columns (batch, num_rows) of codes in constant memory, endlessly or until the top columns end.

    A prior with `attention_columns` continues from its cache. Another samples windows of the length that it was trained
    on, each with the second half of the previous one as its prefix. Each row draws from its own seed, so it is the same
    alone and in a batch.

    Args:
        prior: the prior, in evaluation mode.
        labels: (batch,) classes.
        seeds: seed of each row.
        sampling: the way in which codes are drawn.
        top_columns: columns (batch, top rows) of top codes; for the bottom prior only. They are read as late as
            possible: a window ahead, or with `attention_columns` as far ahead as the context reaches.
    """
    assert len(seeds) == len(labels), "one seed for each row"
    stepper = PriorStepper(prior, labels, sampling.precision)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    drawn: deque[Tensor] = deque(maxlen=prior.num_columns)
    for num_known, num_columns, context in _windows(prior, top_columns):
        if num_known:
            stepper.start(torch.cat(list(drawn)[-num_known:], dim=1), context)
        for column in range(num_known, num_columns):
            uniforms = torch.stack([torch.rand(prior.num_rows, generator=generator) for generator in generators])
            uniforms = uniforms.to(labels.device)
            codes: list[Tensor] = []
            for row in range(prior.num_rows):
                before = codes[-1] if codes else drawn[-1][:, -1] if drawn else None
                above = None if context is None else context[:, column * prior.num_rows + row]
                codes.append(sampling.draw(stepper.step(before, above), uniforms[:, row]))
            drawn.append(torch.stack(codes, dim=1))
            yield drawn[-1]


def _windows(prior: CodePrior, top_columns: Iterator[Tensor] | None) -> Iterator[tuple[int, int, Tensor | None]]:
    """For each window the number of columns known from the previous one, of all its columns, and its context."""
    num_columns, is_endless = prior.num_columns, prior.attention_columns is not None
    scale = prior.top_context.scale if prior.top_context is not None else 1
    stride = num_columns if is_endless else max(num_columns // 2 // scale, 1) * scale  # whole columns of the top grid
    num_known = num_columns - stride
    if prior.top_context is None or top_columns is None:
        prior.check_top_codes(top_columns is not None)
        yield 0, num_columns, None
        while True:
            yield num_known, num_columns, None
    num_around = prior.top_context.reach if is_endless else 0
    before: list[Tensor] = []
    coming = list(islice(top_columns, num_columns // scale + num_around))
    num_before = 0
    while len(coming) * scale > num_before:
        context = prior.top_context(torch.stack(before + coming, dim=-1))[:, len(before) * scale * prior.num_rows :]
        yield num_before, min(len(coming) * scale, num_columns), context
        before = (before + coming[: stride // scale])[-num_around:] if num_around else []
        coming = coming[stride // scale :]
        coming += islice(top_columns, num_columns // scale + num_around - len(coming))
        num_before = num_known
