"""How far two sets of sounds are apart, without assuming a shape of either."""

from collections.abc import Sequence

import numpy as np
from scipy.spatial.distance import cdist
from torch import Tensor

from metrics.embedding_metric import EmbeddingMetric, SoundSet
from metrics.estimate import Estimate, percentile_interval, remark_on_groups, resampled_weights

SCALE = 100  # as in the authors' own program


class KernelAudioDistance(EmbeddingMetric):
    """Kernel audio distance (KAD): 100 times the unbiased squared maximum mean discrepancy of embeddings.

    Why beside the Fréchet distance: it has no bias for few sounds and assumes no Gaussians. It is about 0 for two
    halves of one distribution, where it is negative as often as not.

    The kernel is Gaussian, exp(-distance² / (2 bandwidth²)); the bandwidth is the median distance of reference sounds.
    Pairs of sounds of the same group are left out, as they are not independent: where each sound has a group of its
    own, that is the usual estimator without the diagonal.

    The interval is the percentile interval of resamples of groups on both sides, with the bandwidth kept. Copies of a
    group in a resample are never paired with each other, so duplicates do not look like likeness, and the resamples
    have no bias. For sets that are alike the interval is wide: about one and a half times what it should be.

    Source: Chung et al., "KAD: No More FAD! An Effective and Efficient Evaluation Metric for Audio Generation", 2025.
    """

    parts = ("reference", "evaluated")

    def __init__(self, num_resamples: int = 1000, seed: int = 0) -> None:
        super().__init__(num_resamples, seed)

    def update(self, embeddings: Tensor, groups: Sequence[str], is_reference: bool) -> None:
        """Add embeddings (batch, dimensions) of sounds cut from the recordings `groups`, one name each."""
        self._add(embeddings, groups, "reference" if is_reference else "evaluated")

    def compute(self) -> Estimate:
        """The distance of all evaluated sounds to all reference sounds.

        Raises:
            ValueError: where one side has not at least two groups, or all reference sounds are the same.
        """
        reference, evaluated = (self._sounds_of(part, fewest_groups=2) for part in self.parts)
        rng = np.random.default_rng(self.seed)
        weights = [resampled_weights(side.groups, self.num_resamples, rng) for side in (reference, evaluated)]
        everything = [np.ones((1, len(side.groups))) for side in (reference, evaluated)]
        gamma = 1 / (2 * _bandwidth(reference) ** 2)
        kernels = _Kernels(reference, evaluated, gamma)
        low, high = percentile_interval(kernels.discrepancy(*weights))
        value = float(kernels.discrepancy(*everything)[0])
        remark = remark_on_groups(reference.groups, evaluated.groups)
        return Estimate(value, low, high, len(evaluated.groups), remark)


class _Kernels:
    """The kernel between all sounds of both sides, computed once for all resamples."""

    def __init__(self, reference: SoundSet, evaluated: SoundSet, gamma: float) -> None:
        def kernel(left: SoundSet, right: SoundSet) -> np.ndarray:
            return np.exp(-gamma * cdist(left.embeddings, right.embeddings, "sqeuclidean"))

        self.across = kernel(reference, evaluated)
        self.within = [kernel(side, side) * side.differs for side in (reference, evaluated)]
        self.differs = [side.differs.astype(np.float64) for side in (reference, evaluated)]

    def discrepancy(self, reference_weights: np.ndarray, evaluated_weights: np.ndarray) -> np.ndarray:
        """(resamples,) for weights (resamples, sounds) of both sides; NaN where a side has drawn one group alone."""
        within = np.zeros(len(reference_weights))
        for side, weights in enumerate((reference_weights, evaluated_weights)):
            num_pairs = _quadratic(weights, self.differs[side], weights)
            pairs = _quadratic(weights, self.within[side], weights)
            within += np.divide(pairs, num_pairs, out=np.full_like(pairs, np.nan), where=num_pairs > 0)
        num_across = reference_weights.sum(axis=1) * evaluated_weights.sum(axis=1)
        return SCALE * (within - 2 * _quadratic(reference_weights, self.across, evaluated_weights) / num_across)


def _quadratic(left: np.ndarray, matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    return ((left @ matrix) * right).sum(axis=1)


def _bandwidth(reference: SoundSet) -> float:
    bandwidth = float(np.median(cdist(reference.embeddings, reference.embeddings)[reference.differs]))
    if bandwidth == 0:
        raise ValueError("Most reference sounds are the same, so there is no scale to measure distances by.")
    return bandwidth
