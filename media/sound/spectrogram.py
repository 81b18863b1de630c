"""Spectrograms for the models, and their inverse."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
import torch
from torch import Tensor, nn

from media.sound.geometry import Geometry
from media.sound.griffin_lim import griffin_lim, invert_pieces
from media.sound.phase_gradient import gradient_phase

FRAMES_AT_ONCE = 4096


class Spectrogram(nn.Module):
    """Log-magnitude spectrogram with an absolute scale, and its inverse by the phases' gradient and Griffin-Lim.

    The range from silence, `dynamic_range_db` below a full-scale sine, up to that sine is mapped to [-1, 1]. It is the
    same for every clip, so that a quiet sound stays quiet.

    Shapes: waveform (..., samples) in [-1, 1] ↔ spectrogram (..., 1, bins, frames) in [-1, 1],
    frames = samples // hop + 1. Always computed in fp32, whatever the precision around it.
    """

    def __init__(self, geometry: Geometry) -> None:
        super().__init__()
        self.geometry = geometry
        self.full_scale = geometry.n_fft / 4  # magnitude of a sine of amplitude 1: half the window's sum

    def forward(self, waveform: Tensor) -> Tensor:
        """Waveform (..., samples) → spectrogram (..., 1, bins, frames)."""
        with torch.autocast(waveform.device.type, enabled=False):
            flat = waveform.float().reshape(-1, waveform.shape[-1])
            stft = torch.stft(
                flat,
                self.geometry.n_fft,
                self.geometry.hop_samples,
                window=torch.hann_window(self.geometry.n_fft, device=flat.device),
                center=True,
                pad_mode="reflect" if flat.shape[-1] > self.geometry.n_fft // 2 else "constant",
                return_complex=True,
            )
            floor = 10 ** (-self.geometry.dynamic_range_db / 20)
            level_db = 20 * torch.log10((stft.abs() / self.full_scale).clamp(floor, 1.0))
            picture = 1 + 2 * level_db / self.geometry.dynamic_range_db
        return picture.reshape(*waveform.shape[:-1], 1, *picture.shape[-2:])

    def magnitude(self, spectrogram: Tensor) -> Tensor:
        """Converts a spectrogram to linear STFT magnitudes; the floor becomes exact silence."""
        picture = spectrogram.float().clamp(-1, 1)
        magnitude = self.full_scale * 10 ** ((picture - 1) * self.geometry.dynamic_range_db / 40)
        return magnitude * (picture > -1)

    @torch.no_grad()
    def invert(self, spectrogram: Tensor, num_iterations: int = 64, momentum: float = 0.99, seed: int = 0) -> Tensor:
        """Spectrogram (..., 1, bins, frames) → waveform (..., (frames - 1) * hop samples) in [-1, 1].

        The same seed, for the random part of the phases, gives the same sound. A waveform that would clip is scaled
        down as a whole.
        """
        with torch.autocast(spectrogram.device.type, enabled=False):
            magnitude = self.magnitude(spectrogram)
            shape = magnitude.shape
            magnitude = magnitude.reshape(-1, *shape[-2:])
            hop_samples = self.geometry.hop_samples
            phase = gradient_phase(magnitude, hop_samples, torch.Generator().manual_seed(seed))
            waveform = griffin_lim(magnitude, hop_samples, num_iterations, momentum, phase)
            waveform = waveform / waveform.abs().amax(dim=-1, keepdim=True).clamp(min=1.0)
        return waveform.reshape(*shape[:-3], waveform.shape[-1])

    @torch.no_grad()
    def invert_pieces(
        self, pieces: Iterable[Tensor], num_iterations: int = 64, momentum: float = 0.99, seed: int = 0
    ) -> Iterator[Tensor]:
        """Consecutive pieces (batch, 1, bins, frames) of a long spectrogram → pieces (batch, samples) of its waveform.

        Memory is constant, and borders are inaudible. The waveform may exceed [-1, 1].
        """
        magnitudes = (self.magnitude(piece)[:, 0] for piece in pieces)
        yield from invert_pieces(magnitudes, self.geometry.hop_samples, num_iterations, momentum, seed)


@torch.no_grad()
def spectrogram_of_file(path: Path, geometry: Geometry, max_columns: int = 1500) -> np.ndarray:
    """Computes the spectrogram (bins, columns) in [-1, 1] of a sound file of the geometry's rate, in bounded memory.

    If it has more than `max_columns` frames, each column is the maximum of several.
    """
    spectrogram, hop = Spectrogram(geometry), geometry.hop_samples
    with soundfile.SoundFile(path) as file:
        num_frames = len(file) // hop + 1
        size = -(-num_frames // max_columns)
        block = size * -(-FRAMES_AT_ONCE // size)
        context = -(-geometry.n_fft // hop)
        # Allocated at once: small pieces between large ones that are freed would fragment the memory.
        columns = np.empty((geometry.num_bins, -(-num_frames // size)), np.float32)
        for first in range(0, num_frames, block):
            start = max(0, first - context)
            file.seek(start * hop)
            waveform = file.read((first + block + context - start) * hop, dtype="float32")
            picture = spectrogram(torch.from_numpy(waveform))[0, :, first - start :]
            picture = picture[:, : min(block, num_frames - first)]
            for number, part in enumerate(picture.split(size, dim=1), start=first // size):
                columns[:, number] = part.amax(dim=1).numpy()
    return columns
