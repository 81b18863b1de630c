import csv

import numpy as np
import torch
from PIL import Image

from callbacks import PredictionWriter, prediction_writer
from pipelines.outputs import LabelPrediction, MediaPrediction
from tests.helpers.tiny import photo_data, tiny_classifier, tiny_trainer


def sound(name: str, label: str = "cat") -> MediaPrediction:
    return MediaPrediction(name, label, torch.zeros(100), 8000, [("original", torch.zeros(4, 4))])


def write(folder, *batches) -> PredictionWriter:
    writer = PredictionWriter(str(folder))
    writer.on_predict_start(None, None)
    for number, batch in enumerate(batches):
        writer.write_on_batch_end(None, None, batch, None, None, number, 0)
    writer.on_predict_epoch_end(None, None)
    return writer


def rows_of(path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_each_prediction_is_stored_and_listed(tmp_path, capsys):
    write(tmp_path / "out", [sound("a"), sound("b", "dog")], [sound("c")])
    rows = rows_of(tmp_path / "out/predictions.csv")
    assert [(row["name"], row["class"]) for row in rows] == [("a", "cat"), ("b", "dog"), ("c", "cat")]
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {
        "predictions.csv",
        "overview.png",
        *(f"{name}.{kind}" for name in "abc" for kind in ("wav", "png")),
    }
    assert "3 predictions" in capsys.readouterr().out


def test_a_prediction_is_stored_before_the_next_is_made(tmp_path):
    writer = PredictionWriter(str(tmp_path))
    writer.write_on_batch_end(None, None, [sound("a")], None, None, 0, 0)
    assert (tmp_path / "a.wav").is_file()


def test_the_overview_takes_the_classes_in_turn(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        prediction_writer, "draw_grids", lambda rows: drawn.extend(rows) or np.zeros((2, 2, 3), np.uint8)
    )
    write(tmp_path, [sound(str(number)) for number in range(9)], [sound("last", "dog")])
    assert [row[0][0].partition(":")[0] for row in drawn] == ["cat", "dog", *["cat"] * 6]


def test_the_overview_holds_the_first_eight(tmp_path):
    write(tmp_path, [sound(str(number)) for number in range(11)])
    with Image.open(tmp_path / "overview.png") as picture:
        assert picture.size == (260, 8 * 240)


def test_predictions_without_pictures_have_no_overview(tmp_path):
    write(tmp_path, [LabelPrediction("a, b.jpg", {"cat": 1.0, "dog": 0.0})])
    assert [path.name for path in tmp_path.iterdir()] == ["predictions.csv"]
    assert rows_of(tmp_path / "predictions.csv") == [
        {"photo": "a, b.jpg", "class": "cat", "cat": "1.0000", "dog": "0.0000"}
    ]


def test_a_second_run_starts_a_new_table_and_no_prediction_writes_none(tmp_path):
    writer = write(tmp_path, [sound("a")])
    writer.on_predict_start(None, None)
    assert writer.rows == []
    (tmp_path / "predictions.csv").unlink()
    writer.on_predict_epoch_end(None, None)
    assert not (tmp_path / "predictions.csv").exists()


def test_names_in_brackets_are_printed_as_they_are(tmp_path, capsys):
    write(tmp_path, [LabelPrediction("[red]a.jpg", {"cat": 1.0}), LabelPrediction("[/b].jpg", {"cat": 1.0})])
    printed = capsys.readouterr().out
    assert "[red]a.jpg" in printed
    assert "[/b].jpg" in printed


def test_lightning_calls_it(tmp_path):
    trainer = tiny_trainer(callbacks=[PredictionWriter(str(tmp_path))])
    trainer.predict(tiny_classifier(), photo_data(), return_predictions=False)
    assert [row["photo"] for row in rows_of(tmp_path / "predictions.csv")] == [f"{i}.jpg" for i in range(8)]
