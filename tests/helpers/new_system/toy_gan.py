"""A GAN with two optimisers and an averaged generator, on photos of a class."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchmetrics import MeanMetric

from lightning_modules import System
from pipelines.outputs import MediaPrediction
from runtime.described import Described


class Generator(Described, nn.Module):
    """Class and noise (batch, noise_dim) → images (batch, 3, 16, 16) in [0, 1]."""

    def __init__(self, num_classes: int = 2, noise_dim: int = 4, width: int = 8) -> None:
        super().__init__()
        self.num_classes, self.noise_dim = num_classes, noise_dim
        self.embedding = nn.Embedding(num_classes, noise_dim)
        self.layers = nn.Sequential(
            nn.Linear(noise_dim, width), nn.Dropout(0.1), nn.ReLU(), nn.Linear(width, 3 * 16 * 16), nn.Sigmoid()
        )

    def forward(self, label: Tensor, noise: Tensor) -> Tensor:
        return self.layers(self.embedding(label) + noise).unflatten(1, (3, 16, 16))


class Discriminator(Described, nn.Module):
    """Images (batch, 3, 16, 16) → logits (batch,) of being real."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image).squeeze(1)


class ToyGAN(System):
    """Two networks that learn against each other; an average of the generator's past weights is the one to use."""

    title = "Toy GAN"
    changeable = frozenset({"learning_rate"})

    def __init__(
        self,
        generator: Generator,
        discriminator: Discriminator,
        learning_rate: float = 1e-3,
        decay: float = 0.9,
        batches_a_step: int = 1,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.generator, self.discriminator = generator, discriminator
        self.averaged = copy.deepcopy(generator).requires_grad_(False)
        self.learning_rate, self.decay, self.batches_a_step = learning_rate, decay, batches_a_step
        self.set_metrics(loss=MeanMetric())

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        """The generator's comes first: its updates are the steps."""
        networks = (self.generator, self.discriminator)
        return [torch.optim.Adam(network.parameters(), lr=self.learning_rate) for network in networks]

    def example_batch(self, num_samples: int) -> dict[str, Tensor]:
        """Photos of noise."""
        return {
            "image": torch.rand(num_samples, 3, 16, 16),
            "label": torch.zeros(num_samples, dtype=torch.long),
            "index": torch.arange(num_samples),
        }

    def losses(self, batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Those of the generator and of the discriminator."""
        real = batch["image"]
        noise = torch.randn(len(real), self.generator.noise_dim, device=real.device)
        fake = self.generator(batch["label"], noise)
        logits = self.discriminator(fake), self.discriminator(real), self.discriminator(fake.detach())
        return F.softplus(-logits[0]).mean(), (F.softplus(-logits[1]) + F.softplus(logits[2])).mean()

    def loss(self, batch: dict[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Both losses together."""
        generator, discriminator = self.losses(batch)
        return generator + discriminator, {"generator": generator.detach(), "discriminator": discriminator.detach()}

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """An update of the discriminator; every few batches one of the generator and of the average as well."""
        losses = self.losses(batch)
        for network, optimizer, loss in zip(
            (self.generator, self.discriminator), self.optimizers(), losses, strict=True
        ):
            optimizer.zero_grad()
            self.manual_backward(loss, inputs=list(network.parameters()))
        of_generator, of_discriminator = self.optimizers()
        of_discriminator.step()
        if (batch_idx + 1) % self.batches_a_step == 0:
            of_generator.step()
            with torch.no_grad():
                for average, now in zip(self.averaged.parameters(), self.generator.parameters(), strict=True):
                    average.lerp_(now, 1 - self.decay)
        self.log_training(losses[0], {"discriminator": losses[1]})

    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds the loss of one batch of held-out photos."""
        metrics["loss"].update(self.losses(batch)[1], weight=len(batch["image"]))

    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, Tensor]:
        """The discriminator's loss."""
        return {"loss": metrics["loss"].compute()}

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> list[MediaPrediction]:
        """A new picture of the class of each photo."""
        noise = torch.randn(len(batch["label"]), self.generator.noise_dim, device=self.device)
        images = self.averaged(batch["label"], noise)
        return [
            MediaPrediction(f"gan_{index:04d}", self.classes[label], pictures=[("generated", image)])
            for index, label, image in zip(batch["index"].tolist(), batch["label"].tolist(), images, strict=True)
        ]
