"""The page on which the results of an evaluation are read, seen and heard."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from media.report.rendering import write_page


@dataclass(frozen=True)
class ShownSound:
    """A sound to be played.

    Args:
        name: caption of the player.
        path: sound file, relative to the page.
        spectrogram: levels (bins, frames) in [-1, 1].
    """

    name: str
    path: Path
    spectrogram: np.ndarray


@dataclass(frozen=True)
class Strip:
    """Sounds side by side, of one row of the table.

    Args:
        title: name of the row.
        about: explanation of the row.
        sounds: sounds from left to right.
    """

    title: str
    about: str
    sounds: list[ShownSound]


@dataclass(frozen=True)
class EvaluationPage:
    """All that the page shows.

    Args:
        facts: settings that the results depend on, by name.
        header: headings of the table.
        blocks: blocks of lines of cells, each a value and its interval in words, which may be empty.
        meanings: meanings of the headings, and of the names of the rows.
        remarks: warnings to read before believing the figures.
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
    """Writes the page, complete or not at all. It needs no network, but the sounds beside it."""
    write_page("evaluation.html", path, page=page)
