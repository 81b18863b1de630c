import math

import numpy as np
import pytest
import torch

from metrics import Estimate, KernelAudioDistance


def distance(reference, evaluated, reference_groups=None, evaluated_groups=None, **options) -> Estimate:
    metric = KernelAudioDistance(**options)
    for embeddings, groups, is_reference in ((reference, reference_groups, True), (evaluated, evaluated_groups, False)):
        groups = groups or [f"{is_reference}{index}" for index in range(len(embeddings))]
        metric.update(torch.as_tensor(embeddings), groups, is_reference)
    return metric.compute()


def by_hand(reference: np.ndarray, evaluated: np.ndarray) -> float:
    pairs = [(a, b) for a in range(len(reference)) for b in range(a)]
    bandwidth = np.median([np.linalg.norm(reference[a] - reference[b]) for a, b in pairs])

    def mean_kernel(left, right, same):
        values = [
            math.exp(-((a - b) ** 2).sum() / (2 * bandwidth**2))
            for i, a in enumerate(left)
            for j, b in enumerate(right)
            if not (same and i == j)
        ]
        return sum(values) / len(values)

    within = mean_kernel(reference, reference, True) + mean_kernel(evaluated, evaluated, True)
    return 100 * (within - 2 * mean_kernel(reference, evaluated, False))


def test_the_value_is_that_of_a_double_loop():
    rng = np.random.default_rng(0)
    reference, evaluated = rng.normal(size=(12, 5)), rng.normal(size=(9, 5)) + 0.5
    assert distance(reference, evaluated).value == pytest.approx(by_hand(reference, evaluated), rel=1e-9)


def test_halves_of_one_distribution_are_0_apart_on_average_even_where_recordings_give_several_sounds():
    rng = np.random.default_rng(0)
    values, covered = [], []
    for _ in range(100):
        sides = [rng.normal(size=(15, 1, 4)) + 0.5 * rng.normal(size=(15, 3, 4)) for _ in range(2)]
        groups = [[f"{side}{index // 3}" for index in range(45)] for side in range(2)]
        estimate = distance(*(side.reshape(45, 4) for side in sides), *groups, num_resamples=100)
        values.append(estimate.value)
        covered.append(estimate.low <= 0 <= estimate.high)
    assert np.mean(values) == pytest.approx(0, abs=3 * np.std(values) / 10)
    assert 0.3 < np.mean(np.array(values) < 0) < 0.8
    assert np.mean(covered) > 0.9


def test_resamples_have_no_bias():
    """With copies that count as likeness, resamples would lie far above the value."""
    rng = np.random.default_rng(0)
    estimate = distance(rng.normal(size=(40, 64)), rng.normal(size=(40, 64)))
    assert estimate.low < estimate.value < estimate.high
    assert (estimate.low + estimate.high) / 2 == pytest.approx(estimate.value, abs=0.2 * (estimate.high - estimate.low))


def test_what_is_farther_off_has_the_larger_distance():
    rng = np.random.default_rng(0)
    reference = rng.normal(size=(60, 3))
    near, far = (distance(reference, rng.normal(size=(60, 3)) + shift) for shift in (0.8, 2.0))
    assert 0 < near.low < near.high < far.low
    assert far.num_sounds == 60


def test_the_same_seed_gives_the_same_interval():
    rng = np.random.default_rng(0)
    sides = rng.normal(size=(10, 3)), rng.normal(size=(10, 3))
    assert distance(*sides) == distance(*sides) != distance(*sides, seed=1)


def test_how_alike_the_sounds_of_one_recording_are_does_not_set_the_scale():
    """The same sounds, each five times over: nothing changes, where the copies are known to be of one recording."""
    rng = np.random.default_rng(0)
    sides = rng.normal(size=(6, 4)), rng.normal(size=(7, 4)) + 1
    repeated = [np.repeat(side, 5, axis=0) for side in sides]
    groups = [[f"{side}{index // 5}" for index in range(len(sounds))] for side, sounds in enumerate(repeated)]
    assert distance(*repeated, *groups).value == pytest.approx(distance(*sides).value, rel=1e-9)
    assert distance(*repeated).value != pytest.approx(distance(*sides).value, rel=0.1)


def test_few_recordings_are_remarked_on():
    rng = np.random.default_rng(0)
    estimate = distance(rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), evaluated_groups=["a", "b"] * 20)
    assert "only 2 recordings" in estimate.remark


def test_equal_reference_sounds_give_no_scale():
    with pytest.raises(ValueError, match="no scale"):
        distance(np.ones((5, 2)), np.zeros((5, 2)))
