"""`python cli.py doctor`: describes this machine and times the training of each system, without any data."""

import argparse
import logging
import math
import os
import platform
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch
import yaml
from lightning.pytorch.utilities.memory import garbage_collection_cuda, is_oom_error
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from runtime.device_check import check_card
from runtime.memory import GIB, find_shortage, free_memory_gib, measure_memory
from runtime.precision import choose_precision, find_device, name_fastest, time_precisions
from runtime.program import PROGRAM
from runtime.session_time import KAGGLE, KAGGLE_HOURS, as_hours
from runtime.step_clock import measure_step
from runtime.systems import CONFIGS, fitted_systems, is_system

PACKAGES = ("torchvision", "torchaudio", "lightning", "wandb")


@dataclass
class Finding:
    """Memory and time of one system's training step; `max_steps` is -1 for no end, `step_s` None if it does not fit."""

    system: str
    batch_size: int
    num_accumulated: int
    max_steps: int
    need_gib: float | None = None
    step_s: float | None = None
    remark: str = ""

    @property
    def training_s(self) -> float | None:
        return None if self.step_s is None or self.max_steps < 0 else self.step_s * self.max_steps


def main(args: list[str], build: Callable[[list[str]], Any], max_steps: int = 50, max_seconds: float = 20.0) -> int:
    """Prints a description of the machine and a table of the trainings; returns 1 if the card cannot be used, else 0.

    Args:
        args: arguments after `doctor`.
        build: function that makes model, datamodule and trainer from arguments, like `cli.main(…, run=False)`.
        max_steps, max_seconds: see `StepClock`.
    """
    parser = argparse.ArgumentParser(f"{PROGRAM} doctor", description=__doc__.partition(": ")[2])
    configs = "systems such as vqvae.yaml, instead of all, and overlays for them such as demo.yaml, or a folder"
    parser.add_argument("--config", action="append", default=[], help=configs)
    parser.add_argument("--hours", type=float, help=f"length of a session; {KAGGLE_HOURS} on Kaggle, otherwise none")
    options = parser.parse_args(args)
    if options.hours is not None and options.hours <= 0:
        parser.error(f"--hours is {options.hours:g}, expected more than 0.")
    session_hours = options.hours or (KAGGLE_HOURS if KAGGLE in os.environ else None)
    console = Console(file=sys.stdout, markup=False, highlight=False, soft_wrap=True)
    console.print(*describe_machine(), sep="\n")
    try:
        check_card()
    except ValueError as error:
        console.print(f"Error: {error}")
        return 1
    with _quiet():
        parts = {system: build(args) for system, args in _arguments(options.config).items()}
        precisions = dict.fromkeys(map(_precision_line, parts.values()))
        console.print(*precisions, *_fastest_precisions([*parts.values()]), sep="\n")
        findings = []
        for system in list(parts):
            with console.status(f"{system}: measuring the memory of a step, then its time"):
                findings.append(examine(system, parts.pop(system), max_steps, max_seconds))
    console.print(_table(findings, session_hours))
    for finding in findings:
        if finding.remark:
            console.print(f"{finding.system}: {finding.remark.rstrip('.')}.")
    console.print("GiB: tensors of a step. The times exclude data loading, validation and pictures.")
    return 0


def describe_machine() -> list[str]:
    """Describes processor, memory, GPUs and versions, in a line each."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    lines = [f"CPU: {_cpu_name()}, {cores} cores", f"RAM: {psutil.virtual_memory().total / GIB:.1f} GiB"]
    gpus = ["GPU: Apple's, which shares the RAM"] if torch.backends.mps.is_available() else []
    for number in range(torch.cuda.device_count()):
        free, total = (num_bytes / GIB for num_bytes in torch.cuda.mem_get_info(number))
        gpus.append(f"GPU: {torch.cuda.get_device_name(number)}, {total:.1f} GiB, {free:.1f} of them free")
    lines += gpus or ["GPU: none that torch can use"]
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    if (load := psutil.getloadavg()[0]) > cores / 4:
        lines.append(f"Other programs are running (load {load:.1f}), so the times below are too long.")
    return [*lines, f"Versions: Python {platform.python_version()}, torch {torch.__version__}, {versions}"]


def _cpu_name() -> str:
    with suppress(OSError, StopIteration):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return platform.processor() or platform.machine()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silences the messages of Lightning at the start of each fit."""
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)


def _arguments(configs: list[str]) -> dict[str, list[str]]:
    """Arguments that build each requested system, by its name; a system that lacks an overlay is left out."""
    paths = {config: path if (path := Path(config)).is_file() else CONFIGS / config for config in configs}
    systems = {path.stem: path for path in paths.values() if is_system(path)}
    arguments = {}
    for name, path in (systems or {path.stem: path for path in fitted_systems()}).items():
        overlays = [_overlay(config, path.name) for config, file in paths.items() if not is_system(file)]
        has_weights = "weights" in yaml.safe_load(path.read_text(encoding="utf-8"))["model"].get("init_args", {})
        found = [overlay for overlay in overlays if overlay is not None]
        if found == overlays:
            args = [word for config in (str(path), *found) for word in ("--config", config)]
            args += ["--model.weights", "null"] if has_weights else []  # nothing is downloaded
            arguments[name] = [*args, "--trainer.logger", "false"]
    return arguments


def _overlay(config: str, system: str) -> str | None:
    """Finds the file of an overlay for a system; None if there is none."""
    for folder in (Path(config), CONFIGS / Path(config).stem):
        if folder.is_dir():
            return str(folder / system) if (folder / system).is_file() else None
    return config


def _precision_line(parts: Any) -> str:
    precision, device = parts.trainer.precision, find_device(parts.trainer.strategy.root_device.type)
    return dict(choose_precision(asked, device) for asked in (precision, None))[precision]


def _fastest_precisions(parts: list[Any]) -> list[str]:
    kinds = dict.fromkeys(part.trainer.strategy.root_device.type for part in parts)
    lines = [name_fastest("A product of a fit", time_precisions(kind), "--trainer.precision") for kind in kinds]
    times_s = next((part.model.time_sampling() for part in parts if hasattr(part.model, "time_sampling")), None)
    if "cpu" in kinds and times_s:  # elsewhere the trainer's precision decides
        lines.append(name_fastest("A code of sampling", times_s, "--model.sampling.precision"))
    return lines


def examine(system: str, parts: Any, max_steps: int, max_seconds: float) -> Finding:
    """Measures memory and time of a system's training step, given its model, datamodule and trainer."""
    model, data, trainer = parts.model, parts.datamodule, parts.trainer
    device = trainer.strategy.root_device
    finding = Finding(system, data.batch_size, trainer.accumulate_grad_batches, trainer.max_steps)
    try:
        need = measure_memory(model, device, trainer.precision_plugin)
        finding.need_gib = need.gib(data.batch_size)
        if device.type == "cuda":
            card = torch.cuda.get_device_name(device)
            shortage = find_shortage(need, data.batch_size, finding.num_accumulated, card, free_memory_gib(device))
            finding.remark = shortage or ""
        if not finding.remark:
            clock = measure_step(model, model.example_batch(data.batch_size), trainer, max_steps, max_seconds)
            finding.step_s, finding.remark = clock.step_s, clock.remark
    except RuntimeError as error:
        if not is_oom_error(error):
            raise
        finding.remark = "out of memory"
    garbage_collection_cuda()
    return finding


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
