"""Results of `predict`: each knows how it is stored and its row of the summary.

The classes are not frozen: Lightning moves what `Trainer.predict` returns to the CPU, field by field.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from av import FFmpegError
from soundfile import SoundFileError
from torch import Tensor

from media.files import atomic_path
from media.pictures import draw_grids, write_png
from media.sound.sound_files import write_wav


class Prediction(Protocol):
    """A result of `predict_step`. It may also have a `label` and `pictures`, which `overview.png` shows."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Stores the result below `folder` and returns its row of the summary table."""


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class MediaPrediction:
    """A generated or reconstructed thing: a sound, pictures, a grid of codes, or several of these.

    Attributes:
        name: name of the files, without suffix.
        label: class, or whatever else it was made from.
        waveform: (samples,) in [-1, 1].
        sample_rate_hz: samples of the waveform in a second.
        pictures: title and picture, see `draw_grids`: (bins, frames) in [-1, 1], or (3, height, width) in [0, 1].
        codes: (rows, columns) integers.
    """

    name: str
    label: str
    waveform: Tensor | None = None
    sample_rate_hz: int = 16000
    pictures: list[tuple[str, Tensor]] = field(default_factory=list)
    codes: Tensor | None = None

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes `<name>.wav`, `<name>.csv` (one line a row of the grid) and `<name>.png`, if it has them."""
        row = {"name": self.name, "class": self.label}
        if self.waveform is not None:
            row["sound"] = str(folder / f"{self.name}.wav")
            write_wav(Path(row["sound"]), self.waveform.cpu().float().numpy(), self.sample_rate_hz)
        if self.codes is not None:
            row["codes"] = str(folder / f"{self.name}.csv")
            with atomic_path(Path(row["codes"])) as temporary:
                np.savetxt(temporary, self.codes.cpu().numpy(), fmt="%d", delimiter=",")
        if self.pictures:
            row["picture"] = str(folder / f"{self.name}.png")
            write_png(Path(row["picture"]), draw_grids([[(title, grid.cpu()) for title, grid in self.pictures]]))
        return row


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class LabelPrediction:
    """A probability for each class of a photo."""

    path: str
    probabilities: dict[str, float]

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes nothing of its own: the summary table holds it all."""
        best = max(self.probabilities, key=self.probabilities.__getitem__)
        return {"photo": self.path, "class": best} | {name: f"{p:.4f}" for name, p in self.probabilities.items()}


def reason_of(error: Exception) -> str:
    """Why an input failed, in one line; a decoder may raise anything, and an odd error is named by its kind.

    Raises:
        MemoryError, torch.OutOfMemoryError: if it is the error, as the memory would be full for the next inputs too.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        raise error
    is_plain = isinstance(error, ValueError | OSError | FFmpegError | SoundFileError)
    return " ".join((str(error) if is_plain else f"{type(error).__name__}: {error}").split())


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class FailedInput:
    """An input without a result: it cannot be opened, is skipped, or its prediction failed.

    It is given to `predict_step` in place of an opened input, and is returned by it as a prediction.

    Attributes:
        path: path of the input.
        name: name that its outputs would have had.
        reason: the reason, one line.
    """

    path: Path
    name: str
    reason: str

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes nothing, as the summary table has the reason."""
        return {"status": "failed", "reason": self.reason}
