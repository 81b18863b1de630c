import numpy as np
import pytest
from PIL import Image

from media.pictures import draw_confusion_matrix, draw_film, draw_grids, write_png


def brightness(picture: np.ndarray) -> np.ndarray:
    return picture.astype(float).mean(axis=2)


def inner(picture: np.ndarray) -> np.ndarray:
    """What is drawn of a single grid, without the title and the white border."""
    is_white = (picture == 255).all(axis=2)
    rows = np.flatnonzero(is_white.mean(axis=1) < 0.2)
    columns = np.flatnonzero(is_white[rows].mean(axis=0) < 0.2)
    return brightness(picture)[rows[0] + 2 : rows[-1] - 1, columns[0] + 2 : columns[-1] - 1]


def test_low_frequencies_are_at_the_bottom_and_time_runs_to_the_right():
    grid = np.full((8, 6), -1.0)
    grid[:4, :3] = 1.0  # low and early
    drawn = inner(draw_grids([[("loud", grid)]]))
    height, width = drawn.shape
    quarters = [drawn[: height // 2 - 2, : width // 2 - 2], drawn[height // 2 + 2 :, : width // 2 - 2]]
    quarters += [drawn[: height // 2 - 2, width // 2 + 2 :], drawn[height // 2 + 2 :, width // 2 + 2 :]]
    above, loud, later_above, later = (quarter.mean() for quarter in quarters)
    assert loud > 200
    assert max(above, later_above, later) < 20


def test_the_same_value_has_the_same_colour_in_every_picture():
    dark = inner(draw_grids([[("", np.zeros((4, 4)))]])).mean()
    assert dark == pytest.approx(inner(draw_grids([[("", np.zeros((4, 4)))]], value_range=(-2.0, 2.0))).mean())
    assert dark < inner(draw_grids([[("", np.full((4, 4), 0.5))]])).mean()


def test_rows_may_be_of_different_lengths():
    grid = np.zeros((4, 4))
    picture = draw_grids([[("a", grid), ("b", grid)], [("c", grid)]])
    assert picture.dtype == np.uint8
    assert picture.shape == (480, 520, 3)
    assert (picture[250:, 270:] == 255).all()
    assert not (picture[250:, :250] == 255).all()


@pytest.mark.parametrize("name", ["a$_$b.mp4", "prices_$5_and_$6.mp4", r"50%_#1_{x}\frac.mp4"])
def test_names_are_drawn_as_they_are_and_never_taken_for_formulas(name):
    assert draw_grids([[(name, np.zeros((4, 4)))]]).any()
    assert draw_confusion_matrix(np.eye(2), [name, "dog"]).any()


def test_a_confusion_matrix_is_darkest_where_a_class_is_always_right():
    picture = draw_confusion_matrix(np.array([[8, 0], [0, 1]]), ["cat", "dog"])
    swapped = draw_confusion_matrix(np.array([[0, 8], [1, 0]]), ["cat", "dog"])
    assert picture.shape == swapped.shape
    blue = (picture[..., 2].astype(int) - picture[..., 0] > 60).nonzero()
    rows, columns = blue[0], blue[1]
    assert np.corrcoef(rows, columns)[0, 1] > 0.5
    blue = (swapped[..., 2].astype(int) - swapped[..., 0] > 60).nonzero()
    assert np.corrcoef(blue[0], blue[1])[0, 1] < -0.5


def test_a_class_that_was_never_seen_is_no_division_by_zero():
    assert draw_confusion_matrix(np.array([[3, 1], [0, 0]]), ["cat", "dog"]).any()


def test_a_png_appears_complete_or_not_at_all(tmp_path):
    picture = np.random.default_rng(0).integers(256, size=(5, 7, 3), dtype=np.uint8)
    write_png(tmp_path / "new/folder/a.png", picture)
    with Image.open(tmp_path / "new/folder/a.png") as written:
        assert np.array_equal(np.asarray(written), picture)
    with pytest.raises(TypeError):
        write_png(tmp_path / "new/folder/a.png", np.zeros((5, 7, 3), complex))
    assert [path.name for path in (tmp_path / "new/folder").iterdir()] == ["a.png"]
    with Image.open(tmp_path / "new/folder/a.png") as written:
        assert np.array_equal(np.asarray(written), picture)


def test_a_film_shows_its_frames_above_the_sound_at_their_times():
    red, green = (np.full((60, 80, 3), colour, np.uint8) for colour in ((255, 0, 0), (0, 255, 0)))
    scenes = [(0.0, 1.0, "cat $5"), (1.0, 2.0, "silence")]
    picture = draw_film([red, green], np.full((8, 20), -1.0), scenes, sample_rate_hz=8000).astype(int)
    is_red = (picture == (255, 0, 0)).all(axis=2)
    is_green = (picture == (0, 255, 0)).all(axis=2)
    assert is_red.sum() == pytest.approx(is_green.sum(), rel=0.05)
    assert np.flatnonzero(is_red.any(axis=0)).max() < np.flatnonzero(is_green.any(axis=0)).min()
    assert np.flatnonzero(is_red.any(axis=1)).max() < picture.shape[0] / 2


@pytest.mark.parametrize(("height", "width"), [(160, 90), (90, 160), (60, 200)])
@pytest.mark.parametrize("num_frames", [1, 3, 8])
def test_a_film_keeps_the_proportions_of_its_frames(height, width, num_frames):
    red = np.full((height, width, 3), (255, 0, 0), np.uint8)
    scenes = [(0.0, 2.0, "cat")]
    picture = draw_film([red] * num_frames, np.full((8, 20), -1.0), scenes, sample_rate_hz=8000).astype(int)
    is_red = (picture[..., 0] > 200) & (picture[..., 1:].max(axis=2) < 50)
    num_rows = is_red.any(axis=1).sum()
    num_columns = is_red[is_red.any(axis=1)].sum() / num_rows / num_frames
    assert num_columns / num_rows == pytest.approx(width / height, rel=0.08)
    assert num_rows > 20
