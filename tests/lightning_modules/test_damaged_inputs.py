"""Damaged files at the composite: each gets a sound, with the video's own under it, or a line that names the file."""

from functools import cache
from pathlib import Path

import pytest
import torch

from datamodules import VideoDataModule
from lightning_modules import VideoToAudio
from media.soundtrack.mixing import Mixing
from tests.helpers.colours import composite
from tests.helpers.fuzzing import run_damaged
from tests.media.soundtrack.test_original_sound import click_track, write_film
from tests.media.video.test_fuzz import sources  # noqa: F401 - a fixture

NUM_FILES = 120


@cache
def model() -> VideoToAudio:
    torch.set_num_threads(1)
    return composite(threshold=0.0, min_scene_s=0.0, photo_s=0.2, mixing=Mixing(original="duck", stem="flac"))


def predict_and_save(path: Path) -> None:
    data = VideoDataModule(str(path))
    data.setup("predict")
    (prediction,) = model().predict_step(data.input_set[0], 0)
    row = prediction.save(path.parent / "out")
    if row.get("status") == "failed":
        raise ValueError(row["reason"])


def test_a_sound_of_its_own_that_cannot_be_decoded_is_a_failed_row_and_the_next_input_is_done(tmp_path):
    film = write_film(tmp_path / "film.mov", [click_track((0.1,), duration_s=0.4)], encoder="pcm_s16le", duration_s=0.4)
    unknown = tmp_path / "unknown.mov"
    unknown.write_bytes(film.read_bytes().replace(b"sowt", b"xyz9"))
    with pytest.raises(ValueError, match=r"unknown\.mov has a sound in a codec that FFmpeg does not know"):
        predict_and_save(unknown)
    predict_and_save(film)


def test_every_damaged_input_gets_a_sound_or_a_line(tmp_path, sources):  # noqa: F811 - the fixture
    failures = run_damaged(predict_and_save, sources, range(NUM_FILES), tmp_path, timeout_s=120)
    assert not failures, "\n".join(failures)
