"""Results of `predict`, which store themselves and return their rows of the summary.

The dataclasses are not frozen, as Lightning moves predictions to the CPU field by field.
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
    """A result of `predict_step`. `overview.png` shows its `label` and `pictures` if it has them."""

    def save(self, folder: Path) -> dict[str, Any]:
        """Stores files below `folder`, and returns the row of the summary table.

        Of the row of an input, `output` is the main file, `remark` a note, and all other values are columns. If there
        is no result, `status` is "failed" and `reason` says why.
        """


NONE_OF_THESE = "none of these"


@dataclass
class MediaPrediction:
    """A generated or reconstructed sample: a sound, pictures, a grid of codes, or several of these.

    Attributes:
        name: name of the files, without suffix.
        label: class, or another condition that it was made from.
        waveform: (samples,) in [-1, 1].
        sample_rate_hz: sample rate of the waveform.
        pictures: titles and pictures: (bins, frames) in [-1, 1], or (3, height, width) in [0, 1].
        codes: (rows, columns) integers.
    """

    name: str
    label: str
    waveform: Tensor | None = None
    sample_rate_hz: int = 16000
    pictures: list[tuple[str, Tensor]] = field(default_factory=list)
    codes: Tensor | None = None

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes `<name>.wav`, `<name>.csv` with the grid of codes and `<name>.png`, as far as there are such parts."""
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


def split_batch(
    name: str,
    batch: dict[str, Any],
    classes: list[str],
    pictures: dict[str, Tensor],
    waveforms: Tensor | None = None,
    sample_rate_hz: int = 16000,
    codes: Tensor | None = None,
) -> list[MediaPrediction]:
    """A prediction for each sample of a batch, with the name `<name>_<class>_<index>`.

    Args:
        name: start of each name.
        batch: a batch with `index` and `label`.
        classes: names of the classes.
        pictures: titles and pictures (batch, 1, bins, frames).
        waveforms, sample_rate_hz, codes: see `MediaPrediction`, with a batch dimension.
    """
    labels = [classes[label] for label in batch["label"].tolist()]
    return [
        MediaPrediction(
            f"{name}_{label}_{index:04d}",
            label,
            None if waveforms is None else waveforms[i],
            sample_rate_hz,
            [(title, picture[i, 0]) for title, picture in pictures.items()],
            None if codes is None else codes[i],
        )
        for i, (index, label) in enumerate(zip(batch["index"].tolist(), labels, strict=True))
    ]


@dataclass
class LabelPrediction:
    """The probabilities of the classes of a photo.

    Attributes:
        path: path of the photo.
        probabilities: probability of each class.
        familiarity: similarity to the training photos in [-1, 1].
        threshold: familiarity below which it shows none of the classes; None if that is not measured.
    """

    path: str
    probabilities: dict[str, float]
    familiarity: float = 1.0
    threshold: float | None = None

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes nothing, as the row has everything."""
        best = max(self.probabilities, key=self.probabilities.__getitem__)
        row = {name: f"{p:.4f}" for name, p in self.probabilities.items()}
        if self.threshold is not None:
            best = best if self.familiarity >= self.threshold else NONE_OF_THESE
            row |= {"familiarity": f"{self.familiarity:.4f}"}
        return {"photo": self.path, "class": best} | row


def reason_of(error: Exception) -> str:
    """One line on why an input failed; an error of an unexpected kind is named by its kind.

    Raises:
        MemoryError, torch.OutOfMemoryError: if that is the error, as memory would be too small for the next inputs too.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        raise error
    is_plain = isinstance(error, ValueError | OSError | FFmpegError | SoundFileError)
    return " ".join((str(error) if is_plain else f"{type(error).__name__}: {error}").split())


@dataclass
class FailedInput:
    """An input without a result: it cannot be opened, is skipped, or its prediction failed.

    It is given to `predict_step` in place of an opened input, and is returned by it as a prediction.

    Attributes:
        path: path of the input.
        name: name that its outputs would have.
        reason: the reason, in one line.
    """

    path: Path
    name: str
    reason: str

    def save(self, folder: Path) -> dict[str, Any]:
        """Writes nothing, as the row has the reason."""
        return {"status": "failed", "reason": self.reason}
