"""The speed of a fit and its memory."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from runtime.memory import GIB, peak_process_bytes


class Throughput(Callback):
    """Logs samples per second, without validations, and peak memory.

    Lightning's `ThroughputMonitor` waits for the GPU after every batch, this one only when figures are logged.
    """

    def __init__(self) -> None:
        self._num_samples = 0
        self._seconds = 0.0
        self._started_at: float | None = None
        self._logged_step = 0

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if self._started_at is None:
            self._started_at = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts the batch, and logs every `trainer.log_every_n_steps` steps."""
        self._num_samples += len(batch["index"])
        is_due = trainer.log_every_n_steps and trainer.global_step % trainer.log_every_n_steps == 0
        if not is_due or trainer.global_step == self._logged_step:  # with accumulation a step has several batches
            return
        self._logged_step = trainer.global_step
        is_cuda = pl_module.device.type == "cuda"
        if is_cuda:
            torch.cuda.synchronize(pl_module.device)
        self._stop_clock()
        peak_bytes = torch.cuda.max_memory_allocated(pl_module.device) if is_cuda else peak_process_bytes()
        speed = self._num_samples / self._seconds
        pl_module.log_dict({"train/samples_per_second": speed, "train/memory_gib": peak_bytes / GIB})
        self._num_samples, self._seconds = 0, 0.0

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop_clock()

    def _stop_clock(self) -> None:
        if self._started_at is not None:
            self._seconds += time.perf_counter() - self._started_at
            self._started_at = None
