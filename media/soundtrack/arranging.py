"""Placement of sound events at the onsets seen in a scene."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from media.sound.events import Event


@dataclass(frozen=True)
class ArrangingSettings:
    """Tuned numbers of the placement."""

    min_gap_s: float = 0.12  # time below which two onsets are one
    shortest_event_s: float = 0.12  # anything shorter is a click
    fade_in_s: float = 0.005
    fade_out_s: float = 0.03
    weakest_db: float = -12.0  # lowest level of an event, relative to the strongest one


DEFAULTS = ArrangingSettings()


@dataclass(frozen=True)
class Placement:
    """The place of an event, in samples from the start of its scene."""

    start_sample: int
    onset_sample: int  # at which the event becomes loud, the seen onset
    end_sample: int  # after the last
    event: int  # number of the event
    level_db: float  # at most 0


def leave_time(onsets_s: np.ndarray, duration_s: float, settings: ArrangingSettings = DEFAULTS) -> np.ndarray:
    """Finds the onsets (onsets,) bool that are in a scene of this length and leave time for an event in it."""
    return (onsets_s >= 0) & (onsets_s < duration_s - settings.shortest_event_s)


def plan_events(
    events: Sequence[Event],
    onsets_s: np.ndarray,
    strengths: np.ndarray,
    duration_samples: int,
    sample_rate_hz: int,
    seed: int,
    settings: ArrangingSettings = DEFAULTS,
) -> list[Placement]:
    """Chooses an event, its level and its length for each onset of a scene.

    - Of onsets less than 0.12 s apart the strongest remains; one in the last 0.12 s has no event.
    - Events are drawn at random, never the same one twice in a row if there are two. Those that end before the next
      onset are preferred.
    - An event's amplitude is proportional to the strength of its onset, from -12 to 0 dB.
    - An event fades in from its start to its onset, and fades out before the attack of one that interrupts it.

    Args:
        events: events to choose from, at least one if there are onsets.
        onsets_s: (onsets,) times from the scene's start, in any order; see `leave_time`.
        strengths: (onsets,) strengths, not negative, in any unit.
        duration_samples: length of the scene.
        sample_rate_hz: sample rate of the events.
        seed: seed of the random choice.
        settings: tuned numbers; the figures above are their defaults.

    Raises:
        ValueError: if there are onsets and no events.
    """
    onsets = np.round(np.asarray(onsets_s, np.float64) * sample_rate_hz).astype(np.int64)
    strengths = np.asarray(strengths, np.float64)
    is_inside = leave_time(np.asarray(onsets_s), duration_samples / sample_rate_hz, settings)
    onsets, strengths = _merge(onsets[is_inside], strengths[is_inside], round(settings.min_gap_s * sample_rate_hz))
    if not onsets.size:
        return []
    if not events:
        raise ValueError(f"There are {len(onsets)} onsets and no events to place; expected at least one event.")
    amplitudes = strengths / max(strengths.max(), 1e-12)
    levels_db = 20 * np.log10(np.maximum(amplitudes, 10 ** (settings.weakest_db / 20)))
    tails = np.array([len(event.waveform) - event.onset_sample for event in events])
    rng = np.random.default_rng(seed)
    placements: list[Placement] = []
    limits = [*onsets[1:].tolist(), duration_samples]
    for onset, limit, level_db in zip(onsets.tolist(), limits, levels_db, strict=True):
        number = _draw(rng, tails, limit - onset, placements[-1].event if placements else None)
        start = max(onset - events[number].onset_sample, 0)
        if placements:
            before = placements[-1]
            start = max(start, (before.onset_sample + onset) // 2)
            placements[-1] = replace(before, end_sample=min(before.end_sample, start))
        end = min(onset + int(tails[number]), duration_samples)
        placements.append(Placement(start, onset, end, number, float(level_db)))
    return placements


def arrange(
    events: Sequence[Event],
    placements: Sequence[Placement],
    duration_samples: int,
    sample_rate_hz: int,
    settings: ArrangingSettings = DEFAULTS,
) -> Iterator[np.ndarray]:
    """Yields the sound of a plan, second by second, as (samples,) float32, `duration_samples` in all.

    Args:
        events, duration_samples, sample_rate_hz, settings: arguments of `plan_events`.
        placements: result of `plan_events`.
    """
    starts = [placement.start_sample for placement in placements]
    ends = [placement.end_sample for placement in placements]
    for block_start in range(0, duration_samples, sample_rate_hz):
        block_end = min(block_start + sample_rate_hz, duration_samples)
        block = np.zeros(block_end - block_start, np.float32)
        for placement in placements[bisect_right(ends, block_start) : bisect_left(starts, block_end)]:
            start, end = max(placement.start_sample, block_start), min(placement.end_sample, block_end)
            sound = _fade(events[placement.event], placement, sample_rate_hz, settings)
            part = sound[start - placement.start_sample : end - placement.start_sample]
            block[start - block_start : end - block_start] += part
        yield block


def _merge(onsets: np.ndarray, strengths: np.ndarray, min_gap: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorts onsets by time, without those too close to a stronger one that remains."""
    order = np.argsort(onsets, kind="stable")
    onsets, strengths = onsets[order], strengths[order]
    remains = np.ones(len(onsets), bool)
    for number in np.argsort(-strengths, kind="stable"):
        if remains[number]:
            start, end = np.searchsorted(onsets, (onsets[number] - min_gap + 1, onsets[number] + min_gap))
            remains[start:end] = False
            remains[number] = True
    return onsets[remains], strengths[remains]


def _draw(rng: np.random.Generator, tails: np.ndarray, gap: int, last: int | None) -> int:
    """Draws one of the events that fit into the gap, or of the better-fitting half if fewer fit."""
    overhang = np.maximum(tails - gap, 0)
    others = [number for number in np.argsort(overhang, kind="stable").tolist() if number != last] or [last]
    num_fitting = int((overhang[others] == 0).sum())
    return others[rng.integers(max(num_fitting, (len(others) + 1) // 2))]


def _fade(event: Event, placement: Placement, sample_rate_hz: int, settings: ArrangingSettings) -> np.ndarray:
    """Cuts out the part of the event that is heard, at its level."""
    rise = placement.onset_sample - placement.start_sample
    start = event.onset_sample - rise
    gain = np.float32(10 ** (placement.level_db / 20))
    sound = gain * event.waveform[start : start + placement.end_sample - placement.start_sample]
    lead = min(max(rise, round(settings.fade_in_s * sample_rate_hz)), len(sound))
    sound[:lead] *= np.linspace(0, 1, lead, dtype=np.float32) ** 2
    fade_out = min(round(settings.fade_out_s * sample_rate_hz), len(sound))
    sound[len(sound) - fade_out :] *= np.linspace(1, 0, fade_out, dtype=np.float32)
    return sound
