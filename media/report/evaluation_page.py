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
    """All contents of the page.

    Args:
        facts: settings on which the results depend, by name.
        header: headings of the table.
        blocks: blocks of lines of cells, each a value and its interval in words, which may be empty.
        meanings: meanings of the headings and of the rows' names.
        remarks: warnings about the figures.
        models: figures of each model.
        sounds: strips of each class, one for each row.
    """

    facts: dict[str, str]
    header: list[str]
    blocks: list[list[list[tuple[str, str]]]]
    meanings: dict[str, str]
    remarks: list[str]
    models: dict[str, dict[str, str]]
    sounds: dict[str, list[Strip]]


def write_evaluation_page(page: EvaluationPage, path: Path) -> None:
    """Writes the page, which needs no network but the sounds beside it; it is complete or absent."""
    write_page("evaluation.html", path, page=page)
