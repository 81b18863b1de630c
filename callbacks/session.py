"""A fit's session: checkpoints to resume from, and an end in good order when time is up or someone asks for it."""

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import WandbLogger

from runtime.private_api import count_resumed_epoch, is_accumulating, is_validation_due
from runtime.resuming import LAST, PREVIOUS, ResumePoint, changes
from runtime.session_time import SessionTime, as_hours
from runtime.tell import tell
from runtime.wandb_run import store_artifact

UPLOAD_EVERY_S = 3600
MIN_STEPS_TIMED = 2  # before that, nothing is said of the time left
TIME_IS_UP = -1


class SessionEnd(Exception):
    """A fit ends before its last step, with everything saved.

    Args:
        reason: for the user.
        exit_code: of the process; 0 if the end was planned.
        options: further options that the command needs to resume; name and value in turn.
        is_finished: there was nothing left to do.
    """

    def __init__(
        self, reason: str, exit_code: int = 0, options: tuple[str, ...] = (), is_finished: bool = False
    ) -> None:
        super().__init__(reason)
        self.exit_code = exit_code
        self.options = options
        self.is_finished = is_finished


def announce_resuming(point: ResumePoint, config: dict[str, Any], max_steps: int) -> None:
    """Prints the place that a fit resumes from, and the options that have changed since.

    Args:
        point: checkpoint that it resumes from.
        config: configuration of this fit, nested.
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
        other = "; to start from scratch with the changes, add --fresh" if changed else ""
        reason = f"This fit is finished: {point.path} has done {point.step} of {max_steps} steps{other}"
        raise SessionEnd(reason, options=("--trainer.max_steps", str(2 * max_steps)), is_finished=True)


class Session(Checkpoint):
    """Writes `last.ckpt`, keeps the one before as `previous.ckpt`, and ends a fit in time.

    Why not Lightning's `ModelCheckpoint` and `Timer`: a checkpoint from which a fit resumes exactly may only be taken
    between two steps of the optimiser and not while a validation is due. A session's time must start from zero after a
    resume. And an asked-for stop must neither validate nor be taken for a failure.

    Args:
        dirpath: folder of the checkpoints, that of the best one.
        every_minutes: a dead session costs at most so much, and the step or validation that it died in.
        every_steps: also after so many optimiser steps; null goes by the minutes only.
        hours: the fit ends before its session is so old; null means 11.5 on Kaggle, and no limit elsewhere. On Kaggle
            the session started with the machine, elsewhere with this process.
        reserve_minutes: kept free before the end, on top of the longest step, validation, writing and upload seen.
        artifacts: store the checkpoints as artifacts of the W&B run too, when the fit ends and hourly at a validation.
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
        self._step_began_at = self._validation_began_at = self._saved_at = self._uploaded_at = time.monotonic()
        self._saved_step = self._first_step = -1
        self._training_began_at = time.monotonic()

    def listen(self) -> None:
        """From now on Ctrl-C and SIGTERM end the fit in good order: at once before its first step, later after the
        step they come in. A second one quits."""
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
            tell(f"\nQuit at once; step {max(self._saved_step, 0)} is the last that is saved.")
            os._exit(128 + number)
        self._signal = number
        if not self._is_training:
            raise SessionEnd("Stopped before the first step", 128 + number)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        tell(f"\n{name}: this step is finished, then all is saved. A second one quits at once.")

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Removes what a process that died while writing has left behind."""
        if stage == "fit" and trainer.is_global_zero:
            for leftover in self.folder.glob(".*.partial.*"):
                leftover.unlink(missing_ok=True)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clocks, and takes SIGTERM back from Lightning, which would stop in the middle of a step."""
        if self._handlers:
            self.listen()
        self._is_training = True
        count_resumed_epoch(trainer)
        self._saved_at, self._saved_step, self._first_step = time.monotonic(), trainer.global_step, -1
        if trainer.is_global_zero:
            self.time.announce()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Ends the session if that was decided; the figures of the last step are logged by now."""
        if self._end is not None:
            raise self._end
        if batch_idx % trainer.accumulate_grad_batches == 0:
            self._step_began_at = time.monotonic()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Between two steps of the optimiser is the place to save and to stop, unless a validation comes first."""
        if is_accumulating(trainer) or is_validation_due(trainer):
            return
        self.time.note("step", self._step_began_at)
        step = trainer.global_step
        if self._first_step < 0:  # the first starts libraries and codebooks, and tells nothing of those to come
            self._first_step, self._training_began_at = step, time.monotonic()
        is_last = 0 < trainer.max_steps <= step
        is_due = time.monotonic() - self._saved_at >= self.every_s or is_last
        self._save_or_stop(trainer, is_due or bool(self.every_steps and step >= self._saved_step + self.every_steps))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The clock of a validation."""
        self._validation_began_at = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After a validation and after the best checkpoint was kept; not in the middle of an accumulation."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self.time.note("validation", self._validation_began_at)
        if not is_accumulating(trainer):
            self._save_or_stop(trainer, True)
            if time.monotonic() - self._uploaded_at >= UPLOAD_EVERY_S:
                self._upload(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A fit that ends by its epochs is saved too."""
        if trainer.global_step != self._saved_step:
            self._save(trainer)
        self._upload(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The fit is over."""
        self._is_training = False

    def _save_or_stop(self, trainer: Trainer, is_due: bool) -> None:
        stop = self._signal or (TIME_IS_UP if self.time.is_up else 0)
        is_due, stop = _agreed(trainer, is_due, stop)
        is_over = 0 < trainer.max_steps <= trainer.global_step
        if (is_due or stop) and trainer.global_step != self._saved_step:
            self._save(trainer)
        if stop and not is_over:
            self._upload(trainer)
            reason = f"Stopped at step {trainer.global_step}{_of(trainer)}{self._time_left(trainer)}"
            self._end = SessionEnd(reason, 0 if stop == TIME_IS_UP else 128 + stop)

    def _save(self, trainer: Trainer) -> None:
        if trainer.fast_dev_run:
            return
        began_at = time.monotonic()
        last = self.folder / LAST
        new = self.folder / f".{LAST}.partial.new"
        trainer.save_checkpoint(new, weights_only=False)
        if trainer.is_global_zero:
            if last.exists():
                os.replace(last, self.folder / PREVIOUS)
            os.replace(new, last)
        trainer.strategy.barrier("Session")
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        self.time.note("writing", began_at)

    def _upload(self, trainer: Trainer) -> None:
        for logger in trainer.loggers if self.artifacts and trainer.is_global_zero else ():
            if isinstance(logger, WandbLogger):
                began_at = time.monotonic()
                store_artifact(logger, self.folder, trainer.global_step)
                self._uploaded_at = time.monotonic()
                self.time.note("upload", began_at)

    def _time_left(self, trainer: Trainer) -> str:
        num_steps = trainer.global_step - self._first_step
        if trainer.max_steps < 0 or num_steps < MIN_STEPS_TIMED:
            return ""
        seconds = (time.monotonic() - self._training_began_at) / num_steps * (trainer.max_steps - trainer.global_step)
        return f"; about {as_hours(seconds)} are left"


def _of(trainer: Trainer) -> str:
    return f" of {trainer.max_steps} ({100 * trainer.global_step / trainer.max_steps:.0f} %)" * (trainer.max_steps > 0)


def _agreed(trainer: Trainer, is_due: bool, stop: int) -> tuple[bool, int]:
    """All processes do as any of them wants."""
    if trainer.world_size == 1:
        return is_due, stop
    wishes = torch.tensor([int(is_due), abs(stop), int(stop == TIME_IS_UP)], device=trainer.strategy.root_device)
    torch.distributed.all_reduce(wishes, torch.distributed.ReduceOp.MAX)
    is_due, number, is_time_up = wishes.tolist()
    return bool(is_due), number if number > 1 or not is_time_up else TIME_IS_UP
