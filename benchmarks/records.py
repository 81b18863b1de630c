"""What was measured, as tables on the screen, as Markdown and as JSON."""

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
NOTE = (
    "Medians; in brackets the smallest and the largest repetition. × A is how many times as fast (of memory: as small) "
    "as baseline A of the same case, and so on."
)


@dataclass(frozen=True)
class Row:
    """One figure.

    Attributes:
        case: what is done; rows of one case are compared.
        name: who does it.
        unit: `s` and `GiB` are the better the smaller, all that ends with `/s` the larger.
        values: one a repetition; none where it was not measured.
        is_baseline: whether the others of the case are held against it.
        remark: what is to be known besides.
    """

    case: str
    name: str
    unit: str
    values: list[float]
    is_baseline: bool = False
    remark: str = ""

    @property
    def median(self) -> float | None:
        """Of the repetitions."""
        return median(self.values) if self.values else None

    def ratio_to(self, other: "Row") -> float | None:
        """How many times as good this is."""
        if not self.median or not other.median:
            return None
        return self.median / other.median if self.unit.endswith("/s") else other.median / self.median


@dataclass(frozen=True)
class Part:
    """A table."""

    name: str
    title: str
    rows: list[Row]

    @property
    def baselines(self) -> list[str]:
        """In the order in which they come."""
        return list(dict.fromkeys(row.name for row in self.rows if row.is_baseline))

    def ratios(self, row: Row) -> dict[str, float]:
        """How many times as good a row is as each baseline of its case."""
        if row.is_baseline:
            return {}
        others = [other for other in self.rows if other.is_baseline and other.case == row.case]
        found = {other.name: row.ratio_to(other) for other in others}
        return {name: ratio for name, ratio in found.items() if ratio is not None}

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Headings and cells."""
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
                    ", ".join(filter(None, [row.remark, few(row.values)])),
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
    """The rows of one case, from the repetitions by name; a remark is that of all, or by name."""
    remarks = dict.fromkeys(measured, remarks) if isinstance(remarks, str) else remarks
    return [
        Row(case, name, unit, values, name in baselines, remarks.get(name, "")) for name, values in measured.items()
    ]


def few(values: Collection[float]) -> str:
    """A warning where a median is none."""
    return {1: "one repetition", 2: "two repetitions"}.get(len(values), "")


def shown(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def screen_table(part: Part) -> Table:
    """For the terminal."""
    headings, cells = part.table()
    table = Table(box=SIMPLE, title=part.title)
    for number, heading in enumerate(headings):
        is_figure = 2 <= number < len(headings) - 1
        table.add_column(heading, justify="right" if is_figure else "left", no_wrap=is_figure)
    for row in cells:
        table.add_row(*row)
    return table


def markdown(facts: Mapping[str, Any], parts: Sequence[Part]) -> str:
    """All tables, below the machine they were measured on."""
    lines = ["# Benchmarks", "", *(f"- {line}" for line in facts["machine"])]
    lines += [f"- {facts['device']}, {facts['num_threads']} threads, seed {facts['seed']}"]
    lines += ["- quick: fewer figures and repetitions"] if facts["is_quick"] else []
    lines += ["", NOTE]
    for part in parts:
        headings, cells = part.table()
        bars = [":--" if number in (0, 1, len(headings) - 1) else "--:" for number in range(len(headings))]
        lines += ["", f"## {part.title}", ""]
        lines += ["| " + " | ".join(row) + " |" for row in (headings, bars, *cells)]
    return "\n".join(lines) + "\n"


def save(folder: Path, facts: Mapping[str, Any], parts: Sequence[Part]) -> None:
    """Writes `benchmarks.json` and `benchmarks.md`; each appears whole or not at all."""
    figures = {
        part.name: [asdict(row) | {"median": row.median, "ratios": part.ratios(row)} for row in part.rows]
        for part in parts
    }
    texts = {
        "benchmarks.json": json.dumps({**facts, "parts": figures}, indent=2, ensure_ascii=False) + "\n",
        "benchmarks.md": markdown(facts, parts),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
