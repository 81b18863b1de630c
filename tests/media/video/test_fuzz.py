"""Hundreds of damaged files: each is read, or refused with a line that names it; nothing hangs, nothing dies."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from media.sound.sound_files import write_wav
from media.soundtrack.containers import plan_output
from media.video.encoding import encode_picture
from media.video.photo_files import PHOTO_SUFFIXES, read_photo
from media.video.video_files import probe_video, read_frames
from tests.helpers.fuzzing import damaged, run_damaged
from tests.helpers.muxing import mux_waveform
from tests.media.video.test_video_files import even_times_ms, write_video

NUM_FILES = 1500
VIDEOS = {  # name: encoder, options
    "h264.mp4": ("libx264", {"bf": "1"}),
    "fragments.mp4": ("libx264", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}),
    "mpeg4.mov": ("mpeg4", {"container_options": {"movflags": "faststart"}}),
    "av1.mp4": ("libsvtav1", {}),
    "h265.mkv": ("libx265", {"x265-params": "log-level=none:bframes=0"}),
    "vp9.webm": ("libvpx-vp9", {}),
    "vp8.webm": ("libvpx", {}),
    "mpeg4.avi": ("mpeg4", {}),
    "h264.ts": ("libx264", {}),
}
PHOTO_OPTIONS = {"photo.jpg": {}, "photo.png": {}, "photo.webp": {}, "photo.tif": {"compression": "tiff_lzw"}}


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> dict[str, bytes]:
    """Small whole files of many formats."""
    folder = tmp_path_factory.mktemp("sources")
    pictures = list(np.random.default_rng(0).integers(0, 255, (8, 48, 64, 3), np.uint8))
    for name, (encoder, options) in VIDEOS.items():
        sound = np.zeros(9_600, np.float32) if encoder in ("libx264", "libvpx-vp9") else None
        write_video(folder / name, even_times_ms(8), encoder, pictures=pictures, sound=sound, **options)
    images = [Image.fromarray(picture) for picture in pictures]
    images[0].save(folder / "animation.gif", save_all=True, append_images=images[1:], duration=40)
    for name, options in PHOTO_OPTIONS.items():
        images[0].save(folder / name, **options)
    write_wav(folder / "sound.wav", np.zeros(800, np.float32), 16_000)
    (folder / "sound.wav").rename(folder / "sound.mp4")
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def read_and_mux(path: Path) -> None:
    """All that is done to an input: it is measured, looked at and given a sound, or it is a photo."""
    if path.suffix in PHOTO_SUFFIXES:
        read_photo(path)
    if path.suffix not in PHOTO_SUFFIXES - {".gif"}:
        probe_video(path)
        for _ in read_frames(path, frames_per_second=25, max_side=64):
            pass
        suffix, is_encoded = plan_output(path)
        output, picture = path.with_name(f"out_{path.stem}{suffix}"), path
        if is_encoded:
            picture = path.with_name(f"picture_{path.stem}.mp4")
            encode_picture(path, picture)
        mux_waveform(picture, np.zeros(4_800, np.float32), 48_000, output)


def test_every_damaged_file_is_read_or_named(tmp_path, sources):
    failures = run_damaged(read_and_mux, sources, range(NUM_FILES), tmp_path)
    assert not failures, "\n".join(failures)


def misbehave(path: Path) -> None:
    match int(path.stem.split("_")[-1]) % 8:
        case 0:
            time.sleep(60)
        case 1:
            os.kill(os.getpid(), signal.SIGSEGV)
        case 2:
            raise KeyError(path)
        case 3:
            raise ValueError("some file is not as expected")
        case 4:
            raise ValueError(f"{path} is\nnot as expected")
        case 5:
            raise OSError(f"{path} is not as expected")


def test_the_harness_names_what_hangs_and_what_dies(tmp_path):
    failures = run_damaged(misbehave, {"a.mp4": bytes(99)}, range(10), tmp_path, timeout_s=3)
    reasons = {int(line.split(",")[0].removeprefix("seed ")): line for line in failures}
    assert reasons.keys() == {0, 1, 2, 3, 4, 8, 9}
    for seeds, reason in (((0, 8), "hangs"), ((1, 9), "dies"), ((2,), "KeyError"), ((3, 4), "not a line")):
        assert all(reason in reasons[seed] for seed in seeds)
    assert not list(tmp_path.iterdir())


def test_a_seed_is_a_file(sources):
    files = [damaged(sources, seed) for seed in range(200)]
    assert files == [damaged(sources, seed) for seed in range(200)]
    assert len({content for _, content in files}) > 150
    assert {Path(name).suffix for name, _ in files} == {Path(name).suffix for name in sources}
