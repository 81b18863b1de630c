"""The page on which the results of an evaluation are read, seen and heard."""

import os
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np

from media.files import atomic_path
from media.report.pictures import spectrogram_uri


@dataclass(frozen=True)
class ShownSound:
    """A sound to be played.

    Args:
        name: below its player.
        path: of the file, relative to the page.
        spectrogram: (bins, frames) in [-1, 1].
    """

    name: str
    path: Path
    spectrogram: np.ndarray


@dataclass(frozen=True)
class Strip:
    """Sounds side by side, of one row of the table.

    Args:
        title, about: of the row.
        sounds: from left to right.
    """

    title: str
    about: str
    sounds: list[ShownSound]


@dataclass(frozen=True)
class EvaluationPage:
    """All that the page shows.

    Args:
        facts: what the results depend on, by name.
        header: headings of the table.
        blocks: of lines of cells, each a value and its interval in words, which may be empty.
        meanings: of the headings, and of the names of the rows.
        remarks: what a reader should know before believing the figures.
        models: for each model its figures.
        sounds: for each class a strip for each row.
    """

    facts: dict[str, str]
    header: list[str]
    blocks: list[list[list[tuple[str, str]]]]
    meanings: dict[str, str]
    remarks: list[str]
    models: dict[str, dict[str, str]]
    sounds: dict[str, list[Strip]]


def write_evaluation_page(page: EvaluationPage, path: Path) -> None:
    """Writes the page, complete or not at all. It needs no network; the sounds stay files beside it."""
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(fact)}</dd></div>" for name, fact in page.facts.items())
    meanings = "".join(
        f"<tr><th>{escape(name)}</th><td>{escape(text)}</td></tr>" for name, text in page.meanings.items()
    )
    remarks = "".join(f"<li>{escape(remark)}</li>" for remark in page.remarks)
    html = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Evaluation</title>
<link rel="icon" href="data:,">
<style>
{_beside("style.css")}{_beside("evaluation.css")}</style>
</head>
<body>
<section class="card"><h1>Evaluation</h1><dl class="facts">{facts}</dl></section>
<section class="card wide"><h2>Results, with 95 % intervals</h2>{_table(page)}</section>
{"".join(_sounds(name, strips) for name, strips in page.sounds.items())}
<section class="card"><h2>What the names mean</h2><table>{meanings}</table></section>
{f'<section class="card"><h2>Remarks</h2><ul>{remarks}</ul></section>' if remarks else ""}
<div class="tables">
{"".join(_model(name, figures) for name, figures in page.models.items())}</div>
<footer>Made by video2audio. This page needs no network, but the sounds beside it.</footer>
</body>
</html>
"""
    with atomic_path(path) as temporary:
        temporary.write_bytes(html.encode("utf-8", errors="replace"))


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _table(page: EvaluationPage) -> str:
    head = "".join(f"<th>{escape(heading)}</th>" for heading in page.header)
    return f'<table class="figures"><thead><tr>{head}</tr></thead>{"".join(map(_block, page.blocks))}</table>'


def _block(lines: list[list[tuple[str, str]]]) -> str:
    rows = []
    for (name, _), *cells in lines:
        values = "".join(f"<td>{escape(value)}<small>{escape(interval)}</small></td>" for value, interval in cells)
        rows.append(f"<tr><th>{escape(name)}</th>{values}</tr>")
    return f"<tbody>{''.join(rows)}</tbody>\n"


def _sounds(name: str, strips: list[Strip]) -> str:
    parts = []
    for strip in strips:
        players = "".join(_player(sound) for sound in strip.sounds)
        title = f"<h3>{escape(strip.title)}<small>{escape(strip.about)}</small></h3>"
        parts.append(f'{title}<div class="strip">{players}</div>\n')
    return f'<section class="card"><h2>{escape(name)}</h2>{"".join(parts)}</section>\n'


def _player(sound: ShownSound) -> str:
    link = "./" + quote(os.fsencode(sound.path.as_posix()))
    return (
        f'<figure><img src="{spectrogram_uri(sound.spectrogram)}" alt="spectrogram">'
        f'<audio controls preload="none" src="{link}"></audio><small>{escape(sound.name)}</small></figure>\n'
    )


def _model(name: str, figures: dict[str, str]) -> str:
    rows = "".join(f"<tr><th>{escape(figure)}</th><td>{escape(value)}</td></tr>" for figure, value in figures.items())
    return f'<section class="card"><h2>{escape(name)}</h2><table>{rows}</table></section>\n'
