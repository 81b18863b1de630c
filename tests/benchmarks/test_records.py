import io
import json

import pytest
from rich.console import Console

from benchmarks.records import LEFT_OUT, NOTE, Part, Row, markdown, rows, save, screen_table, shown

FACTS = {
    "machine": ["CPU: a fast one, 2 cores", "RAM: 8.0 GiB"],
    "device": "cpu",
    "num_threads": 2,
    "seed": 1,
    "is_quick": True,
    "seconds": {},
}


@pytest.fixture
def part() -> Part:
    found = rows(
        "900 codes", "s", {"ours": [2.0, 1.0, 4.0], "cache": [8.0, 8.0, 9.0]}, ("cache",), {"cache": "guessed"}
    )
    found += rows("in a batch", "codes/s", {"ours": [1500.0], "alone": [500.0]}, ("alone",))
    found += [Row("large", "ours", "GiB", [], remark=LEFT_OUT)]
    return Part("sampling", "Sampling", found)


def test_medians_and_ratios_say_how_much_better_ours_is(part):
    ours, cache, batch, *_ = part.rows
    assert (ours.median, cache.median) == (2.0, 8.0)
    assert part.ratios(ours) == {"cache": 4.0}, "less time is better"
    assert part.ratios(batch) == {"alone": 3.0}, "more a second is better"
    assert part.ratios(cache) == {}


def test_only_rows_of_one_case_are_compared(part):
    assert "cache" not in part.ratios(part.rows[2])
    assert part.ratios(part.rows[-1]) == {}


def test_cells_hold_every_figure(part):
    headings, cells = part.table()
    assert headings == ["case", "who", "median", "(from – to)", "× A", "× B", "remark"]
    assert cells == [
        ["900 codes", "ours", "2 s", "(1 – 4)", "4", "", ""],
        ["", "baseline A: cache", "8 s", "(8 – 9)", "", "", "guessed"],
        ["in a batch", "ours", "1,500 codes/s", "", "", "3", "one repetition"],
        ["", "baseline B: alone", "500 codes/s", "", "", "", "one repetition"],
        ["large", "ours", "–", "", "", "", LEFT_OUT],
    ]


@pytest.mark.parametrize(
    ("value", "text"), [(0.01234, "0.0123"), (1.0, "1"), (99.96, "100"), (123.4, "123"), (12345.6, "12,346")]
)
def test_three_digits_are_shown(value, text):
    assert shown(value) == text


def test_the_screen_shows_what_the_table_holds(part):
    console = Console(file=io.StringIO(), width=200)
    console.print(screen_table(part))
    output = console.file.getvalue()
    assert all(cell in output for row in part.table()[1] for cell in row)


def test_markdown_is_a_table_below_its_machine(part):
    lines = markdown(FACTS, [part]).splitlines()
    assert lines[0] == "# Benchmarks"
    assert "- CPU: a fast one, 2 cores" in lines
    assert "- cpu, 2 threads, seed 1" in lines
    assert any("quick" in line for line in lines)
    assert NOTE in lines
    table = lines[lines.index("## Sampling") + 2 :]
    assert table[2] == "| 900 codes | ours | 2 s | (1 – 4) | 4 |  |  |"
    assert len({line.count("|") for line in table}) == 1
    assert len(table) == 2 + len(part.rows)


def test_files_hold_all_repetitions_and_no_other_files_remain(part, tmp_path):
    save(tmp_path / "new", FACTS, [part])
    save(tmp_path / "new", FACTS, [part])
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["benchmarks.json", "benchmarks.md"]
    stored = json.loads((tmp_path / "new/benchmarks.json").read_text(encoding="utf-8"))
    assert {name: stored[name] for name in FACTS} == FACTS
    first = stored["parts"]["sampling"][0]
    assert first == {
        "case": "900 codes",
        "name": "ours",
        "unit": "s",
        "values": [2.0, 1.0, 4.0],
        "is_baseline": False,
        "remark": "",
        "median": 2.0,
        "ratios": {"cache": 4.0},
    }
    assert (tmp_path / "new/benchmarks.md").read_text(encoding="utf-8") == markdown(FACTS, [part])
