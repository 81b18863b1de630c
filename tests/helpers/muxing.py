"""A waveform as a video's sound."""

from pathlib import Path

import numpy as np

from media.sound.sound_files import resample
from media.soundtrack.mux import mux_sound


def mux_waveform(
    video: Path, waveform: np.ndarray, sample_rate_hz: int, output: Path, metadata: dict[str, str] | None = None
) -> None:
    """Writes the video with a mono waveform (num_samples,), resampled to 48 kHz."""
    samples = resample(waveform.astype(np.float32), sample_rate_hz, 48_000)
    mux_sound(video, [samples[np.newaxis]], 48_000, output, metadata)
