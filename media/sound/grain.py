"""The grain of noise, which a mean over spectrograms lacks."""

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor

from media.sound.geometry import Geometry

NOISE_STD_DB = 5.57  # standard deviation of noise's level in one bin of one frame, at any loudness
NOISE_MEAN_DB = -2.51  # mean of this level, relative to that of the mean power


def add_grain(
    pieces: Iterable[Tensor], std_db: Tensor, geometry: Geometry, seeds: Sequence[int], strength: float = 1.0
) -> Iterator[Tensor]:
    """Adds the grain of noise to consecutive pieces of a smooth spectrogram.

    Why: a model fitted by squared error predicts the mean of all possible spectrograms. In noise, breath, or the hiss
    of a bark, levels vary by 5.57 dB around their mean from frame to frame. Without this a mean sounds like an organ.
    The remaining error is the missing variation, which levels of white noise through the same window restore.

    Args:
        pieces: (batch, 1, bins, frames), -1 at the floor and 1 at full scale.
        std_db: (bins,) standard deviations of the remaining error; more than noise has is another kind of error.
        geometry: geometry of the spectrogram.
        seeds: seeds of the noise for each row of the batch.
        strength: share of the grain to add.

    Yields:
        The pieces in the same shapes; values at the floor stay there.

    Source: levels of noise: the logarithm of a Rayleigh distribution, e.g. Y. Ephraim, D. Malah, "Speech Enhancement
    Using a Minimum Mean-Square Error Log-Spectral Amplitude Estimator", 1985, section II.
    """
    noise = _NoiseLevels(geometry.n_fft, geometry.hop_samples, seeds)
    db_of_unit = geometry.dynamic_range_db / 2
    share = strength * (std_db.cpu().clamp(max=NOISE_STD_DB) / NOISE_STD_DB)[:, None]
    for piece in pieces:
        grain_db = (share * noise.next(piece.shape[-1])).to(piece.device)
        above_floor_db = (piece + 1) * db_of_unit
        yield piece + grain_db * (above_floor_db / NOISE_STD_DB).clamp(0, 1) / db_of_unit


class _NoiseLevels:
    """Levels of endless white noises, in dB around their mean, as (rows, 1, bins, frames)."""

    def __init__(self, n_fft: int, hop_samples: int, seeds: Sequence[int]) -> None:
        self.hop_samples = hop_samples
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.window = torch.hann_window(n_fft)
        self.past = self._samples(n_fft - hop_samples)

    def next(self, num_frames: int) -> Tensor:
        samples = torch.cat([self.past, self._samples(num_frames * self.hop_samples)], dim=1)
        self.past = samples[:, num_frames * self.hop_samples :]
        frames = samples.unfold(1, len(self.window), self.hop_samples) * self.window
        power = torch.fft.rfft(frames).abs().square() / self.window.square().sum()
        power[..., 0], power[..., -1] = power[..., 1], power[..., -2]  # these two, which have no phase, vary more
        return (10 * power.clamp(min=1e-10).log10() - NOISE_MEAN_DB).movedim(-1, -2)[:, None]

    def _samples(self, num: int) -> Tensor:
        return torch.stack([torch.randn(num, generator=generator) for generator in self.generators])
