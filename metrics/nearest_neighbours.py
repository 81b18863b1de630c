"""Whether a model repeats the sounds that it was fitted on, or one sound over and over."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist
from torch import Tensor

from metrics.embedding_metric import EmbeddingMetric, SoundSet
from metrics.estimate import Estimate, percentile_interval, remark_on_groups, resampled_weights

SMALLEST = 1e-12  # norm or distance to divide by
QUANTILES = {"": 0.5, "_5th": 0.05}


class NearestNeighbourDistance(EmbeddingMetric):
    """Cosine distance of generated sounds to the nearest training sound, and among themselves, beside real sounds'.

    Why: a model that copies its training sounds has the best of all distances between sets; so has, by one class's
    figure, one that gives a single good sound. The first is found out by generated sounds that lie nearer to a training
    sound than held-out real sounds do, the second by generated sounds that lie nearer to each other.

    `compute` gives a dict of `Estimate`:
        generated_to_train, test_to_train: median distance of a sound to its nearest training sound, from 0 to 2.
        generated_to_train_5th, test_to_train_5th: the 5th percentile of it, which finds out who copies now and then.
        ratio, ratio_5th: generated / test. 0 is a copier, 1 is as new as a fresh recording;
            copies that went through a lossy code are farther than 0, and need to be measured beside.
        generated_spread, test_spread: mean distance of two sounds of different groups.
        spread_ratio: generated / test. 0 is a model that knows one sound, 1 one as varied as real sounds.

    The intervals are percentile intervals of resamples of the groups of generated and of test sounds. The training
    sounds stay as they are: the question is about these. Copies of a group in a resample are never paired.
    """

    parts = ("train", "test", "generated")

    def __init__(self, num_resamples: int = 1000, seed: int = 0) -> None:
        super().__init__(num_resamples, seed)

    def update(self, embeddings: Tensor, groups: Sequence[str], part: str) -> None:
        """Add embeddings (batch, dimensions) of sounds cut from the recordings `groups`, one name each.

        Args:
            part: "train", "test" or "generated".
        """
        if part not in self.parts:
            raise ValueError(f"Expected one of the parts {', '.join(self.parts)}, found '{part}'.")
        self._add(embeddings, groups, part)

    def compute(self) -> dict[str, Estimate]:
        """The figures over everything added since the last reset.

        Raises:
            ValueError: where there are no training sounds, or not at least two groups of test and generated sounds.
        """
        train = self._sounds_of("train")
        rng = np.random.default_rng(self.seed)
        resamples: dict[str, np.ndarray] = {}
        sides = {part: self._sounds_of(part, fewest_groups=2) for part in ("generated", "test")}
        for part, side in sides.items():
            weights = resampled_weights(side.groups, self.num_resamples, rng)
            weights = np.concatenate([np.ones((1, weights.shape[1])), weights])  # the value itself goes first
            nearest = _cosine_distances(side, train).min(axis=1)
            for suffix, quantile in QUANTILES.items():
                resamples[f"{part}_to_train{suffix}"] = _weighted_quantiles(nearest, weights, quantile)
            resamples[f"{part}_spread"] = _mean_over_pairs(_cosine_distances(side, side), side.differs, weights)
        for suffix in QUANTILES:
            generated, test = (resamples[f"{part}_to_train{suffix}"] for part in sides)
            resamples[f"ratio{suffix}"] = generated / np.maximum(test, SMALLEST)
        resamples["spread_ratio"] = resamples["generated_spread"] / np.maximum(resamples["test_spread"], SMALLEST)
        return {name: _estimate(name, figures, sides) for name, figures in resamples.items()}


def _estimate(name: str, figures: np.ndarray, sides: dict[str, SoundSet]) -> Estimate:
    parts = [part for part in sides if name.startswith(part)] or list(sides)
    remark = remark_on_groups(*(sides[part].groups for part in parts))
    low, high = percentile_interval(figures[1:])
    return Estimate(float(figures[0]), low, high, len(sides[parts[0]].groups), remark)


def _cosine_distances(left: SoundSet, right: SoundSet) -> np.ndarray:
    """(left sounds, right sounds) from 0 to 2; by differences of unit vectors, so that equal sounds give exactly 0."""
    units = [
        side.embeddings / np.maximum(np.linalg.norm(side.embeddings, axis=1, keepdims=True), SMALLEST)
        for side in (left, right)
    ]
    return cdist(*units, "sqeuclidean") / 2


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, quantile: float) -> np.ndarray:
    """(resamples,) quantiles of values (sounds,) that each occur as often as weights (resamples, sounds) say."""
    return np.array([np.quantile(np.repeat(values, counts), quantile) for counts in weights.astype(int)])


def _mean_over_pairs(distances: np.ndarray, differs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(resamples,) means over pairs of different groups; NaN where a resample has drawn one group alone."""
    num_pairs = ((weights @ differs) * weights).sum(axis=1)
    sums = ((weights @ (distances * differs)) * weights).sum(axis=1)
    return np.divide(sums, num_pairs, out=np.full_like(sums, np.nan), where=num_pairs > 0)
