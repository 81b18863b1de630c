"""Systems of one network that learns by one loss."""

import math
from typing import Any, ClassVar

import torch
from torch import nn

from lightning_modules.system import System


class OneNetwork(System):
    """A network that learns with AdamW, a linear warm-up and a cosine that ends at `trainer.max_steps`.

    Args:
        network: the architecture.
        learning_rate: rate at the end of the warm-up.
        weight_decay: decay of matrices and kernels; biases, norms and embeddings of one dimension have none.
        warmup_steps: optimiser steps from 0 to `learning_rate`.
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
        """Names of the classes; their numbers until data or a checkpoint names them."""
        return super().classes or [str(label) for label in range(getattr(self.network, "num_classes", 0))]

    def setup(self, stage: str) -> None:
        """Takes over the facts about the data.

        Raises:
            ValueError: if the network is made for another number of classes than the data have.
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
        """Parameter groups for AdamW."""
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]

    def learning_rate_factor(self, step: int) -> float:
        """Warm-up, then a cosine down to a tenth at `trainer.max_steps`; flat if the fit has no last step."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.trainer.max_steps < 0:
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / max(1, self.trainer.max_steps - self.warmup_steps))
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with one learning-rate factor a step."""
        optimizer = torch.optim.AdamW(self.optimizer_groups(), lr=self.learning_rate)
        self._group_options = [
            {name: value for name, value in group.items() if name != "params"} | {"initial_lr": group["lr"]}
            for group in optimizer.param_groups
        ]
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_start(self) -> None:
        """Sets the learning rate and weight decay of a resumed fit to its configuration's, not the checkpoint's."""
        super().on_train_start()
        for optimizer, config in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            for group, options in zip(optimizer.param_groups, self._group_options, strict=True):
                group |= options
            scheduler = config.scheduler
            scheduler.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
            factor = self.learning_rate_factor(scheduler.last_epoch)
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
