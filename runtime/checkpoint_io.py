"""Writing checkpoints so that a fit which dies while it writes leaves the ones before."""

import os
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io import TorchCheckpointIO

from media.files import atomic_path


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint under a temporary name, waits until it is on the disk, and renames it.

    Why not Lightning's own: it renames too, but does not wait, and after a power cut the name may stand for nothing.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Raises OSError if the disk is full or cannot be written; the files from before are untouched."""
        try:
            with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            _sync_folder(Path(path).parent)
        except (OSError, RuntimeError) as error:
            raise OSError(
                f"The checkpoint {path} could not be written: {error}. The checkpoints before it are untouched. "
                "Make room on the disk, and give the same command again."
            ) from error


def _sync_folder(folder: Path) -> None:
    """Makes a renaming last; Windows neither can nor needs to."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
