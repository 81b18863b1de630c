"""Distance between two sets of sounds, as Gaussians describe them."""

import numpy as np

from metrics.embedding_metric import SetDistance, SoundSet
from metrics.estimate import Estimate, percentile_interval, remark_on_groups


class FrechetAudioDistance(SetDistance):
    """Fréchet audio distance (FAD): the Fréchet distance of Gaussians fitted to embeddings.

    Why: most publications report it. It grows as sounds get fewer, so compare only rows with similar numbers of
    sounds. `KernelAudioDistance` has no such bias.

    The interval comes from resamples of groups on both sides. A resample holds fewer different sounds than the set, so
    its distance is larger on average. The percentiles are therefore shifted by this mean excess and cut at 0. The
    interval shows the spread over other recordings, and does not remove the bias of the value.

    It is computed in double precision from the sounds, not from covariances: the trace of the square root of the
    product of the covariances is the sum of the singular values of one side's centred sounds times the other's. This
    is exact, and fast if there are fewer sounds than dimensions.

    Source: Kilgour et al., "Fréchet Audio Distance: A Reference-Free Metric for Evaluating Music Enhancement
    Algorithms", 2019.
    """

    def __init__(self, num_resamples: int = 200, seed: int = 0) -> None:
        super().__init__(num_resamples, seed)

    def compute(self) -> Estimate:
        """Raises ValueError if a side has fewer than two groups."""
        sides = [self._sounds_of(part) for part in self.parts]
        embeddings = _rotate_to_joint_basis(*(side.embeddings for side in sides))
        rng = np.random.default_rng(self.seed)
        weights = [side.draw_weights(self.num_resamples, rng) for side in sides]
        value, *resampled = (frechet_distance(*embeddings, *drawn) for drawn in zip(*weights, strict=True))
        low, high = percentile_interval(np.array(resampled) + value - np.mean(resampled))
        return Estimate(value, max(low, 0.0), high, len(sides[1].groups), _remark_on(*sides))


def frechet_distance(
    reference: np.ndarray, evaluated: np.ndarray, reference_weights: np.ndarray, evaluated_weights: np.ndarray
) -> float:
    """The squared Fréchet distance of the Gaussians of two sets of weighted sounds.

    Args:
        reference, evaluated: embeddings (sounds, dimensions) float64.
        reference_weights, evaluated_weights: counts (sounds,), at least 2 in all on each side.
    """
    reference_mean, reference_factor = _fit_gaussian(reference, reference_weights)
    evaluated_mean, evaluated_factor = _fit_gaussian(evaluated, evaluated_weights)
    traces = (reference_factor**2).sum() + (evaluated_factor**2).sum()
    root = np.linalg.svd(reference_factor @ evaluated_factor.T, compute_uv=False).sum()
    return max(float(((reference_mean - evaluated_mean) ** 2).sum() + traces - 2 * root), 0.0)


def _fit_gaussian(embeddings: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and a factor F with few rows and the unbiased covariance FᵀF."""
    drawn = weights > 0
    embeddings, weights = embeddings[drawn], weights[drawn]
    mean = weights @ embeddings / weights.sum()
    factor = np.sqrt(weights / (weights.sum() - 1))[:, np.newaxis] * (embeddings - mean)
    return mean, np.asarray(np.linalg.qr(factor, mode="r")) if len(factor) > factor.shape[1] else factor


def _rotate_to_joint_basis(reference: np.ndarray, evaluated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets in the space that they span together, which keeps all distances and may have far fewer dimensions."""
    everything = np.concatenate([reference, evaluated])
    everything = everything - everything.mean(axis=0)
    if len(everything) < everything.shape[1]:
        everything = np.transpose(np.linalg.qr(everything.T, mode="r"))
    return everything[: len(reference)], everything[len(reference) :]


def _remark_on(reference: SoundSet, evaluated: SoundSet) -> str:
    fewest, num_dimensions = min(len(reference.groups), len(evaluated.groups)), reference.embeddings.shape[1]
    singular = (
        f"only {fewest} sounds in the smaller set for {num_dimensions} dimensions: the covariance is singular "
        f"(rank {fewest - 1}) and the distance, unlike KAD, too large"
    )
    remarks = [singular if fewest <= num_dimensions else "", remark_on_groups(reference.groups, evaluated.groups)]
    return "; ".join(filter(None, remarks))
