import copy

import pytest

from pipelines.evaluation.rows import MEASURED_ROWS
from pipelines.evaluation.tables import FIGURES, header, markdown, model_figures, number, remarks, show, table


def figure(value: float | None, remark: str = "") -> dict:
    return {"value": value, "low": 0.0, "high": 1234.5, "num_sounds": 7, "remark": remark}


FIGURES_OF_ROW = {
    "num_sounds": 7,
    "fad": figure(12.3456, "singular; only 3 recordings"),
    "kad": figure(None),
    "to_train_ratio": figure(0.98765, "only 3 recordings"),
    "log_spectral_distance_db": figure(1.0),
    "own_spread": figure(0.5, "not in the table"),
}
RESULTS = {
    "rows": {row: dict.fromkeys(("cat", "dog"), FIGURES_OF_ROW) for row in MEASURED_ROWS},
    "models": {"vqvae": {"num_weights": 560545, "mse": 0.027089}, "top": {"bits_per_code": None}},
    "titles": {"vqvae": "VQ-VAE-2", "top": "Top prior"},
    "remarks": ["No tagger."],
    "classes": ["cat", "dog"],
}


def test_a_line_has_a_cell_for_each_heading_and_figures_their_intervals():
    blocks = table(RESULTS)
    assert [block[0][1][0] for block in blocks] == ["cat", "dog"]
    assert [line[0][0] for line in blocks[0]][3] == "real top codes"
    line = dict(zip(header(RESULTS), blocks[0][0], strict=True))
    assert line["sounds"] == ("7", "")
    assert line["FAD ↓"] == ("12.3", "0 to 1234")
    assert line["KAD ↓"] == ("–", "0 to 1234")
    assert "own class ↑" not in line


def test_what_other_rows_have_is_left_open():
    results = copy.deepcopy(RESULTS)
    results["rows"]["real"]["cat"] = {"num_sounds": 7}
    line = dict(zip(header(results), table(results)[0][0], strict=True))
    assert line["FAD ↓"] == line["LSD ↓"] == ("–", "")


@pytest.mark.parametrize(
    ("value", "text"),
    [(99.98, "100"), (1234.5, "1234"), (0.0004217, "0.00042"), (-8.93, "-8.9"), (0.0, "0"), (30.0, "30"), (None, "–")],
)
def test_numbers_are_short_and_without_powers(value, text):
    assert number(value, 2) == text


@pytest.mark.parametrize("width", [40, 60, 200])
def test_on_a_narrow_screen_nothing_is_broken_or_cut_off(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    show(RESULTS, "Evaluation")
    printed = capsys.readouterr().out
    for words in ("real top codes", "FAD ↓", "novelty", "LSD ↓"):
        assert words in printed
    assert printed.count("12.3") == printed.count("0.988") == 2 * len(MEASURED_ROWS)
    assert max(map(len, printed.splitlines())) <= width


def test_shares_are_percentages():
    results = copy.deepcopy(RESULTS)
    results["rows"]["real"]["cat"] = FIGURES_OF_ROW | {"heard": figure(0.857) | {"high": 1.0}}
    line = dict(zip(header(results), table(results)[0][0], strict=True))
    assert line["heard ↑"] == ("86%", "0% to 100%")


def test_each_remark_stands_once_with_where_it_holds():
    found = remarks(RESULTS)
    assert found[0] == "No tagger."
    assert found[1:] == [
        f"{scope}, {remark}"
        for scope in ("cat", "dog")
        for remark in ("FAD: singular", "FAD, novelty: only 3 recordings")
    ]


def test_a_remark_on_some_rows_names_them():
    results = copy.deepcopy(RESULTS)
    results["rows"]["noise"] = {name: {"num_sounds": 7} for name in ("cat", "dog")}
    rows = "real, inverted, reconstructed, real top codes, generated, copied, training"
    assert remarks(results)[1] == f"cat, FAD of {rows}: singular"


def test_remarks_that_differ_in_a_number_are_one():
    results = copy.deepcopy(RESULTS)
    results["rows"]["noise"] = {name: {"fad": figure(1.0, "only 12 recordings")} for name in ("cat", "dog")}
    assert remarks(results)[2] == "cat, FAD, novelty: only 3 to 12 recordings"


def test_markdown_holds_table_meanings_remarks_and_models():
    text = markdown(RESULTS, {"seed": "1", "command": "a|b"}, ["cat a.png"])
    lines = text.splitlines()
    rows = [line for line in lines if line.startswith(("| real |", "| generated |"))]
    assert len(rows) == 4
    assert {line.count("|") for line in rows} == {len(header(RESULTS)) + 1}
    assert {name for name, (_, meaning) in FIGURES.items() if meaning in text} == FIGURES.keys() & FIGURES_OF_ROW
    assert "- No tagger." in lines
    assert "| weights | 560,545 |" in lines
    assert "(cat%20a.png)" in text
    assert model_figures(RESULTS)["Top prior"] == {"bits per code": "–"}
