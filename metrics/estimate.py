"""A figure with its uncertainty, and the resampling behind it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

TAIL = 0.025  # on each side of an interval
FEW_GROUPS = 30  # below it resampling shows too little of the spread


@dataclass  # not frozen: torchmetrics sets the fields of its copy of a result
class Estimate:
    """A figure with a 95 % interval.

    Attributes:
        value: figure over all sounds.
        low, high: ends of the interval; about 95 % of such intervals contain the figure of all recordings.
        num_sounds: sounds that were evaluated, without those that they are compared with.
        remark: warning about the figure, or nothing.
    """

    value: float
    low: float
    high: float
    num_sounds: int
    remark: str = ""


def group_numbers(groups: Sequence[str]) -> Tensor:
    """(groups,) int64 hashes of names, the same in every process and session.

    Why: the state of a metric consists of tensors. The odds that two of a million names collide are one in 30 million.
    """
    digests = [hashlib.blake2b(name.encode(), digest_size=8).digest() for name in groups]
    return torch.tensor([int.from_bytes(digest, "little", signed=True) for digest in digests], dtype=torch.long)


def resampled_weights(groups: np.ndarray, num_resamples: int, rng: np.random.Generator) -> np.ndarray:
    """(num_resamples, sounds) float64 counts of each sound in each resample, for the groups (sounds,) of the sounds.

    Why groups: sounds from one recording are similar, so drawing single sounds would make intervals too narrow. Groups
    are drawn with replacement, so all sounds of a group have the same count.
    """
    names, members = np.unique(groups, return_inverse=True)
    counts = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=num_resamples)
    return counts[:, members].astype(np.float64)


def weighted_mean_estimate(
    values: np.ndarray, groups: np.ndarray, num_resamples: int, rng: np.random.Generator
) -> Estimate:
    """The mean of values (sounds,), at least one, with the percentile interval of resampled groups (sounds,)."""
    weights = resampled_weights(groups, num_resamples, rng)
    low, high = percentile_interval(weights @ values / weights.sum(axis=1))
    return Estimate(float(values.mean()), low, high, len(values), remark_on_groups(groups))


def percentile_interval(resampled: np.ndarray) -> tuple[float, float]:
    """The middle 95 % of the figures (num_resamples,) of resamples; undefined ones (NaN) are left out."""
    return tuple(np.nanquantile(resampled, [TAIL, 1 - TAIL]).tolist())


def remark_on_groups(*sides: np.ndarray) -> str:
    """A warning if a side has too few groups for resampling, else nothing."""
    fewest = min(len(np.unique(groups)) for groups in sides)
    return f"only {fewest} recordings: the interval is rough" if fewest < FEW_GROUPS else ""
