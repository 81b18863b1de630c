"""Checkpoints that survive a crash or a power cut while the next one is written."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from media.files import atomic_path


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name, waits until it is on the disk, and renames it.

    Lightning's own renames too, but does not wait, so that the file may be empty after a power cut.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Raises OSError if the file cannot be written; earlier checkpoints are untouched."""
        try:
            with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            if os.name == "posix":  # the new name is durable only with its folder; Windows needs no such step
                descriptor = os.open(Path(path).parent, os.O_RDONLY)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)
        except (OSError, RuntimeError) as error:
            raise OSError(
                f"The checkpoint {path} could not be written: {error}. The checkpoints before it are untouched. "
                "Make room on the disk and run the same command again."
            ) from error
