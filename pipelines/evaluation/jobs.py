"""The jobs of an evaluation, made by a data module for `Evaluation`."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass  # not frozen: Lightning moves batches to the device field by field
class SoundJob:
    """Some sounds of one class for one row of the table.

    Attributes:
        row: row of the table; `known` and `reference` are real sounds for comparison.
        label: number of the class.
        numbers: numbers of the sounds in their row and class.
        groups: name of the recording of each sound; unique for a generated sound.
        source: digest of the real sounds behind this row and class.
        waveform: sounds that exist already, float32 (batch, window_samples); None if everything is generated.
    """

    row: str
    label: int
    numbers: list[int]
    groups: list[str]
    source: str
    waveform: Tensor | None

    @property
    def real(self) -> Tensor:
        """The waveforms of a row of real sounds, on the CPU."""
        assert self.waveform is not None
        return self.waveform.cpu()


@dataclass  # not frozen: Lightning moves batches to the device field by field
class FigureJob:
    """A batch of held-out data for the figures of the models.

    Attributes:
        kind: `sounds` or `photos`.
        batch: batch of a data module of the models.
    """

    kind: str
    batch: dict[str, Any]
