"""Sounds as vectors, for metrics that compare sets of sounds."""

from typing import Protocol

import torch
from torch import Tensor
from torchaudio.transforms import MelSpectrogram

NUM_MEL_BANDS = 64
WINDOW_S, HOP_S = 0.032, 0.01
FLOOR_DB = -80.0  # of a sine at full scale


class Embedding(Protocol):
    """Turns a sound into a vector, so that similar sounds have vectors close to each other.

    Attributes:
        name: name in tables and records.
        num_dimensions: length of a vector.
        sample_rate_hz: sample rate of the waveforms that `embed` takes.
    """

    name: str
    num_dimensions: int
    sample_rate_hz: int

    def embed(self, waveforms: Tensor) -> Tensor:
        """(batch, num_dimensions) float32 vectors of waveforms (batch, samples) in [-1, 1]."""
        ...


class MelStatistics:
    """Mean and standard deviation over time of 64 log-mel bands.

    Why: it needs no download, and sounds that it shows to be far apart are. It measures timbre, loudness and their
    changes only, so it does not replace a network that knows sounds. Levels below -80 dB of full scale are silence.

    Args:
        sample_rate_hz: sample rate of the waveforms.
    """

    def __init__(self, sample_rate_hz: int = 16_000) -> None:
        self.name = "mel statistics"
        self.num_dimensions = 2 * NUM_MEL_BANDS
        self.sample_rate_hz = sample_rate_hz
        window_samples = round(WINDOW_S * sample_rate_hz)
        self._mel_power = MelSpectrogram(
            sample_rate_hz,
            n_fft=1 << (window_samples - 1).bit_length(),
            win_length=window_samples,
            hop_length=round(HOP_S * sample_rate_hz),
            f_min=60.0,
            n_mels=NUM_MEL_BANDS,
        )
        full_scale = self._mel_power.spectrogram.window.sum() / 2  # magnitude of a sine of amplitude 1
        self._power_floor = full_scale**2 * 10 ** (FLOOR_DB / 10)

    def embed(self, waveforms: Tensor) -> Tensor:
        """(batch, 128) float32 vectors of waveforms (batch, samples) in [-1, 1] of at least 16 ms, half a window."""
        with torch.inference_mode():
            log_power = (self._mel_power(waveforms.float().cpu()) + self._power_floor).log()
            return torch.cat([log_power.mean(dim=-1), log_power.std(dim=-1, correction=0)], dim=1)
