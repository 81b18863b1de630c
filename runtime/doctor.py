"""`python cli.py doctor`: what this machine is, and how long each training takes on it; no data are needed."""

import argparse
import io
import logging
import math
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torch.utils.data import DataLoader

from runtime.device_check import check_card
from runtime.memory import GIB, find_shortage, free_memory_gib, measure_memory
from runtime.precision import choose_precision, find_device, name_fastest, time_precisions
from runtime.program import PROGRAM
from runtime.session_time import KAGGLE, KAGGLE_HOURS, as_hours
from runtime.systems import CONFIGS, fitted_systems, is_system

PACKAGES = ("torchvision", "torchaudio", "lightning", "wandb")


@dataclass
class Finding:
    """Findings about the training of one system: its configured batches of a step and steps (-1: no end), the memory
    of a step and its seconds (None: it does not fit), and a remark."""

    system: str
    batch_size: int
    num_accumulated: int
    max_steps: int
    need_gib: float | None = None
    step_s: float | None = None
    remark: str = ""

    @property
    def training_s(self) -> float | None:
        """Seconds of the whole training."""
        return None if self.step_s is None or self.max_steps < 0 else self.step_s * self.max_steps


class StepClock(Callback):
    """Times steps of a fit, and ends it.

    The first step is left out: it starts codebooks and libraries. If it alone takes longer than the time, its batches
    until then are timed.

    Args:
        max_steps: the most steps that are timed.
        max_seconds: time after which no further batch starts.
    """

    def __init__(self, max_steps: int, max_seconds: float) -> None:
        self.max_steps, self.max_seconds = max_steps, max_seconds
        self.step_s: float | None = None
        self.remark = ""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Starts the clock."""
        if batch_idx == 0:
            self._started_at = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts batches; their work on a GPU is waited for at the start and at the end only."""
        of_a_step = trainer.accumulate_grad_batches
        is_warm = batch_idx >= of_a_step
        num_batches = batch_idx + 1 - is_warm * of_a_step
        is_over = time.perf_counter() - self._started_at >= self.max_seconds
        is_over |= is_warm and num_batches == self.max_steps * of_a_step
        if (is_over or batch_idx + 1 == of_a_step) and pl_module.device.type != "cpu":
            torch.accelerator.synchronize(pl_module.device)
        if is_over:
            self.step_s = (time.perf_counter() - self._started_at) / num_batches * of_a_step
            self.remark = "" if is_warm else f"timed on its first step only, {num_batches} of {of_a_step} batches"
            trainer.should_stop = True
        elif batch_idx + 1 == of_a_step:
            self._started_at = time.perf_counter()


def main(args: list[str], build: Callable[[list[str]], Any], max_steps: int = 50, max_seconds: float = 20.0) -> int:
    """Prints the machine and a table of the trainings.

    Args:
        args: the arguments after `doctor`.
        build: makes model, datamodule and trainer from arguments, as `cli.main(…, run=False)` does.
        max_steps, max_seconds: see `StepClock`.

    Returns:
        The exit code: 0, or 1 if the card cannot be used at all.
    """
    parser = argparse.ArgumentParser(f"{PROGRAM} doctor", description=__doc__.partition(": ")[2])
    parser.add_argument(
        "--config",
        action="append",
        default=[],
        help="systems to look at, like vqvae.yaml, instead of all; and overlays for them, like demo.yaml, or a folder",
    )
    parser.add_argument("--hours", type=float, help=f"length of a session; on Kaggle {KAGGLE_HOURS}, else none")
    options = parser.parse_args(args)
    if options.hours is not None and options.hours <= 0:
        parser.error(f"--hours is {options.hours:g}, expected more than 0.")
    session_hours = options.hours or (KAGGLE_HOURS if KAGGLE in os.environ else None)
    console = Console(file=sys.stdout, markup=False, highlight=False, soft_wrap=True)
    for line in describe_machine():
        console.print(line)
    try:
        check_card()
    except ValueError as error:
        console.print(f"Error: {error}")
        return 1
    with _quiet():
        parts = {system: build(args) for system, args in _arguments(options.config).items()}
        for line in dict.fromkeys(_precision_line(part.trainer) for part in parts.values()):
            console.print(line)
        for line in _fastest_precisions(list(parts.values())):
            console.print(line)
        findings = []
        for system in list(parts):
            with console.status(f"{system}: measuring the memory of a step, then its time"):
                findings.append(examine(system, parts.pop(system), max_steps, max_seconds))
    console.print(_table(findings, session_hours))
    for finding in findings:
        if finding.remark:
            console.print(f"{finding.system}: {finding.remark.rstrip('.')}.")
    console.print("GiB: the tensors of a step. Loading of data, validation and pictures are not counted in the time.")
    return 0


def describe_machine() -> list[str]:
    """Processor, memory, GPUs and versions, one a line."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    lines = [f"CPU: {_cpu_name()}, {cores} cores"]
    lines.append(f"RAM: {psutil.virtual_memory().total / GIB:.1f} GiB")
    gpus = ["GPU: Apple's, which shares the RAM"] if torch.backends.mps.is_available() else []
    for number in range(torch.cuda.device_count()):
        free, total = (num_bytes / GIB for num_bytes in torch.cuda.mem_get_info(number))
        gpus.append(f"GPU: {torch.cuda.get_device_name(number)}, {total:.1f} GiB, {free:.1f} of them free")
    lines += gpus or ["GPU: none that torch can use"]
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    if (load := psutil.getloadavg()[0]) > cores / 4:
        lines.append(f"Other work runs here (load {load:.1f}): the times below come out too long.")
    return [*lines, f"Versions: Python {platform.python_version()}, torch {torch.__version__}, {versions}"]


def _cpu_name() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences Lightning, which says a lot at the start of each fit."""
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _arguments(configs: list[str]) -> dict[str, list[str]]:
    """Arguments that build each system that is asked for, by its name; a system that lacks an overlay is left out."""
    paths = {config: path if (path := Path(config)).is_file() else CONFIGS / config for config in configs}
    systems = {path.stem: path for path in paths.values() if is_system(path)}
    arguments = {}
    for name, path in (systems or {system.name: system.path for system in fitted_systems()}).items():
        overlays = [_overlay(config, path.name) for config, file in paths.items() if not is_system(file)]
        has_weights = "weights" in yaml.safe_load(path.read_text(encoding="utf-8"))["model"].get("init_args", {})
        found = [overlay for overlay in overlays if overlay is not None]
        if found == overlays:
            args = [word for config in (str(path), *found) for word in ("--config", config)]
            args += ["--model.weights", "null"] if has_weights else []  # nothing is downloaded
            arguments[name] = [*args, "--trainer.logger", "false"]
    return arguments


def _overlay(config: str, system: str) -> str | None:
    """The file of an overlay for a system; None if it has none for it."""
    for folder in (Path(config), CONFIGS / Path(config).stem):
        if folder.is_dir():
            return str(folder / system) if (folder / system).is_file() else None
    return config


def _precision_line(trainer: Trainer) -> str:
    device = find_device(trainer.strategy.root_device.type)
    return dict(choose_precision(asked, device) for asked in (trainer.precision, None))[trainer.precision]


def _fastest_precisions(parts: list[Any]) -> list[str]:
    kinds = dict.fromkeys(part.trainer.strategy.root_device.type for part in parts)
    lines = [name_fastest("A product of a fit", time_precisions(kind), "--trainer.precision") for kind in kinds]
    times_s = next((part.model.time_sampling() for part in parts if hasattr(part.model, "time_sampling")), None)
    if "cpu" in kinds and times_s:  # elsewhere the trainer's precision decides
        lines.append(name_fastest("A code of sampling", times_s, "--model.sampling.precision"))
    return lines


def examine(system: str, parts: Any, max_steps: int, max_seconds: float) -> Finding:
    """Measures memory and time of the training step of a system, given as the object of `cli.main(…, run=False)`."""
    model, data, trainer = parts.model, parts.datamodule, parts.trainer
    device = trainer.strategy.root_device
    finding = Finding(system, data.batch_size, trainer.accumulate_grad_batches, trainer.max_steps)
    try:
        need = measure_memory(model, device, trainer.precision_plugin)
        garbage_collection_cuda()
        finding.need_gib = need.gib(data.batch_size)
        if device.type == "cuda":
            card, free_gib = torch.cuda.get_device_name(device), free_memory_gib(device)
            finding.remark = find_shortage(need, data.batch_size, finding.num_accumulated, card, free_gib) or ""
        if not finding.remark:
            batch = model.example_batch(data.batch_size)
            clock = measure_step(model, batch, trainer, max_steps, max_seconds)
            finding.step_s, finding.remark = clock.step_s, clock.remark
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        finding.remark = "out of memory"
    garbage_collection_cuda()
    return finding


def measure_step(
    model: LightningModule, batch: dict[str, Any], trainer: Trainer, max_steps: int, max_seconds: float
) -> StepClock:
    """Trains on one batch again and again, by Lightning's own loop, with the precision, device, accumulation and
    clipping of `trainer`; for the bounds see `StepClock`."""
    clock = StepClock(max_steps, max_seconds)
    batches: Any = [batch] * ((1 + max_steps) * trainer.accumulate_grad_batches)  # a list is a data set, too
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
    with redirect_stdout(io.StringIO()):  # the remarks of a system on its fit are none on this one
        measuring.fit(model, DataLoader(batches, batch_size=None))
    return clock


def _table(findings: list[Finding], session_hours: float | None) -> Table:
    table = Table("system", box=SIMPLE, title="Training on this machine")
    sessions = [f"sessions of {session_hours:g} h"] if session_hours else []
    for column in ["batch", "GiB", "s a step", "steps", "training", *sessions]:
        table.add_column(column, justify="right")
    for finding in findings:
        training_s = finding.training_s
        cells = [
            finding.system,
            f"{finding.batch_size} × {finding.num_accumulated}",
            "–" if finding.need_gib is None else f"{finding.need_gib:.2f}",
            "does not fit" if finding.step_s is None else f"{finding.step_s:.3g}",
            str(finding.max_steps) if finding.max_steps >= 0 else "no end",
            "–" if training_s is None else as_hours(training_s),
        ]
        if session_hours:
            cells.append("–" if training_s is None else str(math.ceil(training_s / 3600 / session_hours)))
        table.add_row(*cells)
    return table
