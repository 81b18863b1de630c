"""Moments at which something is heard, picked from a probability in each frame."""

from dataclasses import dataclass

import numpy as np
from scipy.signal import find_peaks

from media.settings import check_positive


@dataclass(frozen=True)
class MomentSettings:
    """How onsets are picked. All values have to be positive."""

    min_gap_s: float = 0.12  # time between onsets
    relative: float = 0.5  # of a film's highest probability that each onset reaches
    sure: float = 0.4  # highest probability below which a film has no onsets; see docs/results.md

    def __post_init__(self) -> None:
        check_positive(self)


def find_moments(
    probabilities: np.ndarray,
    rate_hz: float,
    threshold: float,
    settings: MomentSettings = MomentSettings(),
) -> np.ndarray:
    """Finds the frames (onsets,) of the onsets: peaks that reach the threshold, and a part of the film's highest one.

    A film has none if its highest probability is not `sure`.

    Args:
        probabilities: (frames,) in [0, 1].
        rate_hz: frames a second.
        threshold: lowest probability of an onset.
        settings: tuned numbers.
    """
    if probabilities.max(initial=0) < settings.sure:
        return np.zeros(0, dtype=int)
    height = max(threshold, settings.relative * probabilities.max(initial=0))
    gap = max(1, round(settings.min_gap_s * rate_hz))
    peaks, _ = find_peaks(np.pad(probabilities, 1), height=height, distance=gap)
    return peaks - 1
