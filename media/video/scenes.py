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
    min_familiarity: float = -1.0  # mean similarity to the training photos from which a class is known, in [-1, 1]


@dataclass(frozen=True)
class Scene:
    """A stretch of a video, in seconds from the first frame."""

    start_s: float
    end_s: float
    label: int | None  # number of the class, or None if it is unknown
    confidence: float  # mean probability of the class, or of the likeliest one if it is unknown
    likeliest: int  # number of the class with the highest mean probability
    familiarity: float = 1.0  # mean similarity to the training photos in [-1, 1]


def find_scenes(
    times_s: np.ndarray,
    probabilities: np.ndarray,
    duration_s: float,
    settings: SceneSettings,
    cuts_s: Sequence[float] = (),
    allowed: Collection[int] | None = None,
    familiarity: np.ndarray | None = None,
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
        familiarity: (frames,) similarity to the training photos in [-1, 1]; None for 1.

    Returns:
        Scenes that cover the video without a gap. Neighbours have different labels or a cut between them.
    """
    assert len(times_s) == len(probabilities) > 0, "at least one frame"
    familiarity = np.ones(len(times_s)) if familiarity is None else familiarity
    step_s = times_s[1] - times_s[0] if len(times_s) > 1 else duration_s
    reach = round(settings.smoothing_s / max(step_s, 1e-6) / 2)
    classes = range(probabilities.shape[1])
    is_allowed = np.isin(classes, list(classes if allowed is None else allowed))
    inner_cuts_s = [cut_s for cut_s in cuts_s if 0 < cut_s < duration_s]
    first_frames = np.searchsorted(times_s, inner_cuts_s).tolist()
    shots = {0: 0.0, **dict(zip(first_frames, inner_cuts_s, strict=True)), len(times_s): duration_s}
    scenes: list[Scene] = []
    for (first, start_s), (after, end_s) in pairwise(shots.items()):
        seen, scores = probabilities[first:after], familiarity[first:after]
        around = [slice(max(0, i - reach), i + reach + 1) for i in range(len(seen))]
        smooth = np.stack([seen[near].mean(axis=0) for near in around])
        is_familiar = np.array([scores[near].mean() for near in around]) >= settings.min_familiarity
        is_known = (smooth.max(axis=1) >= settings.threshold) & is_allowed[smooth.argmax(axis=1)] & is_familiar
        labels = np.where(is_known, smooth.argmax(axis=1), -1).tolist()
        borders_s = [start_s, *times_s[first + 1 : after].tolist(), end_s]
        scenes += [
            _describe(label, seen[start:end], scores[start:end], borders_s[start], borders_s[end])
            for label, start, end in _find_runs(labels, borders_s, settings.min_scene_s)
        ]
    return scenes


def describe_scene(
    scene: Scene, classes: Sequence[str], settings: SceneSettings, allowed: Collection[str] | None = None
) -> str:
    """One line: the times, and the class, or the reason for silence.

    Args:
        scene, settings: a scene, and the settings that it was found with.
        classes: names of all classes.
        allowed: names of the classes that may be heard, or None for all.
    """
    span = f"{scene.start_s:.2f} to {scene.end_s:.2f} s"
    if scene.label is not None:
        return f"{span}: {classes[scene.label]} (on average {scene.confidence:.2f})"
    if scene.familiarity < settings.min_familiarity:
        scores = f"familiarity {scene.familiarity:.2f}, expected {settings.min_familiarity:.2f}"
        return f"{span}: silence, unlike the training photos ({scores})"
    likeliest = classes[scene.likeliest]
    why = f"{likeliest} is not among the allowed classes"
    if allowed is None or likeliest in allowed:
        why = f"no class reaches {settings.threshold} for long"
    return f"{span}: silence, {why} (likeliest: {likeliest}, on average {scene.confidence:.2f})"


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


def _describe(label: int, probabilities: np.ndarray, scores: np.ndarray, start_s: float, end_s: float) -> Scene:
    mean = probabilities.mean(axis=0)
    likeliest = int(mean.argmax())
    confidence = float(mean[likeliest if label < 0 else label])
    return Scene(start_s, end_s, None if label < 0 else label, confidence, likeliest, float(scores.mean()))
