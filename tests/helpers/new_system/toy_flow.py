"""A flow from noise to sound under captions, which a frozen text encoder reads."""

from typing import Any

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanMetric

from datamodules.files.loading import evaluation_loader, sample_key, training_loader
from lightning_modules import OneNetwork
from pipelines.outputs import MediaPrediction
from runtime.described import Described

SAMPLE_RATE_HZ, NUM_SAMPLES, WORDS = 800, 80, ("a", "low", "high", "long", "hum", "click")


class TextEncoder(Described, nn.Module):
    """Captions → (batch, width), by word vectors from a file that training never changes.

    Args:
        weights: file of the word vectors, (words, width), as `torch.save` writes it.
    """

    changeable = frozenset({"weights"})  # the file may move; its content is compared

    def __init__(self, weights: str) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.load(weights, weights_only=True))

    def forward(self, captions: list[str]) -> Tensor:
        return torch.stack([self.vectors[[WORDS.index(word) for word in text.split()]].mean(0) for text in captions])


class Velocity(Described, nn.Module):
    """Sound (batch, NUM_SAMPLES) on its way from noise, time (batch, 1) and text → its velocity."""

    def __init__(self, text_width: int = 8, width: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(NUM_SAMPLES + 1 + text_width, width), nn.Dropout(0.1), nn.ReLU(), nn.Linear(width, NUM_SAMPLES)
        )

    def forward(self, sound: Tensor, time: Tensor, text: Tensor) -> Tensor:
        return self.layers(torch.cat([sound, time, text], dim=1))


class ToyFlow(OneNetwork):
    """Flow matching: the network learns the straight way from noise to a sound."""

    title = "Toy flow"
    frozen_parts = ("text_encoder",)

    def __init__(self, network: Velocity, text_encoder: TextEncoder, learning_rate: float = 1e-3) -> None:
        super().__init__(network, learning_rate, warmup_steps=2)
        self.text_encoder = text_encoder
        self.set_metrics(loss=MeanMetric())

    def example_batch(self, num_samples: int) -> dict[str, Any]:
        """Sounds of noise, with one caption."""
        sound = torch.randn(num_samples, NUM_SAMPLES)
        return {"sound": sound, "caption": ["a hum"] * num_samples, "index": torch.arange(num_samples)}

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of the velocity."""
        sound = batch["sound"]
        noise, time = torch.randn_like(sound), torch.rand(len(sound), 1, device=sound.device)
        velocity = self.network(noise + time * (sound - noise), time, self.text_encoder(batch["caption"]))
        return (velocity - (sound - noise)).square().mean(), {"time": time.mean()}

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds the loss of one batch of held-out sounds."""
        metrics["loss"].update(self.loss(batch)[0], weight=len(batch["sound"]))

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """The mean loss."""
        return {"loss": metrics["loss"].compute()}

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MediaPrediction]:
        """A new sound for each caption, by four Euler steps."""
        text = self.text_encoder(batch["caption"])
        sound = torch.randn(len(text), NUM_SAMPLES, device=self.device)
        for step in range(4):
            sound = sound + self.network(sound, torch.full((len(text), 1), step / 4, device=self.device), text) / 4
        sound = sound / sound.abs().amax(1, keepdim=True)
        return [
            MediaPrediction(f"flow_{index:04d}", caption, waveform, SAMPLE_RATE_HZ)
            for index, caption, waveform in zip(batch["index"].tolist(), batch["caption"], sound, strict=True)
        ]


class Captioned(Dataset):
    """Hums and clicks with their captions."""

    def __init__(self, num_items: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.sounds = torch.randn(num_items, NUM_SAMPLES, generator=generator)
        self.captions = [f"a {WORDS[1 + i % 3]} {WORDS[4 + i % 2]}" for i in range(num_items)]

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, key: Any) -> dict[str, Any]:
        index = sample_key(key).index
        return {"sound": self.sounds[index], "caption": self.captions[index], "index": index}


class CaptionedSounds(lightning.LightningDataModule):
    """Made-up sounds with captions; there are no classes and no files."""

    def __init__(self, batch_size: int = 2, seed: int = 1) -> None:
        super().__init__()
        self.batch_size, self.seed = batch_size, seed

    def train_dataloader(self) -> DataLoader:
        return training_loader(Captioned(10, seed=0), self.batch_size, 0, self.seed, self.trainer)

    def val_dataloader(self) -> DataLoader:
        return evaluation_loader(Captioned(4, seed=1), self.batch_size, 0)

    test_dataloader = predict_dataloader = val_dataloader
