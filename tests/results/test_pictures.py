"""Pictures of the results: the same from the same inputs, and each left out where its input is missing."""

import csv
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
from PIL import Image

from results.codes import count_codes, draw_codes
from results.comparison import ROWS, choose, draw_comparison, list_evaluation
from results.curves import draw_curves, read_curves, thin
from results.pictures import main
from tests.conftest import run_cli, working_folder

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"


def write_log(folder: Path, version: int, rows: list[dict[str, float]]) -> None:
    path = folder / f"version_{version}" / "metrics.csv"
    path.parent.mkdir(parents=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, ["epoch", "step", "train/loss", "val/mse", "val/accuracy", "val/loss"])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    """Three sounds a row, of which `inverted` lacks one; of the class dog only generated ones."""
    rng = np.random.default_rng(1)
    places = [(row, "cat", number) for row in ROWS for number in range(3) if (row, number) != ("inverted", 0)]
    for row, label, number in [*places, ("generated", "dog", 0)]:
        path = tmp_path / "evaluation" / "sounds" / row / label / f"{number:04d}.flac"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, rng.uniform(-0.1, 0.1, 4000), 16_000)
    return tmp_path / "evaluation"


def test_the_diagram_names_every_step_and_stays_on_its_card() -> None:
    svg = ElementTree.parse(PICTURES / "path.svg").getroot()
    words = {element.text for element in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"silent video", "ResNet-50", "Top prior", "Bottom prior", "VQ-VAE-2 decoder", "Griffin-Lim"} <= words
    assert {"photos/<class>", "sounds/<class>", "mix", "video with sound"} <= words
    width, height = float(svg.get("width")), float(svg.get("height"))
    for box in svg.iter("{http://www.w3.org/2000/svg}g"):
        if box.find("{http://www.w3.org/2000/svg}text") is not None:
            x, y = map(float, box.get("transform")[len("translate(") : -1].split())
            assert 0 < x < width - 172
            assert 0 < y < height - 38


def test_versions_of_one_fit_are_joined_by_step(tmp_path: Path) -> None:
    write_log(tmp_path, 2, [{"step": 29, "train/loss": 3}, {"step": 39, "train/loss": 4, "val/mse": 0.3}])
    write_log(tmp_path, 0, [{"step": 9, "train/loss": 1}, {"step": 19, "train/loss": 2}, {"step": 19, "val/mse": 0.5}])
    write_log(tmp_path, 10, [{"step": 39, "train/loss": 5}, {"step": 49, "val/mse": 0.2}])
    curves = read_curves(tmp_path)
    assert [values.tolist() for values in curves["train/loss"]] == [[9, 19, 29, 39], [1, 2, 3, 5]]
    assert [values.tolist() for values in curves["val/mse"]] == [[19, 49], [0.5, 0.2]]


def test_what_was_done_again_is_drawn_once(tmp_path: Path) -> None:
    write_log(tmp_path, 0, [{"step": step, "train/loss": 1} for step in (9, 19, 29, 39)])
    write_log(tmp_path, 1, [{"step": step, "train/loss": 2} for step in (15, 25)])
    steps, values = read_curves(tmp_path)["train/loss"]
    assert (steps.tolist(), values.tolist()) == ([9, 15, 25], [1, 2, 2])


def test_a_system_without_validation_has_no_panel(tmp_path: Path) -> None:
    write_log(tmp_path / "vqvae", 0, [{"step": 9, "train/loss": 1}, {"step": 9, "val/mse": 0.5}])
    write_log(tmp_path / "classifier", 0, [{"step": 9, "train/loss": 1}])
    (axis,) = draw_curves(tmp_path).axes
    assert axis.get_title(loc="left") == "vqvae: mse 0.5 at step 10, kept"


@pytest.mark.parametrize(("figure", "step"), [("accuracy", 10), ("mse", 30)])
def test_the_checkpoint_that_is_kept_is_marked(tmp_path: Path, figure: str, step: int) -> None:
    validated = [{f"val/{figure}": 0.5, "val/loss": 1}, {f"val/{figure}": 0.6, "val/loss": 2}]
    validated.append({f"val/{figure}": 0.4, "val/loss": 3})
    write_log(tmp_path / "fit", 0, [{"step": 10 * number + 9, **row} for number, row in enumerate(validated)])
    (axis,) = draw_curves(tmp_path).axes
    assert axis.get_title(loc="left").endswith(f"at step {step}, kept")


def test_long_curves_are_thinned_to_means() -> None:
    steps, values = thin((np.arange(1000), np.arange(1000) % 5))
    assert len(steps) == 200
    assert np.all(values == 2)


def test_rows_show_the_same_sounds_below_each_other(evaluation: Path) -> None:
    rows = list_evaluation(evaluation / "sounds")
    assert {label: list(found) for label, found in rows.items()} == {"cat": list(ROWS), "dog": ["generated"]}
    chosen = choose(rows["cat"])
    names = {row: [path.name for path in paths] for row, paths in chosen.items()}
    assert names.pop("generated") == ["0000.flac", "0001.flac", "0002.flac"]
    assert set(map(tuple, names.values())) == {("0001.flac", "0002.flac")}
    assert len(draw_comparison(chosen).axes) == len(ROWS) * 3


def test_sounds_are_chosen_at_even_distances() -> None:
    files = [Path(f"{number:04d}.flac") for number in range(40)]
    assert choose({"generated": files})["generated"] == files[::10]


def test_the_use_of_codes_is_told() -> None:
    texts = [axis.texts[-1].get_text() for axis in draw_codes({"top": [0, 3, 3, 0], "bottom": [5, 5, 5, 5]}).axes]
    assert texts == ["2 of 4 in use\nperplexity 2.0", "4 of 4 in use\nperplexity 4.0"]


def test_pictures_without_input_are_skipped_and_the_others_made(tmp_path: Path, evaluation: Path, capsys) -> None:
    empty, output = tmp_path / "empty", tmp_path / "pictures"
    options = ["--vqvae", str(empty / "a.ckpt"), "--logs", str(empty), "--output", str(output)]
    main(["--evaluation", str(evaluation), *options])
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["spectrograms", "spectrograms", "codes", "curves"]
    assert "skipped. There is no checkpoint" in lines[2]
    assert f"skipped. There is no {empty}" in lines[3]
    names = ["spectrograms_cat.png", "spectrograms_dog.png"]
    assert sorted(path.name for path in output.iterdir()) == names
    before = [path.read_bytes() for path in sorted(output.iterdir())]
    main(["--evaluation", str(evaluation), *options])
    assert [path.read_bytes() for path in sorted(output.iterdir())] == before
    with Image.open(output / "spectrograms_cat.png") as image:
        assert image.width == 1200


def test_a_fit_gives_the_curves_and_the_use_of_its_codes(data_root: Path, tmp_path: Path, capsys) -> None:
    logger = ["--trainer.logger.save_dir", "logs", "--trainer.logger.name", "vqvae"]
    options = ["--data.root", str(data_root), *logger]
    run_cli(tmp_path, "fit", "vqvae", *options, logger="lightning.pytorch.loggers.CSVLogger")
    with working_folder(tmp_path):
        main(["--only", "codes", "curves", "--root", str(data_root)])
        counts = count_codes(Path("checkpoints/vqvae/best.ckpt"), str(data_root), "cache")
    assert {path.name for path in (tmp_path / "outputs" / "pictures").iterdir()} == {"codes.png", "curves.png"}
    assert counts["bottom"].sum() == 4 * counts["top"].sum() > 0
