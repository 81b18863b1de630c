"""A fit's session: checkpoints to go on from, and an end in good order when time is up or someone asks for it."""

import os
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.loggers import WandbLogger

from callbacks.wandb_run import store_artifact
from lightning_modules.resuming import LAST, PREVIOUS

KAGGLE = "KAGGLE_KERNEL_RUN_TYPE"
KAGGLE_HOURS = 11.5  # of the 12 that Kaggle gives
UPLOAD_EVERY_S = 3600
TIME_IS_UP = -1


class SessionEnd(Exception):
    """A fit ends before its last step, with everything saved.

    Args:
        reason: for the user.
        exit_code: of the process; 0 where the end was planned.
        options: what the command needs besides, to go on.
    """

    def __init__(self, reason: str, exit_code: int = 0, options: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.exit_code = exit_code
        self.options = options


class Session(Checkpoint):
    """Writes `last.ckpt`, keeps the one before as `previous.ckpt`, and ends a fit in time.

    Why not Lightning's `ModelCheckpoint` and `Timer`: a checkpoint from which a fit goes on exactly may only be taken
    between two steps of the optimiser and not while a validation is due; a session's time must begin anew after a
    resume; and an asked-for stop must neither validate nor be taken for a failure.

    Args:
        dirpath: folder of the checkpoints, that of the best one.
        every_minutes: a dead session costs at most so much, and the step or validation that it died in.
        every_steps: also after so many optimiser steps; null goes by the minutes only.
        hours: the fit ends before its session is so old; null means 11.5 on Kaggle, and no limit elsewhere. On Kaggle
            the session began when the machine started, elsewhere with this process.
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
        self.is_on_kaggle = KAGGLE in os.environ
        if hours is not None and 60 * hours <= reserve_minutes:
            raise ValueError(
                f"A session of {hours} hours is over before its reserve of {reserve_minutes} minutes begins."
            )
        self.hours = KAGGLE_HOURS if hours is None and self.is_on_kaggle else hours
        self.reserve_s = 60 * reserve_minutes
        self.artifacts = artifacts
        self.clock = time.monotonic
        self._age_at_start_s = _machine_age_s() if self.is_on_kaggle else 0.0
        self._born_at = self.clock()
        self._signal = 0
        self._is_training = False
        self._end: SessionEnd | None = None
        self._handlers: dict[int, Any] = {}
        self._longest_s = {"step": 0.0, "validation": 0.0, "writing": 0.0, "upload": 0.0}
        self._step_began_at = self._validation_began_at = self._saved_at = self._uploaded_at = self._born_at
        self._saved_step = self._first_step = -1
        self._training_began_at = self._born_at

    def listen(self) -> None:
        """From now on Ctrl-C and SIGTERM end the fit in good order: at once before its first step, later after the
        step they come in. A second one quits."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                before = signal.signal(number, self._on_signal)
                self._handlers.setdefault(number, before)

    def stop_listening(self) -> None:
        """Gives the signals back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._signal:
            os._exit(128 + number)
        self._signal = number
        if not self._is_training:
            raise SessionEnd("Stopped before the first step", 128 + number)
        name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
        print(f"\n{name}: this step is finished, then all is saved. A second one quits at once.", flush=True)

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
        self._training_began_at = self._saved_at = self.clock()
        self._saved_step = self._first_step = trainer.global_step
        if self.hours is not None and trainer.is_global_zero:
            where = " (Kaggle's limit is 12)" if self.is_on_kaggle else ""
            left_h = self.hours - self.age_s / 3600
            print(f"This session ends before it is {self.hours:g} hours old{where}; {left_h:.2f} h are left.")

    @property
    def age_s(self) -> float:
        """How old the session is."""
        return self._age_at_start_s + self.clock() - self._born_at

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Ends the session where that was decided, the figures of the last step being logged by now."""
        if self._end is not None:
            raise self._end
        self._step_began_at = self.clock()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Between two steps of the optimiser is the place to save and to stop, unless a validation comes first."""
        batches = trainer.accumulate_grad_batches
        self._note("step", batches * (self.clock() - self._step_began_at))
        loop = trainer.fit_loop.epoch_loop
        if loop._should_accumulate() or loop._should_check_val_fx(trainer.fit_loop._data_fetcher):
            return
        step = trainer.global_step
        is_last = 0 < trainer.max_steps <= step
        is_due = self.clock() - self._saved_at >= self.every_s or is_last
        self._save_or_stop(trainer, is_due or bool(self.every_steps and step >= self._saved_step + self.every_steps))

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The clock of a validation."""
        self._validation_began_at = self.clock()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """After a validation and after the best checkpoint was kept; not in the middle of an accumulation."""
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        self._note("validation", self.clock() - self._validation_began_at)
        if not trainer.fit_loop.epoch_loop._should_accumulate():
            self._save_or_stop(trainer, True)
            if self.clock() - self._uploaded_at >= UPLOAD_EVERY_S:
                self._upload(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A fit that ends by its epochs is saved too."""
        if trainer.global_step != self._saved_step:
            self._save(trainer)
        self._upload(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """The fit is over."""
        self._is_training = False

    def _note(self, what: str, duration_s: float) -> None:
        self._longest_s[what] = max(self._longest_s[what], duration_s)

    def _save_or_stop(self, trainer: Trainer, is_due: bool) -> None:
        stop = self._signal
        if self.hours is not None and self.age_s + self.reserve_s + sum(self._longest_s.values()) > 3600 * self.hours:
            stop = stop or TIME_IS_UP
        is_due, stop = _agreed(trainer, is_due, stop)
        is_over = 0 < trainer.max_steps <= trainer.global_step
        if (is_due or stop) and trainer.global_step != self._saved_step:
            self._save(trainer)
        if stop and not is_over:
            self._upload(trainer)
            reason = f"Stopped at step {trainer.global_step}{_of(trainer)}{self._time_left(trainer)}"
            self._end = SessionEnd(reason, 0 if stop == TIME_IS_UP else 128 + stop)

    def _save(self, trainer: Trainer) -> None:
        began_at = self.clock()
        last = self.folder / LAST
        new = self.folder / f".{LAST}.partial.new"
        trainer.save_checkpoint(new, weights_only=False)
        if trainer.is_global_zero:
            if last.exists():
                os.replace(last, self.folder / PREVIOUS)
            os.replace(new, last)
        trainer.strategy.barrier("Session")
        self._saved_step, self._saved_at = trainer.global_step, self.clock()
        self._note("writing", self._saved_at - began_at)

    def _upload(self, trainer: Trainer) -> None:
        for logger in trainer.loggers if self.artifacts and trainer.is_global_zero else ():
            if isinstance(logger, WandbLogger):
                began_at = self.clock()
                store_artifact(logger, self.folder, trainer.global_step)
                self._uploaded_at = self.clock()
                self._note("upload", self._uploaded_at - began_at)

    def _time_left(self, trainer: Trainer) -> str:
        num_steps = trainer.global_step - self._first_step
        if trainer.max_steps < 0 or num_steps == 0:
            return ""
        seconds = (self.clock() - self._training_began_at) / num_steps * (trainer.max_steps - trainer.global_step)
        return f"; about {as_hours(seconds)} are left"


def as_hours(seconds: float) -> str:
    """`3 h 05 min`, `12 min`, `40 s`."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def _of(trainer: Trainer) -> str:
    return f" of {trainer.max_steps} ({100 * trainer.global_step / trainer.max_steps:.0f} %)" * (trainer.max_steps > 0)


def _agreed(trainer: Trainer, is_due: bool, stop: int) -> tuple[bool, int]:
    """What any process wants, all do."""
    if trainer.world_size == 1:
        return is_due, stop
    wishes = torch.tensor([int(is_due), abs(stop), int(stop == TIME_IS_UP)], device=trainer.strategy.root_device)
    torch.distributed.all_reduce(wishes, torch.distributed.ReduceOp.MAX)
    is_due, number, is_time_up = wishes.tolist()
    return bool(is_due), number if number > 1 or not is_time_up else TIME_IS_UP


def _machine_age_s() -> float:
    """Since the container's first process began; 0 where that cannot be found out."""
    with suppress(OSError, ValueError, IndexError):
        began_ticks = int(Path("/proc/1/stat").read_text().rsplit(")", 1)[1].split()[19])
        uptime_s = float(Path("/proc/uptime").read_text().split()[0])
        return max(0.0, uptime_s - began_ticks / os.sysconf("SC_CLK_TCK"))
    return 0.0
