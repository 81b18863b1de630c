"""The progress of a fit, in a terminal or in a log file."""

import time
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console

from runtime.tell import tell

LINE_EVERY_S = 60.0


class StepProgressBar(RichProgressBar):
    """Lightning's rich progress bar with the optimiser step, since a fit ends at a step and not at an epoch.

    Without a terminal, where a bar appears only when it is full, it prints a line every minute and after validations.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._is_terminal = Console().is_terminal
        self._line_at = 0.0
        self._line_step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_train_start(trainer, pl_module)
        self._line_at, self._line_step = time.monotonic(), trainer.global_step

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *args: Any) -> None:
        super().on_train_batch_end(trainer, pl_module, *args)
        if self.progress is not None and self.train_progress_bar_id is not None:
            description = self._get_train_description(trainer.current_epoch)
            self.progress.update(self.train_progress_bar_id, description=description)
        seconds, num_steps = time.monotonic() - self._line_at, trainer.global_step - self._line_step
        if not self._is_terminal and seconds >= LINE_EVERY_S and num_steps:
            self._print(trainer, f"train/loss {_shown(trainer, 'train/loss')}, {seconds / num_steps:.3g} s a step")

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        super().on_validation_end(trainer, pl_module)
        if not self._is_terminal and trainer.state.fn == "fit":
            names = sorted(name for name in trainer.callback_metrics if name.startswith("val/"))
            self._print(trainer, ", ".join(f"{name} {_shown(trainer, name)}" for name in names))

    def _print(self, trainer: Trainer, figures: str) -> None:
        tell(f"{self._get_train_description(trainer.current_epoch)}: {figures}")
        self._line_at, self._line_step = time.monotonic(), trainer.global_step

    def _get_train_description(self, current_epoch: int) -> str:
        max_steps = self.trainer.max_steps
        steps = f"{self.trainer.global_step}/{max_steps}" if max_steps > 0 else f"{self.trainer.global_step}"
        return f"Epoch {current_epoch}, step {steps}"


def _shown(trainer: Trainer, name: str) -> str:
    value = trainer.callback_metrics.get(name)
    return "–" if value is None else f"{float(value):.4g}"
