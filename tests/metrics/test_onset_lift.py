import numpy as np
import torch

from metrics.onset_lift import THRESHOLDS, OnsetLift


def curve(onsets_s: np.ndarray, height: float, num_frames: int = 250) -> torch.Tensor:
    values = torch.zeros(num_frames)
    values[(25 * onsets_s).round().astype(int)] = height
    return values


EVENTS_S = np.array([0.8, 2.0, 3.6, 5.2, 7.2, 9.0])


def test_the_lift_of_true_onsets_is_high_up_to_their_probability():
    metric = OnsetLift()
    metric.update(curve(EVENTS_S, 0.35), torch.from_numpy(EVENTS_S))
    figures = metric.compute()
    reached = torch.tensor(THRESHOLDS) <= 0.35
    assert (figures["f1"][reached] == 1).all()
    assert (figures["lift"][reached] > 0.8).all()
    assert not figures["f1"][~reached].any()
    assert not figures["lift"][~reached].any()


def test_dense_onsets_have_a_high_f1_and_no_lift():
    events_s = np.arange(0.1, 9.9, 0.14)
    metric = OnsetLift()
    metric.update(curve(events_s + 0.07, 0.9), torch.from_numpy(events_s))
    figures = metric.compute()
    assert figures["f1"][0] > 0.9
    assert abs(figures["lift"][0]) < 0.1


def test_films_count_equally():
    metric = OnsetLift()
    metric.update(curve(EVENTS_S, 0.9), torch.from_numpy(EVENTS_S))
    metric.update(torch.zeros(50), torch.tensor([1.0]))
    assert metric.compute()["f1"][0] == 0.5
