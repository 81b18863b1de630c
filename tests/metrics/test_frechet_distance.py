import numpy as np
import pytest
import scipy.linalg
import torch
from torchmetrics.image.fid import FrechetInceptionDistance

from metrics import Estimate, FrechetAudioDistance
from metrics.frechet_distance import frechet_distance


def distance(reference, evaluated, reference_groups=None, **options) -> Estimate:
    metric = FrechetAudioDistance(**options)
    names = reference_groups or [f"r{index}" for index in range(len(reference))]
    metric.update(torch.as_tensor(reference), names, is_reference=True)
    metric.update(torch.as_tensor(evaluated), [f"e{index}" for index in range(len(evaluated))], is_reference=False)
    return metric.compute()


def with_moments(mean: np.ndarray, covariance: np.ndarray, num: int, seed: int) -> np.ndarray:
    """Points that have exactly this mean and covariance."""
    points = np.random.default_rng(seed).normal(size=(num, len(mean)))
    points -= points.mean(axis=0)
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(points.T)), points.T).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def random_covariance(num_dimensions: int, seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(num_dimensions, num_dimensions))
    return factor @ factor.T + 0.1 * np.eye(num_dimensions)


@pytest.mark.parametrize("num", [10, 200])
def test_known_gaussians_have_the_distance_of_the_closed_form(num):
    means = np.array([1.0, -2.0, 0.5]), np.array([0.0, 1.0, 0.5])
    covariances = random_covariance(3, 0), random_covariance(3, 1)
    root = scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(covariances[0] + covariances[1] - 2 * root)
    points = [with_moments(*moments, num, seed) for seed, moments in enumerate(zip(means, covariances, strict=True))]
    assert distance(*points, num_resamples=2).value == pytest.approx(expected, rel=1e-9)


def test_sounds_fewer_than_dimensions_have_the_distance_of_their_covariances():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(8, 30)), 2 * rng.normal(size=(6, 30)) + 1
    covariances = [np.cov(side.T) for side in points]
    eigenvalues = np.linalg.eigvals(covariances[0] @ covariances[1]).real.clip(min=0)
    mean_term = ((points[0].mean(axis=0) - points[1].mean(axis=0)) ** 2).sum()
    expected = mean_term + np.trace(covariances[0] + covariances[1]) - 2 * np.sqrt(eigenvalues).sum()
    estimate = distance(*points, num_resamples=2)
    assert estimate.value == pytest.approx(expected, rel=1e-5)
    assert "only 6 sounds in the smaller set for 30 dimensions: the covariance is singular (rank 5)" in estimate.remark


class TakeAsItIs(torch.nn.Module):
    num_features = 4

    def forward(self, images):
        return images[:, :, 0, 0].double()


@pytest.mark.filterwarnings("ignore:Metric `FrechetInceptionDistance` will save")
def test_the_value_is_that_of_torchmetrics():
    sides = [torch.randint(0, 255, (50, 4), generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    oracle = FrechetInceptionDistance(feature=TakeAsItIs(), input_img_size=(4, 1, 1)).set_dtype(torch.double)
    for side, real in zip(sides, (True, False), strict=True):
        oracle.update(side.to(torch.uint8)[:, :, None, None], real=real)
    assert distance(*(side.double() for side in sides)).value == pytest.approx(oracle.compute().item(), rel=1e-4)


def test_weights_count_as_repetitions():
    rng = np.random.default_rng(0)
    points, weights = (rng.normal(size=(9, 4)), rng.normal(size=(7, 4))), (rng.integers(0, 4, 9), rng.integers(1, 3, 7))
    repeated = [side.repeat(counts, axis=0) for side, counts in zip(points, weights, strict=True)]
    plain = frechet_distance(*repeated, *(np.ones(len(side)) for side in repeated))
    assert frechet_distance(*points, *(counts.astype(float) for counts in weights)) == pytest.approx(plain)


def test_the_interval_lies_about_the_value_though_resamples_are_farther_off():
    rng = np.random.default_rng(0)
    estimate = distance(rng.normal(size=(30, 100)), rng.normal(size=(30, 100)))
    assert 0 < estimate.low < estimate.value < estimate.high


def test_a_distance_to_itself_is_0_and_no_interval_goes_below():
    points = np.random.default_rng(0).normal(size=(20, 40))
    estimate = distance(points, points)
    assert estimate.value == pytest.approx(0, abs=1e-9)
    assert estimate.low == 0 < estimate.high


def test_the_interval_covers_the_mean_of_repetitions():
    rng = np.random.default_rng(0)
    repetitions = [
        distance(rng.normal(size=(40, 3)), rng.normal(size=(40, 3)) + 1, num_resamples=100) for _ in range(60)
    ]
    mean = np.mean([estimate.value for estimate in repetitions])
    assert np.mean([estimate.low <= mean <= estimate.high for estimate in repetitions]) > 0.85


def test_copies_of_recordings_make_no_interval_narrower():
    rng = np.random.default_rng(0)
    reference, evaluated = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    names = [f"r{index}" for index in range(40)]
    once = distance(reference, evaluated, names)
    often = distance(reference.repeat(9, axis=0), evaluated, [name for name in names for _ in range(9)])
    assert often.high - often.low > 0.8 * (once.high - once.low)
    assert "only" not in often.remark
