import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from media.video.stabilisation import SteadyView


def scene(seed: int = 0) -> np.ndarray:
    """float32 (85, 120), smooth enough to be moved by parts of a pixel."""
    texture = gaussian_filter(np.random.default_rng(seed).normal(size=(85, 120)), 2)
    return (120 + 40 * texture / texture.std()).astype(np.float32)


def seen(down: int, right: int) -> np.ndarray:
    """(45, 80) of the scene."""
    return scene()[20 + down : 65 + down, 20 + right : 100 + right]


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, -1), (3, 5), (-6, 9)])
def test_a_shift_and_a_change_of_light_are_taken_out(down, right):
    steadied = SteadyView(seen(0, 0), 0.0).steady(1.2 * seen(down, right) + 10)
    np.testing.assert_allclose(steadied.motion[[0, 3]], [-down, -right], atol=0.2)
    assert np.abs(steadied.picture - seen(0, 0)).mean() < 1
    assert steadied.likeness > 0.8
    assert steadied.brightening == pytest.approx(0.2 * seen(0, 0).mean() + 10, abs=6)


def test_what_moves_by_itself_stays_in_the_picture():
    moved = seen(2, -3).copy()
    moved[15:25, 30:45] = 250
    steadied = SteadyView(seen(0, 0), 0.0).steady(moved)
    np.testing.assert_allclose(steadied.motion[[0, 3]], [-2, 3], atol=0.2)
    change = np.abs(steadied.picture - seen(0, 0))
    assert change[18:25, 30:40].min() > 30
    assert np.median(change) < 2


def test_a_long_pan_is_followed_from_where_it_has_come():
    view = SteadyView(seen(0, -20), 0.0)
    for number in range(1, 41):
        steadied = view.steady(seen(0, number - 20))
        assert steadied.likeness > 0.9
        view.accept(steadied, number / 25)
    assert np.abs(steadied.motion).max() < 10  # of 40 pixels in all
    assert np.median(np.abs(steadied.picture - view.rest)) < 5


def test_the_view_is_what_stays():
    view = SteadyView(seen(0, 0), 0.0)
    for number in range(1, 40):
        frame = seen(0, 0).copy()
        frame[:, 2 * number - 2 : 2 * number + 6] = 20
        view.accept(view.steady(frame), number / 10)
    assert np.abs(view.rest - seen(0, 0)).mean() < 1


def test_another_picture_is_unlike_and_two_empty_ones_are_alike():
    view, black = SteadyView(seen(0, 0), 0.0), np.zeros((45, 80), np.float32)
    assert view.steady(scene(1)[20:65, 20:100]).likeness < 0.4
    assert view.steady(black).likeness < 0.4
    assert SteadyView(black, 0.0).steady(black).likeness == pytest.approx(1)
