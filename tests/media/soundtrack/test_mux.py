import hashlib
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media.soundtrack.containers import plan_output
from media.soundtrack.mux import mux_sound
from media.video.video_files import UnreadableVideo, probe_video, read_frames
from tests.helpers.containers import set_orientation
from tests.helpers.muxing import mux_waveform
from tests.media.video.test_video_files import UNEVEN_TIMES_MS, even_times_ms, write_video

RATE_HZ = 16_000
LONGEST_EXCESS_S = 0.02
BLOCKS = [np.zeros((1, RATE_HZ // 5), np.float32)]


def chirp(duration_s: float) -> np.ndarray:
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return 0.5 * np.sin(2 * np.pi * (300 + 1_000 * times_s / duration_s) * times_s)


def picture_packets(path: Path) -> list[tuple]:
    """Payload, times in seconds and key frame flag of each packet."""
    with av.open(path) as container:
        return [
            (
                hashlib.sha256(bytes(packet)).hexdigest(),
                packet.pts * packet.time_base,
                None if packet.dts is None else packet.dts * packet.time_base,
                packet.is_keyframe,
            )
            for packet in container.demux(video=0)
            if packet.size
        ]


def sound_from(path: Path, start_s: float) -> np.ndarray:
    """What is heard from a time of the file on, at 48 kHz."""
    with av.open(path) as container:
        frames = list(container.decode(audio=0))
    assert {frame.sample_rate for frame in frames} == {48_000}
    assert {frame.layout.name for frame in frames} == {"mono"}
    samples = np.concatenate([frame.to_ndarray()[0] for frame in frames])
    return samples[round((start_s - frames[0].time) * 48_000) :]


def assert_heard(path: Path, waveform: np.ndarray) -> None:
    """The waveform starts with the first frame, is as long as it was given, and sounds as it was given."""
    heard = sound_from(path, probe_video(path).start_s)
    duration_s = len(waveform) / RATE_HZ
    assert duration_s - 1.5e-3 <= len(heard) / 48_000 <= duration_s + LONGEST_EXCESS_S
    heard = np.pad(heard, (48, 3 * len(waveform)))  # Matroska rounds times to 1 ms = 48 samples
    similarities = [np.corrcoef(heard[shift::3][: len(waveform)], waveform)[0, 1] for shift in range(97)]
    assert max(similarities) > 0.99
    assert np.abs(heard[96 + 3 * len(waveform) :]).max() < 0.05


CASES = {  # the file, its encoder, the times of its frames, options
    "B-frames": ("v.mp4", "libx264", even_times_ms(40), {"bf": "3"}),
    "uneven": ("v.mp4", "libx264", UNEVEN_TIMES_MS, {}),
    "late start": ("v.mp4", "libx264", [time_ms + 67 for time_ms in even_times_ms(40)], {}),
    "late start between milliseconds": (
        "v.mp4",
        "libx264",
        [time_ms + 33.3667 for time_ms in even_times_ms(40)],
        {"time_base": Fraction(1, 30_000), "container_options": {"movie_timescale": "30000"}},
    ),
    "hidden frames": ("v.mp4", "libx264", [time_ms - 80 for time_ms in even_times_ms(40)], {"bf": "0"}),
    "QuickTime": ("v.mov", "mpeg4", even_times_ms(40), {}),
    "Matroska": ("v.mkv", "libx264", even_times_ms(40), {}),
    "WebM": ("v.webm", "libvpx-vp9", UNEVEN_TIMES_MS, {}),
    "WebM without duration": ("v.webm", "libvpx-vp9", even_times_ms(40), {"container_options": {"live": "1"}}),
    "upper case": ("v.MP4", "libx264", even_times_ms(40), {}),
}


@pytest.mark.parametrize("has_sound", [False, True], ids=["silent", "with sound"])
@pytest.mark.parametrize("case", CASES)
def test_the_picture_is_copied_and_the_sound_is_new(tmp_path, case, has_sound):
    name, encoder, times_ms, options = CASES[case]
    old_sound = np.random.default_rng(0).uniform(-0.5, 0.5, 96_000).astype(np.float32)
    video = write_video(tmp_path / name, times_ms, encoder, sound=old_sound if has_sound else None, **options)
    before = video.read_bytes()
    output = tmp_path / "new" / f"out{plan_output(video)[0]}"
    waveform = chirp(probe_video(video).duration_s)
    mux_waveform(video, waveform, RATE_HZ, output)
    assert video.read_bytes() == before
    assert output.suffix == video.suffix.lower()
    assert picture_packets(output) == picture_packets(video)
    assert_heard(output, waveform)
    with av.open(output) as container, av.open(video) as original:
        assert len(container.streams) == 2
        sound_end_s = container.duration / 1e6
        assert container.streams.video[0].time_base == original.streams.video[0].time_base
    assert sound_end_s == pytest.approx(probe_video(video).start_s + probe_video(video).duration_s, abs=0.03)
    assert list(output.parent.iterdir()) == [output]


@pytest.mark.parametrize("duration_s", [0.01, 0.5, 1.0, 1.5, 3.0])
@pytest.mark.parametrize(("name", "encoder"), [("v.mp4", "libx264"), ("v.webm", "libvpx-vp9")])
def test_the_sound_may_be_shorter_or_longer_than_the_picture(tmp_path, name, encoder, duration_s):
    video = write_video(tmp_path / name, even_times_ms(25), encoder)
    mux_waveform(video, chirp(duration_s), RATE_HZ, tmp_path / f"out_{name}")
    heard = sound_from(tmp_path / f"out_{name}", 0)
    assert duration_s - 1.5e-3 <= len(heard) / 48_000 <= duration_s + LONGEST_EXCESS_S
    assert picture_packets(tmp_path / f"out_{name}") == picture_packets(video)


@pytest.mark.parametrize("clockwise_deg", [90, 180, 270])
def test_the_rotation_is_kept(tmp_path, clockwise_deg):
    video = set_orientation(write_video(tmp_path / "phone.mp4", even_times_ms(5)), clockwise_deg)
    for name in ("out.mp4", "out.mov", "out.mkv"):
        mux_waveform(video, chirp(0.2), RATE_HZ, tmp_path / name)
        assert probe_video(tmp_path / name).rotation_deg == clockwise_deg


@pytest.mark.parametrize(
    ("name", "encoder", "suffix"),
    [
        ("v.avi", "mpeg4", ".mp4"),
        ("v.m4v", "libx264", ".mp4"),
        ("v.ts", "libx264", ".mp4"),
        ("v.3gp", "libx264", ".mp4"),
        ("v.wmv", "msmpeg4", ".mkv"),
    ],
)
def test_other_containers_get_a_fitting_one(tmp_path, name, encoder, suffix):
    video = write_video(tmp_path / name, even_times_ms(12), encoder, bf="0")
    assert plan_output(video) == (suffix, "")
    output = tmp_path / f"out{suffix}"
    mux_waveform(video, chirp(0.48), RATE_HZ, output)
    assert_heard(output, chirp(0.48))
    assert probe_video(output).start_s == 0
    assert probe_video(output).duration_s == pytest.approx(probe_video(video).duration_s)
    old, new = ([frame for _, frame in read_frames(path, 25)] for path in (video, output))
    np.testing.assert_array_equal(new, old)


def test_a_suffix_that_does_not_tell_the_picture(tmp_path):
    video = write_video(tmp_path / "v.mkv", even_times_ms(5)).rename(tmp_path / "v.webm")  # browsers record such files
    assert plan_output(video) == (".mp4", "")
    with pytest.raises(ValueError, match=r"use the suffix \.mp4"):
        mux_waveform(video, chirp(0.2), RATE_HZ, tmp_path / "out.webm")


def test_tags_are_kept_and_added(tmp_path):
    for name, encoder in (("v.mp4", "libx264"), ("v.mov", "libx264"), ("v.mkv", "libx264"), ("v.webm", "libvpx-vp9")):
        video = write_video(tmp_path / name, even_times_ms(5), encoder)
        first, second = tmp_path / f"first_{name}", tmp_path / f"second_{name}"
        mux_waveform(video, chirp(0.2), RATE_HZ, first, {"title": "Mieze", "comment": "first"})
        mux_waveform(first, chirp(0.2), RATE_HZ, second, {"comment": "made by a model"})
        with av.open(second) as container:
            tags = {key.lower(): value for key, value in container.metadata.items()}
        assert (tags["title"], tags["comment"]) == ("Mieze", "made by a model")


@pytest.fixture
def video(tmp_path) -> Path:
    return write_video(tmp_path / "v.mp4", even_times_ms(5))


def assert_refused(tmp_path: Path, error: type[Exception], reason: str, *arguments) -> None:
    """An error leaves the folder as it was."""
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(error, match=reason):
        mux_sound(*arguments)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_tag_that_would_be_lost_is_refused(tmp_path, video):
    (tmp_path / "out.mp4").write_bytes(b"old")
    tags = {"comment": "kept", "temperature": "0.9"}
    assert_refused(tmp_path, ValueError, "temperature", video, BLOCKS, RATE_HZ, tmp_path / "out.mp4", tags)


def test_the_video_itself_is_never_the_output(tmp_path, video):
    (tmp_path / "link.mp4").symlink_to(video)
    os.link(video, tmp_path / "hard.mp4")
    for output in (video, tmp_path / "link.mp4", tmp_path / "hard.mp4", tmp_path / ".." / tmp_path.name / "v.mp4"):
        assert_refused(tmp_path, ValueError, "is the video itself", video, BLOCKS, RATE_HZ, output)


@pytest.mark.parametrize("name", ["out.avi", "out.webm", "out.txt", "out"])
def test_a_suffix_that_does_not_fit_is_refused(tmp_path, video, name):
    assert_refused(tmp_path, ValueError, r"use the suffix \.mp4", video, BLOCKS, RATE_HZ, tmp_path / name)


def test_what_is_no_video_is_refused(tmp_path):
    output = tmp_path / "out.mp4"
    assert_refused(tmp_path, FileNotFoundError, "none", tmp_path / "none.mp4", BLOCKS, RATE_HZ, output)
    (tmp_path / "fake.mp4").write_bytes(b"no video")
    assert_refused(tmp_path, UnreadableVideo, "fake", tmp_path / "fake.mp4", BLOCKS, RATE_HZ, output)
    with pytest.raises(UnreadableVideo, match="fake"):
        plan_output(tmp_path / "fake.mp4")


def test_h264_in_avi_has_no_times_to_copy(tmp_path):
    video = write_video(tmp_path / "v.avi", even_times_ms(40), bf="3")
    assert_refused(tmp_path, UnreadableVideo, "B-frames", video, BLOCKS, RATE_HZ, tmp_path / "out.mp4")


def test_a_failure_while_writing_leaves_nothing(tmp_path, video, monkeypatch):
    def fail(*_):
        raise av.error.OSError(28, "No space left on device")
        yield

    monkeypatch.setattr("media.soundtrack.mux._encode", fail)
    assert_refused(
        tmp_path,
        OSError,
        r"out\.mp4 could not be written: No space left",
        video,
        BLOCKS,
        RATE_HZ,
        tmp_path / "out.mp4",
    )


@pytest.mark.skipif("V2A_REAL_DATA" not in os.environ, reason="needs a folder of real videos, V2A_REAL_DATA")
def test_real_videos(tmp_path):
    for video in sorted((Path(os.environ["V2A_REAL_DATA"]) / "videos").iterdir()):
        before, info = hashlib.sha256(video.read_bytes()).hexdigest(), probe_video(video)
        output, waveform = tmp_path / f"out{plan_output(video)[0]}", chirp(info.duration_s)
        mux_waveform(video, waveform, RATE_HZ, output)
        assert hashlib.sha256(video.read_bytes()).hexdigest() == before
        assert picture_packets(output) == picture_packets(video)
        assert probe_video(output).rotation_deg == info.rotation_deg
        assert_heard(output, waveform)
