"""What `predict` gives: each result knows how it is stored and what stands about it in the summary.

The classes are not frozen: Lightning moves what `Trainer.predict` returns to the CPU, field by field.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from media.pictures import draw_grids, write_png
from media.sound.sound_files import write_wav


class Prediction(Protocol):
    """A result of `predict_step`."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Store the result below `folder`; gives its row of the summary table."""


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class SoundPrediction:
    """A generated or reconstructed sound, with its spectrogram beside the one it was made from.

    Attributes:
        name: of the files, without suffix.
        waveform: (samples,) in [-1, 1].
        pictures: title and (bins, frames) in [-1, 1] of each spectrogram to be shown.
    """

    name: str
    label: str
    waveform: Tensor
    sample_rate_hz: int
    pictures: list[tuple[str, Tensor]] = field(default_factory=list)

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes `<name>.wav` and `<name>.png`."""
        sound, picture = folder / f"{self.name}.wav", folder / f"{self.name}.png"
        write_wav(sound, self.waveform.cpu().float().numpy(), self.sample_rate_hz)
        write_png(picture, draw_grids([[(title, grid.cpu()) for title, grid in self.pictures]]))
        return {"name": self.name, "class": self.label, "sound": str(sound), "picture": str(picture)}


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class CodesPrediction:
    """Sampled top codes, as a grid of numbers and as a picture of their coarse sound.

    Attributes:
        top_codes: (rows, columns) integers.
        pictures: title and (bins, frames) in [-1, 1].
    """

    name: str
    label: str
    top_codes: Tensor
    pictures: list[tuple[str, Tensor]]

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes `<name>.csv` (one line a row of the grid) and `<name>.png`."""
        codes, picture = folder / f"{self.name}.csv", folder / f"{self.name}.png"
        folder.mkdir(parents=True, exist_ok=True)
        temporary = codes.with_name(f".{codes.name}.tmp")
        np.savetxt(temporary, self.top_codes.cpu().numpy(), fmt="%d", delimiter=",")
        temporary.replace(codes)
        write_png(picture, draw_grids([[(title, grid.cpu()) for title, grid in self.pictures]]))
        return {"name": self.name, "class": self.label, "codes": str(codes), "picture": str(picture)}


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class LabelPrediction:
    """What is seen in a photo: a probability for each class."""

    path: str
    probabilities: dict[str, float]

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes nothing of its own: the summary table holds it all."""
        best = max(self.probabilities, key=self.probabilities.__getitem__)
        return {"photo": self.path, "class": best} | {name: f"{p:.4f}" for name, p in self.probabilities.items()}


@dataclass  # not frozen: Lightning moves predictions to the CPU field by field
class FailedPrediction:
    """An input that no sound could be made for.

    Attributes:
        path: of the input.
        name: its outputs would have had.
        reason: one line.
    """

    path: Path
    name: str
    reason: str

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes nothing: the summary table tells the reason."""
        return {"status": "failed", "reason": self.reason}
