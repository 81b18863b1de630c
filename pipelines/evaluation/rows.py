"""The rows of an evaluation and their sounds."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.evaluation.jobs import SoundJob
from pipelines.evaluation.program_digest import digest_of_program
from pipelines.generator import FromReal, Generator, Seed
from pipelines.sound_generator import row_seeds

ROWS = {
    "real": "real held-out sounds of the second half, as they are",
    "inverted": "the same sounds through the spectrogram and back, without any model",
    "reconstructed": "the same sounds through the codes of the VQ-VAE and back",
    "real_top_codes": "the top codes of the same sounds, with generated bottom codes",
    "generated": "sounds generated from the class alone",
    "noise": "noise with the loudness of the same sounds at each frequency; a model should be far better",
    "copied": "training sounds through the codes and back, as a model that has memorised them would make",
}
MEASURED_ROWS = ROWS | {"training": "real training sounds, as a perfect copy would be"}
PAIRED_ROWS = ("inverted", "reconstructed")
COPIED_BY = "reconstructed"  # how training sounds are copied


class RowSounds:
    """Makes the sounds of the rows, each as a function of the seed, the class and the number of the sound.

    Args:
        generator: source of the sounds.
        seed: seed of all sounds.
        fingerprints: fingerprints of the weights of the models of the generator, by name.

    Attributes:
        rows: names of the rows that the generator offers, in the order of `ROWS`.
    """

    def __init__(self, generator: Generator, seed: int, fingerprints: dict[str, str]) -> None:
        self.generator, self.seed, self.fingerprints = generator, seed, fingerprints
        self._from_real = dict(generator.from_real())
        self._from_real["noise"] = FromReal(_noise, (), ("seed",))
        if COPIED_BY in self._from_real:
            self._from_real["copied"] = self._from_real[COPIED_BY]
        self.rows = [row for row in ROWS if row in ("real", "generated", *self._from_real)]

    def make(self, job: SoundJob) -> np.ndarray:
        """Sounds, float32 (batch, window_samples); one that exceeds [-1, 1] is scaled down as a whole."""
        seeds: list[Seed] = [(self.seed, job.label, number) for number in job.numbers]
        if job.row == "generated" or job.waveform is None:
            waveforms = self.generator.windows(job.label, seeds)
        elif job.row == "real":
            waveforms = job.waveform.cpu().float().numpy()
        else:
            waveforms = self._from_real[job.row].make(job.waveform, job.label, seeds).cpu().float().numpy()
        return waveforms / np.maximum(np.abs(waveforms).max(axis=1, keepdims=True), 1.0)

    def settings(self) -> dict[str, Any]:
        """Everything except the models that the rows depend on, as plain data."""
        return {"seed": self.seed} | self.generator.settings()

    def made_with(self, row: str) -> dict[str, Any]:
        """Everything except real sounds that a row depends on: settings, models and code."""
        if row == "real":
            return {}
        settings, models = self.settings(), self.fingerprints
        if row != "generated":
            way = self._from_real[row]
            settings = {name: settings[name] for name in way.settings}
            models = {name: models[name] for name in way.models}
        return settings | {"models": models, "program": _program(type(self.generator).__module__)}


def _noise(waveform: Tensor, label: int, seeds: list[Seed]) -> Tensor:
    """Randomises the phases, and keeps the loudness of each frequency. Source: J. Theiler et al., 1992."""
    spectra = torch.fft.rfft(waveform.cpu())
    generators = [torch.Generator().manual_seed(seed) for seed in row_seeds(seeds, "noise")]
    phases = 2 * torch.pi * torch.stack([torch.rand(spectra.shape[1], generator=each) for each in generators])
    return torch.fft.irfft(torch.polar(spectra.abs(), phases), n=waveform.shape[1])


@functools.cache
def _program(module_of_generator: str) -> str:
    return digest_of_program([module_of_generator, __name__])
