import numpy as np
import pytest

from media.video.moments import MomentSettings, find_moments


def test_onsets_are_peaks_that_reach_the_threshold():
    curve = np.zeros(50)
    curve[[5, 20, 40]] = 0.9, 0.6, 0.3
    assert find_moments(curve, 25, threshold=0.2).tolist() == [5, 20]  # the last is below half of the highest
    assert find_moments(curve, 25, threshold=0.7).tolist() == [5]
    assert find_moments(curve, 25, 0.2, MomentSettings(relative=0.3)).tolist() == [5, 20, 40]


def test_the_first_and_the_last_frame_can_be_onsets():
    assert find_moments(np.array([0.9, 0, 0, 0, 0, 0.8]), 25, 0.5).tolist() == [0, 5]


def test_of_near_peaks_the_highest_stays():
    curve = np.zeros(20)
    curve[[8, 10]] = 0.7, 0.8
    assert find_moments(curve, 25, 0.5).tolist() == [10]


def test_a_film_that_never_reaches_the_threshold_has_none():
    assert find_moments(np.full(30, 0.1), 25, 0.2).size == 0
    sharp = np.zeros(30)
    sharp[[5, 20]] = 0.3, 0.25
    assert find_moments(sharp, 25, 0.2).size == 0  # it is not sure of the film
    assert find_moments(sharp, 25, 0.2, MomentSettings(sure=0.3)).tolist() == [5, 20]
    assert find_moments(np.zeros(0), 25, 0.2).size == 0
    with pytest.raises(ValueError, match="relative"):
        MomentSettings(relative=0)
