"""Onsets of a recorded sound: drums, barks, hits, and other loud starts."""

from dataclasses import dataclass

import numpy as np
import torch
import torchaudio
from scipy.ndimage import maximum_filter1d, uniform_filter1d

from media.settings import check_positive

RANGE_DB = 80.0  # below the loudest moment


@dataclass(frozen=True)
class SoundOnsetSettings:
    """How the onsets of a sound are found. The onset strength is the mean rise of all mel bands in dB.

    The strength of steady noise is about 0.7 and stays below 2, so that engines and crowds have no onsets.
    """

    sample_rate_hz: int = 22_050
    hop: int = 220  # samples, 10 ms
    window: int = 1024  # samples; onsets of clicks and barks in noise were found 4 to 18 ms late
    num_mels: int = 64
    min_rise: float = 2.0  # by which an onset exceeds the mean strength around it
    start_s: float = 0.05  # onsets before this time are left out, since each sound that starts has one
    min_onsets: int = 2  # a film whose sound has fewer is left out

    def __post_init__(self) -> None:
        check_positive(self)


def find_sound_onsets(waveform: np.ndarray, settings: SoundOnsetSettings) -> np.ndarray:
    """Finds the onsets of a mono waveform (samples,), in seconds, as librosa does with the same settings.

    An onset is the highest strength of the 30 ms up to it, exceeds the mean of the 100 ms on both sides by `min_rise`,
    and is more than 30 ms after the previous one.

    Source: S. Böck et al., "Evaluating the Online Capabilities of Onset Detection Methods", ISMIR 2012.
    """
    rate_hz, hop = settings.sample_rate_hz, settings.hop
    to_mel = torchaudio.transforms.MelSpectrogram(
        rate_hz,
        settings.window,
        hop_length=hop,
        n_mels=settings.num_mels,
        norm="slaney",
        mel_scale="slaney",
        pad_mode="constant",
    )
    power = to_mel(torch.from_numpy(np.pad(waveform, (0, settings.window)).astype(np.float32))).clamp_min(1e-10)
    level_db = 10 * power.log10()
    level_db = level_db.clamp_min(level_db.max() - RANGE_DB)
    rise = torch.relu(level_db.diff(dim=1)).mean(dim=0).numpy()
    strength = np.pad(rise, (1 + settings.window // (2 * hop), 0))[: 1 + len(waveform) // hop]
    short, long = round(0.03 * rate_hz / hop), round(0.1 * rate_hz / hop)
    highest = maximum_filter1d(np.pad(strength, (short, 0)), short + 1, origin=short - (short + 1) // 2)[short:]
    is_peak = (strength >= highest) & (strength >= uniform_filter1d(strength, 2 * long + 1) + settings.min_rise)
    onsets: list[int] = []
    for frame in np.flatnonzero(is_peak):
        if not onsets or frame > onsets[-1] + short:
            onsets.append(int(frame))
    times_s = np.array(onsets, dtype=float) * hop / rate_hz
    return times_s[(times_s >= settings.start_s) & (times_s < len(waveform) / rate_hz)]
