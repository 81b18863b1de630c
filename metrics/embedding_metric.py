"""What all metrics have in common that compare sets of embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from metrics.estimate import group_numbers


@dataclass(frozen=True)
class SoundSet:
    """Sounds of one part.

    Attributes:
        embeddings: (sounds, dimensions) float64.
        groups: (sounds,) number of the group of each.
    """

    embeddings: np.ndarray
    groups: np.ndarray

    @property
    def differs(self) -> np.ndarray:
        """(sounds, sounds) True for pairs from two groups."""
        return self.groups[:, np.newaxis] != self.groups


class EmbeddingMetric(Metric):
    """Keeps embeddings with the group and the part of each. Use one of its subclasses.

    Args:
        num_resamples: drawn for the intervals.
        seed: of the resamples.
    """

    full_state_update = False
    embeddings: list[Tensor]
    groups: list[Tensor]
    parts_of: list[Tensor]
    parts: tuple[str, ...]

    def __init__(self, num_resamples: int, seed: int = 0) -> None:
        super().__init__()
        self.num_resamples = num_resamples
        self.seed = seed
        for name in ("embeddings", "groups", "parts_of"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def _add(self, embeddings: Tensor, groups: Sequence[str], part: str) -> None:
        if embeddings.ndim != 2 or len(embeddings) != len(groups):
            found = f"{tuple(embeddings.shape)} and {len(groups)} groups"
            raise ValueError(f"Expected embeddings (sounds, dimensions) and a group for each sound, found {found}.")
        if not embeddings.isfinite().all():
            raise ValueError("The embeddings hold values that are not finite; look for broken sounds.")
        self.embeddings.append(embeddings.detach())
        self.groups.append(group_numbers(groups).to(embeddings.device))
        self.parts_of.append(torch.full((len(groups),), self.parts.index(part), device=embeddings.device))

    def _sounds_of(self, part: str, fewest_groups: int = 1) -> SoundSet:
        embeddings, groups = torch.empty(0), torch.empty(0)
        if len(self.embeddings):
            is_part = dim_zero_cat(self.parts_of) == self.parts.index(part)
            embeddings, groups = dim_zero_cat(self.embeddings)[is_part], dim_zero_cat(self.groups)[is_part]
        num_groups = len(groups.unique())
        if num_groups < fewest_groups:
            raise ValueError(f"Expected {part} sounds of at least {fewest_groups} recordings, found {num_groups}.")
        return SoundSet(embeddings.cpu().double().numpy(), groups.cpu().numpy())
