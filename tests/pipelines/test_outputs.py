from pathlib import Path

import numpy as np
import soundfile
import torch
from PIL import Image

from pipelines.outputs import FailedInput, LabelPrediction, MediaPrediction

TONE = 0.5 * torch.sin(torch.arange(8000) * 2 * torch.pi * 440 / 8000)
GRID = torch.linspace(-1, 1, 64 * 32).view(64, 32)


def test_a_sound_is_stored_with_its_pictures(tmp_path):
    row = MediaPrediction("a", "cat", TONE, 8000, [("original", GRID), ("reconstruction", GRID)]).save(tmp_path / "new")
    samples, rate_hz = soundfile.read(row["sound"])
    assert (rate_hz, row["name"], row["class"]) == (8000, "a", "cat")
    np.testing.assert_allclose(samples, TONE, atol=1e-4)
    with Image.open(row["picture"]) as picture:
        assert picture.size == (520, 240)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "a.wav"]


def test_codes_are_stored_as_a_grid_of_numbers(tmp_path):
    codes = torch.randint(128, (8, 4))
    row = MediaPrediction("b", "dog", pictures=[("sampled", GRID)], codes=codes).save(tmp_path / "new")
    assert np.array_equal(np.loadtxt(row["codes"], delimiter=",", dtype=int), codes.numpy())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["b.csv", "b.png"]


def test_a_label_is_a_row_of_probabilities():
    row = LabelPrediction("x/y.jpg", {"cat": 0.25, "dog": 0.75}).save(Path("nowhere"))
    assert row == {"photo": "x/y.jpg", "class": "dog", "cat": "0.2500", "dog": "0.7500"}


def test_a_failure_writes_nothing(tmp_path):
    row = FailedInput(Path("a.mp4"), "a", "a.mp4 is no video.").save(tmp_path)
    assert row == {"status": "failed", "reason": "a.mp4 is no video."}
    assert not list(tmp_path.iterdir())
