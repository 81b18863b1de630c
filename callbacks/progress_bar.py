"""The terminal's progress bar."""

from lightning.pytorch.callbacks import RichProgressBar


class StepProgressBar(RichProgressBar):
    """Lightning's rich progress bar, telling the optimiser step as well: a fit here ends at a step, not at an epoch."""

    def _get_train_description(self, current_epoch: int) -> str:
        max_steps = self.trainer.max_steps
        steps = f"{self.trainer.global_step}/{max_steps}" if max_steps > 0 else f"{self.trainer.global_step}"
        return f"Epoch {current_epoch}, from step {steps}"
