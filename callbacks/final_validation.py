"""A last look at the validation data."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class FinalValidation(Callback):
    """Validates when `trainer.max_steps` is reached, so that the last weights can become the best checkpoint.

    Lightning stops at the step itself, and the steps since the last validation would leave nothing behind.
    """

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """An asked-for stop is validated first."""
        if 0 < trainer.max_steps <= trainer.global_step:
            trainer.should_stop = True
