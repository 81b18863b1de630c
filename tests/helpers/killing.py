"""Real processes that fit a tiny system and are killed at a chosen moment."""

import csv
import io
import multiprocessing
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

TINY = Path(__file__).parents[1] / "tiny"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["cli", "tests.helpers.killing"])
TIMED = {"train/samples_per_second", "train/memory_gib"}  # figures of the machine, not of the training
FIT_OPTIONS = {
    "vqvae": ["--trainer.max_steps", "9", "--trainer.val_check_interval", "8"],
    "top": ["--trainer.max_steps", "9", "--trainer.val_check_interval", "8"],
    "bottom": ["--trainer.max_steps", "9", "--trainer.val_check_interval", "8"],
    "classifier": ["--trainer.max_steps", "5", "--trainer.val_check_interval", "4"],
}


@dataclass(frozen=True)
class Kill:
    """A signal at the `number`-th time (from 1) that the process comes to `moment`.

    Moments: `start`, `step` (in the middle of a training step), `validation` (of a validation step), `write` (half of
    a checkpoint is on the disk), `rename` (the new checkpoint is written and the old one moved away).
    """

    moment: str
    number: int = 1
    signal: int = signal.SIGKILL
    times: int = 1
    is_for_group: bool = False  # data workers get it, too


def fit_args(folder: Path, system: str, *options: str) -> list[str]:
    """Accumulation, a checkpoint every second step, figures of every step as CSV."""
    csv_logger = ["--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "csv"]
    return [
        *("fit", "--config", f"{system}.yaml", "--config", str(TINY / f"{system}.yaml")),
        *(*csv_logger, "--trainer.logger.name", system, "--trainer.logger.flush_logs_every_n_steps", "1"),
        *("--trainer.accumulate_grad_batches", "2", "--session.every_steps", "2", "--media.every_n_validations", "0"),
        *("--trainer.enable_progress_bar", "false", "--trainer.enable_model_summary", "false"),
        *(*FIT_OPTIONS[system], *options),
    ]


def start(
    folder: Path, args: list[str], kill: Kill | None = None, file_limit_bytes: int | None = None
) -> multiprocessing.Process:
    """`python cli.py <args>` in `folder`; what it prints goes to `folder/printed.txt`.

    With `file_limit_bytes` no file can become larger, as on a disk that is full.
    """
    process = CONTEXT.Process(target=_run, args=(str(folder), args, kill, file_limit_bytes))
    process.start()
    return process


def finish(process: multiprocessing.Process, timeout_s: float = 300) -> int:
    """The exit code, negative for a signal as in `subprocess`."""
    process.join(timeout_s)
    if process.exitcode is None:
        process.kill()
        raise TimeoutError(f"The process did not end in {timeout_s} s.")
    return process.exitcode


def _run(folder: str, args: list[str], kill: Kill | None, file_limit_bytes: int | None) -> None:
    os.chdir(folder)
    printed = os.open("printed.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(printed, 1)
    os.dup2(printed, 2)
    os.environ["WANDB_MODE"] = "offline"
    os.environ["WANDB_SILENT"] = "true"
    torch.set_num_threads(1)
    if file_limit_bytes is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_limit_bytes, file_limit_bytes))
    if kill is not None:
        arm(kill)
    import cli

    cli.main(args)


def arm(kill: Kill) -> None:
    from lightning_modules import System
    from runtime import checkpoint_io

    count = 0
    if kill.is_for_group:
        os.setpgid(0, 0)

    def die_if_due() -> None:
        nonlocal count
        count += 1
        if count == kill.number:
            for _ in range(kill.times):
                (os.killpg if kill.is_for_group else os.kill)(os.getpid(), kill.signal)

    def before(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def replacement(*args: Any, **kwargs: Any) -> Any:
            die_if_due()
            return original(*args, **kwargs)

        setattr(owner, name, replacement)

    if kill.moment == "start":
        before(System, "setup")
    elif kill.moment == "step":
        before(System, "log_training")
    elif kill.moment == "validation":
        before(System, "validation_step")
    elif kill.moment == "rename":
        before_rename = os.replace

        def replace(source: Any, target: Any) -> None:
            if Path(target).name == "last.ckpt":
                die_if_due()
            before_rename(source, target)

        os.replace = replace
    elif kill.moment == "write":
        save = torch.save

        def half(content: Any, file: Any) -> None:
            buffer = io.BytesIO()
            save(content, buffer)
            file.write(buffer.getvalue()[: buffer.tell() // 2])
            file.flush()
            die_if_due()
            file.seek(0)
            file.write(buffer.getvalue())

        checkpoint_io.torch.save = half
    else:
        raise ValueError(kill.moment)


def logged_figures(folder: Path, system: str) -> dict[tuple[str, str], set[str]]:
    """(figure, step) → the values that all sessions together have logged; one each, if they agree."""
    figures: dict[tuple[str, str], set[str]] = {}
    for path in sorted((folder / "csv" / system).glob("version_*/metrics.csv")):
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                for name, value in row.items():
                    if value and name not in TIMED | {"step", "epoch"}:
                        figures.setdefault((name, row["step"]), set()).add(value)
    return figures


def differences(one: Any, other: Any, name: str = "") -> list[str]:
    """Where two checkpoints differ; tensors are compared bit by bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = sorted(one.keys() | other.keys(), key=str)
        return [d for key in keys for d in differences(one.get(key), other.get(key), f"{name}.{key}")]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{name}.{i}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        is_equal = one.dtype == other.dtype and one.shape == other.shape and torch.equal(one, other)
        return [] if is_equal else [name]
    return [] if one == other else [f"{name}: {one!r} and {other!r}"]
