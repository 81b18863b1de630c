"""Distance of each sound to its own reference."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities import dim_zero_cat

from metrics.estimate import Estimate, group_numbers, weighted_mean_estimate

FLOOR_DB = -80.0  # of a sine at full scale


class SpectralDistance(Metric):
    """Distances between the magnitude spectrograms of pairs of sounds, regardless of phase.

    Why two: the log-spectral distance weights quiet and loud parts alike, roughly as the ear does, and the spectral
    convergence is dominated by loud parts.

    Args:
        n_fft: samples in a frame, under a Hann window.
        hop_samples: hop between frames.
        num_resamples, seed: number of resamples drawn for the intervals, and their seed.

    `compute` gives a dict of `Estimate`, means over sounds, 0 for equal sounds:
        log_spectral_distance_db: difference of the levels in dB, root mean square over frequencies, mean over frames.
            Levels are clamped at -80 dB; 0 dB is a sine at full scale.
        spectral_convergence: norm of the difference of the magnitudes over the norm of the reference's, a ratio; 1 for
            silence.

    Source: Gray and Markel, "Distance measures for speech processing", 1976; Sturmel and Daudet, "Signal
    reconstruction from STFT magnitude: a state of the art", 2011.
    """

    full_state_update = False
    distances_db: list[Tensor]
    convergences: list[Tensor]
    groups: list[Tensor]

    def __init__(self, n_fft: int = 1024, hop_samples: int = 256, num_resamples: int = 1000, seed: int = 0) -> None:
        super().__init__()
        self.n_fft, self.hop_samples = n_fft, hop_samples
        self.num_resamples, self.seed = num_resamples, seed
        for name in ("distances_db", "convergences", "groups"):
            self.add_state(name, [], dist_reduce_fx="cat")

    def update(self, estimates: Tensor, references: Tensor, groups: Sequence[str] | None = None) -> None:
        """Adds pairs of waveforms (batch, samples) in [-1, 1]; the longer ones are truncated.

        Args:
            groups: name of each reference's recording; None makes each reference a recording of its own.

        Raises:
            ValueError: if the shapes do not match, or the waveforms are shorter than a frame.
        """
        if groups is None:  # the samples serve as a name, the same in all processes
            groups = [reference.detach().cpu().numpy().tobytes().hex() for reference in references]
        if estimates.ndim != 2 or references.ndim != 2 or not len(estimates) == len(references) == len(groups):
            found = f"{tuple(estimates.shape)}, {tuple(references.shape)} and {len(groups)} groups"
            raise ValueError(f"Expected pairs of waveforms (batch, samples) and a group for each, found {found}.")
        num_samples = min(estimates.shape[1], references.shape[1])
        if num_samples < self.n_fft:
            raise ValueError(f"Expected waveforms of at least {self.n_fft} samples, found {num_samples}.")
        estimate, reference = (self._magnitudes(sounds[:, :num_samples]) for sounds in (estimates, references))
        floor = 10 ** (FLOOR_DB / 20)
        difference_db = 20 * (estimate.clamp(min=floor).log10() - reference.clamp(min=floor).log10())
        self.distances_db.append(difference_db.square().mean(dim=1).sqrt().mean(dim=1))
        norms = reference.square().sum(dim=(1, 2)).sqrt().clamp(min=floor)
        self.convergences.append((estimate - reference).square().sum(dim=(1, 2)).sqrt() / norms)
        self.groups.append(group_numbers(groups).to(references.device))

    def compute(self) -> dict[str, Estimate]:
        """Computes both distances of everything added since the last reset; raises ValueError if nothing was."""
        if not len(self.groups):
            raise ValueError("Expected pairs of sounds, found none.")
        groups = dim_zero_cat(self.groups).cpu().numpy()
        rng = np.random.default_rng(self.seed)
        states = {"log_spectral_distance_db": self.distances_db, "spectral_convergence": self.convergences}
        return {
            name: weighted_mean_estimate(dim_zero_cat(state).cpu().double().numpy(), groups, self.num_resamples, rng)
            for name, state in states.items()
        }

    def _magnitudes(self, waveforms: Tensor) -> Tensor:
        """(batch, n_fft // 2 + 1, frames), 1 for a sine at full scale."""
        window = torch.hann_window(self.n_fft, device=waveforms.device)
        spectrum = torch.stft(
            waveforms.float(), self.n_fft, self.hop_samples, window=window, center=False, return_complex=True
        )
        return spectrum.abs() * 2 / window.sum()
