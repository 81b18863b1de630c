"""From the classes of single frames to stretches of time that show one class."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np


@dataclass(frozen=True)
class SceneSettings:
    """Conditions for the start and the end of a scene, which never reaches over a cut."""

    threshold: float = 0.6  # mean probability from which a class is known
    smoothing_s: float = 1.0  # length of the window around each frame over which probabilities are averaged
    min_scene_s: float = 0.75  # length below which a stretch joins the previous one, or else the next one


@dataclass(frozen=True)
class Scene:
    """A stretch of a video, in seconds from the first frame."""

    start_s: float
    end_s: float
    label: int | None  # number of the class, or None if it is unknown
    confidence: float  # mean probability of the class, or of the likeliest one if it is unknown
    likeliest: int  # number of the class with the highest mean probability


def find_scenes(
    times_s: np.ndarray,
    probabilities: np.ndarray,
    duration_s: float,
    settings: SceneSettings,
    cuts_s: Sequence[float] = (),
    allowed: Collection[int] | None = None,
) -> list[Scene]:
    """Smooths the classes over time and divides the video at each change of class, and at every cut.

    Args:
        times_s: (frames,) times in even steps from 0.
        probabilities: (frames, classes) in [0, 1].
        duration_s: end of the last scene.
        settings: conditions for the start and the end of a scene.
        cuts_s: times at which another picture starts, ascending. A cut is left out if no frame is sampled between it
            and the next one.
        allowed: numbers of the classes that may be heard, or None for all; any other class is unknown.

    Returns:
        Scenes that cover the video without a gap. Neighbours have different labels or a cut between them.
    """
    assert len(times_s) == len(probabilities) > 0, "at least one frame"
    step_s = times_s[1] - times_s[0] if len(times_s) > 1 else duration_s
    reach = round(settings.smoothing_s / max(step_s, 1e-6) / 2)
    classes = range(probabilities.shape[1])
    is_allowed = np.isin(classes, list(classes if allowed is None else allowed))
    inner_cuts_s = [cut_s for cut_s in cuts_s if 0 < cut_s < duration_s]
    first_frames = np.searchsorted(times_s, inner_cuts_s).tolist()
    shots = {0: 0.0, **dict(zip(first_frames, inner_cuts_s, strict=True)), len(times_s): duration_s}
    scenes: list[Scene] = []
    for (first, start_s), (after, end_s) in pairwise(shots.items()):
        seen = probabilities[first:after]
        smooth = np.stack([seen[max(0, i - reach) : i + reach + 1].mean(axis=0) for i in range(len(seen))])
        is_known = (smooth.max(axis=1) >= settings.threshold) & is_allowed[smooth.argmax(axis=1)]
        labels = np.where(is_known, smooth.argmax(axis=1), -1).tolist()
        borders_s = [start_s, *times_s[first + 1 : after].tolist(), end_s]
        scenes += [
            _describe(label, seen[start:end], borders_s[start], borders_s[end])
            for label, start, end in _find_runs(labels, borders_s, settings.min_scene_s)
        ]
    return scenes


def _find_runs(labels: list[int], borders_s: list[float], min_scene_s: float) -> list[tuple[int, int, int]]:
    """Finds label, first frame and the frame after the last of each stretch that is long enough."""
    runs: list[tuple[int, int, int]] = []

    def is_short(run: tuple[int, int, int]) -> bool:
        return borders_s[run[2]] - borders_s[run[1]] < min_scene_s - 1e-6

    for frame, label in enumerate(labels):
        if runs and runs[-1][0] != label and is_short(runs[-1]):
            _, first, end = runs.pop()
            joined, first, _ = runs.pop() if runs else (label, first, end)
            runs.append((joined, first, end))
        if runs and runs[-1][0] == label:
            runs[-1] = (label, runs[-1][1], frame + 1)
        else:
            runs.append((label, frame, frame + 1))
    if len(runs) > 1 and is_short(runs[-1]):
        end = runs.pop()[2]
        runs[-1] = (*runs[-1][:2], end)
    return runs


def _describe(label: int, probabilities: np.ndarray, start_s: float, end_s: float) -> Scene:
    mean = probabilities.mean(axis=0)
    likeliest = int(mean.argmax())
    confidence = float(mean[likeliest if label < 0 else label])
    return Scene(start_s, end_s, None if label < 0 else label, confidence, likeliest)
