import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from PIL import Image
from torch.utils.data import DataLoader

from callbacks import PredictionWriter, prediction_writer
from datamodules.files.inputs import Inputs, list_inputs
from media.sound.sound_files import read_sound, write_wav
from pipelines.outputs import FailedInput, LabelPrediction, MediaPrediction
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


class Sound:
    """An opened sound file."""

    def __init__(self, path: Path, name: str) -> None:
        self.path, self.name, self.waveform = path, name, torch.from_numpy(read_sound(path, 8000))


class SoundInputs(LightningDataModule):
    """A data module over sound files that a user names, as `docs/adding_a_system.md` has it."""

    def __init__(self, inputs: str) -> None:
        super().__init__()
        self.inputs = inputs

    def setup(self, stage: str) -> None:
        self.input_set = Inputs(list_inputs(self.inputs, {".wav"}, "sound"), Sound, (".wav",))

    def predict_dataloader(self) -> DataLoader:
        return self.input_set.loader()


class Louder(LightningModule):
    """A system from sounds to sounds."""

    gain = 2.0

    def settings(self) -> dict[str, Any]:
        return {"gain": self.gain}

    def predict_step(self, sound: Sound | FailedInput, batch_idx: int) -> list[MediaPrediction | FailedInput]:
        if isinstance(sound, FailedInput):
            return [sound]
        return [MediaPrediction(sound.name, "louder", self.gain * sound.waveform, 8000)]


def predict_louder(sounds: Path, out: Path, gain: float = 2.0) -> list[tuple[str, str]]:
    """Names and states in the table."""
    system = Louder()
    system.gain = gain
    trainer = tiny_trainer(callbacks=[PredictionWriter(str(out))])
    trainer.predict(system, SoundInputs(str(sounds)), return_predictions=False)
    return [(Path(row["input"]).name, row["status"]) for row in rows_of(out / "predictions.csv")]


def test_inputs_that_are_sounds_have_records_skipping_and_a_summary(tmp_path, capsys):
    sounds, out = tmp_path / "sounds", tmp_path / "out"
    for name in ("a_10", "a_9"):
        write_wav(sounds / f"{name}.wav", np.full(80, 0.25), 8000)
    assert predict_louder(sounds, out) == [("a_9.wav", "done"), ("a_10.wav", "done")]
    assert read_sound(out / "a_9.wav", 8000) == pytest.approx(0.5, abs=1e-3)
    row = rows_of(out / "predictions.csv")[0]
    assert list(row) == ["input", "status", "output", "name", "class", "sound", "seconds", "reason"]
    assert (row["name"], row["class"], row["sound"]) == ("a_9", "louder", str(out / "a_9.wav"))
    assert row["output"] == row["sound"]
    assert len(list((out / "records").glob("*.json"))) == 2
    write_wav(sounds / "b.wav", np.full(80, 0.25), 8000)
    assert predict_louder(sounds, out) == [("a_9.wav", "skipped"), ("a_10.wav", "skipped"), ("b.wav", "done")]
    assert rows_of(out / "predictions.csv")[0]["class"] == "louder", "a skipped input keeps its columns"
    assert {status for _, status in predict_louder(sounds, out, gain=1.0)} == {"done"}
    assert "3 done, 0 skipped, 0 failed" in capsys.readouterr().out


def test_a_damaged_sound_fails_alone_and_the_columns_of_the_others_stay_in_order(tmp_path):
    sounds, out = tmp_path / "sounds", tmp_path / "out"
    write_wav(sounds / "b.wav", np.full(80, 0.25), 8000)
    (sounds / "a.wav").write_text("no sound")
    with pytest.raises(ValueError, match="1 of 2 inputs failed"):
        predict_louder(sounds, out)
    failed, done = rows_of(out / "predictions.csv")
    assert list(done) == ["input", "status", "output", "name", "class", "sound", "seconds", "reason"]
    assert (failed["status"], failed["name"], done["name"]) == ("failed", "", "b")
    records = [json.loads(path.read_text()) for path in (out / "records").glob("*.json")]
    assert {record["status"] for record in records} == {"failed", "done"}


def test_a_file_in_the_place_of_an_output_is_noticed_before_the_work(tmp_path, monkeypatch):
    sounds, out = tmp_path / "sounds", tmp_path / "out"
    write_wav(sounds / "a.wav", np.full(80, 0.25), 8000)
    write_wav(out / "a.wav", np.zeros(80), 8000)
    monkeypatch.setattr(Sound, "__init__", lambda *args: pytest.fail("it was opened"))
    with pytest.raises(ValueError, match="1 of 1 inputs failed"):
        predict_louder(sounds, out)
    assert "was not made from" in rows_of(out / "predictions.csv")[0]["reason"]
