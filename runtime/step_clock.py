"""The time of a training step."""

import io
import time
from contextlib import redirect_stdout
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader


class StepClock(Callback):
    """Times steps of a fit, then ends it.

    The first step is not timed, since it initialises codebooks and libraries. If it alone exceeds `max_seconds`, its
    batches until then are timed.

    Args:
        max_steps: largest number of timed steps.
        max_seconds: time after which no further batch starts.
    """

    def __init__(self, max_steps: int, max_seconds: float) -> None:
        self.max_steps, self.max_seconds = max_steps, max_seconds
        self.step_s: float | None = None
        self.remark = ""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if batch_idx == 0:
            self._started_at = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts batches; waits for a GPU at the start and the end of the timing only."""
        num_accumulated = trainer.accumulate_grad_batches
        is_warm = batch_idx >= num_accumulated
        num_batches = batch_idx + 1 - is_warm * num_accumulated
        is_over = time.perf_counter() - self._started_at >= self.max_seconds
        is_over |= is_warm and num_batches == self.max_steps * num_accumulated
        if (is_over or batch_idx + 1 == num_accumulated) and pl_module.device.type != "cpu":
            torch.accelerator.synchronize(pl_module.device)
        if is_over:
            self.step_s = (time.perf_counter() - self._started_at) / num_batches * num_accumulated
            self.remark = "" if is_warm else f"timed on its first step only, {num_batches} of {num_accumulated} batches"
            trainer.should_stop = True
        elif batch_idx + 1 == num_accumulated:
            self._started_at = time.perf_counter()


def measure_step(
    model: LightningModule, batch: dict[str, Any], trainer: Trainer, max_steps: int, max_seconds: float
) -> StepClock:
    """Trains on one batch repeatedly, with the precision, device, accumulation and clipping of `trainer`."""
    clock = StepClock(max_steps, max_seconds)
    batches: Any = [batch] * ((1 + max_steps) * trainer.accumulate_grad_batches)  # a list is a data set
    measuring = Trainer(
        accelerator=trainer.strategy.root_device.type,
        devices=1,
        precision=trainer.precision,
        accumulate_grad_batches=trainer.accumulate_grad_batches,
        gradient_clip_val=trainer.gradient_clip_val,
        max_steps=1 + max_steps,
        callbacks=[clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    with redirect_stdout(io.StringIO()):  # a system comments on real fits only
        measuring.fit(model, DataLoader(batches, batch_size=None))
    return clock
