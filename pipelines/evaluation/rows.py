"""The rows of an evaluation, and how the sounds of each are made."""

import functools
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipelines.evaluation.jobs import SoundJob
from pipelines.evaluation.program_digest import digest_of_program
from pipelines.generator import FromReal, Generator, Seed
from pipelines.sound_generator import row_seed

ROWS = {
    "real": "real held-out sounds of the second half, as they are",
    "inverted": "the same, turned into a spectrogram and back, without any model",
    "reconstructed": "the same, through the VQ-VAE's codes and back",
    "real_top_codes": "their top codes, with bottom codes generated under them",
    "generated": "everything generated, from the name of the class alone",
    "noise": "noise, as loud at each frequency as those real sounds: what a model should be far better than",
    "copied": "training sounds through the codes and back: what a model would give that knows them by heart",
}
MEASURED_ROWS = ROWS | {"training": "real training sounds: what a perfect copy of them would reach"}
PAIRED_ROWS = ("inverted", "reconstructed")
COPIED_BY = "reconstructed"  # the way in which training sounds are copied


class RowSounds:
    """Makes the sounds of the rows that a generator offers.

    Args:
        generator: makes the sounds.
        seed: each generated sound is a function of it, the class, and the sound's number.
        fingerprints: short name of the weights of each of the generator's models.

    Attributes:
        rows: names of the rows, in the order of `ROWS`.
    """

    def __init__(self, generator: Generator, seed: int, fingerprints: dict[str, str]) -> None:
        self.generator, self.seed, self.fingerprints = generator, seed, fingerprints
        self._from_real = dict(generator.from_real())
        self._from_real["noise"] = FromReal(_noise, (), ("seed",))
        if COPIED_BY in self._from_real:
            self._from_real["copied"] = self._from_real[COPIED_BY]
        self.rows = [row for row in ROWS if row in ("real", "generated", *self._from_real)]

    def make(self, job: SoundJob) -> np.ndarray:
        """float32 (batch, window_samples) in [-1, 1]; a sound that would clip is scaled down as a whole."""
        seeds: list[Seed] = [(self.seed, job.label, number) for number in job.numbers]
        if job.waveform is None:
            waveforms = self.generator.windows(job.label, seeds)
        elif job.row == "real":
            waveforms = job.waveform.cpu().float().numpy()
        else:
            waveforms = self._from_real[job.row].make(job.waveform, job.label, seeds).cpu().float().numpy()
        return waveforms / np.maximum(np.abs(waveforms).max(axis=1, keepdims=True), 1.0)

    def settings(self) -> dict[str, Any]:
        """All that any row depends on besides the models, as plain data."""
        return {"seed": self.seed} | self.generator.settings()

    def made_with(self, row: str) -> dict[str, Any]:
        """All that the sounds of a row depend on besides the real ones: settings, models, and the program."""
        if row == "real":
            return {}
        settings, models = self.settings(), self.fingerprints
        if row != "generated":
            way = self._from_real[row]
            settings = {name: settings[name] for name in way.settings}
            models = {name: models[name] for name in way.models}
        return settings | {"models": models, "program": _program(type(self.generator).__module__)}


def _noise(waveform: Tensor, label: int, seeds: list[Seed]) -> Tensor:
    """With random phases nothing is left of a sound but how loud each frequency is (Theiler et al. 1992)."""
    spectra = torch.fft.rfft(waveform.cpu())
    generators = [torch.Generator().manual_seed(row_seed(seed, "noise")) for seed in seeds]
    turns = [torch.rand(spectra.shape[1], generator=generator) for generator in generators]
    phases = 2 * torch.pi * torch.stack(turns)
    return torch.fft.irfft(torch.polar(spectra.abs(), phases), n=waveform.shape[1])


@functools.cache
def _program(module_of_generator: str) -> str:
    return digest_of_program([module_of_generator, __name__])
