from pathlib import Path

import numpy as np
import pytest
import torch

from media.video.activity import ActivityMeter
from networks.vision.located import Located
from pipelines.perception import Perception, PerceptionSettings, perceive, region_of_frame


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


class Classifier:
    """The class is 1 from frame 10 on; it is seen at the left."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def locate(self, images: torch.Tensor) -> Located:
        assert images.shape[1:] == (3, 8, 8)
        numbers = (255 * images[:, 0, 0, 0]).round()
        self.seen += numbers.int().tolist()
        is_late = (numbers >= 10).float()
        logits = 5 * torch.stack([1 - is_late, is_late], dim=1)
        activation_maps = logits[:, :, None, None] * torch.tensor([1.0, 0.0])
        return Located(logits, activation_maps.expand(-1, -1, 2, 2), 0.9 - is_late / 2)


def perceived(clip: Clip, classifier: Classifier | None = None) -> Perception:
    return perceive(clip, classifier or Classifier(), 8, torch.device("cpu"), PerceptionSettings(4.0))


def test_some_frames_are_classified_and_all_are_searched_for_movement(monkeypatch):
    regions = []
    add = ActivityMeter.add
    monkeypatch.setattr(
        ActivityMeter, "add", lambda self, frame, region: regions.append(region) or add(self, frame, region)
    )
    classifier = Classifier()
    perception = perceived(Clip(103), classifier)
    assert classifier.seen == list(range(0, 103, 5))
    np.testing.assert_allclose(perception.times_s, 0.25 * np.arange(21))
    assert perception.probabilities.argmax(axis=1).tolist() == [0, 0] + [1] * 19
    np.testing.assert_allclose(perception.probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(perception.familiarity, [0.9, 0.9] + [0.4] * 19, atol=1e-6)
    assert len(perception.activity.times_s) == len(regions) == 103
    assert all(region[0, 0] == 1 and region[0, -1] == 0 for region in regions)


def test_the_film_spans_the_clip_and_stays_short():
    film = perceived(Clip(500)).film
    assert len(film) == 12
    assert film[0][0] == 0
    assert film[-1][0] == pytest.approx(25 * 11 / 12, abs=0.06)
    assert len(perceived(Clip(3)).film) == 3


def test_a_photo_has_no_activity():
    perception = perceived(Clip(1, is_photo=True))
    assert perception.activity is None
    assert len(perception.times_s) == len(perception.film) == 1


def test_a_clip_without_frames_is_refused():
    with pytest.raises(ValueError, match=r"clip.mp4 has no frame"):
        perceived(Clip(0))


def test_a_region_is_that_of_the_whole_frame():
    activation_map = np.array([[4.0, -1.0], [2.0, 0.0]])
    square = region_of_frame(activation_map, (256, 256))
    np.testing.assert_array_equal(square, [[1, 0], [0.5, 0]])
    wide = region_of_frame(activation_map, (256, 512))
    assert wide.shape == (2, 4)
    np.testing.assert_array_equal(wide[:, 1:3], square)
    assert not wide[:, [0, 3]].any()
    assert region_of_frame(-activation_map * (activation_map > 0), (256, 256)) is None
