"""Measurements as tables on the screen, as Markdown and as JSON."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from string import ascii_uppercase
from typing import Any

from rich.box import SIMPLE
from rich.table import Table

from media.files import atomic_path

LEFT_OUT = "left out in --quick"
FEW = {1: "one repetition", 2: "two repetitions"}
NOTE = (
    "Medians; in brackets the smallest and the largest repetition. × A is how many times as fast (of memory: as small) "
    "as baseline A of the same case, and so on."
)


@dataclass(frozen=True)
class Row:
    """One figure."""

    case: str  # task; rows of one case are compared
    name: str  # implementation
    unit: str  # smaller is better for `s` and `GiB`, larger for units that end with `/s`
    values: list[float]  # one for each repetition
    is_baseline: bool = False  # the others of the case are compared with it
    remark: str = ""

    @property
    def median(self) -> float | None:
        return median(self.values) if self.values else None

    def ratio_to(self, other: "Row") -> float | None:
        """How many times as good as the other row this one is."""
        if not self.median or not other.median:
            return None
        return self.median / other.median if self.unit.endswith("/s") else other.median / self.median


@dataclass(frozen=True)
class Part:
    """A table of rows."""

    name: str
    title: str
    rows: list[Row]

    @property
    def baselines(self) -> list[str]:
        """Names of all baselines, in the order of the rows."""
        return list(dict.fromkeys(row.name for row in self.rows if row.is_baseline))

    def ratios(self, row: Row) -> dict[str, float]:
        """How many times as good as each baseline of its case a row is."""
        if row.is_baseline:
            return {}
        others = [other for other in self.rows if other.is_baseline and other.case == row.case]
        found = {other.name: row.ratio_to(other) for other in others}
        return {name: ratio for name, ratio in found.items() if ratio is not None}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings, and the cells of each row."""
        letters = dict(zip(self.baselines, ascii_uppercase, strict=False))
        headings = ["case", "who", "median", "(from – to)", *(f"× {letter}" for letter in letters.values()), "remark"]
        cells, case_before = [], None
        for row in self.rows:
            ratios = self.ratios(row)
            cells.append(
                [
                    "" if row.case == case_before else row.case,
                    f"baseline {letters[row.name]}: {row.name}" if row.is_baseline else row.name,
                    "–" if row.median is None else f"{shown(row.median)} {row.unit}",
                    f"({shown(min(row.values))} – {shown(max(row.values))})" if len(row.values) > 1 else "",
                    *(shown(ratios[name]) if name in ratios else "" for name in letters),
                    ", ".join(filter(None, [row.remark, FEW.get(len(row.values))])),
                ]
            )
            case_before = row.case
        return headings, cells


def rows(
    case: str,
    unit: str,
    measured: Mapping[str, list[float]],
    baselines: Collection[str],
    remarks: str | Mapping[str, str] = "",
) -> list[Row]:
    """The rows of one case from the repetitions of each name, with one remark for all or one for each name."""
    remarks = dict.fromkeys(measured, remarks) if isinstance(remarks, str) else remarks
    return [
        Row(case, name, unit, values, name in baselines, remarks.get(name, "")) for name, values in measured.items()
    ]


def shown(value: float) -> str:
    """Formats three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def screen_table(part: Part) -> Table:
    """Makes a table for the terminal."""
    headings, cells = part.table()
    table = Table(box=SIMPLE, title=part.title)
    for number, heading in enumerate(headings):
        is_figure = 2 <= number < len(headings) - 1
        table.add_column(heading, justify="right" if is_figure else "left", no_wrap=is_figure)
    for row in cells:
        table.add_row(*row)
    return table


def markdown(facts: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """Formats all tables, after the description of the machine."""
    lines = ["# Benchmarks", "", *(f"- {line}" for line in facts["machine"])]
    lines += [f"- {facts['device']}, {facts['num_threads']} threads, seed {facts['seed']}"]
    lines += ["- quick: fewer figures and repetitions"] if facts["is_quick"] else []
    lines += ["", NOTE]
    for part in parts:
        headings, cells = part.table()
        lines += ["", f"## {part.title}", "", *markdown_table(headings, cells, left=(0, 1, len(headings) - 1))]
    return "\n".join(lines) + "\n"


def markdown_table(headings: list[str], cells: list[list[str]], left: Collection[int]) -> list[str]:
    """Lines of a table, with the columns `left` aligned to the left and the others to the right."""
    bars = [":--" if number in left else "--:" for number in range(len(headings))]
    return ["| " + " | ".join(row) + " |" for row in (headings, bars, *cells)]


def save(folder: Path, facts: Mapping[str, Any], parts: Sequence[Part]) -> None:
    """Writes `benchmarks.json` and `benchmarks.md`."""
    figures = {
        part.name: [asdict(row) | {"median": row.median, "ratios": part.ratios(row)} for row in part.rows]
        for part in parts
    }
    write_files(folder / "benchmarks", markdown(facts, parts), {**facts, "parts": figures})


def write_files(path: Path, page: str, data: Mapping[str, Any]) -> None:
    """Writes a page as `<path>.md` and data as `<path>.json`; dataclasses become dicts."""
    texts = {".md": page, ".json": json.dumps(data, indent=2, ensure_ascii=False, default=asdict) + "\n"}
    for suffix, text in texts.items():
        with atomic_path(path.with_suffix(suffix)) as temporary:
            temporary.write_text(text, encoding="utf-8")
