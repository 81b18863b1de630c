"""From what is seen in each frame to stretches of time that show one thing."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scene:
    """A stretch of a video.

    Attributes:
        start_s, end_s: in seconds from the first frame.
        label: number of the class that is seen, or None where nothing known is.
        confidence: mean probability of the class; of the likeliest one where `label` is None.
        likeliest: the class with the highest mean probability, whether it passes the threshold or not.
    """

    start_s: float
    end_s: float
    label: int | None
    confidence: float
    likeliest: int


def find_scenes(
    times_s: np.ndarray,
    probabilities: np.ndarray,
    duration_s: float,
    threshold: float,
    smoothing_s: float,
    min_scene_s: float,
) -> list[Scene]:
    """Smooth the classes over time and cut the video where they change.

    Args:
        times_s: (frames,) at even steps, from 0.
        probabilities: (frames, classes).
        duration_s: end of the last scene.
        threshold: a class must pass it, else nothing known is seen.
        smoothing_s: probabilities are averaged over a window of this length around each frame.
        min_scene_s: a shorter stretch joins the one before it, or the one after it where there is none.

    Returns:
        Scenes that cover the video without a gap, neighbours with different labels.
    """
    assert len(times_s) == len(probabilities) > 0, "at least one frame"
    step_s = times_s[1] - times_s[0] if len(times_s) > 1 else duration_s
    reach = round(smoothing_s / max(step_s, 1e-6) / 2)
    smooth = np.stack(
        [probabilities[max(0, i - reach) : i + reach + 1].mean(axis=0) for i in range(len(probabilities))]
    )
    labels = np.where(smooth.max(axis=1) >= threshold, smooth.argmax(axis=1), -1)
    ends_s = [*times_s[1:].tolist(), duration_s]
    runs: list[list[int]] = []  # [label, first frame, last frame]
    for frame, label in enumerate(labels.tolist()):
        is_short = runs and ends_s[runs[-1][2]] - times_s[runs[-1][1]] < min_scene_s - 1e-6
        if runs and runs[-1][0] != label and is_short:
            _, first, _ = runs.pop()
            if runs:
                runs[-1][2] = frame - 1
            else:
                runs.append([label, first, frame])
        if runs and runs[-1][0] == label:
            runs[-1][2] = frame
        else:
            runs.append([label, runs[-1][2] + 1 if runs else 0, frame])
    if len(runs) > 1 and duration_s - times_s[runs[-1][1]] < min_scene_s - 1e-6:
        last = runs.pop()[2]
        runs[-1][2] = last
    return [_scene(label, first, last, times_s, ends_s, probabilities) for label, first, last in runs]


def _scene(
    label: int, first: int, last: int, times_s: np.ndarray, ends_s: list[float], probabilities: np.ndarray
) -> Scene:
    mean = probabilities[first : last + 1].mean(axis=0)
    likeliest = int(mean.argmax())
    return Scene(
        start_s=float(times_s[first]) if first else 0.0,
        end_s=ends_s[last],
        label=None if label < 0 else label,
        confidence=float(mean[likeliest if label < 0 else label]),
        likeliest=likeliest,
    )
