import mir_eval
import numpy as np
import pytest

from metrics.event_timing import Recording, match_events, measure_timing, nearest_distances


def seconds(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


@pytest.mark.parametrize(
    ("events_s", "onsets_s", "pairs"),
    [
        (seconds(1, 2), seconds(1.05, 2.2), [(0, 0)]),
        (seconds(1), seconds(0.95, 1.0), [(0, 0)]),  # one event is hit once
        (seconds(1, 1.1), seconds(1.05), [(0, 0)]),  # and one onset hits once
        (seconds(1, 1.1), seconds(1.05, 1.15), [(0, 0), (1, 1)]),  # not only the nearest two
        (seconds(1), seconds(1.08), [(0, 0)]),
        (seconds(), seconds(1), []),
        (seconds(1), seconds(), []),
    ],
)
def test_events_and_onsets_are_paired_once_and_as_often_as_possible(events_s, onsets_s, pairs):
    found = match_events(events_s, onsets_s, tolerance_s=0.08)
    assert found.shape == (len(pairs), 2)
    assert list(map(tuple, found.tolist())) == pairs


def test_there_are_as_many_pairs_as_mir_eval_finds():
    rng = np.random.default_rng(0)
    for _ in range(100):
        events_s, onsets_s = np.sort(rng.uniform(0, 2, 15)), np.sort(rng.uniform(0, 2, 12))
        assert len(match_events(events_s, onsets_s, 0.1)) == len(mir_eval.util.match_events(events_s, onsets_s, 0.1))
        figures = measure_timing([Recording(events_s, onsets_s, 2.0)], 0.1, num_shifts=0)
        expected = mir_eval.onset.f_measure(events_s, onsets_s, window=0.1)
        np.testing.assert_allclose((figures.f1, figures.precision, figures.recall), expected)


def test_distance_to_the_nearest_onset():
    np.testing.assert_allclose(nearest_distances(seconds(1, 4), seconds(0.5, 1.2, 3)), [0.2, 1])
    assert np.isinf(nearest_distances(seconds(1, 4), seconds())).all()
    assert nearest_distances(seconds(), seconds(1)).shape == (0,)


def test_the_figures_pool_all_recordings():
    figures = measure_timing(
        [
            Recording(seconds(1, 2, 3), seconds(1.02, 2.5), duration_s=5),
            Recording(seconds(4), seconds(0.5, 3.96, 4.5), duration_s=5),
        ]
    )
    assert (figures.num_events, figures.num_onsets, figures.num_hits) == (4, 5, 2)
    assert figures.precision == pytest.approx(2 / 5)
    assert figures.recall == pytest.approx(2 / 4)
    assert figures.f1 == pytest.approx(4 / 9)
    assert figures.median_distance_s == pytest.approx((0.04 + 0.5) / 2)


def test_shifted_onsets_show_what_chance_gives():
    rng = np.random.default_rng(1)
    events_s = np.cumsum(rng.uniform(0.4, 1.2, 20))
    duration_s = float(events_s[-1]) + 1
    true = measure_timing([Recording(events_s, events_s + rng.normal(0, 0.02, 20), duration_s)])
    assert true.f1 == 1
    assert true.shifted_f1 < 0.35
    assert true.shifted_distance_s > 5 * true.median_distance_s
    assert 1 / 1001 <= true.p_value < 0.01
    unrelated = np.sort(rng.uniform(0, duration_s, 20))
    assert measure_timing([Recording(events_s, unrelated, duration_s)]).p_value > 0.02


def test_onsets_everywhere_are_no_evidence():
    figures = measure_timing([Recording(seconds(1, 2, 3), np.arange(0, 5, 0.1), 5.0)])
    assert figures.recall == 1
    assert figures.p_value > 0.5


def test_nothing_found_or_nothing_known():
    nothing_found = measure_timing([Recording(seconds(1, 2), seconds(), 5)])
    assert (nothing_found.precision, nothing_found.recall, nothing_found.f1, nothing_found.p_value) == (0, 0, 0, 1)
    assert nothing_found.median_distance_s == np.inf
    nothing_known = measure_timing([Recording(seconds(), seconds(1), 5)])
    assert (nothing_known.num_hits, nothing_known.f1, nothing_known.median_distance_s) == (0, 0, np.inf)
    assert nothing_known.shifted_distance_s == np.inf
