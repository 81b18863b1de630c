"""Whether a model repeats the sounds that it was fitted on, or one sound over and over."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist
from torch import Tensor

from metrics.embedding_metric import EmbeddingMetric, SoundSet, estimate_from
from metrics.estimate import Estimate

SMALLEST = 1e-12  # norm or distance to divide by
QUANTILES = {"": 0.5, "_5th": 0.05}


class NearestNeighbourDistance(EmbeddingMetric):
    """Cosine distance of generated sounds to the nearest training sound, and among themselves, beside real sounds'.

    Why: a model that copies its training sounds has the best distance between sets. So has, within a class, a model
    that repeats one good sound. Copies are closer to a training sound than held-out real sounds are, and repetitions
    are closer to each other.

    `compute` gives a dict of `Estimate`:
        generated_to_train, test_to_train: median distance of a sound to its nearest training sound, from 0 to 2.
        generated_to_train_5th, test_to_train_5th: 5th percentile of this distance, which exposes occasional copies.
        ratio, ratio_5th: generated / test. 0 is a copier, and 1 is as new as a fresh recording. Copies that went
            through a lossy code are above 0; measure such copies for comparison.
        generated_spread, test_spread: mean distance of two sounds of different groups.
        spread_ratio: generated / test. 0 is a model that repeats one sound, and 1 is as varied as real sounds.

    The intervals are percentile intervals of resamples of the groups of generated and of test sounds. The training
    sounds are not resampled, as the question is about these. Copies of a group in a resample are never paired.
    """

    parts = ("train", "test", "generated")

    def update(self, embeddings: Tensor, groups: Sequence[str], part: str) -> None:
        """Adds embeddings (batch, dimensions) of sounds of a part and, for each sound, the name of its recording."""
        if part not in self.parts:
            raise ValueError(f"Expected one of the parts {', '.join(self.parts)}, found '{part}'.")
        self._add(embeddings, groups, part)

    def compute(self) -> dict[str, Estimate]:
        """Raises ValueError if there are no training sounds, or fewer than two groups of test or generated sounds."""
        train = self._sounds_of("train", fewest_groups=1)
        rng = np.random.default_rng(self.seed)
        figures: dict[str, np.ndarray] = {}
        sides = {part: self._sounds_of(part) for part in ("generated", "test")}
        for part, side in sides.items():
            weights = side.draw_weights(self.num_resamples, rng)
            nearest = _cosine_distances(side, train).min(axis=1)
            for suffix, quantile in QUANTILES.items():
                figures[f"{part}_to_train{suffix}"] = _weighted_quantiles(nearest, weights, quantile)
            figures[f"{part}_spread"] = side.mean_over_pairs(_cosine_distances(side, side), weights)
        estimates = {name: estimate_from(found, sides[name.partition("_")[0]]) for name, found in figures.items()}
        ratios = {f"ratio{suffix}": f"to_train{suffix}" for suffix in QUANTILES} | {"spread_ratio": "spread"}
        for name, kind in ratios.items():
            ratio = figures[f"generated_{kind}"] / np.maximum(figures[f"test_{kind}"], SMALLEST)
            estimates[name] = estimate_from(ratio, *sides.values())
        return estimates


def _cosine_distances(left: SoundSet, right: SoundSet) -> np.ndarray:
    """(left sounds, right sounds) from 0 to 2, computed from differences, so that equal sounds give exactly 0."""

    def normalise(side: SoundSet) -> np.ndarray:
        return side.embeddings / np.maximum(np.linalg.norm(side.embeddings, axis=1, keepdims=True), SMALLEST)

    return cdist(normalise(left), normalise(right), "sqeuclidean") / 2


def _weighted_quantiles(values: np.ndarray, weights: np.ndarray, quantile: float) -> np.ndarray:
    """(rows,) quantiles of values (sounds,), each repeated as often as a row of weights (rows, sounds) says."""
    return np.array([np.quantile(np.repeat(values, counts), quantile) for counts in weights.astype(int)])
