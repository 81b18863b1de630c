"""What is seen in a clip, and when something happens in it, in one pass over its frames."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from media.video.activity import Activity, ActivityMeter

NUM_LOOKS_AT_ONCE = 8
NUM_FILM_FRAMES = 12
PART_SEEN = 224 / 256  # of a frame's shorter side: the classifier looks at the middle of a frame


class Clip(Protocol):
    """A video or a photo."""

    path: Path
    name: str
    duration_s: float | None
    frames_per_second: float

    def frames(self, max_side: int) -> Iterator[tuple[float, np.ndarray]]:
        """Times in seconds and uint8 (height, width, 3), at `frames_per_second`."""

    def image(self, frame: np.ndarray, image_size: int) -> Tensor:
        """A frame as the classifier takes it: (3, image_size, image_size) in [0, 1]."""


@dataclass(frozen=True)
class Sight:
    """What was seen.

    Attributes:
        times_s: (looks,) seconds, evenly spaced.
        probabilities: (looks, classes).
        activity: of all frames; None for a photo.
        film: a few frames with their times, for a report.
    """

    times_s: np.ndarray
    probabilities: np.ndarray
    activity: Activity | None
    film: list[tuple[float, np.ndarray]]


@torch.inference_mode()
def look(clip: Clip, classifier: Any, looks_per_second: float) -> Sight:
    """Classifies some frames of a clip, and follows what moves where the likeliest class is seen in all of them.

    Args:
        clip: is decoded once, in bounded memory.
        classifier: fitted, on the device that is to be used.
        looks_per_second: frames that are classified; at most `clip.frames_per_second`.

    Raises:
        ValueError: where the clip has no frame, or cannot be read.
    """
    image_size = classifier.facts["image_size"]
    stride = max(1, round(clip.frames_per_second / looks_per_second))
    meter = ActivityMeter(clip.frames_per_second)
    times_s: list[float] = []
    probabilities: list[np.ndarray] = []
    film: list[tuple[float, np.ndarray]] = []
    film_step_s = (clip.duration_s or 0) / NUM_FILM_FRAMES
    frames = clip.frames(2 * image_size)
    while some := list(islice(frames, stride * NUM_LOOKS_AT_ONCE)):
        looked_at = some[::stride]
        images = torch.stack([clip.image(frame, image_size) for _, frame in looked_at])
        logits, places = classifier.network.locate(images.to(classifier.device))
        chances = logits.float().softmax(dim=1).cpu().numpy()
        times_s += [time_s for time_s, _ in looked_at]
        probabilities.append(chances)
        likeliest = places.float().cpu().numpy()[np.arange(len(chances)), chances.argmax(axis=1)]
        for number, (time_s, frame) in enumerate(some):
            meter.add(frame, region_of_frame(likeliest[number // stride], frame.shape[:2]))
            if time_s >= len(film) * film_step_s:
                film.append((time_s, frame))
    if not times_s:
        raise ValueError(f"{clip.path} has no frame that can be shown.")
    activity = None if clip.duration_s is None else meter.finish()
    return Sight(np.array(times_s), np.concatenate(probabilities), activity, film)


def region_of_frame(places: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray | None:
    """Where in a frame the class is seen.

    Args:
        places: (rows, columns), what each place of the classifier's picture, the middle of the frame, adds to a class.
        frame_size: (height, width) of the whole frame.

    Returns:
        (rows, columns) in [0, 1] over the whole frame, 0 in the margins that the classifier does not see; None where
        no place speaks for the class.
    """
    region = np.maximum(places, 0)
    if not region.max() > 0:
        return None
    seen = PART_SEEN * min(frame_size)
    margins = [round((side / seen - 1) / 2 * cells) for side, cells in zip(frame_size, region.shape, strict=True)]
    return np.pad(region / region.max(), [(margin, margin) for margin in margins])
