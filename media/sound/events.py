"""Single events, such as one bark or one meow, found in a longer sound and cut out of it."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import ndimage, signal


@dataclass(frozen=True)
class EventSettings:
    """How events are found, chosen and cut: lengths in seconds, levels in dB."""

    hop_s: float = 0.005
    frame_s: float = 0.016
    lowest_hz: float = 60.0
    quiet_share: float = 0.2  # of the time; in the rest of it a frequency does not fall below its floor
    range_db: float = 50.0  # under the loudest moment; anything lower is silence
    clear_db: float = 6.0  # an event rises by so much and falls by so much again
    faint_db: float = 3.0  # so does a stretch of a texture that has no clear events
    max_faint_events: int = 3
    loudness_range_db: float = 25.0  # between the loudest event and the quietest
    spacing_s: float = 0.1
    rise_s: float = 0.02
    onset_db: float = 8.0  # under the peak
    decayed_db: float = 30.0  # under the peak
    pre_attack_s: float = 0.02
    max_lead_s: float = 0.06
    min_event_s: float = 0.06
    max_event_s: float = 1.5
    loudest_s: float = 0.05
    good_contrast_db: float = 20.0  # more is no better
    silence_db: float = -70.0  # over full scale
    quality_range_db: float = 15.0  # between the best event of a pool and the worst that is used
    cut_level_db: float = -15.0
    cut_peak: float = 0.9


DEFAULTS = EventSettings()


@dataclass(frozen=True)
class EventSpan:
    """The place of one event in a sound.

    Attributes:
        start_sample: a moment before it rises.
        onset_sample: where it is suddenly loud: the moment that a listener would name.
        end_sample: where it has decayed or the next one starts; not part of it.
        level_db: of its loudest 50 ms, as root mean square over full scale.
        contrast_db: how far it stands out from what is before and after it.
    """

    start_sample: int
    onset_sample: int
    end_sample: int
    level_db: float
    contrast_db: float


@dataclass(frozen=True)
class Event:
    """An event on its own.

    Attributes:
        waveform: (samples,) float32; the loudest 50 ms are at -15 dB, or lower if a peak would pass 0.9.
        onset_sample: where in it the event is suddenly loud.
        contrast_db: see `EventSpan`.
    """

    waveform: np.ndarray
    onset_sample: int
    contrast_db: float


def find_events(waveform: np.ndarray, sample_rate_hz: int, settings: EventSettings = DEFAULTS) -> list[EventSpan]:
    """The events in a sound, in order of time.

    The level is followed every 5 ms. It is the energy of each frequency over that frequency's own floor, so that
    neither a hum nor a rumble hides an event. An event is a peak of this level that rises, and falls again, by at least
    6 dB. Its onset is the moment at which the level passes 8 dB under the peak: listeners hear the onset of a tone when
    it passes 6 to 15 dB under its maximum. If nothing is so clear, the stretches of at least 3 dB that start most
    suddenly are taken, three at most. Silence and steady sounds have none. An event in the midst of which the sound
    starts or ends is left out.

    Source: Vos and Rasch, "The perceptual onset of musical tones", Perception & Psychophysics 29 (1981).

    Args:
        waveform: (samples,), mono, finite; some seconds, up to a minute.
        sample_rate_hz: of the waveform.
        settings: tuned numbers; the figures above are their defaults.
    """
    hop = round(settings.hop_s * sample_rate_hz)
    level_db = _level_over_floor(waveform, sample_rate_hz, hop, settings)
    peaks, found = signal.find_peaks(
        level_db,
        height=settings.faint_db,
        prominence=settings.faint_db,
        distance=round(settings.spacing_s / settings.hop_s),
    )
    contrasts_db = found["prominences"]
    is_clear = (contrasts_db >= settings.clear_db) & (level_db[peaks] >= level_db.max() - settings.loudness_range_db)
    chosen = np.flatnonzero(is_clear) if is_clear.any() else _most_sudden(level_db, peaks, settings)
    peaks, contrasts_db = peaks[chosen], contrasts_db[chosen]
    leads = [_lead(level_db, first, peak, settings) for first, peak in pairwise([0, *peaks])]
    next_starts = [*(start for start, _ in leads), len(waveform) // hop][1:]
    events = []
    for (start, onset), peak, next_start, contrast_db in zip(leads, peaks, next_starts, contrasts_db, strict=True):
        end = min(
            _end(level_db, peak, contrast_db, next_start, settings),
            start + round(settings.max_event_s / settings.hop_s),
        )
        if end - start >= settings.min_event_s / settings.hop_s:
            loudest = _loudest_db(waveform[start * hop : end * hop], round(settings.loudest_s * sample_rate_hz))
            events.append(EventSpan(start * hop, round(onset * hop), end * hop, loudest, float(contrast_db)))
    return events


def cut_event(waveform: np.ndarray, event: EventSpan, settings: EventSettings = DEFAULTS) -> Event:
    """An event that was found in the waveform, at the level that all have: how loud it was there is chance."""
    samples = waveform[event.start_sample : event.end_sample].astype(np.float32)
    gain = min(10 ** ((settings.cut_level_db - event.level_db) / 20), settings.cut_peak / np.abs(samples).max())
    return Event(samples * np.float32(gain), event.onset_sample - event.start_sample, event.contrast_db)


class EventPool:
    """Gathers events from sounds while they are being made, says when there are enough, and gives the best of them.

    Why: generation costs time, so it should end when the events suffice. Generated sounds differ much, so the first
    events should not be taken as they come. An event is good if it stands out (beyond 20 dB counts no more) and is
    loud: a click or a faint event far away stands out in a quiet sound, too.

    Args:
        sample_rate_hz: of the sounds.
        num_wanted: events to use.
        max_s: length of all sounds together after which it is enough, whatever was found.
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
        """Takes the events of another sound (samples,), as far as they start and end in it."""
        self.num_samples += len(sound)
        events = find_events(sound, self.sample_rate_hz, self.settings)
        self.found += [(event, sound) for event in events if event.level_db > self.settings.silence_db]
        self.found.sort(key=lambda pair: -self._quality_db(pair[0]))

    @property
    def is_enough(self) -> bool:
        """Whether there are half as many good events again as are wanted, or the sounds are as long as they may be."""
        num_clear = sum(event.contrast_db >= self.settings.clear_db for event, _ in self._good())
        return num_clear >= 1.5 * self.num_wanted or self.num_samples >= self.max_s * self.sample_rate_hz

    def best(self) -> list[Event]:
        """The wanted events, the best first; fewer, or none, if the sounds have no more that are good."""
        return [cut_event(sound, event, self.settings) for event, sound in self._good()[: self.num_wanted]]

    def _good(self) -> list[tuple[EventSpan, np.ndarray]]:
        worst_db = self._quality_db(self.found[0][0]) - self.settings.quality_range_db if self.found else 0.0
        return [pair for pair in self.found if self._quality_db(pair[0]) >= worst_db]

    def _quality_db(self, event: EventSpan) -> float:
        return min(event.contrast_db, self.settings.good_contrast_db) + event.level_db


def _level_over_floor(waveform: np.ndarray, sample_rate_hz: int, hop: int, settings: EventSettings) -> np.ndarray:
    """(frames,) in dB over the floor; frame i is centred on sample i * hop."""
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


def _most_sudden(level_db: np.ndarray, peaks: np.ndarray, settings: EventSettings) -> np.ndarray:
    """Numbers of the few peaks that rise most within 20 ms before them, in order of time."""
    rises = [np.ptp(level_db[max(0, peak - round(settings.rise_s / settings.hop_s)) : peak + 1]) for peak in peaks]
    return np.sort(np.argsort(rises)[::-1][: settings.max_faint_events]).astype(int)


def _lead(level_db: np.ndarray, first: int, peak: int, settings: EventSettings) -> tuple[int, float]:
    """Start and onset, in frames, of the event that rises to `peak` at some time after the frame `first`."""
    valley = first + int(level_db[first:peak].argmin())
    rise_db = level_db[peak] - level_db[valley]
    before, loudest = 10 ** (max(level_db[valley], 0) / 10), 10 ** (level_db[peak] / 10)
    threshold_db = 10 * np.log10(before + (loudest - before) * 10 ** (-settings.onset_db / 10))
    below = valley + int(np.flatnonzero(level_db[valley:peak] < threshold_db)[-1])
    onset = below + (threshold_db - level_db[below]) / (level_db[below + 1] - level_db[below])
    quiet_db = max(level_db[valley] + min(3.0, rise_db / 4), level_db[peak] - settings.decayed_db)
    quiet = valley + int(np.flatnonzero(level_db[valley : below + 1] <= quiet_db)[-1])
    start = max(
        quiet - round(settings.pre_attack_s / settings.hop_s),
        int(onset) - round(settings.max_lead_s / settings.hop_s),
        valley,
    )
    return start, onset


def _end(level_db: np.ndarray, peak: int, contrast_db: float, next_start: int, settings: EventSettings) -> int:
    decayed_db = max(min(3.0, contrast_db / 2), level_db[peak] - settings.decayed_db)
    decayed = np.flatnonzero(level_db[peak:next_start] < decayed_db)
    return int(peak + decayed[0]) if decayed.size else next_start


def _loudest_db(samples: np.ndarray, num_samples: int) -> float:
    energy = ndimage.uniform_filter1d(samples.astype(np.float64) ** 2, num_samples)
    return float(10 * np.log10(energy.max() + 1e-12))
