"""A stand-in for the composite: the sound of a file is a copy of it. As a program it predicts with given devices."""

import errno
import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule

from callbacks import PredictionWriter
from datamodules import VideoDataModule
from pipelines.outputs import FailedInput
from tests.helpers.tiny import tiny_trainer


@dataclass
class Copied:
    """A prediction with several variants and a report."""

    path: Path
    name: str
    num_variants: int

    def save(self, folder: Path) -> dict[str, Any]:
        names = [self.name, *(f"{self.name}_v{number}" for number in range(2, self.num_variants + 1))]
        for name in names:
            (folder / f"{name}.wav").write_bytes(self.path.read_bytes())
            if "unsaveable" in self.name:
                raise OSError(errno.ENOSPC, "No space left on device")
            if "odd" in self.name:
                raise AttributeError("no codec")
        (folder / f"{self.name}.html").write_text(f'<audio src="{self.name}.wav">')
        return {"output": str(folder / f"{self.name}.wav"), "scenes": "0.0-1.0 s cat"}


class Copier(LightningModule):
    """Notes in `log` what it works on; some names make it fail in one way or another."""

    def __init__(self, log: Path, num_variants: int = 1, wait_s: float = 0.0) -> None:
        super().__init__()
        self.log_path, self.num_variants, self.wait_s = log, num_variants, wait_s

    def settings(self) -> dict[str, Any]:
        return {"num_variants": self.num_variants, "sizes": (1, 2)}

    def predict_step(self, clip: Any, batch_idx: int) -> list[Any]:
        if isinstance(clip, FailedInput):
            return [clip]
        with self.log_path.open("a", errors="surrogateescape") as log:
            log.write(f"{clip.name} {os.getpid()}\n")
        time.sleep(self.wait_s)
        if clip.name == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if clip.name == "stopped":
            raise KeyboardInterrupt
        if clip.name == "out of memory":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [Copied(clip.path, clip.name, self.num_variants)]


def copy(inputs: Any, output_dir: Path, overwrite: bool = False, trainer: Any = None, **options: Any) -> list[str]:
    """Predicts; gives the names that were worked on by this call and those before it."""
    log = Path(f"{output_dir}.log")
    trainer = {"callbacks": [PredictionWriter(str(output_dir), overwrite)]} | (trainer or {})
    data = VideoDataModule([str(path) for path in inputs] if isinstance(inputs, list) else str(inputs))
    try:
        tiny_trainer(**trainer).predict(Copier(log, **options), datamodule=data, return_predictions=False)
    finally:
        worked_on = (
            [line.rsplit(" ", 1)[0] for line in log.read_text(errors="surrogateescape").splitlines()]
            if log.exists()
            else []
        )
    return worked_on


if __name__ == "__main__":
    folder, output_dir, devices, wait_s = sys.argv[1:]
    strategy = {"devices": int(devices), "strategy": "ddp"} if int(devices) > 1 else {}
    try:
        copy(folder, Path(output_dir), trainer=strategy, wait_s=float(wait_s))
    except ValueError as error:
        sys.exit(f"Error: {error}")
