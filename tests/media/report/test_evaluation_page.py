import re
from pathlib import Path

import numpy as np

from media.report.evaluation_page import EvaluationPage, ShownSound, Strip, write_evaluation_page

SOUND = ShownSound("0003", Path("sounds/real/it's #1/0003.flac"), np.linspace(-1, 1, 32).reshape(4, 8))
PAGE = EvaluationPage(
    facts={"command": "python cli.py test --config a&b.yaml"},
    header=["row", "FAD ↓"],
    blocks=[[[("real <half>", ""), ("8.55", "4.1 to 17")]], [[("real", ""), ("–", "")]]],
    meanings={"FAD ↓": "a distance"},
    remarks=["only 3 recordings"],
    models={"Top prior": {"bits per code": "3.43"}},
    sounds={"cat": [Strip("real", "as they are", [SOUND, SOUND])]},
)


def written(page: EvaluationPage, folder: Path) -> str:
    write_evaluation_page(page, folder / "index.html")
    assert [path.name for path in folder.iterdir()] == ["index.html"]
    return (folder / "index.html").read_text(encoding="utf-8")


def test_the_page_holds_all_that_it_is_given(tmp_path):
    html = written(PAGE, tmp_path)
    for text in (
        "a&amp;b.yaml",
        "FAD ↓",
        "8.55",
        "4.1 to 17",
        "a distance",
        "only 3 recordings",
        "3.43",
        "as they are",
    ):
        assert text in html
    assert html.count("<tbody>") == 2


def test_names_are_text_and_no_code(tmp_path):
    html = written(PAGE, tmp_path)
    assert "real &lt;half&gt;" in html
    assert "<half>" not in html


def test_players_point_to_the_files_beside_the_page_and_nothing_else_is_loaded(tmp_path):
    html = written(PAGE, tmp_path)
    sources = re.findall(r'src="([^"]+)"', html)
    assert sources.count("./sounds/real/it%27s%20%231/0003.flac") == 2
    assert all(source.startswith(("./sounds/", "data:image/png;base64,")) for source in sources)
    assert "http" not in html


def test_what_is_empty_is_left_out(tmp_path):
    html = written(EvaluationPage({}, ["row"], [], {}, [], {}, {}), tmp_path)
    assert "Remarks" not in html
