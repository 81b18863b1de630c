"""The classes and the sudden changes in a clip, found in one pass over its frames."""

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
from networks.vision.located import Located
from networks.vision.moments import MomentNetwork
from pipelines.moments import MomentFinder
from runtime.tell import tell

NUM_FRAMES_AT_ONCE = 8  # in a batch of the classifier
NUM_FILM_FRAMES = 12
PART_SEEN = 224 / 256  # of the shorter side of a frame, whose middle the classifier sees


@dataclass  # not frozen: Lightning moves batches to the device field by field
class Clip:
    """A video or a photo.

    Attributes:
        path: the file.
        name: name of its outputs, without suffix; unique among the inputs.
        duration_s: length of the picture; None for a photo.
        frames_per_second: rate at which frames are read, independent of the rate of the video.
    """

    path: Path
    name: str
    duration_s: float | None
    frames_per_second: float

    def frames(self, max_side: int | None = None) -> Iterator[tuple[float, np.ndarray]]:
        """Time in seconds and RGB uint8 (height, width, 3) of each frame; a photo is one frame at time 0.

        Args:
            max_side: pixels to which the longer side of a larger frame is shrunk; None for no limit.

        Raises:
            ValueError: if the file is damaged, perhaps only at its last frame.
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
    """A classifier that locates its classes in a picture."""

    def locate(self, images: Tensor) -> Located:
        """Images (batch, 3, height, width) in [0, 1] → the classes and their places."""


@dataclass(frozen=True)
class PerceptionSettings:
    """How a clip is perceived.

    Args:
        samples_per_second: frames that are classified, at most `Clip.frames_per_second`.
        activity, stabilisation: settings of the `ActivityMeter`, which takes all frames.
    """

    samples_per_second: float = 4.0
    activity: ActivitySettings = field(default_factory=ActivitySettings)
    stabilisation: StabilisationSettings = field(default_factory=StabilisationSettings)


@dataclass(frozen=True)
class Perception:
    """Classes and activity of a clip.

    Attributes:
        times_s: (sampled frames,) seconds, evenly spaced.
        probabilities: (sampled frames, classes).
        familiarity: (sampled frames,) similarity to the training photos in [-1, 1].
        activity: sudden changes in all frames; None for a photo.
        film: a few frames with their times in seconds, for a report.
    """

    times_s: np.ndarray
    probabilities: np.ndarray
    familiarity: np.ndarray
    activity: Activity | None
    film: list[tuple[float, np.ndarray]]


@torch.inference_mode()
def perceive(
    clip: Clip,
    classifier: LocatingClassifier,
    image_size: int,
    device: torch.device,
    settings: PerceptionSettings,
    moments: MomentNetwork | None = None,
) -> Perception:
    """Classifies sampled frames, and measures activity in the region of the likeliest class, in bounded memory.

    Args:
        clip: the video or photo.
        classifier: fitted classifier on `device`.
        image_size: height and width of its images.
        device: device of the classification.
        settings: rate of the samples and settings of the activity.
        moments: fitted network that finds the onsets; None to take those of the activity.

    Raises:
        ValueError: if the clip has no frame or cannot be read.
    """
    to_image = evaluation_transform(image_size)
    stride = max(1, round(clip.frames_per_second / settings.samples_per_second))
    meter = ActivityMeter(clip.frames_per_second, settings.activity, settings.stabilisation)
    finder = MomentFinder(moments, clip.frames_per_second) if moments and clip.duration_s is not None else None
    times_s: list[float] = []
    probabilities: list[np.ndarray] = []
    familiarity: list[np.ndarray] = []
    film: list[tuple[float, np.ndarray]] = []
    film_step_s = (clip.duration_s or 0) / NUM_FILM_FRAMES
    frames = clip.frames(2 * image_size)
    while some := list(islice(frames, stride * NUM_FRAMES_AT_ONCE)):
        sampled = some[::stride]
        images = torch.stack([to_image(torch.from_numpy(frame).movedim(-1, 0)) for _, frame in sampled])
        located = classifier.locate(images.to(device))
        chances = located.logits.float().softmax(dim=1).cpu().numpy()
        times_s += [time_s for time_s, _ in sampled]
        probabilities.append(chances)
        familiarity.append(located.familiarity.float().cpu().numpy())
        likeliest = located.maps.float().cpu().numpy()[np.arange(len(chances)), chances.argmax(axis=1)]
        for number, (time_s, frame) in enumerate(some):
            meter.add(frame, region_of_frame(likeliest[number // stride], frame.shape[:2]))
            if finder:
                finder.add(frame)
            if time_s >= len(film) * film_step_s:
                film.append((time_s, frame))
    if not times_s:
        raise ValueError(f"{clip.path} has no frame that can be shown.")
    activity = None if clip.duration_s is None else meter.finish()
    if finder and activity:
        activity = finder.finish(activity)
        tell(f"{clip.path.name}: {finder.remark}")
    seen = np.concatenate(probabilities), np.concatenate(familiarity)
    return Perception(np.array(times_s), *seen, activity, film)


def region_of_frame(activation_map: np.ndarray, frame_size: tuple[int, int]) -> np.ndarray | None:
    """Spreads an activation map (rows, columns) of the middle of a frame over the frame of (height, width).

    Returns:
        (rows, columns) in [0, 1], 0 in the margins that the classifier does not see; None if the map has no positive
        value.
    """
    region = np.maximum(activation_map, 0)
    if not region.max() > 0:
        return None
    seen = PART_SEEN * min(frame_size)
    margins = [round((side / seen - 1) / 2 * cells) for side, cells in zip(frame_size, region.shape, strict=True)]
    return np.pad(region / region.max(), [(margin, margin) for margin in margins])
