"""Are the demo's generated sounds recognised? By a classifier of sounds that is trained here, on synthetic sounds.

Slow: it runs the demo first where its checkpoints are missing (minutes), then trains the recogniser (a minute or two).
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import cli
from demo import LABELS
from demo.sounds import synthesise
from lightning_modules import load
from pipelines.sound_generator import SoundGenerator

PROJECT = Path(cli.__file__).parent
CHECKPOINTS = PROJECT / "outputs" / "demo" / "checkpoints"
NUM_TRAINING, NUM_UNSEEN, NUM_GENERATED = 240, 60, 32
OTHER = len(LABELS)  # noise, shuffled codes, silence: no animal
UNSEEN_SEED, TRAINING_SEED = 20_000, 10_000  # the demo's own data are of seed 1

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def systems() -> dict:
    if not (CHECKPOINTS / "bottom" / "best.ckpt").exists():
        subprocess.run([sys.executable, "-m", "demo"], cwd=PROJECT, check=True, env=os.environ | {"PYTHONWARNINGS": ""})
    return {name: load(CHECKPOINTS / name / "best.ckpt") for name in ("vqvae", "top", "bottom")}


def windows(label: str, num_windows: int, seed: int, num_samples: int, rate: int) -> Tensor:
    """The loudest window of each of some synthetic sounds."""
    chosen = []
    for number in range(num_windows):
        sound = synthesise(label, np.random.default_rng([seed, LABELS.index(label), number]), rate)
        sound = np.pad(sound, (0, max(num_samples - len(sound), 0)))
        energy = np.concatenate([[0.0], np.cumsum(sound.astype(float) ** 2)])
        start = int(np.argmax(energy[num_samples:] - energy[:-num_samples]))
        chosen.append(torch.from_numpy(sound[start : start + num_samples].astype(np.float32)))
    return torch.stack(chosen)


def no_animals(vqvae, animals: Tensor, seed: int) -> Tensor:
    """Spectrograms of noise of many colours, of shuffled codes and of near silence, a third each."""
    generator = torch.Generator().manual_seed(seed)
    third = len(animals) // 3
    slope = torch.rand(third, 1, generator=generator) * 2
    spectrum = torch.fft.rfft(torch.randn(third, animals.shape[1], generator=generator))
    noise = torch.fft.irfft(spectrum / (1 + torch.arange(spectrum.shape[1])) ** (slope / 2), n=animals.shape[1])
    level = 10 ** (-2 * torch.rand(third, 1, generator=generator))
    noise = noise / noise.abs().amax(dim=1, keepdim=True) * level
    silence = torch.randn(third, animals.shape[1], generator=generator) * 1e-4
    top, bottom = vqvae.codec.encode(animals[:third])
    top = top[:, torch.randperm(top.shape[1], generator=generator)]
    bottom = bottom[:, torch.randperm(bottom.shape[1], generator=generator)]
    shuffled = vqvae.spectrogram.invert(vqvae.codec.decode(top, bottom), num_iterations=16)
    return vqvae.spectrogram(torch.cat([noise, shuffled, silence]))


def labelled_spectrograms(vqvae, num_each: int, seed: int, reconstructed: bool) -> tuple[Tensor, Tensor]:
    """Real synthetic sounds of both classes and the third class; if asked, what the VQ-VAE makes of them as well."""
    geometry = vqvae.geometry
    pictures, labels = [], []
    animals = [windows(label, num_each, seed, geometry.window_samples, geometry.sample_rate_hz) for label in LABELS]
    for label, waveforms in enumerate(animals):
        versions = [vqvae.spectrogram(waveforms)]
        if reconstructed:
            decoded = vqvae.codec.decode(*vqvae.codec.encode(waveforms))
            versions.append(vqvae.spectrogram(vqvae.spectrogram.invert(decoded, num_iterations=16)))
        pictures += versions
        labels += [label] * sum(map(len, versions))
    others = no_animals(vqvae, torch.cat(animals)[torch.randperm(2 * num_each)], seed)
    return torch.cat([*pictures, others]), torch.tensor(labels + [OTHER] * len(others))


def train_recogniser(pictures: Tensor, labels: Tensor) -> nn.Module:
    """A small convolutional network; loudness and place in time are varied, so that they are no cue."""
    network = nn.Sequential(
        *[
            layer
            for before, after in ((1, 16), (16, 32), (32, 64))
            for layer in (nn.Conv2d(before, after, 3, 2, 1), nn.BatchNorm2d(after), nn.ReLU())
        ],
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(64 * 16, OTHER + 1),
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.01)
    num_epochs = 12
    for epoch in range(num_epochs):
        for group in optimizer.param_groups:
            group["lr"] = 2e-3 * (1 - epoch / num_epochs)
        for chosen in torch.randperm(len(pictures)).split(32):
            batch = pictures[chosen] + 0.15 * torch.randn(len(chosen), 1, 1, 1)
            batch = batch.roll(int(torch.randint(0, batch.shape[-1], ())), dims=-1).clamp(-1, 1)
            optimizer.zero_grad()
            F.cross_entropy(network(batch), labels[chosen]).backward()
            optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def recogniser(systems: dict) -> nn.Module:
    torch.manual_seed(0)
    return train_recogniser(*labelled_spectrograms(systems["vqvae"], NUM_TRAINING, TRAINING_SEED, reconstructed=True))


@torch.no_grad()
def test_the_recogniser_knows_unseen_synthetic_sounds(systems: dict, recogniser: nn.Module) -> None:
    pictures, labels = labelled_spectrograms(systems["vqvae"], NUM_UNSEEN, UNSEEN_SEED, reconstructed=False)
    right = (recogniser(pictures).argmax(dim=1) == labels).float()
    print({label: round(right[labels == label].mean().item(), 3) for label in range(OTHER + 1)})
    assert right.mean() >= 0.95


def demo_generator(systems: dict) -> SoundGenerator:
    """Draws sounds as the demo does for its video."""
    composite = cli.main(["--config", "video2audio.yaml", "--config", "demo.yaml"], run=False).model
    composite.vqvae, composite.top, composite.bottom = (systems[name] for name in ("vqvae", "top", "bottom"))
    return composite.make_generator()


@torch.no_grad()
@pytest.mark.parametrize("label", range(len(LABELS)), ids=LABELS)
def test_generated_sounds_are_recognised(systems: dict, recogniser: nn.Module, label: int) -> None:
    waveforms = torch.from_numpy(demo_generator(systems).windows(label, [(seed,) for seed in range(NUM_GENERATED)]))
    found = recogniser(systems["vqvae"].spectrogram(waveforms)).argmax(dim=1)
    counts = torch.bincount(found, minlength=OTHER + 1).tolist()
    print(LABELS[label], dict(zip([*LABELS, "other"], counts, strict=True)))
    assert (found == label).float().mean() >= 0.80
