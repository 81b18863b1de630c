from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from lightning_modules.predictions import CodesPrediction, LabelPrediction, SoundPrediction, VideoPrediction
from media.sound_files import read_sound
from media.video_files import probe_video
from tests.media.test_video_files import even_times_ms, write_video

TONE = 0.5 * torch.sin(torch.arange(8000) * 2 * torch.pi * 440 / 8000)
GRID = torch.linspace(-1, 1, 64 * 32).view(64, 32)


def video_prediction(path: Path, variant: int = 0, is_photo: bool = False, waveform=TONE) -> VideoPrediction:
    return VideoPrediction(path, is_photo, waveform, 8000, variant, 7 + variant, [(0.0, 1.0, "cat")], GRID)


def test_a_sound_is_stored_with_its_pictures(tmp_path):
    row = SoundPrediction("a", "cat", TONE, 8000, [("original", GRID), ("reconstruction", GRID)]).save(tmp_path / "new")
    samples, rate_hz = soundfile.read(row["sound"])
    assert (rate_hz, row["name"], row["class"]) == (8000, "a", "cat")
    np.testing.assert_allclose(samples, TONE, atol=1e-4)
    with Image.open(row["picture"]) as picture:
        assert picture.size == (520, 240)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a.png", "a.wav"]


def test_codes_are_stored_as_a_grid_of_numbers(tmp_path):
    codes = torch.randint(128, (8, 4))
    row = CodesPrediction("b", "dog", codes, [("sampled", GRID)]).save(tmp_path / "new")
    assert np.array_equal(np.loadtxt(row["codes"], delimiter=",", dtype=int), codes.numpy())
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["b.csv", "b.png"]


def test_a_label_is_a_row_of_probabilities():
    row = LabelPrediction("x/y.jpg", {"cat": 0.25, "dog": 0.75}).save(Path("nowhere"))
    assert row == {"photo": "x/y.jpg", "class": "dog", "cat": "0.2500", "dog": "0.7500"}


def test_a_video_gets_the_sound_and_the_seed_that_made_it(tmp_path):
    video = write_video(tmp_path / "clip.mp4", even_times_ms(25), encoder="mpeg4")
    row = video_prediction(video).save(tmp_path / "out")
    assert row["output"] == str(tmp_path / "out/clip.mp4")
    assert row["scenes"] == "0.0-1.0 s cat"
    assert probe_video(row["output"]).duration_s == pytest.approx(1.0)
    found = read_sound(row["output"], 8000)[:8000]
    assert np.corrcoef(found, TONE)[0, 1] > 0.98
    with av.open(row["output"]) as container:
        assert container.metadata["comment"] == "seed=7"


def test_variants_and_photos_have_names_of_their_own(tmp_path):
    photo = tmp_path / "cat.png"
    Image.new("RGB", (8, 8)).save(photo)
    rows = [video_prediction(photo, variant, is_photo=True).save(tmp_path / "out") for variant in range(2)]
    assert [Path(row["output"]).name for row in rows] == ["cat.wav", "cat_2.wav"]
    assert len({row["picture"] for row in rows}) == 2
    assert soundfile.info(rows[1]["output"]).frames == len(TONE)


def test_an_input_is_never_touched_even_in_its_own_folder(tmp_path):
    photo = tmp_path / "cat.png"
    Image.new("RGB", (8, 8), "red").save(photo)
    before = photo.read_bytes()
    video_prediction(photo, is_photo=True).save(tmp_path)
    assert photo.read_bytes() == before
    video = write_video(tmp_path / "clip.mp4", even_times_ms(5), encoder="mpeg4")
    before = video.read_bytes()
    with pytest.raises(ValueError, match="is the video itself"):
        video_prediction(video).save(tmp_path)
    assert video.read_bytes() == before


def test_a_file_name_is_no_formula(tmp_path):
    video = write_video(tmp_path / "from_$5_to_$6.mp4", even_times_ms(5), encoder="mpeg4")
    assert Path(video_prediction(video).save(tmp_path / "out")["picture"]).is_file()
