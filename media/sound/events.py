"""Detection of single events, such as one bark or one meow, in a longer sound."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage, signal


@dataclass(frozen=True)
class EventSettings:
    """Tuned numbers for finding, choosing and cutting events."""

    hop_s: float = 0.005
    frame_s: float = 0.016
    lowest_hz: float = 60.0
    quiet_share: float = 0.2  # share of the time in which a frequency is below its floor
    range_db: float = 50.0  # level of silence, below the loudest moment
    clear_db: float = 6.0  # rise and fall of a clear event
    faint_db: float = 3.0  # rise and fall of a faint event, in a texture without clear ones
    max_faint_events: int = 3
    loudness_range_db: float = 25.0  # between the loudest event and the quietest
    spacing_s: float = 0.1  # time between two events
    rise_s: float = 0.02  # time in which the suddenness of a faint event is measured
    onset_db: float = 8.0  # below the peak
    decayed_db: float = 30.0  # below the peak
    pre_attack_s: float = 0.02
    max_lead_s: float = 0.06
    min_event_s: float = 0.06
    max_event_s: float = 1.5
    loudest_s: float = 0.05  # length of the part whose level counts
    good_contrast_db: float = 20.0  # contrast above which an event is not better
    silence_db: float = -70.0  # relative to full scale
    quality_range_db: float = 15.0  # between the best event of a pool and the worst one in use
    cut_level_db: float = -15.0
    cut_peak: float = 0.9


DEFAULTS = EventSettings()


@dataclass(frozen=True)
class EventSpan:
    """The place of one event in a sound."""

    start_sample: int  # the first, shortly before the rise
    onset_sample: int  # at which the event becomes loud, as listeners perceive it
    end_sample: int  # after the last, when the event has decayed or the next one starts
    level_db: float  # root mean square of the loudest 50 ms, relative to full scale
    contrast_db: float  # prominence over the sound before and after it


@dataclass(frozen=True)
class Event:
    """An event on its own, see `EventSpan`."""

    waveform: np.ndarray  # (samples,) float32; the loudest 50 ms are at -15 dB, or lower to keep peaks below 0.9
    onset_sample: int
    contrast_db: float


def find_events(waveform: np.ndarray, sample_rate_hz: int, settings: EventSettings = DEFAULTS) -> list[EventSpan]:
    """Finds the events in a sound, in order of time.

    The level, measured every 5 ms, is the energy of each frequency over its own floor, so that neither hum nor rumble
    hides an event. An event is a peak that rises and falls by at least 6 dB. Its onset is the moment at which the level
    passes 8 dB below the peak; listeners hear the onset of a tone 6 to 15 dB below its maximum. If no event is clear,
    the up to three most sudden peaks of at least 3 dB are events. Silence and steady sounds have none. Events cut off
    by the sound's start or end are left out.

    Source: Vos and Rasch, "The perceptual onset of musical tones", Perception & Psychophysics 29 (1981).

    Args:
        waveform: (samples,), mono, finite; some seconds, up to a minute.
        sample_rate_hz: sample rate of the waveform.
        settings: tuned numbers; the figures above are their defaults.
    """
    hop = round(settings.hop_s * sample_rate_hz)
    level_db = _measure_level(waveform, sample_rate_hz, hop, settings)
    spacing, faint_db = round(settings.spacing_s / settings.hop_s), settings.faint_db
    peaks, found = signal.find_peaks(level_db, height=faint_db, prominence=faint_db, distance=spacing)
    contrasts_db = found["prominences"]
    is_clear = (contrasts_db >= settings.clear_db) & (level_db[peaks] >= level_db.max() - settings.loudness_range_db)
    chosen = np.flatnonzero(is_clear) if is_clear.any() else _choose_sudden(level_db, peaks, settings)
    peaks, contrasts_db = peaks[chosen], contrasts_db[chosen]
    leads = [_find_lead(level_db, first, peak, settings) for first, peak in pairwise([0, *peaks])]
    next_starts = [*(start for start, _ in leads), len(waveform) // hop][1:]
    events = []
    for (start, onset), peak, next_start, contrast_db in zip(leads, peaks, next_starts, contrasts_db, strict=True):
        end = _find_end(level_db, peak, contrast_db, next_start, settings)
        end = min(end, start + round(settings.max_event_s / settings.hop_s))
        if end - start >= settings.min_event_s / settings.hop_s:
            energy = waveform[start * hop : end * hop].astype(np.float64) ** 2
            loudest = ndimage.uniform_filter1d(energy, round(settings.loudest_s * sample_rate_hz)).max()
            level = float(10 * np.log10(loudest + 1e-12))
            events.append(EventSpan(start * hop, round(onset * hop), end * hop, level, float(contrast_db)))
    return events


def cut_event(waveform: np.ndarray, event: EventSpan, settings: EventSettings = DEFAULTS) -> Event:
    """Cuts an event out of the waveform and normalises its level, which is arbitrary in a generated sound."""
    samples = waveform[event.start_sample : event.end_sample].astype(np.float32)
    gain = min(10 ** ((settings.cut_level_db - event.level_db) / 20), settings.cut_peak / np.abs(samples).max())
    return Event(samples * np.float32(gain), event.onset_sample - event.start_sample, event.contrast_db)


class EventPool:
    """Collects events from sounds during generation, until there are enough, and chooses the best.

    Why: generation costs time, so it ends as soon as the events suffice. Generated sounds vary much, so the best of
    more events than needed are chosen. An event is good if it is prominent (up to 20 dB) and loud, since a click is
    also prominent in a quiet sound.

    Args:
        sample_rate_hz: sample rate of the sounds.
        num_wanted: events to use.
        max_s: total length of the sounds at which the search ends.
        settings: tuned numbers.
    """

    def __init__(
        self, sample_rate_hz: int, num_wanted: int = 8, max_s: float = 30.0, settings: EventSettings = DEFAULTS
    ) -> None:
        self.sample_rate_hz, self.num_wanted, self.max_s = sample_rate_hz, num_wanted, max_s
        self.settings = settings
        self.num_samples = 0
        self.found: list[tuple[EventSpan, np.ndarray]] = []

    def add(self, sound: np.ndarray) -> None:
        """Adds the events that start and end in another sound (samples,)."""
        self.num_samples += len(sound)
        events = find_events(sound, self.sample_rate_hz, self.settings)
        self.found += [(event, sound) for event in events if event.level_db > self.settings.silence_db]
        self.found.sort(key=lambda pair: -self._quality_db(pair[0]))

    @property
    def is_enough(self) -> bool:
        """Whether there are 1.5 times as many good events as wanted, or the sounds have reached `max_s`."""
        num_clear = sum(event.contrast_db >= self.settings.clear_db for event, _ in self._good())
        return num_clear >= 1.5 * self.num_wanted or self.num_samples >= self.max_s * self.sample_rate_hz

    def best(self) -> list[Event]:
        """Cuts out the wanted events, the best first; fewer, or none, if no more are good."""
        return [cut_event(sound, event, self.settings) for event, sound in self._good()[: self.num_wanted]]

    def _good(self) -> list[tuple[EventSpan, np.ndarray]]:
        worst_db = self._quality_db(self.found[0][0]) - self.settings.quality_range_db if self.found else 0.0
        return [pair for pair in self.found if self._quality_db(pair[0]) >= worst_db]

    def _quality_db(self, event: EventSpan) -> float:
        return min(event.contrast_db, self.settings.good_contrast_db) + event.level_db


def _measure_level(waveform: np.ndarray, sample_rate_hz: int, hop: int, settings: EventSettings) -> np.ndarray:
    """Measures the level (frames,) in dB over the floor; frame i is centred on sample i * hop."""
    frame = round(settings.frame_s * sample_rate_hz)
    if len(waveform) < frame or not waveform.any():
        return np.zeros(1)
    bins_hz, _, spectrum = signal.stft(
        waveform, sample_rate_hz, nperseg=frame, noverlap=frame - hop, boundary="even", padded=False
    )
    power = np.abs(spectrum[bins_hz >= settings.lowest_hz]).astype(np.float64) ** 2
    silence = power.mean(axis=0).max() * 10 ** (-settings.range_db / 10)
    floor = np.quantile(power, settings.quiet_share, axis=1, keepdims=True) + silence
    level_db = 10 * np.log10(ndimage.uniform_filter1d((power / floor).mean(axis=0), 3) + 1e-9)
    return level_db - np.quantile(level_db, settings.quiet_share)


def _choose_sudden(level_db: np.ndarray, peaks: np.ndarray, settings: EventSettings) -> np.ndarray:
    """Chooses the peaks with the steepest rise within 20 ms, in order of time."""
    rises = [np.ptp(level_db[max(0, peak - round(settings.rise_s / settings.hop_s)) : peak + 1]) for peak in peaks]
    return np.sort(np.argsort(rises)[::-1][: settings.max_faint_events]).astype(int)


def _find_lead(level_db: np.ndarray, first: int, peak: int, settings: EventSettings) -> tuple[int, float]:
    """Finds start and onset, in frames, of the event that rises to `peak` after the frame `first`."""
    valley = first + int(level_db[first:peak].argmin())
    rise_db = level_db[peak] - level_db[valley]
    before, loudest = 10 ** (max(level_db[valley], 0) / 10), 10 ** (level_db[peak] / 10)
    threshold_db = 10 * np.log10(before + (loudest - before) * 10 ** (-settings.onset_db / 10))
    below = valley + int(np.flatnonzero(level_db[valley:peak] < threshold_db)[-1])
    onset = below + (threshold_db - level_db[below]) / (level_db[below + 1] - level_db[below])
    quiet_db = max(level_db[valley] + min(3.0, rise_db / 4), level_db[peak] - settings.decayed_db)
    quiet = valley + int(np.flatnonzero(level_db[valley : below + 1] <= quiet_db)[-1])
    pre_attack, max_lead = round(settings.pre_attack_s / settings.hop_s), round(settings.max_lead_s / settings.hop_s)
    return max(quiet - pre_attack, int(onset) - max_lead, valley), onset


def _find_end(level_db: np.ndarray, peak: int, contrast_db: float, next_start: int, settings: EventSettings) -> int:
    decayed_db = max(min(3.0, contrast_db / 2), level_db[peak] - settings.decayed_db)
    decayed = np.flatnonzero(level_db[peak:next_start] < decayed_db)
    return int(peak + decayed[0]) if decayed.size else next_start
