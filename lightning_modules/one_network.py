"""The base of systems with one network and one loss."""

import math
from typing import Any, ClassVar

import torch
from torch import nn

from lightning_modules.system import System


class OneNetwork(System):
    """Trains a network with AdamW, a linear warm-up and a cosine decay that ends at `trainer.max_steps`.

    Args:
        network: the architecture.
        learning_rate: rate at the end of the warm-up.
        weight_decay: weight decay of matrices and kernels; parameters of one dimension have none.
        warmup_steps: steps until the rate is `learning_rate`.
    """

    changeable: ClassVar[frozenset[str]] = frozenset({"learning_rate", "weight_decay", "warmup_steps"})

    def __init__(
        self, network: nn.Module, learning_rate: float = 3e-4, weight_decay: float = 0.0, warmup_steps: int = 100
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps

    @property
    def classes(self) -> list[str]:
        """Names of the classes, or their numbers if neither data nor a checkpoint has named them."""
        return super().classes or [str(label) for label in range(getattr(self.network, "num_classes", 0))]

    def setup(self, stage: str) -> None:
        """Takes over the facts about the data.

        Raises:
            ValueError: as `System.setup`, or if the network and the data have different numbers of classes.
        """
        super().setup(stage)
        num_classes = getattr(self.network, "num_classes", len(self.classes))
        if num_classes != len(self.classes):
            raise ValueError(
                f"num_classes is {num_classes}, but the data has {len(self.classes)} classes: {self.classes}. "
                f"Set num_classes to {len(self.classes)}, or point root at other data."
            )

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Logs and returns the loss."""
        loss, figures = self.loss(batch)
        self.log_training(loss, figures)
        return loss

    def optimizer_groups(self) -> list[dict[str, Any]]:
        """Parameter groups of AdamW: matrices and kernels, then the parameters without decay."""
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]

    def learning_rate_factor(self, step: int) -> float:
        """Warm-up, then a cosine down to a tenth at `trainer.max_steps`; constant if that is unlimited."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.trainer.max_steps < 0:
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / max(1, self.trainer.max_steps - self.warmup_steps))
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW, with a learning-rate factor for each step."""
        optimizer = torch.optim.AdamW(self.optimizer_groups(), lr=self.learning_rate)
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """Gives a resumed fit the learning rate and weight decay of its configuration, not of the checkpoint."""
        super().on_train_start()
        (optimizer,), (scheduler,) = self.trainer.optimizers, (c.scheduler for c in self.trainer.lr_scheduler_configs)
        factor = self.learning_rate_factor(scheduler.last_epoch)
        for group, options in zip(optimizer.param_groups, self.optimizer_groups(), strict=True):
            rate = options.get("lr", self.learning_rate)
            group |= options | {"params": group["params"], "initial_lr": rate, "lr": rate * factor}
        scheduler.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
