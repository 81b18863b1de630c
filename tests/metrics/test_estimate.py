import numpy as np
import pytest

from metrics.estimate import (
    group_numbers,
    percentile_interval,
    remark_on_groups,
    resampled_weights,
    weighted_mean_estimate,
)


def test_names_keep_their_numbers():
    numbers = group_numbers(["cat_1", "cat_2", "cat_1", "größe"])
    assert numbers[0] == numbers[2]
    assert len(numbers.unique()) == 3
    assert group_numbers(["cat_1"]).item() == 5959084045098763984, "another session must find the same"


def test_a_resample_draws_whole_groups_as_many_as_there_are():
    groups = np.array([7, 3, 7, 5, 3, 7])
    weights = resampled_weights(groups, 500, np.random.default_rng(0))
    assert weights.shape == (500, 6)
    for number in (3, 5, 7):
        members = weights[:, groups == number]
        assert (members == members[:, :1]).all()
    first_of_each = weights[:, [0, 1, 3]]
    assert (first_of_each.sum(axis=1) == 3).all()
    assert first_of_each.mean(axis=0) == pytest.approx([1, 1, 1], abs=0.15)


def test_the_interval_of_a_mean_is_that_of_the_normal_law():
    rng = np.random.default_rng(0)
    values = rng.normal(size=400)
    estimate = weighted_mean_estimate(values, np.arange(400), 2000, rng)
    error = values.std() / 20
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(estimate.value - 1.96 * error, abs=0.2 * error)
    assert estimate.high == pytest.approx(estimate.value + 1.96 * error, abs=0.2 * error)
    assert estimate.num_sounds == 400
    assert estimate.remark == ""


def test_copies_of_a_sound_make_no_interval_narrower():
    values = np.random.default_rng(0).normal(size=50)
    once = weighted_mean_estimate(values, np.arange(50), 1000, np.random.default_rng(1))
    often = weighted_mean_estimate(values.repeat(10), np.arange(50).repeat(10), 1000, np.random.default_rng(1))
    assert (often.value, often.low, often.high) == pytest.approx((once.value, once.low, once.high))


def test_undefined_resamples_are_left_out():
    assert percentile_interval(np.array([1.0, np.nan, 1.0])) == (1.0, 1.0)


def test_few_groups_are_remarked_on_whichever_side_they_are():
    many, few = np.arange(30), np.array([1, 2, 1, 2])
    assert remark_on_groups(many, many) == ""
    assert "only 2 recordings" in remark_on_groups(many, few)
    assert "only 2 recordings" in remark_on_groups(few, many)
