"""Systems and data small enough to be trained for a step in no time."""

import atexit
import functools
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import nn
from torch.utils.data import DataLoader, default_collate

from lightning_modules import VQVAE, BottomPrior, Classifier, System, TopPrior
from media import Geometry
from networks import VQVAE2, CodePrior, ResNet50, TopContext
from runtime.checkpoint import CHECKPOINT_KEY
from tests.helpers.tiny_networks import strengthened

CLASSES = ["cat", "dog"]
GEOMETRY = Geometry(sample_rate_hz=8000, n_fft=126, hop_samples=64, num_frames=32, bottom_stride=4, top_stride=8)
NUM_CODES = 16
TOP_LENGTH, BOTTOM_LENGTH = 8 * 4, 16 * 8


class TinyResNet50(ResNet50):
    """A ResNet-50 in name and interface, with one convolution and one batch norm."""

    def __init__(self, num_classes: int = 2) -> None:
        nn.Module.__init__(self)
        self.num_classes = num_classes
        self.resnet = nn.Sequential(
            OrderedDict(
                conv=nn.Conv2d(3, 8, 3, stride=4),
                bn=nn.BatchNorm2d(8),
                relu=nn.ReLU(),
                pool=nn.AdaptiveAvgPool2d(1),
                flatten=nn.Flatten(),
                fc=nn.Linear(8, num_classes),
            )
        )
        self.register_buffer("mean", torch.full((3, 1, 1), 0.5), persistent=False)
        self.register_buffer("std", torch.full((3, 1, 1), 0.2), persistent=False)


def tiny_vqvae(**options: Any) -> VQVAE:
    """In training mode, with codebooks that no k-means has touched."""
    network = VQVAE2(
        width=16,
        num_residual_blocks=1,
        residual_width=8,
        embedding_dim=8,
        num_codes=NUM_CODES,
        revive_below=0.0,
        bottom_dropout=0.0,
    )
    return VQVAE(network, GEOMETRY, warmup_steps=0, **options)


def fitted_vqvae(seed: int = 0) -> VQVAE:
    """As `load` gives it: evaluation mode, facts, and codebooks that k-means has spread over noise and hums."""
    torch.manual_seed(seed)
    vqvae = tiny_vqvae()
    with torch.no_grad():
        vqvae.network(vqvae.spectrogram(tiny_sounds(8, seed)["waveform"]))
    vqvae.residual_db += 3.0
    vqvae.facts = {"classes": CLASSES, "split": {}, "geometry": GEOMETRY.as_dict()}
    return vqvae.eval().requires_grad_(False)


@functools.cache
def saved_vqvae(seed: int = 0) -> str:
    """Path of a checkpoint of `fitted_vqvae`."""
    folder = tempfile.TemporaryDirectory()
    atexit.register(folder.cleanup)
    path, vqvae = Path(folder.name) / "vqvae.ckpt", fitted_vqvae(seed)
    torch.save(
        {CHECKPOINT_KEY: {"system": vqvae.describe(), "facts": vqvae.facts}, "state_dict": vqvae.state_dict()}, path
    )
    return str(path)


def tiny_top(dropout: float = 0.0, **options: Any) -> TopPrior:
    network = CodePrior(2, 8, 4, NUM_CODES, width=16, num_layers=1, num_heads=2, feedforward_width=32, dropout=dropout)
    return TopPrior(strengthened(network), warmup_steps=0, **options)


def tiny_bottom(dropout: float = 0.0, scale: int = 2, context_codes: int = NUM_CODES, **options: Any) -> BottomPrior:
    context = TopContext(num_codes=context_codes, width=16, scale=scale, num_layers=1, kernel_size=3, rank=8)
    network = CodePrior(
        2, 16, 8, NUM_CODES, 16, num_layers=1, num_heads=2, feedforward_width=32, dropout=dropout, top_context=context
    )
    return BottomPrior(strengthened(network), warmup_steps=0, **options)


def tiny_classifier(weights: str | None = None, num_classes: int = 2, **options: Any) -> Classifier:
    classifier = Classifier(TinyResNet50(num_classes), weights, **options)
    classifier.facts = {"image_size": 32}
    return classifier


def tiny_sounds(num: int = 8, seed: int = 0) -> dict[str, torch.Tensor]:
    """A batch: hums of another pitch each (class 0) and noises of another loudness each (class 1), in turn."""
    generator = torch.Generator().manual_seed(seed)
    time_s = torch.arange(GEOMETRY.window_samples) / GEOMETRY.sample_rate_hz
    hums = [torch.sin(2 * torch.pi * (200 + 150 * i) * time_s) for i in range(num // 2)]
    noises = [torch.randn(len(time_s), generator=generator).clamp(-3, 3) / 3 * 0.5**i for i in range(num // 2)]
    waveform = torch.stack([sound for pair in zip(hums, noises, strict=True) for sound in pair])
    return {"waveform": waveform, "label": torch.arange(num) % 2, "index": torch.arange(num)}


def tiny_codes(num: int = 8, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    top = torch.randint(NUM_CODES, (num, TOP_LENGTH), generator=generator)
    bottom = torch.randint(NUM_CODES, (num, BOTTOM_LENGTH), generator=generator)
    return {
        "top_codes": top,
        "bottom_codes": bottom,
        "label": torch.arange(num) % 2,
        "index": torch.arange(num),
    }


def tiny_photos(num: int = 8, seed: int = 0) -> dict[str, Any]:
    """Photos that are red (class 0) or green (class 1), more or less."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num) % 2
    image = 0.5 * torch.rand(num, 3, 32, 32, generator=generator)
    image[torch.arange(num), labels] += 0.5
    return {"image": image, "label": labels, "index": torch.arange(num), "path": [f"{i}.jpg" for i in range(num)]}


class TinyData(lightning.LightningDataModule):
    """One batch for everything, with facts as the real data modules give them."""

    def __init__(self, batch: dict[str, Any], **facts: Any) -> None:
        super().__init__()
        num = len(batch["label"])
        self.items = [{name: values[i] for name, values in batch.items()} for i in range(num)]
        self._facts = {"classes": CLASSES, "split": {"cat/cat_1.wav": "train"}} | facts

    def facts(self) -> dict[str, Any]:
        return self._facts

    def validation_examples(self, num_examples: int) -> list[Any]:
        return self.items[:num_examples]

    def _loader(self) -> DataLoader:
        return DataLoader(self.items, batch_size=4, collate_fn=default_collate)

    train_dataloader = val_dataloader = test_dataloader = predict_dataloader = _loader


def sound_data(**facts: Any) -> TinyData:
    return TinyData(tiny_sounds(), **{"geometry": GEOMETRY.as_dict()} | facts)


def code_data(vqvae: VQVAE | None = None, **facts: Any) -> TinyData:
    vqvae = vqvae or fitted_vqvae()
    facts = {"geometry": GEOMETRY.as_dict(), "codebooks": vqvae.codec.fingerprint()} | facts
    return TinyData(tiny_codes(), **facts)


def photo_data(**facts: Any) -> TinyData:
    return TinyData(tiny_photos(), **{"image_size": 32} | facts)


def tiny_trainer(**options: Any) -> lightning.Trainer:
    """One step, nothing written, nothing shown."""
    defaults = {
        "max_steps": 1,
        "accelerator": "cpu",
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "num_sanity_val_steps": 0,
    }
    return lightning.Trainer(**defaults | options)


def fitted(system: System, data: TinyData, **options: Any) -> lightning.Trainer:
    """The trainer after a fit of one step without validation, or as `options` say; two steps are an epoch."""
    trainer = tiny_trainer(**{"limit_val_batches": 0} | options)
    trainer.fit(system, data)
    return trainer
