import numpy as np
import pytest
import torch

from media.video.activity import Activity
from media.video.moments import MomentSettings
from networks import MomentNetwork
from pipelines import moments
from pipelines.moments import MomentFinder


def network(threshold: float = 0.01) -> MomentNetwork:
    torch.manual_seed(0)
    one = MomentNetwork(width=4, hidden=8).eval()
    one.threshold.fill_(threshold)
    return one


def frames(num: int) -> list[np.ndarray]:
    """A square that jumps now and then."""
    rng, pictures = np.random.default_rng(0), []
    for number in range(num):
        if number % 9 == 0:
            picture = np.full((48, 64, 3), 50, np.uint8)
            row, column = rng.integers(0, 30, 2)
            picture[row : row + 15, column : column + 15] = 220
        pictures.append(picture + rng.integers(0, 3, picture.shape, dtype=np.uint8))
    return pictures


def activity(num: int, cuts_s=()) -> Activity:
    times_s = np.arange(num) / 25
    return Activity(times_s, np.zeros(num), np.array([1.0]), np.array([0.5]), np.array(cuts_s, float))


def find(pictures: list[np.ndarray], one: MomentNetwork, cuts_s=()) -> Activity:
    finder = MomentFinder(one, settings=MomentSettings(sure=1e-3))
    for picture in pictures:
        finder.add(picture)
    return finder.finish(activity(len(pictures), cuts_s))


def test_the_network_gives_onsets_strengths_and_curve():
    found = find(frames(60), network())
    assert len(found.curve) == len(found.times_s) == 60
    assert len(found.onsets_s) == len(found.strengths) > 0
    assert (np.diff(found.onsets_s) > 0).all()
    np.testing.assert_allclose(found.strengths, found.curve[np.rint(25 * found.onsets_s).astype(int)])


def test_a_film_of_which_it_is_not_sure_has_no_onsets():
    found = find(frames(60), network(threshold=0.99))
    assert len(found.onsets_s) == len(found.strengths) == 0
    assert found.curve.max() > 0


def test_it_says_how_sure_it_is():
    finder = MomentFinder(network())
    for picture in frames(30):
        finder.add(picture)
    found = finder.finish(activity(30))
    assert found.curve.max() < 0.4
    assert not len(found.onsets_s)
    assert finder.remark == f"0 moments, the surest with {found.curve.max():.2f} (at least 0.4 is needed)"


def test_a_cut_is_no_moment():
    free = find(frames(60), network())
    cut_s = free.onsets_s[0]
    found = find(frames(60), network(), cuts_s=(cut_s,))
    assert found.cuts_s.tolist() == [cut_s]
    assert (np.abs(found.onsets_s - cut_s) > 0.1).all()
    assert len(found.onsets_s) < len(free.onsets_s)


def test_a_long_film_is_found_in_pieces(monkeypatch):
    whole = find(frames(200), network())
    monkeypatch.setattr(moments, "PIECE_FRAMES", 70)
    monkeypatch.setattr("networks.vision.moments.normalise_motion", lambda motion: motion / 20)
    one_by_one = find(frames(200), network())
    monkeypatch.setattr(moments, "PIECE_FRAMES", 10_000)
    at_once = find(frames(200), network())
    assert len(whole.curve) == len(one_by_one.curve) == 200
    np.testing.assert_allclose(one_by_one.curve, at_once.curve, atol=1e-5)


@pytest.mark.parametrize("num", [1, 2, 30])
def test_short_and_still_films_have_no_error(num):
    found = find([np.full((20, 20, 3), 9, np.uint8)] * num, network(threshold=0.5))
    assert len(found.curve) == num
    assert not len(found.onsets_s)
