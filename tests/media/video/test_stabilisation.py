import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from media.video.stabilisation import StabilisationSettings, StabilisedView


def scene(seed: int = 0) -> np.ndarray:
    """float32 (85, 120), smooth enough to be moved by parts of a pixel."""
    texture = gaussian_filter(np.random.default_rng(seed).normal(size=(85, 120)), 2)
    return (120 + 40 * texture / texture.std()).astype(np.float32)


def seen(down: int, right: int) -> np.ndarray:
    """(45, 80) of the scene."""
    return scene()[20 + down : 65 + down, 20 + right : 100 + right]


@pytest.mark.parametrize(("down", "right"), [(0, 0), (1, -1), (3, 5), (-6, 9)])
def test_a_shift_and_a_change_of_light_are_taken_out(down, right):
    stabilised = StabilisedView(seen(0, 0), 0.0).stabilise(1.2 * seen(down, right) + 10)
    np.testing.assert_allclose(stabilised.motion[[0, 3]], [-down, -right], atol=0.2)
    assert np.abs(stabilised.picture - seen(0, 0)).mean() < 1
    assert stabilised.likeness > 0.8
    assert stabilised.brightening == pytest.approx(0.2 * seen(0, 0).mean() + 10, abs=6)


def test_what_moves_by_itself_stays_in_the_picture():
    moved = seen(2, -3).copy()
    moved[15:25, 30:45] = 250
    stabilised = StabilisedView(seen(0, 0), 0.0).stabilise(moved)
    np.testing.assert_allclose(stabilised.motion[[0, 3]], [-2, 3], atol=0.2)
    change = np.abs(stabilised.picture - seen(0, 0))
    assert change[18:25, 30:40].min() > 30
    assert np.median(change) < 2


def test_a_long_pan_is_followed_from_where_it_has_come():
    view = StabilisedView(seen(0, -20), 0.0)
    for number in range(1, 41):
        stabilised = view.stabilise(seen(0, number - 20))
        assert stabilised.likeness > 0.9
        view.accept(stabilised, number / 25)
    assert np.abs(stabilised.motion).max() < 10  # of 40 pixels in all
    assert np.median(np.abs(stabilised.picture - view.rest)) < 5


def test_the_view_is_what_stays():
    view = StabilisedView(seen(0, 0), 0.0)
    for number in range(1, 40):
        frame = seen(0, 0).copy()
        frame[:, 2 * number - 2 : 2 * number + 6] = 20
        view.accept(view.stabilise(frame), number / 10)
    assert np.abs(view.rest - seen(0, 0)).mean() < 1


def test_another_picture_is_unlike_and_two_empty_ones_are_alike():
    view, black = StabilisedView(seen(0, 0), 0.0), np.zeros((45, 80), np.float32)
    assert view.stabilise(scene(1)[20:65, 20:100]).likeness < 0.4
    assert view.stabilise(black).likeness < 0.4
    assert StabilisedView(black, 0.0).stabilise(black).likeness == pytest.approx(1)


def test_its_numbers_are_settings():
    frame = seen(0, 0).copy()
    frame[10:20, 10:20] = 20
    short, usual = StabilisedView(seen(0, 0), 0.0, StabilisationSettings(1, 1)), StabilisedView(seen(0, 0), 0.0)
    for view in (short, usual):
        view.accept(view.stabilise(frame), 1.0)
    assert np.array_equal(short.rest, short.last)
    assert np.abs(usual.rest - seen(0, 0)).max() < 1
    with pytest.raises(ValueError, match="keep_s is 0, expected a number above 0"):
        StabilisationSettings(keep_s=0)
