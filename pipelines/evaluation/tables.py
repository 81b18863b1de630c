"""The figures of an evaluation as tables and words."""

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipelines.evaluation.rows import MEASURED_ROWS

Cell = tuple[str, str]  # value and interval
NOTHING = "–"
ROW, CLASS = 0, 1  # columns
NARROW: dict[str, Any] = {"pad_edge": False, "padding": (0, 1, 0, 0)}
GAP = 2  # between two columns
FIGURES = {
    "fad": (
        "FAD ↓",
        "Fréchet distance of the embeddings to the first half of the real sounds. It grows as sounds get fewer, so "
        "compare rows with similar numbers of sounds.",
    ),
    "kad": (
        "KAD ↓",
        "kernel distance to the same sounds, without bias for few sounds. About 0, or below, is as good as real.",
    ),
    "forced_choice": ("own class ↑", "share of sounds whose own class has the highest score of the tagger."),
    "named": ("named ↑", "share of sounds in which the tagger detects their class."),
    "heard": ("heard ↑", "share of sounds in which the tagger detects their class or an animal."),
    "second_fad": ("FAD, 2nd ↓", "FAD in the embedding of the second listener."),
    "second_kad": ("KAD, 2nd ↓", "KAD in the embedding of the second listener."),
    "second_choice": (
        "own class, 2nd ↑",
        "share of sounds that the second listener gives their own class. It learns the classes from the real training "
        "sounds, and judges sounds of a training recording without it. Noise gets one of the classes, too.",
    ),
    "disagree": ("disagree", "share of sounds to which the tagger and the second listener give different classes."),
    "to_train_ratio": (
        "novelty",
        "distance to the nearest training sound, relative to that of the first half of the real sounds. 1 is as new as "
        "a fresh recording, far above 1 is unlike any real sound, and copies are near the row of copied sounds.",
    ),
    "spread_ratio": (
        "variety",
        "distance between two sounds, relative to that of real sounds. 0 is one repeated sound, 1 is as varied.",
    ),
    "log_spectral_distance_db": ("LSD ↓", "log-spectral distance in dB to the original sound."),
    "spectral_convergence": ("SC ↓", "spectral convergence: error relative to the level of the original sound."),
}
SHARES = {"forced_choice", "named", "heard", "second_choice", "disagree"}
WHOLE = {"num_weights", "num_steps", "codes_in_use", "top_codes_in_use", "bottom_codes_in_use"}


def title_of(row: str) -> str:
    """`real top codes` for `real_top_codes`."""
    return row.replace("_", " ")


def measured(results: dict[str, Any]) -> dict[str, tuple[str, str]]:
    """Headings and meanings of the figures that any row has."""
    found = {name for scopes in results["rows"].values() for figures in scopes.values() for name in figures}
    return {name: words for name, words in FIGURES.items() if name in found}


def header(results: dict[str, Any]) -> list[str]:
    """Headings of the table's columns."""
    return ["row", "class", "sounds", *(heading for heading, _ in measured(results).values())]


def table(results: dict[str, Any]) -> list[list[list[Cell]]]:
    """The cells of the results of `Evaluation`: a block for each class, with a line for each row."""
    return [
        [
            [
                (title_of(row), ""),
                (scope, ""),
                (str(figures[scope]["num_sounds"]), ""),
                *(_cell(name, figures[scope].get(name)) for name in measured(results)),
            ]
            for row, figures in results["rows"].items()
        ]
        for scope in results["classes"]
    ]


def remarks(results: dict[str, Any]) -> list[str]:
    """Warnings, each once for a class with its figures, and with its rows unless it concerns all."""
    lines = list(results["remarks"])
    for scope in results["classes"]:
        found: dict[str, list[tuple[str, str, str]]] = {}
        for row, scopes in results["rows"].items():
            for name in measured(results):
                for remark in filter(None, scopes[scope].get(name, {}).get("remark", "").split("; ")):
                    found.setdefault(re.sub(r"\d+", "#", remark), []).append((title_of(row), name, remark))
        for places in found.values():
            rows, names, texts = (list(dict.fromkeys(parts)) for parts in zip(*places, strict=True))
            figures = [FIGURES[name][0].strip(" ↑↓") for name in FIGURES if name in names]
            listed = "all figures" if len(names) == len(measured(results)) else ", ".join(figures)
            of_rows = "" if len(rows) == len(results["rows"]) else f" of {', '.join(rows)}"
            lines.append(f"{scope}, {listed}{of_rows}: {_merge(texts)}")
    return lines


def _merge(texts: list[str]) -> str:
    """Merges texts that differ in their numbers only."""
    numbers = zip(*([int(number) for number in re.findall(r"\d+", text)] for text in texts), strict=True)
    ranges = iter([f"{min(few)} to {max(few)}" if len(set(few)) > 1 else str(few[0]) for few in numbers])
    return re.sub(r"\d+", lambda _: next(ranges), texts[0])


def model_figures(results: dict[str, Any]) -> dict[str, dict[str, str]]:
    """The figures of each model in words, by its title and their names."""
    return {
        results["titles"][name]: {
            figure.removeprefix("num_").replace("_", " "): f"{value:,.0f}" if figure in WHOLE else number(value)
            for figure, value in figures.items()
        }
        for name, figures in results["models"].items()
    }


def markdown(results: dict[str, Any], facts: dict[str, str], pictures: list[str]) -> str:
    """The text of `results.md`.

    Args:
        results: results of `Evaluation`.
        facts: names and values of facts about the evaluation.
        pictures: paths of pictures, relative to the file.
    """
    lines = ["# Evaluation", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    lines += ["The 95 % intervals are in brackets. The rows:", ""]
    lines += [f"- **{title_of(row)}**: {MEASURED_ROWS[row]}" for row in results["rows"]]
    headings = header(results)
    lines += ["", _line(headings), _line(["---"] * len(headings))]
    for block in table(results):
        lines += [_line([f"{value} ({interval})" if interval else value for value, interval in line]) for line in block]
    lines += ["", *(f"- **{heading}**: {about}" for heading, about in measured(results).values()), "", "## Remarks", ""]
    lines += [f"- {remark}" for remark in remarks(results)] or ["None."]
    for model, figures in model_figures(results).items():
        lines += ["", f"## {model}", "", "| figure | value |", "| --- | --- |"]
        lines += [_line([name, value]) for name, value in figures.items()]
    lines += ["", "## Spectrograms", "", *(f"![{Path(path).stem}]({quote(path)})" for path in pictures)]
    return "\n".join(lines) + "\n"


def show(results: dict[str, Any], title: str) -> None:
    """Prints a table for each class, divided by columns if it is too wide for the terminal."""
    console, headings = Console(), header(results)
    console.print(escape(title))
    for block in table(results):
        texts = [[heading, *(text for line in block for text in line[place])] for place, heading in enumerate(headings)]
        widths = [max(map(len, of_column)) for of_column in texts]
        for places in _groups(widths, console.width):
            shown = Table(title=escape(block[0][CLASS][0]), title_justify="left", box=SIMPLE_HEAD, **NARROW)
            for place in places:
                shown.add_column(escape(headings[place]), no_wrap=True, min_width=widths[place])
            for line in block:
                shown.add_row(*(escape("\n".join(filter(None, line[place]))) for place in places))
            console.print(shown)
    for remark in remarks(results):
        console.print(escape(f"- {remark}"))


def _groups(widths: list[int], available: int) -> list[list[int]]:
    """Columns of each part of a table that fits the available width; the first is always the name of the row."""
    groups: list[list[int]] = [[ROW]]
    for place in range(CLASS + 1, len(widths)):
        if len(groups[-1]) > 1 and sum(widths[other] + GAP for other in [*groups[-1], place]) >= available:
            groups.append([ROW])
        groups[-1].append(place)
    return groups


def number(value: float | None, num_digits: int = 3) -> str:
    """A number with `num_digits` significant digits, or a whole number if it has more."""
    if value is None:
        return NOTHING
    if abs(value) >= 10**num_digits:
        return f"{value:.0f}"
    return np.format_float_positional(value, precision=num_digits, fractional=False, trim="-")


def _cell(name: str, figure: dict[str, Any] | None) -> Cell:
    if figure is None:
        return NOTHING, ""
    values = [(figure["value"], 3), (figure["low"], 2), (figure["high"], 2)]
    is_share = name in SHARES
    value, low, high = (f"{end:.0%}" if is_share and end is not None else number(end, digits) for end, digits in values)
    return value, f"{low} to {high}"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"
