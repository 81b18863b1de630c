"""How well times that were found fit times that are known: plain functions on arrays of seconds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Recording:
    """What is known of one recording, and what was found in it.

    Attributes:
        events_s: (events,) known times.
        onsets_s: (onsets,) found times.
        duration_s: length of the recording; all times are below it.
    """

    events_s: np.ndarray
    onsets_s: np.ndarray
    duration_s: float


@dataclass(frozen=True)
class EventTiming:
    """Figures over all events of several recordings together.

    Attributes:
        num_events, num_onsets, num_hits: known, found, and found at a known time.
        median_distance_s: of each event to the nearest onset; infinite where most events have none in their recording.
        precision, recall, f1: of hits, each in [0, 1]; 0 where nothing was found, or nothing is known.
        shifted_f1: mean F1 of the same onsets at shifted times, which is what chance gives.
        p_value: how often shifted onsets hit as many events as the true ones, at least 1 / (shifts + 1).
    """

    num_events: int
    num_onsets: int
    num_hits: int
    median_distance_s: float
    precision: float
    recall: float
    f1: float
    shifted_f1: float
    p_value: float


def measure_timing(
    recordings: Sequence[Recording], tolerance_s: float = 0.08, num_shifts: int = 1000, seed: int = 0
) -> EventTiming:
    """Compare found with known times, and with the same found times shifted.

    Why shifted: many onsets hit many events by chance. Each recording's onsets are turned round its end by a random
    time, all alike, so that their number and rhythm stay and only their relation to the events is lost.

    Args:
        recordings: at least one event or onset in all gives figures that are not 0.
        tolerance_s: a hit is at most this far off.
        num_shifts: how often the onsets are shifted.
        seed: of the shifts.
    """
    rng = np.random.default_rng(seed)
    num_events = sum(len(recording.events_s) for recording in recordings)
    num_onsets = sum(len(recording.onsets_s) for recording in recordings)
    num_hits = sum(len(match_events(r.events_s, r.onsets_s, tolerance_s)) for r in recordings)
    shifted_hits = np.zeros(num_shifts, dtype=int)
    for recording in recordings:
        for index, shift_s in enumerate(rng.uniform(0, recording.duration_s, num_shifts)):
            shifted_s = np.sort((recording.onsets_s + shift_s) % recording.duration_s)
            shifted_hits[index] += len(match_events(recording.events_s, shifted_s, tolerance_s))
    distances_s = [nearest_distances(recording.events_s, recording.onsets_s) for recording in recordings]
    return EventTiming(
        num_events=num_events,
        num_onsets=num_onsets,
        num_hits=num_hits,
        median_distance_s=float(np.median(np.concatenate(distances_s))) if num_events else float("inf"),
        precision=num_hits / max(num_onsets, 1),
        recall=num_hits / max(num_events, 1),
        f1=2 * num_hits / max(num_events + num_onsets, 1),
        shifted_f1=2 * float(shifted_hits.mean()) / max(num_events + num_onsets, 1) if num_shifts else 0.0,
        p_value=float((1 + (shifted_hits >= num_hits).sum()) / (1 + num_shifts)),
    )


def match_events(events_s: np.ndarray, onsets_s: np.ndarray, tolerance_s: float) -> np.ndarray:
    """As many pairs of event and onset as there can be, each used once at most.

    Args:
        events_s, onsets_s: (events,) and (onsets,), in rising order.
        tolerance_s: a pair is at most this far apart.

    Returns:
        (pairs, 2): numbers of the event and of its onset.
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
    """(events,) seconds from each event to the onset nearest to it, infinite where there is no onset."""
    if not len(onsets_s):
        return np.full(len(events_s), np.inf)
    return np.abs(np.asarray(events_s)[:, np.newaxis] - np.asarray(onsets_s)).min(axis=1)
