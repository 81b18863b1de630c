import os
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from media.video_files import (
    PHOTO_SUFFIXES,
    VIDEO_SUFFIXES,
    UnreadablePhoto,
    UnreadableVideo,
    probe_video,
    read_frames,
    read_photo,
)

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


def rotate(path: Path, clockwise_deg: int) -> Path:
    """Writes a turn into an MP4 file's track header, as a phone does."""
    content = path.read_bytes()
    cos, sin = {0: (1, 0), 90: (0, 1), 180: (-1, 0), 270: (0, -1)}[clockwise_deg]
    matrix = struct.pack(">9i", cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30)
    start = content.index(b"tkhd") + 44
    path.write_bytes(content[:start] + matrix + content[start + len(matrix) :])
    return path


def shown(path: Path, frames_per_second: float) -> list[tuple[float, int]]:
    """(time, number of the frame shown)."""
    return [(time_s, round(frame.mean() / 20)) for time_s, frame in read_frames(path, frames_per_second)]


ENCODERS = [
    ("video.mp4", "libx264"),
    ("video.mov", "mpeg4"),
    ("video.mkv", "libx264"),
    ("video.webm", "libvpx-vp9"),
    ("video.avi", "mpeg4"),
    ("video.ts", "libx264"),
]


@pytest.mark.parametrize(("name", "encoder"), ENCODERS)
def test_probe_measures_every_container(tmp_path, name, encoder):
    info = probe_video(write_video(tmp_path / name, even_times_ms(12), encoder))
    assert (info.width, info.height, info.rotation_deg, info.has_sound) == (64, 48, 0, False)
    assert info.duration_s == pytest.approx(0.48, abs=0.001)
    assert info.frames_per_second == pytest.approx(25, abs=0.1)


@pytest.mark.parametrize(("name", "encoder"), ENCODERS)
def test_the_grid_shows_the_frame_visible_at_its_time(tmp_path, name, encoder):
    path = write_video(tmp_path / name, even_times_ms(12), encoder)
    assert shown(path, 25) == [(k / 25, k) for k in range(12)]
    assert shown(path, 10) == [(0, 0), (0.1, 2), (0.2, 5), (0.3, 7), (0.4, 10)]


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


def test_one_frame_is_a_video(tmp_path):
    path = write_video(tmp_path / "one.mp4", [0])
    assert shown(path, 4) == [(0, 0)]


def test_a_header_without_duration(tmp_path):
    path = write_video(tmp_path / "live.webm", even_times_ms(12), "libvpx", container_options={"live": "1"})
    with av.open(path) as container:
        assert container.duration is None
    assert probe_video(path).duration_s == pytest.approx(0.48, abs=0.01)
    assert len(shown(path, 25)) == 12


def test_sound_is_seen(tmp_path):
    assert probe_video(write_video(tmp_path / "v.mp4", [0, 40], sound=np.zeros(4800, np.float32))).has_sound


@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270])
def test_rotation_is_applied(tmp_path, clockwise_deg):
    corner = np.zeros((48, 64, 3), np.uint8)
    corner[:24, :32] = [200, 0, 0]  # the upper left quarter is red
    path = rotate(write_video(tmp_path / "phone.mp4", [0, 40], pictures=[corner, corner]), clockwise_deg)
    info = probe_video(path)
    [(_, frame)] = read_frames(path, 1)
    assert info.rotation_deg == clockwise_deg
    assert frame.shape == (info.height, info.width, 3)
    assert frame.flags.c_contiguous
    expected = np.rot90(corner, -clockwise_deg // 90).astype(float)
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
    monkeypatch.setattr("media.video_files._rgb", lambda frame, _: converted.append(frame) or reformat(frame))
    next(frames), next(frames)
    assert len(converted) == 2
    assert len(list(frames)) == 1
    assert len(converted) == 3


@pytest.mark.parametrize("content", [b"", b"no video " * 100])
@pytest.mark.parametrize("read", [probe_video, lambda path: list(read_frames(path, 2))])
def test_what_is_no_video_is_named(tmp_path, content, read):
    path = tmp_path / "fake.mp4"
    with pytest.raises(FileNotFoundError, match=r"fake\.mp4"):
        read(path)
    path.write_bytes(content)
    with pytest.raises(UnreadableVideo, match=r"fake\.mp4 is not a readable video"):
        read(path)


def test_a_sound_with_a_cover_picture_is_no_video(tmp_path):
    path = tmp_path / "song.mp3"
    with av.open(path, "w") as container:
        track = container.add_stream("libmp3lame", rate=44_100, layout="mono")
        cover = container.add_stream("png", width=32, height=32, pix_fmt="rgb24")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.float32), format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 44_100, 0
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        container.mux(cover.encode(picture) + cover.encode(None) + track.encode(samples) + track.encode(None))
    with pytest.raises(UnreadableVideo, match=r"song\.mp3 holds no moving picture"):
        probe_video(path)


def test_damage_is_an_error(tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (12, 48, 64, 3), np.uint8)
    path = write_video(tmp_path / "v.mp4", even_times_ms(12), pictures=list(noise), bf="0")
    content = bytearray(path.read_bytes())
    start, end = content.index(b"mdat") + 4_000, content.index(b"moov") - 4_000
    content[start:end] = b"\xff" * (end - start)
    path.write_bytes(content)
    with pytest.raises(UnreadableVideo, match=r"v\.mp4 is not a readable video"):
        list(read_frames(path, 25))


@pytest.mark.parametrize("frames_per_second", [0, -1, float("nan")])
def test_the_grid_needs_a_positive_rate(tmp_path, frames_per_second):
    with pytest.raises(ValueError, match="expected a positive number"):
        next(read_frames(tmp_path / "v.mp4", frames_per_second))


def test_suffixes_are_lower_case_and_apart():
    assert not VIDEO_SUFFIXES & PHOTO_SUFFIXES
    for suffix in VIDEO_SUFFIXES | PHOTO_SUFFIXES:
        assert suffix == suffix.lower()
        assert suffix.startswith(".")


RAMP = np.linspace(0, 255, 64).round().astype(np.uint8).reshape(8, 8)


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(RAMP),
        Image.fromarray(RAMP).convert("P"),
        Image.fromarray(RAMP).convert("RGB"),
        Image.fromarray(RAMP).convert("RGBA"),
        Image.fromarray(RAMP).convert("LA"),
        Image.fromarray(RAMP.astype(np.uint16) * 257),
    ],
    ids=lambda image: image.mode,
)
def test_every_mode_becomes_rgb(tmp_path, image):
    image.save(tmp_path / "photo.png")
    photo = read_photo(tmp_path / "photo.png")
    assert photo.dtype == np.uint8
    np.testing.assert_array_equal(photo, np.stack([RAMP] * 3, axis=2))


def test_cmyk_becomes_rgb(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "photo.tif")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.tif"), np.full((8, 8, 3), [255, 0, 0]))


@pytest.mark.parametrize("mode", ["RGBA", "P"])
def test_transparent_parts_are_white(tmp_path, mode):
    image = Image.new("RGBA", (8, 8), (10, 20, 30, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 8))
    image.convert(mode).save(tmp_path / "photo.png")
    photo = read_photo(tmp_path / "photo.png")
    np.testing.assert_array_equal(photo[:, :4], 255)
    assert np.abs(photo[:, 4:].astype(int) - [10, 20, 30]).max() <= 30  # a palette has few colours


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise by 90 degrees
    Image.fromarray(RAMP[:4]).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[..., 0], np.rot90(RAMP[:4], -1))


def test_odd_exif_is_harmless(tmp_path):
    Image.fromarray(RAMP).save(tmp_path / "photo.png", exif=b"Exif\0\0II*\0\x08\0\0\0\x05\0\x12\x01")
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[..., 0], RAMP)


def test_large_photos_are_read_and_enormous_ones_refused(tmp_path, monkeypatch):
    Image.fromarray(RAMP).save(tmp_path / "photo.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 40)  # Pillow warns above it and refuses above twice as many
    np.testing.assert_array_equal(read_photo(tmp_path / "photo.png")[..., 0], RAMP)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    with pytest.raises(UnreadablePhoto, match=r"photo\.png is not a readable photo: .*decompression bomb"):
        read_photo(tmp_path / "photo.png")


def test_what_is_no_photo_is_named(tmp_path):
    path = tmp_path / "photo.jpg"
    with pytest.raises(FileNotFoundError, match=r"photo\.jpg"):
        read_photo(path)
    Image.effect_noise((64, 64), 50).save(path)
    whole = path.read_bytes()
    for content in (b"", b"no photo", whole[: len(whole) // 2]):
        path.write_bytes(content)
        with pytest.raises(UnreadablePhoto, match=r"photo\.jpg is not a readable photo"):
            read_photo(path)


@pytest.mark.skipif("V2A_REAL_DATA" not in os.environ, reason="needs a folder of real videos, V2A_REAL_DATA")
def test_real_videos_and_photos():
    root = Path(os.environ["V2A_REAL_DATA"])
    for path in sorted((root / "videos").iterdir()):
        info = probe_video(path)
        frames = list(read_frames(path, 2, max_side=128))
        assert [time_s for time_s, _ in frames] == [k / 2 for k in range(len(frames))]
        assert len(frames) == int(np.ceil(info.duration_s * 2))
        assert {max(frame.shape) for _, frame in frames} == {128}
        assert (info.height > info.width) == (frames[0][1].shape[0] > frames[0][1].shape[1])
        assert np.mean([frame.std() for _, frame in frames]) > 1  # pictures, not a plain grey
    for path in sorted((root / "photos").rglob("*.jpg")):
        assert read_photo(path).std() > 5
