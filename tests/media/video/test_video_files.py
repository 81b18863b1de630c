import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media.video.photo_files import PHOTO_SUFFIXES
from media.video.video_files import VIDEO_SUFFIXES, probe_video, read_frames
from tests.helpers.containers import set_orientation

MILLISECOND = Fraction(1, 1000)
UNEVEN_TIMES_MS = [0, 40, 80, 400, 1200, 1240, 1280, 2000]


def write_video(
    path: Path, times_ms: list[float], encoder="libx264", pictures=None, sound=None, time_base=MILLISECOND, **options
) -> Path:
    """Frame k is a grey of 20 × k (from 13 on again), unless pictures are given, and the last one stays for 40 ms.

    The sound is float32 (num_samples,) at 48 kHz.
    """
    if pictures is None:
        pictures = [np.full((48, 64, 3), 20 * (k % 13), np.uint8) for k in range(len(times_ms))]
    with av.open(path, "w", container_options=options.pop("container_options", {})) as container:
        stream = container.add_stream(encoder, rate=25, options=options)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.codec_context.thread_count = 1  # the encoders' threads wait for each other by running in circles
        stream.codec_context.time_base = Fraction(1, 25) if path.suffix == ".avi" else time_base
        if sound is not None:
            track = container.add_stream("libopus" if path.suffix == ".webm" else "aac", rate=48_000, layout="mono")
        for time_ms, picture in zip(times_ms, pictures, strict=True):
            frame = av.VideoFrame.from_ndarray(picture)
            frame.time_base = stream.codec_context.time_base
            frame.pts = round(time_ms * MILLISECOND / frame.time_base)
            frame.duration = round(40 * MILLISECOND / frame.time_base)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            samples = av.AudioFrame.from_ndarray(sound[np.newaxis], format="fltp", layout="mono")
            samples.sample_rate, samples.pts = 48_000, 0
            container.mux(track.encode(samples) + track.encode(None))
    return path


def even_times_ms(num_frames: int) -> list[int]:
    return [40 * k for k in range(num_frames)]


def shown(path: Path, frames_per_second: float) -> list[tuple[float, int]]:
    """(time, number of the frame shown)."""
    return [(time_s, round(frame.mean() / 20)) for time_s, frame in read_frames(path, frames_per_second)]


@pytest.mark.parametrize(("name", "encoder"), [("video.mp4", "mpeg4"), ("video.webm", "libvpx-vp9")])
def test_uneven_frame_times(tmp_path, name, encoder):
    path = write_video(tmp_path / name, UNEVEN_TIMES_MS, encoder)
    assert probe_video(path).duration_s == pytest.approx(2.04)
    assert probe_video(path).frames_per_second == pytest.approx(8 / 2.04)
    # visible at 0, 0.25, … 1.75: of the frames at 1200, 1240 and 1280 ms the grid's 1.25 s shows the second
    expected = [0, 2, 3, 3, 3, 5, 6, 6]
    assert [number for _, number in shown(path, 4)] == [*expected, 7]


def test_a_late_first_frame_is_at_time_zero(tmp_path):
    path = write_video(tmp_path / "late.mp4", [time_ms + 120 for time_ms in even_times_ms(6)])
    info = probe_video(path)
    assert info.start_s == pytest.approx(0.12)
    assert info.duration_s == pytest.approx(0.24)
    assert shown(path, 25) == [(k / 25, k) for k in range(6)]


def test_frames_that_the_file_hides_are_not_shown(tmp_path):
    path = write_video(tmp_path / "cut.mp4", [time_ms - 80 for time_ms in even_times_ms(6)], bf="0")
    info = probe_video(path)
    assert info.start_s == 0
    assert info.duration_s == pytest.approx(0.16)
    assert shown(path, 25) == [(k / 25, k + 2) for k in range(4)]


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270])
def test_orientation_is_applied(tmp_path, clockwise_deg, is_mirrored):
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:24, :32] = [200, 0, 0]  # the upper left quarter is red
    path = write_video(tmp_path / "phone.mp4", [0, 40], pictures=[corner, corner])
    set_orientation(path, clockwise_deg, is_mirrored)
    info = probe_video(path)
    [(_, frame)] = read_frames(path, 1)
    assert (info.rotation_deg, info.is_mirrored) == (clockwise_deg, is_mirrored)
    assert frame.shape == (info.height, info.width, 3)
    assert frame.flags.c_contiguous
    expected = np.rot90(corner[:, ::-1] if is_mirrored else corner, -clockwise_deg // 90).astype(float)
    assert np.abs(frame - expected).mean() < 8
    [(_, small)] = read_frames(path, 1, max_side=32)
    assert np.abs(small - expected[::2, ::2]).mean() < 8


def test_frames_are_shrunk_but_never_enlarged(tmp_path):
    path = write_video(tmp_path / "v.mp4", [0, 40])
    sizes = {max_side: next(read_frames(path, 1, max_side))[1].shape for max_side in (None, 32, 64, 100)}
    assert sizes == {None: (48, 64, 3), 32: (24, 32, 3), 64: (48, 64, 3), 100: (48, 64, 3)}


def test_frames_are_read_one_by_one_and_only_shown_ones_are_converted(tmp_path, monkeypatch):
    converted = []
    reformat = av.VideoFrame.reformat
    path = write_video(tmp_path / "v.mp4", even_times_ms(12))
    frames = read_frames(path, 5)
    turn = lambda frame, *_: converted.append(frame) or reformat(frame)  # noqa: E731
    monkeypatch.setattr("media.video.video_files.turn_upright", turn)
    next(frames), next(frames)
    assert len(converted) == 2
    assert len(list(frames)) == 1
    assert len(converted) == 3


@pytest.mark.parametrize("frames_per_second", [0, -1, float("nan")])
def test_the_grid_needs_a_positive_rate(tmp_path, frames_per_second):
    with pytest.raises(ValueError, match="expected a positive number"):
        next(read_frames(tmp_path / "v.mp4", frames_per_second))


def test_suffixes_are_lower_case_and_apart():
    assert not VIDEO_SUFFIXES & PHOTO_SUFFIXES
    for suffix in VIDEO_SUFFIXES | PHOTO_SUFFIXES:
        assert suffix == suffix.lower()
        assert suffix.startswith(".")


@pytest.mark.skipif("V2A_REAL_DATA" not in os.environ, reason="needs a folder of real videos, V2A_REAL_DATA")
def test_real_videos():
    root = Path(os.environ["V2A_REAL_DATA"])
    for path in sorted((root / "videos").iterdir()):
        info = probe_video(path)
        frames = list(read_frames(path, 2, max_side=128))
        assert [time_s for time_s, _ in frames] == [k / 2 for k in range(len(frames))]
        assert len(frames) == int(np.ceil(info.duration_s * 2))
        assert {max(frame.shape) for _, frame in frames} == {128}
        assert (info.height > info.width) == (frames[0][1].shape[0] > frames[0][1].shape[1])
        assert np.mean([frame.std() for _, frame in frames]) > 1  # pictures, not a plain grey
