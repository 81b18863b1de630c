"""Damaged files at the composite: each gets a sound, with the video's own under it, or a line that names the file."""

from functools import cache
from pathlib import Path

import torch

from datamodules import VideoDataModule
from lightning_modules import VideoToAudio
from media.soundtrack.mixing import Mixing
from tests.helpers.colours import composite
from tests.helpers.fuzzing import run_damaged
from tests.media.video.test_fuzz import sources  # noqa: F401 - a fixture

NUM_FILES = 120


@cache
def model() -> VideoToAudio:
    torch.set_num_threads(1)
    return composite(threshold=0.0, min_scene_s=0.0, photo_s=0.2, mixing=Mixing(original="duck", stem="flac"))


def predict_and_save(path: Path) -> None:
    data = VideoDataModule(str(path))
    data.setup("predict")
    (prediction,) = model().predict_step(data.clips[0], 0)
    row = prediction.save(path.parent / "out")
    if row.get("status") == "failed":
        raise ValueError(row["reason"])


def test_every_damaged_input_gets_a_sound_or_a_line(tmp_path, sources):  # noqa: F811 - the fixture
    failures = run_damaged(predict_and_save, sources, range(NUM_FILES), tmp_path, timeout_s=120)
    assert not failures, "\n".join(failures)
