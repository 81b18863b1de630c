import numpy as np
import pytest
from PIL import Image

from demo import LABELS, sample_animal
from demo.photos import draw, draw_photo, sample_background

NUM_PHOTOS = 100


def pixels_of(label: str, number: int, seed: int = 1, size: int = 32) -> np.ndarray:
    return np.asarray(draw_photo(label, np.random.default_rng([seed, LABELS.index(label), number]), size), dtype=float)


def test_a_photo_is_square_rgb_and_depends_on_the_generator_alone():
    photo = draw_photo("cat", np.random.default_rng(3), size=48)
    assert (photo.size, photo.mode) == ((48, 48), "RGB")
    np.testing.assert_array_equal(photo, draw_photo("cat", np.random.default_rng(3), size=48))
    assert np.abs(np.subtract(photo, draw_photo("cat", np.random.default_rng(4), size=48), dtype=float)).mean() > 5


def test_an_unknown_label_is_named():
    with pytest.raises(ValueError, match=r"'cow'.*'cat', 'dog'"):
        draw_photo("cow", np.random.default_rng(0))


def test_mean_colour_does_not_tell_the_classes_apart():
    colours = np.array([[pixels_of(label, n).mean((0, 1)) for n in range(NUM_PHOTOS)] for label in LABELS])
    half = NUM_PHOTOS // 2
    centroids = colours[:, :half].mean(axis=1)
    distances = np.linalg.norm(colours[:, half:, None] - centroids, axis=-1)
    accuracy = (distances.argmin(axis=-1) == [[0], [1]]).mean()
    assert accuracy < 0.68


def test_the_average_cat_and_the_average_dog_differ_in_shape():
    """Cats have ears above the head, dogs beside it: the same animals with the other label cover other pixels."""
    grey = Image.new("RGB", (48, 48), (128, 128, 128))
    above, below = [], []
    for number in range(20):
        covered = {}
        for label in LABELS:
            animal = sample_animal(label, np.random.default_rng(number))
            covered[label] = (np.asarray(draw(animal, grey, (48, 48))) != 128).any(axis=2)
            top = int((animal.y - 1.25 * animal.scale) * 48)
        above.append(covered["cat"][: max(top, 0)].sum() - covered["dog"][: max(top, 0)].sum())
        below.append((covered["dog"] & ~covered["cat"]).sum())
    assert np.mean(above) > 5
    assert np.mean(below) > 20


def test_both_labels_share_everything_but_the_label():
    cat, dog = (vars(sample_animal(label, np.random.default_rng(5))) for label in LABELS)
    assert {name for name in cat if cat[name] != dog[name]} == {"label"}


@pytest.mark.parametrize("label", LABELS)
def test_opening_the_mouth_changes_the_middle_of_the_picture_alone(label):
    animal = sample_animal(label, np.random.default_rng(8))
    background = sample_background(np.random.default_rng(8), (64, 48))
    closed, wide = (np.asarray(draw(animal, background, (64, 48), mouth)).astype(int) for mouth in (0.0, 1.0))
    assert closed.shape == (48, 64, 3)
    rows, columns = np.nonzero(np.abs(closed - wide).sum(axis=2) > 30)
    assert 4 < len(rows) < 0.1 * 48 * 64
    assert np.abs(columns / 64 - animal.x).max() < 0.8 * animal.scale
    assert (rows / 48).min() > animal.y - 0.3 * animal.scale
