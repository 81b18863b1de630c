from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from media.video.activity import ActivityMeter
from pipelines.perception import look, region_of_frame


class Clip:
    """`num_frames` grey frames, each lighter than the one before."""

    path, name = Path("clip.mp4"), "clip"

    def __init__(self, num_frames: int, frames_per_second: float = 20.0, is_photo: bool = False) -> None:
        self.num_frames, self.frames_per_second = num_frames, frames_per_second
        self.duration_s = None if is_photo else num_frames / frames_per_second

    def frames(self, max_side: int):
        assert max_side == 16
        for number in range(self.num_frames):
            yield number / self.frames_per_second, np.full((12, 12, 3), number % 256, np.uint8)

    def image(self, frame: np.ndarray, image_size: int) -> torch.Tensor:
        return torch.from_numpy(frame[:image_size, :image_size]).movedim(-1, 0).float()


class Classifier:
    """The class is 1 from frame 10 on; it is seen at the left."""

    facts, device = {"image_size": 8}, torch.device("cpu")

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.network = SimpleNamespace(locate=self.locate)

    def locate(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        numbers = images[:, 0, 0, 0]
        self.seen += numbers.int().tolist()
        is_late = (numbers >= 10).float()
        logits = 5 * torch.stack([1 - is_late, is_late], dim=1)
        places = logits[:, :, None, None] * torch.tensor([1.0, 0.0])
        return logits, places.expand(-1, -1, 2, 2)


def test_some_frames_are_classified_and_all_are_searched_for_movement(monkeypatch):
    regions = []
    add = ActivityMeter.add
    monkeypatch.setattr(
        ActivityMeter, "add", lambda self, frame, region: regions.append(region) or add(self, frame, region)
    )
    classifier = Classifier()
    sight = look(Clip(103), classifier, looks_per_second=4.0)
    assert classifier.seen == list(range(0, 103, 5))
    np.testing.assert_allclose(sight.times_s, 0.25 * np.arange(21))
    assert sight.probabilities.argmax(axis=1).tolist() == [0, 0] + [1] * 19
    np.testing.assert_allclose(sight.probabilities.sum(axis=1), 1, atol=1e-6)
    assert len(sight.activity.times_s) == len(regions) == 103
    assert all(region[0, 0] == 1 and region[0, -1] == 0 for region in regions)


def test_the_film_spans_the_clip_and_stays_short():
    film = look(Clip(500), Classifier(), 4.0).film
    assert len(film) == 12
    assert film[0][0] == 0
    assert film[-1][0] == pytest.approx(25 * 11 / 12, abs=0.06)
    assert len(look(Clip(3), Classifier(), 4.0).film) == 3


def test_a_photo_has_no_activity():
    sight = look(Clip(1, is_photo=True), Classifier(), 4.0)
    assert sight.activity is None
    assert len(sight.times_s) == len(sight.film) == 1


def test_a_clip_without_frames_is_refused():
    with pytest.raises(ValueError, match=r"clip.mp4 has no frame"):
        look(Clip(0), Classifier(), 4.0)


def test_a_region_is_that_of_the_whole_frame():
    places = np.array([[4.0, -1.0], [2.0, 0.0]])
    square = region_of_frame(places, (256, 256))
    np.testing.assert_array_equal(square, [[1, 0], [0.5, 0]])
    wide = region_of_frame(places, (256, 512))
    assert wide.shape == (2, 4)
    np.testing.assert_array_equal(wide[:, 1:3], square)
    assert not wide[:, [0, 3]].any()
    assert region_of_frame(-places * (places > 0), (256, 256)) is None
