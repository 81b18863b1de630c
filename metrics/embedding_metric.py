"""The common part of the metrics that compare sets of embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from metrics.estimate import Estimate, group_numbers, percentile_interval, remark_on_groups, resampled_weights


@dataclass(frozen=True)
class SoundSet:
    """The sounds of one part.

    Attributes:
        embeddings: (sounds, dimensions) float64.
        groups: (sounds,) number of each sound's group.
    """

    embeddings: np.ndarray
    groups: np.ndarray

    @property
    def differs(self) -> np.ndarray:
        """(sounds, sounds) True for pairs from two groups."""
        return self.groups[:, np.newaxis] != self.groups

    def draw_weights(self, num_resamples: int, rng: np.random.Generator) -> np.ndarray:
        """(1 + num_resamples, sounds): ones for the set itself, and the counts of each sound in each resample."""
        return np.concatenate([np.ones((1, len(self.groups))), resampled_weights(self.groups, num_resamples, rng)])

    def mean_over_pairs(self, values: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """(rows,) mean of values (sounds, sounds) over pairs from two groups, for weights (rows, sounds).

        Copies of a group in a resample are never paired with each other. NaN if a row has only one group.
        """
        num_pairs = ((weights @ self.differs) * weights).sum(axis=1)
        sums = ((weights @ (values * self.differs)) * weights).sum(axis=1)
        return np.divide(sums, num_pairs, out=np.full_like(sums, np.nan), where=num_pairs > 0)


class EmbeddingMetric(Metric):
    """Keeps embeddings with the group and the part of each. Use one of its subclasses.

    Args:
        num_resamples, seed: number of resamples drawn for the intervals, and their seed.
    """

    full_state_update = False
    embeddings: list[Tensor]
    groups: list[Tensor]
    parts_of: list[Tensor]
    parts: tuple[str, ...]

    def __init__(self, num_resamples: int = 1000, seed: int = 0) -> None:
        super().__init__()
        self.num_resamples, self.seed = num_resamples, seed
        for name in ("embeddings", "groups", "parts_of"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def _add(self, embeddings: Tensor, groups: Sequence[str], part: str) -> None:
        if embeddings.ndim != 2 or len(embeddings) != len(groups):
            found = f"{tuple(embeddings.shape)} and {len(groups)} groups"
            raise ValueError(f"Expected embeddings (sounds, dimensions) and a group for each sound, found {found}.")
        if not embeddings.isfinite().all():
            raise ValueError("Expected finite embeddings, found infinite or undefined ones; check the sounds.")
        self.embeddings.append(embeddings.detach())
        self.groups.append(group_numbers(groups).to(embeddings.device))
        self.parts_of.append(torch.full((len(groups),), self.parts.index(part), device=embeddings.device))

    def _sounds_of(self, part: str, fewest_groups: int = 2) -> SoundSet:
        embeddings, groups = torch.empty(0), torch.empty(0)
        if len(self.embeddings):
            is_part = dim_zero_cat(self.parts_of) == self.parts.index(part)
            embeddings, groups = dim_zero_cat(self.embeddings)[is_part], dim_zero_cat(self.groups)[is_part]
        if (num_groups := len(groups.unique())) < fewest_groups:
            raise ValueError(f"Expected {part} sounds of at least {fewest_groups} recordings, found {num_groups}.")
        return SoundSet(embeddings.cpu().double().numpy(), groups.cpu().numpy())


class SetDistance(EmbeddingMetric):
    """Compares evaluated sounds with reference sounds. Use one of its subclasses."""

    parts = ("reference", "evaluated")

    def update(self, embeddings: Tensor, groups: Sequence[str], is_reference: bool) -> None:
        """Adds embeddings (batch, dimensions) of sounds and, for each sound, the name of its recording."""
        self._add(embeddings, groups, "reference" if is_reference else "evaluated")


def estimate_from(figures: np.ndarray, evaluated: SoundSet, *others: SoundSet) -> Estimate:
    """The estimate behind figures (1 + resamples,): the value, followed by that of each resample."""
    remark = remark_on_groups(evaluated.groups, *(side.groups for side in others))
    return Estimate(float(figures[0]), *percentile_interval(figures[1:]), len(evaluated.groups), remark)
