"""A validation at the end of a fit."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class FinalValidation(Callback):
    """Validates when `trainer.max_steps` is reached, so that the last weights can become the best checkpoint.

    Lightning itself stops without one, and the steps since the last validation would be lost.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Requests a stop, before which Lightning validates."""
        if 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True
