"""What all systems share: a self-contained checkpoint, and how the weights are updated."""

import math
import os
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torchmetrics import Metric

from networks import Described
from runtime.checkpoint import CHECKPOINT_KEY, check_equal

HELD_OUT = ("val", "test")


class System(Described, LightningModule, ABC):
    """A network together with what its training and its use need to know.

    Why a base class: a checkpoint of any system says by itself which classes with which arguments it was made from
    (`describe`) and which facts about the data hold for it (`facts`: class list, split, geometry, …, as the DataModule
    gives them), and every system learns with AdamW, a linear warm-up and a cosine that ends at `trainer.max_steps`.

    Args:
        network: the architecture.
        learning_rate: at the end of the warm-up.
        weight_decay: of matrices and kernels; biases, norms and embeddings of one dimension have none.
        warmup_steps: optimiser steps from 0 to `learning_rate`.
    """

    def __init__(
        self, network: nn.Module, learning_rate: float = 3e-4, weight_decay: float = 0.0, warmup_steps: int = 100
    ) -> None:
        super().__init__()
        self.network = network
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.warmup_steps = warmup_steps
        self.facts: dict[str, Any] = {}

    @property
    def classes(self) -> list[str]:
        """Names of the classes; their numbers where no data or checkpoint has named them yet."""
        return self.facts.get("classes") or [str(label) for label in range(getattr(self.network, "num_classes", 0))]

    def setup(self, stage: str) -> None:
        """Take over the facts about the data, before a checkpoint is restored and compared with them.

        Raises:
            ValueError: where the network is made for another number of classes than the data have.
        """
        if getattr(self.trainer, "datamodule", None) is not None:
            self.facts = {name: fact for name, fact in self.trainer.datamodule.facts().items() if fact}
            num_classes = getattr(self.network, "num_classes", len(self.classes))
            if num_classes != len(self.classes):
                raise ValueError(
                    f"num_classes is {num_classes}, but the data has {len(self.classes)} classes: {self.classes}. "
                    f"Set num_classes to {len(self.classes)}, or point root at other data."
                )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Make the checkpoint self-contained."""
        if getattr(self.trainer, "datamodule", None) is not None:
            self.facts = self.trainer.datamodule.facts()
        checkpoint[CHECKPOINT_KEY] = {"system": self.describe(), "facts": self.facts}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse a checkpoint that does not fit.

        Raises:
            ValueError: naming both values, where the network or the facts differ.
        """
        if CHECKPOINT_KEY not in checkpoint:
            raise ValueError("This checkpoint was not written by this project: it does not say what it was made from.")
        stored = checkpoint[CHECKPOINT_KEY]
        check_equal("network", stored["system"]["init_args"]["network"], self.describe()["init_args"]["network"])
        for name in stored["facts"].keys() & self.facts.keys() - {"split"}:
            check_equal(name, stored["facts"][name], self.facts[name])
        self.facts = stored["facts"] | self.facts

    def optimizer_groups(self) -> list[dict[str, Any]]:
        """Parameter groups for AdamW."""
        parameters = [parameter for parameter in self.network.parameters() if parameter.requires_grad]
        return [
            {"params": [p for p in parameters if p.dim() > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.dim() <= 1], "weight_decay": 0.0},
        ]

    def learning_rate_factor(self, step: int) -> float:
        """Warm-up, then a cosine down to a tenth at `trainer.max_steps`; flat where the fit has no last step."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        if self.trainer.max_steps < 0:
            return 1.0
        progress = min(1.0, (step - self.warmup_steps) / max(1, self.trainer.max_steps - self.warmup_steps))
        return 0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * progress))

    def on_train_start(self) -> None:
        """The learning rate and weight decay of a resumed fit are those of its configuration, not the checkpoint's."""
        for optimizer, scheduler in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            for group, options in zip(optimizer.param_groups, self._group_options, strict=True):
                group |= options
            scheduler = scheduler.scheduler
            scheduler.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
            factor = self.learning_rate_factor(scheduler.last_epoch)
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Dropout and the like are functions of (seed, batch, process), so that a resumed fit draws what an unbroken
        one would have drawn."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        num_batches = self.trainer.fit_loop.epoch_loop.batch_progress.total.processed
        (state,) = np.random.SeedSequence((seed, num_batches, self.global_rank)).generate_state(1, np.uint64)
        torch.manual_seed(int(state))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW with one learning-rate factor a step."""
        optimizer = torch.optim.AdamW(self.optimizer_groups(), lr=self.learning_rate)
        self._group_options = [
            {name: value for name, value in group.items() if name != "params"} | {"initial_lr": group["lr"]}
            for group in optimizer.param_groups
        ]
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, self.learning_rate_factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def set_metrics(self, **metrics: Metric) -> None:
        """The metrics of the held-out data, once for validation and once for test."""
        self.held_out = nn.ModuleDict(
            {stage: nn.ModuleDict({name: metric.clone() for name, metric in metrics.items()}) for stage in HELD_OUT}
        )

    @abstractmethod
    def loss(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a batch of training data, and further figures of it to be logged, by name."""

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> torch.Tensor:
        """Logs the loss, its figures and the learning rate."""
        loss, figures = self.loss(batch)
        self.log("train/loss", loss, prog_bar=True)
        self.log_dict({f"train/{name}": value for name, value in figures.items()})
        self.log("train/learning_rate", self.lr_schedulers().get_last_lr()[0])
        return loss

    @abstractmethod
    def example_batch(self, num_samples: int) -> dict[str, torch.Tensor]:
        """A batch of noise in the shapes of the training data, to measure memory, time and operations with."""

    @abstractmethod
    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Add one batch of held-out data to the metrics."""

    @abstractmethod
    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, torch.Tensor]:
        """The figures to be logged, by name without the stage."""

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Adds a batch to the figures of the validation data."""
        self.update_metrics(self.held_out["val"], batch)

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Adds a batch to the figures of the test data."""
        self.update_metrics(self.held_out["test"], batch)

    def on_validation_epoch_end(self) -> None:
        """Logs the figures of the validation data."""
        self._log_figures("val")

    def on_test_epoch_end(self) -> None:
        """Logs the figures of the test data."""
        self._log_figures("test")

    def _log_figures(self, stage: str) -> None:
        figures = self.compute_figures(self.held_out[stage])
        for name, value in figures.items():
            self.log(f"{stage}/{name}", value, prog_bar=name in ("loss", "accuracy"), sync_dist=True)
        for metric in self.held_out[stage].values():
            metric.reset()
