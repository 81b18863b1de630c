"""`--trainer.devices 2 --trainer.strategy ddp` from the command line, with two processes on the CPU."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from tests.conftest import PROJECT, SYSTEMS, TINY

TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]


class KeepWeights(Callback):
    """Leaves the weights and buffers of each process at the end of a fit."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        torch.save(pl_module.state_dict(), f"weights_{trainer.global_rank}.pt")


class Terminate(Callback):
    """SIGTERM to the first process, in its third step."""

    def on_before_backward(self, trainer: Trainer, pl_module: LightningModule, loss: torch.Tensor) -> None:
        if trainer.is_global_zero and trainer.global_step == 2:
            os.kill(os.getpid(), signal.SIGTERM)


def fit(folder: Path, system: str, *options: str, exit_code: int = 0) -> str:
    command = [sys.executable, str(PROJECT / "cli.py"), "fit", "--config", f"{system}.yaml"]
    command += ["--config", str(TINY / f"{system}.yaml"), "--trainer.logger", "false"]
    command += ["--trainer.enable_progress_bar", "false", *options]
    environment = os.environ | {"PYTHONPATH": str(PROJECT), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == exit_code, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.slow
def test_a_stop_of_the_first_process_stops_both_in_good_order(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "data", tmp_path / "data")
    options = ["--trainer.callbacks+", "tests.test_two_devices.Terminate", "--trainer.max_steps", "50"]
    printed = fit(tmp_path, "vqvae", *TWO, *options, exit_code=143)
    assert printed.count("Stopped at step 3 of 50") == 1
    assert "last.ckpt: step 3," in fit(tmp_path, "vqvae", "--trainer.max_steps", "4")


def weights(folder: Path, rank: int) -> dict[str, Any]:
    return torch.load(folder / f"weights_{rank}.pt", weights_only=True)


@pytest.mark.slow  # half a minute each
@pytest.mark.parametrize("system", SYSTEMS)
def test_both_processes_end_with_the_same_weights_and_codebooks(chain: Path, tmp_path: Path, system: str) -> None:
    shutil.copytree(chain / "data", tmp_path / "data")
    shutil.copytree(chain / "checkpoints" / "vqvae", tmp_path / "other" / "vqvae")
    options = [*TWO, "--trainer.callbacks+", "tests.test_two_devices.KeepWeights"]
    if system in ("top", "bottom"):
        options += ["--data.vqvae", "other/vqvae/best.ckpt"]
    printed = fit(tmp_path, system, *options)
    assert "Starting from scratch" in printed
    first, second = weights(tmp_path, 0), weights(tmp_path, 1)
    running = {name for name in first if "running_" in name}  # of batch norms: each process sees its own photos
    assert all(torch.equal(first[name], second[name]) for name in first.keys() - running)
    assert (system == "classifier") == bool(running)


def test_from_one_device_to_two_and_back(chain: Path, tmp_path: Path) -> None:
    shutil.copytree(chain / "data", tmp_path / "data")
    for steps, devices in ((2, []), (4, TWO), (6, [])):
        printed = fit(tmp_path, "vqvae", "--trainer.max_steps", str(steps), *devices)
        assert steps == 2 or f"last.ckpt: step {steps - 2}" in printed
    last = torch.load(tmp_path / "checkpoints" / "vqvae" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 6
