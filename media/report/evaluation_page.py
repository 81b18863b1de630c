"""The page with the figures and sounds of an evaluation."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from media.report.rendering import write_page


@dataclass(frozen=True)
class ShownSound:
    """A sound with a player."""

    name: str
    path: Path  # relative to the page
    spectrogram: np.ndarray  # levels (bins, frames) in [-1, 1]


@dataclass(frozen=True)
class Strip:
    """Sounds of one row of the table, side by side, with its title and an explanation."""

    title: str
    about: str
    sounds: list[ShownSound]


@dataclass(frozen=True)
class EvaluationPage:
    """All contents of the page."""

    facts: dict[str, str]  # settings on which the results depend, by name
    header: list[str]  # headings of the table
    blocks: list[list[list[tuple[str, str]]]]  # lines of cells: a value and its interval in words, which may be empty
    meanings: dict[str, str]  # of the headings and of the rows' names
    remarks: list[str]  # warnings about the figures
    models: dict[str, dict[str, str]]  # figures of each model
    sounds: dict[str, list[Strip]]  # strips of each class, one for each row


def write_evaluation_page(page: EvaluationPage, path: Path) -> None:
    """Writes the page, which needs no network but the sounds beside it; it is complete or absent."""
    write_page("evaluation.html", path, page=page)
