"""Results of `predict`: each knows how it is stored and its row of the summary.

The classes are not frozen: Lightning moves what `Trainer.predict` returns to the CPU, field by field.
"""

from collections.abc import Iterator
from contextlib import contextmanager
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

FORESEEN = (ValueError, OSError, FFmpegError, SoundFileError)  # their messages say which fault a file has
FULL_MEMORY = (MemoryError, torch.OutOfMemoryError)  # it would be full for the next inputs as well


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


@contextmanager
def foreseen_errors() -> Iterator[None]:
    """Makes any error one of `FORESEEN`, so that it stays with its input: decoders may fail in every way.

    Raises:
        ValueError: for an error that nobody foresaw; the message names its kind.
    """
    try:
        yield
    except (*FORESEEN, *FULL_MEMORY):
        raise
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def in_one_line(error: Exception) -> str:
    """The reason why an input failed, for a table."""
    return " ".join(str(error).split())


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class FailedPrediction:
    """An input without a result.

    Attributes:
        path: path of the input.
        name: name that its outputs would have had.
        reason: the reason, one line.
    """

    path: Path
    name: str
    reason: str

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes nothing: the summary table tells the reason."""
        return {"status": "failed", "reason": self.reason}
