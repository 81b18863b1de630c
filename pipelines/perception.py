"""Perception: the classes seen in a clip, and the sudden changes in it, in one pass over its frames."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from media.video.activity import Activity, ActivityMeter, ActivitySettings
from media.video.photo_files import read_photo
from media.video.stabilisation import StabilisationSettings
from media.video.video_files import read_frames
from networks.vision.image_transform import evaluation_transform

NUM_FRAMES_AT_ONCE = 8  # that are classified
NUM_FILM_FRAMES = 12
PART_SEEN = 224 / 256  # of a frame's shorter side: the classifier sees the middle of a frame


@dataclass  # not frozen: Lightning moves batches to the device field by field
class Clip:
    """A video, or a photo, and the way to its frames.

    Attributes:
        path: the file.
        name: name of its outputs, without suffix; no other input of the call has the same.
        duration_s: length of the picture; None for a photo.
        frames_per_second: rate at which frames are read, whatever the video's own rate is.
    """

    path: Path
    name: str
    duration_s: float | None
    frames_per_second: float

    def frames(self, max_side: int | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Time in seconds and RGB uint8 (height, width, 3) of each frame; a photo is one frame at time 0.

        Args:
            max_side: frames whose longer side has more pixels than this are shrunk to it; None keeps them as they are.

        Raises:
            UnreadableVideo, UnreadablePhoto: ValueErrors, if the file is damaged; maybe not before its last frame.
        """
        if self.duration_s is not None:
            yield from read_frames(self.path, self.frames_per_second, max_side)
            return
        photo = read_photo(self.path)
        if max_side is not None and max(photo.shape) > max_side:
            image = Image.fromarray(photo)
            image.thumbnail((max_side, max_side))
            photo = np.array(image)
        yield 0.0, photo


class LocatingClassifier(Protocol):
    """Tells classes apart, and where in a picture they are seen."""

    def locate(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (batch, 3, height, width) in [0, 1] → logits (batch, classes) and activation maps of each class."""


@dataclass(frozen=True)
class PerceptionSettings:
    """How a clip is perceived.

    Args:
        samples_per_second: frames that are classified; at most `Clip.frames_per_second`.
        activity, stabilisation: see `ActivityMeter`, which takes all frames.
    """

    samples_per_second: float = 4.0
    activity: ActivitySettings = field(default_factory=ActivitySettings)
    stabilisation: StabilisationSettings = field(default_factory=StabilisationSettings)


@dataclass(frozen=True)
class Perception:
    """All that was seen in a clip.

    Attributes:
        times_s: (sampled frames,) seconds, evenly spaced.
        probabilities: (sampled frames, classes).
        activity: sudden changes in all frames; None for a photo.
        film: a few frames with their times, for a report.
    """

    times_s: np.ndarray
    probabilities: np.ndarray
    activity: Activity | None
    film: list[tuple[float, np.ndarray]]


@torch.inference_mode()
def perceive(
    clip: Clip, classifier: LocatingClassifier, image_size: int, device: torch.device, settings: PerceptionSettings
) -> Perception:
    """Classifies sampled frames of a clip, and measures the activity of all frames where the likeliest class is seen.

    Args:
        clip: is decoded once, in bounded memory.
        classifier: fitted, on `device`.
        image_size: side of the classifier's images.
        device: where images are classified.
        settings: rate of the samples, and numbers of the activity.

    Raises:
        ValueError: if the clip has no frame, or cannot be read.
    """
    to_image = evaluation_transform(image_size)
    stride = max(1, round(clip.frames_per_second / settings.samples_per_second))
    meter = ActivityMeter(clip.frames_per_second, settings.activity, settings.stabilisation)
    times_s: list[float] = []
    probabilities: list[np.ndarray] = []
    film: list[tuple[float, np.ndarray]] = []
    film_step_s = (clip.duration_s or 0) / NUM_FILM_FRAMES
    frames = clip.frames(2 * image_size)
    while some := list(islice(frames, stride * NUM_FRAMES_AT_ONCE)):
        sampled = some[::stride]
        images = torch.stack([to_image(torch.from_numpy(frame).movedim(-1, 0)) for _, frame in sampled])
        logits, activation_maps = classifier.locate(images.to(device))
        chances = logits.float().softmax(dim=1).cpu().numpy()
        times_s += [time_s for time_s, _ in sampled]
        probabilities.append(chances)
        likeliest = activation_maps.float().cpu().numpy()[np.arange(len(chances)), chances.argmax(axis=1)]
        for number, (time_s, frame) in enumerate(some):
            meter.add(frame, region_of_frame(likeliest[number // stride], frame.shape[:2]))
            if time_s >= len(film) * film_step_s:
                film.append((time_s, frame))
    if not times_s:
        raise ValueError(f"{clip.path} has no frame that can be shown.")
    activity = None if clip.duration_s is None else meter.finish()
    return Perception(np.array(times_s), np.concatenate(probabilities), activity, film)


def region_of_frame(activation_map: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray | None:
    """The region of a frame in which the class is seen.

    Args:
        activation_map: (rows, columns), share of each place of the classifier's picture, the middle of the frame, in
            the logit of the class.
        frame_size: (height, width) of the whole frame.

    Returns:
        (rows, columns) in [0, 1] over the whole frame, 0 in the margins that the classifier does not see; None if no
        place speaks for the class.
    """
    region = np.maximum(activation_map, 0)
    if not region.max() > 0:
        return None
    seen = PART_SEEN * min(frame_size)
    margins = [round((side / seen - 1) / 2 * cells) for side, cells in zip(frame_size, region.shape, strict=True)]
    return np.pad(region / region.max(), [(margin, margin) for margin in margins])
