"""The work of an evaluation in small pieces: a data module makes the jobs, `Evaluation` works on them."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass  # not frozen: Lightning moves batches to the device field by field
class SoundJob:
    """Some sounds of one class for one row of the table.

    Attributes:
        row: `known`, `reference` and `training` are only listened to; all but the first two are rows of the table.
        label: number of the class.
        numbers: numbers of the sounds, in their row and class.
        groups: the recording that each is cut from; a generated sound has a name of its own.
        source: changes if the real sounds behind this row and class change.
        waveform: float32 (batch, window_samples), the real sounds; None if everything is generated.
    """

    row: str
    label: int
    numbers: list[int]
    groups: list[str]
    source: str
    waveform: Tensor | None

    @property
    def real(self) -> Tensor:
        """The real sounds on the CPU, of a row that has them."""
        assert self.waveform is not None
        return self.waveform.cpu()


@dataclass  # not frozen: Lightning moves batches to the device field by field
class FigureJob:
    """A batch of held-out data on which models are measured alone.

    Attributes:
        kind: `sounds` or `photos`.
        batch: as the data modules of the models give it.
    """

    kind: str
    batch: dict[str, Any]
