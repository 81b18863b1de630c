"""How well detected onsets match known events: plain functions on arrays of seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recording:
    """Known events and detected onsets of one recording.

    Attributes:
        events_s: (events,) times of the events.
        onsets_s: (onsets,) times of the onsets.
        duration_s: length of the recording, above all times.
    """

    events_s: np.ndarray
    onsets_s: np.ndarray
    duration_s: float


@dataclass(frozen=True)
class EventTiming:
    """Figures over all events of several recordings together.

    Attributes:
        num_events, num_onsets, num_hits: numbers of events, of onsets, and of pairs of both.
        median_distance_s: median distance from an event to the nearest onset; infinite if most events have none.
        precision, recall, f1: scores of the hits in [0, 1]; 0 if there are no onsets or no events.
        shifted_f1: mean F1 of the onsets at shifted times, the level of chance.
        shifted_distance_s: median distance from an event to the nearest onset at shifted times.
        p_value: share of shifts with at least as many hits as the onsets have, at least 1 / (shifts + 1).
    """

    num_events: int
    num_onsets: int
    num_hits: int
    median_distance_s: float
    precision: float
    recall: float
    f1: float
    shifted_f1: float
    shifted_distance_s: float
    p_value: float


def measure_timing(
    recordings: Sequence[Recording], tolerance_s: float = 0.08, num_shifts: int = 1000, seed: int = 0
) -> EventTiming:
    """Compares onsets with events, and shifted onsets with the same events.

    Why shifted: many onsets hit many events by chance. All onsets of a recording are shifted by one random time and
    wrap around at its end, so they keep their number and rhythm and lose only their relation to the events.

    Args:
        recordings: recordings that are evaluated together.
        tolerance_s: largest distance of a hit.
        num_shifts: number of random shifts, drawn from `seed`.
    """
    rng = np.random.default_rng(seed)
    num_events = sum(len(recording.events_s) for recording in recordings)
    num_onsets = sum(len(recording.onsets_s) for recording in recordings)
    num_hits = sum(len(match_events(one.events_s, one.onsets_s, tolerance_s)) for one in recordings)
    shifted_hits, shifted_distances_s = np.zeros(num_shifts, dtype=int), [np.zeros(0)]
    for recording in recordings:
        for index, shift_s in enumerate(rng.uniform(0, recording.duration_s, num_shifts)):
            shifted_s = np.sort((recording.onsets_s + shift_s) % recording.duration_s)
            shifted_hits[index] += len(match_events(recording.events_s, shifted_s, tolerance_s))
            shifted_distances_s.append(nearest_distances(recording.events_s, shifted_s))
    distances_s = [nearest_distances(recording.events_s, recording.onsets_s) for recording in recordings]
    return EventTiming(
        num_events=num_events,
        num_onsets=num_onsets,
        num_hits=num_hits,
        median_distance_s=_median(distances_s),
        precision=num_hits / max(num_onsets, 1),
        recall=num_hits / max(num_events, 1),
        f1=2 * num_hits / max(num_events + num_onsets, 1),
        shifted_f1=2 * float(shifted_hits.mean()) / max(num_events + num_onsets, 1) if num_shifts else 0.0,
        shifted_distance_s=_median(shifted_distances_s),
        p_value=float((1 + (shifted_hits >= num_hits).sum()) / (1 + num_shifts)),
    )


def match_events(events_s: np.ndarray, onsets_s: np.ndarray, tolerance_s: float) -> np.ndarray:
    """(pairs, 2) indices of events and onsets, in as many pairs as possible, each used at most once.

    Args:
        events_s, onsets_s: times (events,) and (onsets,) in rising order.
        tolerance_s: largest distance within a pair.
    """
    pairs, event, onset = [], 0, 0
    while event < len(events_s) and onset < len(onsets_s):
        late_s = onsets_s[onset] - events_s[event]
        if abs(late_s) <= tolerance_s + 1e-9:
            pairs.append((event, onset))
        event += late_s >= -tolerance_s - 1e-9
        onset += late_s <= tolerance_s + 1e-9
    return np.array(pairs, dtype=int).reshape(-1, 2)


def nearest_distances(events_s: np.ndarray, onsets_s: np.ndarray) -> np.ndarray:
    """(events,) seconds from each event to the nearest onset, infinite if there is none."""
    return np.abs(np.subtract.outer(events_s, onsets_s)).min(axis=1, initial=np.inf)


def _median(distances_s: Sequence[np.ndarray]) -> float:
    together = np.concatenate([np.zeros(0), *distances_s])
    return float(np.median(together)) if len(together) else float("inf")
