"""A figure with its uncertainty, and the resampling behind it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

CONFIDENCE = 0.95
FEW_GROUPS = 30  # below it resampling shows too little of the spread


@dataclass  # not frozen: torchmetrics walks through what `compute` gives and sets the fields of its copy
class Estimate:
    """A figure with a 95 % interval.

    Attributes:
        value: the figure over all sounds.
        low, high: ends of the interval; of intervals made in this way about 95 % hold the figure of all recordings.
        num_sounds: sounds that were evaluated; those they are compared with are not counted.
        remark: what a reader should know before believing the figure; empty where there is nothing.
    """

    value: float
    low: float
    high: float
    num_sounds: int
    remark: str = ""


def group_numbers(groups: Sequence[str]) -> Tensor:
    """(groups,) int64 numbers that stand for names, the same in every process and session.

    Why: the state of a metric is made of tensors, not strings. The odds that two of a million names share a number are
    one in 30 million.
    """
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in groups]
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=torch.long)


def resampled_weights(groups: np.ndarray, num_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """How often each sound is in each resample, where whole groups are drawn with replacement.

    Why groups: sounds cut from one recording are alike, so that drawing them one by one makes an interval too narrow.

    Args:
        groups: (sounds,) number of the group of each.

    Returns:
        (num_resamples, sounds) float64 counts; the sounds of a group have the same.
    """
    _, members = np.unique(groups, return_inverse=True)
    num_groups = int(members.max()) + 1
    counts = rng.multinomial(num_groups, np.full(num_groups, 1 / num_groups), size=num_resamples)
    return counts[:, members].astype(np.float64)


def weighted_mean_estimate(
    values: np.ndarray, groups: np.ndarray, num_resamples: int, rng: np.random.Generator
) -> Estimate:
    """The mean of one value a sound, with the percentile interval of resampled groups.

    Args:
        values: (sounds,) at least one.
        groups: (sounds,) number of the group of each.
    """
    weights = resampled_weights(groups, num_resamples, rng)
    low, high = percentile_interval(weights @ values / weights.sum(axis=1))
    return Estimate(float(values.mean()), low, high, len(values), remark_on_groups(groups))


def percentile_interval(resampled: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of figures of resamples (num_resamples,); those that are undefined (NaN) are left out."""
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail])
    return float(low), float(high)


def remark_on_groups(*sides: np.ndarray) -> str:
    """A warning where one of the sides has so few groups that resampling them tells little, else nothing."""
    fewest = min(len(np.unique(groups)) for groups in sides)
    return f"only {fewest} recordings: the interval is rough" if fewest < FEW_GROUPS else ""
