"""How far two sets of sounds are apart, as far as Gaussians tell."""

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from metrics.embedding_metric import EmbeddingMetric, SoundSet
from metrics.estimate import Estimate, percentile_interval, remark_on_groups, resampled_weights


class FrechetAudioDistance(EmbeddingMetric):
    """Fréchet audio distance (FAD): the Fréchet distance of Gaussians fitted to embeddings.

    Why: it is the figure that most publications give. Mind that it grows as sounds get fewer, so compare only rows
    with about as many sounds as each other, and see `KernelAudioDistance` for a figure without that bias.

    The interval comes from resamples of groups on both sides. A resample holds fewer different sounds than there are,
    so its distance is larger on average, and the plain percentiles may not even contain the value. Therefore they are
    moved by that mean excess, so that they lie about the value, and cut at 0. The interval tells how far the figure
    spreads with other recordings; it does not remove what the figure is too large by.

    Computed in double precision from the sounds rather than from covariances: the trace of the square root of the
    covariances' product is the sum of the singular values of one side's centred sounds times the other's, which is
    exact and fast where the sounds are fewer than the dimensions.

    Source: Kilgour et al., "Fréchet Audio Distance: A Reference-Free Metric for Evaluating Music Enhancement
    Algorithms", 2019.
    """

    parts = ("reference", "evaluated")

    def __init__(self, num_resamples: int = 200, seed: int = 0) -> None:
        super().__init__(num_resamples, seed)

    def update(self, embeddings: Tensor, groups: Sequence[str], is_reference: bool) -> None:
        """Add embeddings (batch, dimensions) of sounds cut from the recordings `groups`, one name each."""
        self._add(embeddings, groups, "reference" if is_reference else "evaluated")

    def compute(self) -> Estimate:
        """The distance of all evaluated sounds to all reference sounds.

        Raises:
            ValueError: where one side has not at least two groups.
        """
        sides = [self._sounds_of(part, fewest_groups=2) for part in self.parts]
        embeddings = _in_joint_basis(*(side.embeddings for side in sides))
        rng = np.random.default_rng(self.seed)
        weights = [resampled_weights(side.groups, self.num_resamples, rng) for side in sides]
        value = frechet_distance(*embeddings, *(np.ones(len(side.groups)) for side in sides))
        resampled = np.array([frechet_distance(*embeddings, *drawn) for drawn in zip(*weights, strict=True)])
        low, high = percentile_interval(resampled + value - resampled.mean())
        return Estimate(value, max(low, 0.0), high, len(sides[1].groups), _remark(*sides))


def frechet_distance(
    reference: np.ndarray, evaluated: np.ndarray, reference_weights: np.ndarray, evaluated_weights: np.ndarray
) -> float:
    """The squared Fréchet distance of the Gaussians of two sets, in which each sound counts as often as it weighs.

    Args:
        reference, evaluated: (sounds, dimensions) float64.
        reference_weights, evaluated_weights: (sounds,) counts, in all at least 2 on each side.
    """
    reference_mean, reference_factor = _gaussian(reference, reference_weights)
    evaluated_mean, evaluated_factor = _gaussian(evaluated, evaluated_weights)
    traces = (reference_factor**2).sum() + (evaluated_factor**2).sum()
    root = np.linalg.svd(reference_factor @ evaluated_factor.T, compute_uv=False).sum()
    return max(float(((reference_mean - evaluated_mean) ** 2).sum() + traces - 2 * root), 0.0)


def _gaussian(embeddings: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean, and a factor F of few rows with the unbiased covariance F^T F."""
    drawn = weights > 0
    embeddings, weights = embeddings[drawn], weights[drawn]
    mean = weights @ embeddings / weights.sum()
    factor = np.sqrt(weights / (weights.sum() - 1))[:, np.newaxis] * (embeddings - mean)
    if len(factor) > factor.shape[1]:
        factor = np.linalg.qr(factor, mode="r")
    return mean, factor


def _in_joint_basis(reference: np.ndarray, evaluated: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets turned into the space that they span together, which keeps all distances and may be much smaller."""
    everything = np.concatenate([reference, evaluated])
    everything = everything - everything.mean(axis=0)
    if len(everything) < everything.shape[1]:
        everything = np.transpose(np.linalg.qr(everything.T, mode="r"))
    return everything[: len(reference)], everything[len(reference) :]


def _remark(reference: SoundSet, evaluated: SoundSet) -> str:
    fewest, num_dimensions = min(len(reference.groups), len(evaluated.groups)), reference.embeddings.shape[1]
    remarks = [remark_on_groups(reference.groups, evaluated.groups)]
    if fewest <= num_dimensions:
        remarks.insert(
            0,
            f"only {fewest} sounds in the smaller set for {num_dimensions} dimensions: the covariance is singular "
            f"(rank {fewest - 1}) and the distance, unlike KAD, too large",
        )
    return "; ".join(filter(None, remarks))
