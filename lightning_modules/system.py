"""The base of all systems: self-contained checkpoints, held-out figures and repeatable randomness."""

import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
import torch
from lightning.pytorch import LightningModule
from torch import nn
from torchmetrics import Metric

from runtime.checkpoint import CHECKPOINT_KEY, check_equal, leave_out_frozen, restore_frozen
from runtime.described import Described
from runtime.private_api import count_steps_of_first_optimizer, log_by_steps, num_batches_trained


class System(Described, LightningModule, ABC):
    """The common part of all trained models, for any number of networks and optimisers.

    Every checkpoint is self-contained: it has the classes and arguments that the system was made from (`describe`) and
    facts about the data (`facts`: class list, split, geometry, …, from the DataModule). A resumed fit draws the random
    numbers that an unbroken one would have drawn. A step is an update of the first optimiser that
    `configure_optimizers` returns. `trainer.max_steps`, checkpoints, progress and logs count these steps.

    Class attributes:
        title: name in tables and pictures; empty for the name of the class.
        changeable: constructor arguments that a resumed fit may change, as the weights keep their meaning. All others
            must be equal to those in the checkpoint.
        frozen_parts: attributes whose weights are not stored, such as a pretrained encoder. They stay in evaluation
            mode and get no gradients. The checkpoint has their fingerprints, and loading compares them with the weights
            that the constructor made.
    """

    title: ClassVar[str] = ""
    frozen_parts: ClassVar[tuple[str, ...]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[str, Any] = {}

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the labels; empty if the data has none."""
        return self.facts.get("classes") or []

    def setup(self, stage: str) -> None:
        """Takes over the facts about the data, before a checkpoint is restored and compared with them.

        Raises:
            ValueError: if an argument of the constructor cannot be stored in a checkpoint, or there are no metrics.
        """
        self._take_facts()
        if stage == "fit":
            try:
                self.describe()
            except TypeError as error:
                raise ValueError(f"{type(self).__name__} could not be stored in a checkpoint: {error}") from error
            if not hasattr(self, "held_out"):
                raise ValueError(f"{type(self).__name__} has no metrics: call set_metrics(…) in its constructor.")

    def train(self, mode: bool = True) -> "System":
        """Sets the training mode of all but the frozen parts, whose statistics would change in it."""
        super().train(mode)
        for name in self.frozen_parts:
            getattr(self, name).eval().requires_grad_(False)
        return self

    def _take_facts(self) -> None:
        datamodule = getattr(self.trainer, "datamodule", None)
        if hasattr(datamodule, "facts"):
            self.facts = {name: fact for name, fact in datamodule.facts().items() if fact}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Adds the description and the facts, and leaves out frozen parts."""
        self._take_facts()
        frozen = leave_out_frozen(self, checkpoint["state_dict"])
        checkpoint[CHECKPOINT_KEY] = {"system": self.describe(), "facts": self.facts, "frozen": frozen}

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Checks that the checkpoint fits.

        Raises:
            ValueError: naming both values, if an argument that is not changeable, a frozen part or a fact differs.
        """
        if CHECKPOINT_KEY not in checkpoint:
            raise ValueError("This checkpoint was not written by this project: it does not say what it was made from.")
        stored = checkpoint[CHECKPOINT_KEY]
        check_equal("", stored["system"], self.describe())
        for name in stored["facts"].keys() & self.facts.keys() - {"split"}:
            check_equal(name, stored["facts"][name], self.facts[name])
        self.facts = stored["facts"] | self.facts
        restore_frozen(self, checkpoint["state_dict"], stored.get("frozen", {}))

    def on_train_start(self) -> None:
        """Counts updates of the first optimiser as steps."""
        count_steps_of_first_optimizer(self.trainer)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Makes dropout and noise a function of (seed, batch, process)."""
        seed = int(os.environ.get("PL_GLOBAL_SEED", 0))
        sequence = np.random.SeedSequence((seed, num_batches_trained(self.trainer), self.global_rank))
        torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0]))

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Lets the logs count steps, not batches."""
        if not self.automatic_optimization:
            log_by_steps(self.trainer)

    @abstractmethod
    def loss(self, batch: dict[str, Any]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a batch of training data, and figures to be logged, by name.

        Memory, time and operations of a step are measured with it. A system with several losses returns their sum.
        """

    @abstractmethod
    def example_batch(self, num_samples: int) -> dict[str, torch.Tensor]:
        """A batch of noise in the shapes of the training data, for measurements of a step."""

    def log_training(self, loss: torch.Tensor, figures: dict[str, Any]) -> None:
        """Logs the loss and the figures of a training step, and the learning rate of the first optimiser."""
        self.log("train/loss", loss, prog_bar=True)
        self.log_dict({f"train/{name}": value for name, value in figures.items()})
        self.log("train/learning_rate", self.trainer.optimizers[0].param_groups[0]["lr"])

    def set_metrics(self, **metrics: Metric) -> None:
        """Sets the metrics of the held-out data, for validation and for test."""
        self.held_out = nn.ModuleDict(
            {
                stage: nn.ModuleDict({name: metric.clone() for name, metric in metrics.items()})
                for stage in ("val", "test")
            }
        )

    @abstractmethod
    def update_metrics(self, metrics: nn.ModuleDict, batch: dict[str, Any]) -> None:
        """Adds a batch of held-out data to the metrics."""

    @abstractmethod
    def compute_figures(self, metrics: nn.ModuleDict) -> dict[str, torch.Tensor]:
        """The figures to be logged, by their names without the stage."""

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
