"""A fit's session: checkpoints to resume from, and an orderly end when time is up or on a signal."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint

from runtime.private_api import count_resumed_epoch, is_accumulating, is_validation_due
from runtime.resuming import LAST, PREVIOUS, ResumePoint, changes
from runtime.session_time import SessionTime, as_hours
from runtime.tell import tell
from runtime.wandb_run import store_artifact, wandb_loggers

UPLOAD_EVERY_S = 3600
MIN_STEPS_TIMED = 2  # for an estimate of the remaining time
TIME_IS_UP = -1


class SessionEnd(Exception):
    """A fit ends before its last step, with everything saved.

    Args:
        reason: message for the user, before the command to use next.
        exit_code: exit code of the process; 0 if the end was planned.
        options: names and values in turn that this command needs.
    """

    def __init__(self, reason: str, exit_code: int = 0, options: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.exit_code = exit_code
        self.options = options


def announce_resuming(point: ResumePoint, config: dict[str, Any], max_steps: int) -> None:
    """Prints the checkpoint that a fit resumes from, and the options that have changed since.

    Args:
        point: checkpoint that the fit resumes from.
        config: nested configuration of this fit.
        max_steps: optimiser steps of this fit; -1 for no end.

    Raises:
        SessionEnd: if the fit is finished.
    """
    is_finished = 0 < max_steps <= point.step
    changed = changes(point.config, config) if point.config else []
    if not is_finished:
        tell(f"Resuming from {point.path}: step {point.step}, epoch {point.epoch}.")
    for change in changed:
        tell(f"Changed since that {'fit' if is_finished else 'checkpoint'}: {change}")
    if is_finished:
        fresh = "; to start from scratch with the changes, add --fresh" if changed else ""
        reason = (
            f"This fit is finished: {point.path} has done {point.step} of {max_steps} steps{fresh}. To train longer:"
        )
        raise SessionEnd(reason, options=("--trainer.max_steps", str(2 * max_steps)))


class Session(Checkpoint):
    """Writes `last.ckpt`, keeps the one before as `previous.ckpt`, and ends a fit in time.

    With Lightning's `ModelCheckpoint` and `Timer` a fit would not resume exactly: a checkpoint must be taken between
    two optimiser steps with no validation due, time must start from zero in each session, and a requested stop must
    neither validate nor count as a failure.

    Args:
        dirpath: folder of the checkpoints.
        every_minutes: minutes between checkpoints; a crash loses at most these and the current step or validation.
        every_steps: optimiser steps between checkpoints, besides the minutes; null for the minutes only.
        hours: age of the session before which the fit ends; null means 11.5 on Kaggle and no limit elsewhere. The
            session starts with the machine on Kaggle, and with this process elsewhere.
        reserve_minutes: minutes kept free before the end, besides the longest step, validation, checkpoint and upload.
        artifacts: whether checkpoints are stored as W&B artifacts too, at the end and hourly after a validation.
    """

    def __init__(
        self,
        dirpath: str | None = None,
        every_minutes: float = 10.0,
        every_steps: int | None = None,
        hours: float | None = None,
        reserve_minutes: float = 5.0,
        artifacts: bool = False,
    ) -> None:
        self.folder = Path(dirpath or "checkpoints")
        self.every_s = 60 * every_minutes
        self.every_steps = every_steps
        self.time = SessionTime(hours, reserve_minutes)
        self.artifacts = artifacts
        self._signal = 0
        self._is_training = False
        self._end: SessionEnd | None = None
        self._handlers: dict[int, Any] = {}
        self._step_started_at = self._validation_started_at = self._saved_at = self._uploaded_at = time.monotonic()
        self._saved_step = self._first_step = -1
        self._training_started_at = time.monotonic()

    def listen(self) -> None:
        """Makes Ctrl-C and SIGTERM end the fit after the current step, or at once before the first; a second quits."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, self._on_signal)
                self._handlers.setdefault(number, before)

    def stop_listening(self) -> None:
        """Restores the previous signal handlers."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._signal:
            tell(f"\nQuit at once. The last saved step is {max(self._saved_step, 0)}.")
            os._exit(128 + number)
        self._signal = number
        if not self._is_training:
            raise SessionEnd("Stopped before the first step. Resume with:", 128 + number)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        tell(f"\n{name}: the fit stops after this step and saves everything. A second signal quits at once.")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Removes the partial files of a process that died while it wrote."""
        if stage == "fit" and trainer.is_global_zero:
            for leftover in self.folder.glob(".*.partial.*"):
                leftover.unlink(missing_ok=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clocks, and replaces Lightning's SIGTERM handler, which would stop in the middle of a step."""
        if self._handlers:
            self.listen()
        self._is_training = True
        count_resumed_epoch(trainer)
        self._saved_at, self._saved_step, self._first_step = time.monotonic(), trainer.global_step, -1
        if trainer.is_global_zero:
            self.time.announce()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Ends the session if that was decided, after the figures of the last step are logged."""
        if self._end is not None:
            raise self._end
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._step_started_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Saves or stops between two optimiser steps, unless a validation comes first."""
        if is_accumulating(trainer) or is_validation_due(trainer):
            return
        self.time.note("step", self._step_started_at)
        step = trainer.global_step
        if self._first_step < 0:  # it initialises libraries and codebooks, so it is not timed
            self._first_step, self._training_started_at = step, time.monotonic()
        is_last = 0 < trainer.max_steps <= step
        is_due = time.monotonic() - self._saved_at >= self.every_s or is_last
        self._save_or_stop(trainer, is_due or bool(self.every_steps and step >= self._saved_step + self.every_steps))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._validation_started_at = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves or stops after the best checkpoint is written, unless gradients are accumulating."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self.time.note("validation", self._validation_started_at)
        if not is_accumulating(trainer):
            self._save_or_stop(trainer, True)
            if time.monotonic() - self._uploaded_at >= UPLOAD_EVERY_S:
                self._upload(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Saves a fit that ends by its epochs, too."""
        if trainer.global_step != self._saved_step:
            self._save(trainer)
        self._upload(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        self._is_training = False

    def _save_or_stop(self, trainer: Trainer, is_due: bool) -> None:
        stop = self._signal or (TIME_IS_UP if self.time.is_up else 0)
        is_due, stop = _agree(trainer, is_due, stop)
        is_over = 0 < trainer.max_steps <= trainer.global_step
        if (is_due or stop) and trainer.global_step != self._saved_step:
            self._save(trainer)
        if stop and not is_over:
            self._upload(trainer)
            reason = f"Stopped at step {trainer.global_step}{self._describe_rest(trainer)}. Resume with:"
            self._end = SessionEnd(reason, 0 if stop == TIME_IS_UP else 128 + stop)

    def _save(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run:
            return
        started_at = time.monotonic()
        last = self.folder / LAST
        new = self.folder / f".{LAST}.partial.new"
        trainer.save_checkpoint(new, weights_only=False)
        if trainer.is_global_zero:
            if last.exists():
                os.replace(last, self.folder / PREVIOUS)
            os.replace(new, last)
        trainer.strategy.barrier("Session")
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        self.time.note("writing", started_at)

    def _upload(self, trainer: Trainer) -> None:
        for logger in wandb_loggers(trainer) if self.artifacts and trainer.is_global_zero else ():
            started_at = time.monotonic()
            store_artifact(logger, self.folder, trainer.global_step)
            self._uploaded_at = time.monotonic()
            self.time.note("upload", started_at)

    def _describe_rest(self, trainer: Trainer) -> str:
        step, max_steps = trainer.global_step, trainer.max_steps
        if max_steps < 0:
            return ""
        share = f" of {max_steps} ({100 * step / max_steps:.0f} %)"
        if (num_steps := step - self._first_step) < MIN_STEPS_TIMED:
            return share
        seconds = (time.monotonic() - self._training_started_at) / num_steps * (max_steps - step)
        return f"{share}; about {as_hours(seconds)} are left"


def _agree(trainer: Trainer, is_due: bool, stop: int) -> tuple[bool, int]:
    """Makes all processes save or stop if any of them does."""
    if trainer.world_size == 1:
        return is_due, stop
    wishes = torch.tensor([is_due, stop == TIME_IS_UP, max(stop, 0)], device=trainer.strategy.root_device)
    is_any_due, is_time_up, number = trainer.strategy.reduce(wishes, reduce_op="max").tolist()
    return bool(is_any_due), number or (TIME_IS_UP if is_time_up else 0)
