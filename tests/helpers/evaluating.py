"""An evaluation without models that take time: jobs of real sounds, and a generator that knows sounds by heart."""

from functools import partial
from pathlib import Path

import numpy as np
import torch

from demo.dataset import make_dataset
from metrics import (
    ClassAgreement,
    FrechetAudioDistance,
    KernelAudioDistance,
    NearestNeighbourDistance,
    SpectralDistance,
)
from pipelines.evaluation.figures import Evaluation
from pipelines.evaluation.jobs import FigureJob, SoundJob
from tests.helpers.colours import composite
from tests.helpers.tiny import GEOMETRY, tiny_codes, tiny_photos, tiny_sounds

NUM_SOUNDS = 12


def real_sounds(seed: int) -> torch.Tensor:
    """Noises of a colour and a loudness each: (sounds, samples)."""
    generator = np.random.default_rng(seed)
    noise = np.fft.rfft(generator.normal(size=(NUM_SOUNDS, GEOMETRY.window_samples)))
    frequencies = np.linspace(0.05, 1, noise.shape[1])
    coloured = np.fft.irfft(noise * frequencies ** generator.uniform(-2, 1, (NUM_SOUNDS, 1)), GEOMETRY.window_samples)
    coloured *= generator.uniform(0.2, 0.9, (NUM_SOUNDS, 1)) / np.abs(coloured).max(axis=1, keepdims=True)
    return torch.from_numpy(coloured.astype(np.float32))


def job(row: str, label: int, waveform: torch.Tensor | None, source: str = "") -> SoundJob:
    """All sounds of a row and class in one job, each cut from a recording of its own."""
    groups = [f"{row} {label} {number}" for number in range(NUM_SOUNDS)]
    return SoundJob(row, label, list(range(NUM_SOUNDS)), groups, source, waveform)


def half(part: int, label: int) -> torch.Tensor:
    """The training sounds (0), and the first (1) and the second half (2) of the test sounds of a class."""
    return real_sounds(10 * part + label)


def resample_little(monkeypatch) -> None:
    """Makes intervals rough, and quick."""
    for metric in (
        ClassAgreement,
        FrechetAudioDistance,
        KernelAudioDistance,
        NearestNeighbourDistance,
        SpectralDistance,
    ):
        module = "judges" if metric is ClassAgreement else "figures"
        monkeypatch.setattr(f"pipelines.evaluation.{module}.{metric.__name__}", partial(metric, num_resamples=30))


def evaluation(monkeypatch, **options) -> Evaluation:
    """Of the tiny composite, whose checkpoints lie nowhere."""
    resample_little(monkeypatch)
    monkeypatch.setattr("pipelines.evaluation.models.read_checkpoint", lambda path: {"global_step": 7})
    return composite(**options).make_evaluation()


@torch.inference_mode()
def evaluated(evaluation: Evaluation, has_photos: bool = True) -> dict:
    """The results of all rows."""
    evaluation.add(FigureJob("sounds", tiny_sounds() | tiny_codes()))
    for label in range(2):
        evaluation.add(job("known", label, half(0, label)))
        evaluation.add(job("reference", label, half(1, label)))
        for row in ("real", "inverted", "reconstructed", "real_top_codes", "noise"):
            evaluation.add(job(row, label, half(2, label)))
        evaluation.add(job("generated", label, None))
        evaluation.add(job("copied", label, half(0, label)))
        evaluation.add(job("training", label, half(0, label)))
    if has_photos:
        evaluation.add(FigureJob("photos", tiny_photos()))
    return evaluation.compute()


def with_more_sounds(chain: Path, folder: Path) -> Path:
    """A folder with the chain's models and more sounds, of which those after the chain's last are test sounds."""
    make_dataset(folder / "data", num_photos=6, num_sounds=12, photo_size=48)
    (folder / "checkpoints").symlink_to(chain / "checkpoints", target_is_directory=True)
    return folder
