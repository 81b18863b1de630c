"""Distance between two sets of sounds that assumes no distribution."""

import numpy as np
from scipy.spatial.distance import cdist

from metrics.embedding_metric import SetDistance, SoundSet, estimate_from
from metrics.estimate import Estimate

SCALE = 100  # as in the authors' own program


class KernelAudioDistance(SetDistance):
    """Kernel audio distance (KAD): 100 times the unbiased squared maximum mean discrepancy of embeddings.

    Why beside the Fréchet distance: it has no bias for few sounds and assumes no Gaussians. For two halves of one
    distribution it is about 0, and negative as often as not.

    The kernel is Gaussian, exp(-distance² / (2 bandwidth²)); the bandwidth is the median distance of reference sounds.
    Pairs of sounds of one group are left out, as they are not independent. If each sound has its own group, this is
    the usual estimator without the diagonal.

    The interval is the percentile interval of resamples of groups on both sides, at the same bandwidth. Copies of a
    group are never paired with each other, so the resamples have no bias. For similar sets the interval is about one
    and a half times too wide.

    Source: Chung et al., "KAD: No More FAD! An Effective and Efficient Evaluation Metric for Audio Generation", 2025.
    """

    def compute(self) -> Estimate:
        """Raises ValueError if a side has fewer than two groups, or most reference sounds are the same."""
        reference, evaluated = sides = [self._sounds_of(part) for part in self.parts]
        bandwidth = float(np.median(cdist(reference.embeddings, reference.embeddings)[reference.differs]))
        if bandwidth == 0:
            raise ValueError("Most reference sounds are the same, so there is no scale to measure distances by.")

        def kernel(left: SoundSet, right: SoundSet) -> np.ndarray:
            return np.exp(cdist(left.embeddings, right.embeddings, "sqeuclidean") / (-2 * bandwidth**2))

        rng = np.random.default_rng(self.seed)
        weights = [side.draw_weights(self.num_resamples, rng) for side in sides]
        within = [side.mean_over_pairs(kernel(side, side), drawn) for side, drawn in zip(sides, weights, strict=True)]
        shares = [drawn / drawn.sum(axis=1, keepdims=True) for drawn in weights]
        across = ((shares[0] @ kernel(reference, evaluated)) * shares[1]).sum(axis=1)
        return estimate_from(SCALE * (sum(within) - 2 * across), evaluated, reference)
