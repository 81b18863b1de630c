from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datamodules.files.data_root import DataRoot
from results import recognition
from tests.conftest import working_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three red and three green photos of two groups each, and one blue photo elsewhere."""
    for class_name, colour in (("cat", (220, 20, 20)), ("dog", (20, 220, 20))):
        folder = tmp_path / "data/photos" / class_name
        folder.mkdir(parents=True)
        for number in range(6):
            shade = tuple(value + 5 * number for value in colour)
            Image.new("RGB", (40, 40), shade).save(folder / f"{'abc'[number // 2]}_{number}.png")
    (tmp_path / "others").mkdir()
    Image.new("RGB", (40, 40), (0, 0, 200)).save(tmp_path / "others/blue.png")
    return tmp_path


def test_groups_take_turns_and_stay_together(root):
    data = DataRoot(str(root / "data"), str(root / "cache"), group_pattern=r"^(\w)_")
    groups, folds = recognition.deal_out(data, 3)
    assert set(groups.values()) == {f"{name}/{group}" for name in ("cat", "dog") for group in "abc"}
    assert {name: folds[f"cat/{name}"] for name in ("a_0.png", "a_1.png", "b_2.png", "c_5.png")} == {
        "a_0.png": 0, "a_1.png": 0, "b_2.png": 1, "c_5.png": 2,
    }  # fmt: skip


def test_each_photo_is_tested_once_by_a_classifier_without_its_group(root, capsys):
    options = [
        "--config",
        "classifier.yaml",
        "--config",
        "compact.yaml",
        "--data.image_size=32",
        "--data.num_workers=0",
    ]
    options += ["--data.num_versions=1", "--data.group_pattern", r"^(\w)_", "--trainer.max_steps=12"]
    options += ["--trainer.val_check_interval=1", "--data.batch_size=4"]
    with working_folder(root):
        recognition.main([*options, "--num_folds", "3", "--others", "others"])
    printed = capsys.readouterr().out
    assert "accuracy of always" in printed
    assert "AUROC of the familiarity" in printed
    assert "0 mistakes" in printed, "red and green are easily told apart"


def test_two_folds_are_too_few():
    with pytest.raises(ValueError, match="num_folds is 2, expected 3 or more"):
        recognition.cross_validate([], 2, [])


def test_figures_are_of_all_photos():
    labels, found = np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])
    groups = np.array(["cat/a", "cat/b", "dog/c", "dog/d"])
    margins = np.array([0.2, -0.1, 0.3, 0.4])
    judged = recognition.Judged(["cat", "dog"], groups, labels, found, margins, np.array([-0.5, 0.25]), ["cat/b.png"])
    rows = dict(zip(*(list(column.cells) for column in recognition.tabulate(judged).columns[:2]), strict=True))
    assert rows["accuracy"] == "0.750"
    assert rows["F1 of cat"] == "0.667"
    assert rows["F1 of dog"] == "0.800"
    assert rows["kept"] == "0.750"
    assert rows["refused of something else"] == "0.500"
    assert rows["AUROC of the familiarity"] == "0.750"
