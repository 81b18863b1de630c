"""Best-of-n sampling: of several candidates the one that is most clearly of its class is kept."""

from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor
from torch.nn import functional as F

from networks.codec.code_grid import unflatten_codes
from networks.prior.code_prior import CodePrior
from networks.prior.sampling import Sampling, sample_codes, stream_columns

ROWS_AT_ONCE = 8


@torch.inference_mode()
def class_evidence(prior: CodePrior, codes: Tensor, labels: Tensor) -> Tensor:
    """Flattened codes (batch, length) and classes (batch,) → log-odds (batch,) of these classes in nats.

    They follow by Bayes' rule from the likelihoods of a prior without top context, of two classes or more, in
    evaluation mode, with all classes equally likely a priori. As noise and pauses are equally likely in all classes,
    one pass of the top prior over whole windows finds the clear sounds, before any bottom code is drawn.
    """
    parts = codes.split(ROWS_AT_ONCE)
    classes = range(prior.num_classes)
    likelihoods = torch.stack([torch.cat([_log_likelihood(prior, rows, c) for rows in parts]) for c in classes], dim=1)
    is_own = F.one_hot(labels, prior.num_classes).bool()
    return likelihoods[is_own] - likelihoods.masked_fill(is_own, -torch.inf).logsumexp(dim=1)


@torch.inference_mode()
def stream_best_columns(
    prior: CodePrior, labels: Tensor, seeds: list[list[int]], sampling: Sampling
) -> Iterator[Tensor]:
    """`stream_columns` of a prior without top context, in which each row starts with the best of several windows.

    The candidates of all rows are drawn as one batch. The one with the highest `class_evidence` is kept, and continues
    with its own seed. With one class, or one candidate, there is no choice.

    Args:
        prior, labels, sampling: see `stream_columns`.
        seeds: for each row the seeds of its candidates, the same number for each row.
    """
    num_candidates = len(seeds[0])
    if num_candidates == 1 or prior.num_classes == 1:
        yield from stream_columns(prior, labels, [row[0] for row in seeds], sampling)
        return
    every_label = labels.repeat_interleave(num_candidates)
    every_seed = [seed for row in seeds for seed in row]
    windows = sample_codes(prior, every_label, prior.num_columns, every_seed, sampling)
    best = class_evidence(prior, windows, every_label).view(len(labels), num_candidates).argmax(dim=1)
    chosen = windows.view(len(labels), num_candidates, -1)[torch.arange(len(labels), device=best.device), best]
    yield from unflatten_codes(chosen, prior.num_rows).unbind(dim=-1)
    chosen_seeds = [row[candidate] for row, candidate in zip(seeds, best.tolist(), strict=True)]
    yield from islice(stream_columns(prior, labels, chosen_seeds, sampling), prior.num_columns, None)


def _log_likelihood(prior: CodePrior, codes: Tensor, label: int) -> Tensor:
    logits = prior(codes, torch.full((len(codes),), label, device=codes.device))
    return -F.cross_entropy(logits.float().transpose(1, 2), codes, reduction="none").sum(dim=1)
