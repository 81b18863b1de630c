"""Every kind of video that is sold as one: containers, codecs, sizes, clocks and tracks."""

import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from media.video.video_files import probe_video, read_frames
from tests.media.video.test_video_files import UNEVEN_TIMES_MS, even_times_ms, shown, write_video

X265 = {"x265-params": "log-level=none:bframes=0"}  # it invents times for B-frames in videos of one or two frames
ENCODERS = [  # name, encoder, options
    ("video.mp4", "libx264", {}),
    ("video.mp4", "libx265", X265),
    ("video.mp4", "libsvtav1", {}),
    ("video.mov", "mpeg4", {}),
    ("video.mkv", "libx264", {}),
    ("video.mkv", "libx265", X265),
    ("video.webm", "libvpx", {}),
    ("video.webm", "libvpx-vp9", {}),
    ("video.avi", "mpeg4", {}),
    ("video.ts", "libx264", {}),
    ("video.3gp", "libx264", {}),
    ("video.flv", "libx264", {}),
    ("video.wmv", "msmpeg4", {}),
]
every_encoder = pytest.mark.parametrize(("name", "encoder", "options"), ENCODERS)


@every_encoder
def test_probe_measures_every_container(tmp_path, name, encoder, options):
    info = probe_video(write_video(tmp_path / name, even_times_ms(12), encoder, **options))
    assert (info.width, info.height, info.rotation_deg, info.has_sound) == (64, 48, 0, False)
    assert info.duration_s == pytest.approx(0.48, abs=0.001)
    assert info.frames_per_second == pytest.approx(25, abs=0.1)
    assert info.missing_s == 0


@every_encoder
def test_the_grid_shows_the_frame_visible_at_its_time(tmp_path, name, encoder, options):
    path = write_video(tmp_path / name, even_times_ms(12), encoder, **options)
    assert shown(path, 25) == [(k / 25, k) for k in range(12)]
    assert shown(path, 10) == [(0, 0), (0.1, 2), (0.2, 5), (0.3, 7), (0.4, 10)]


@pytest.mark.parametrize(("name", "encoder", "options"), [case for case in ENCODERS if case[0] != "video.ts"])
@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_a_few_frames_are_a_video(tmp_path, name, encoder, options, num_frames):
    path = write_video(tmp_path / name, even_times_ms(num_frames), encoder, **options)
    assert probe_video(path).duration_s == pytest.approx(num_frames / 25, abs=0.02)
    assert shown(path, 25) == [(k / 25, k) for k in range(num_frames)]


@pytest.mark.parametrize(
    ("name", "encoder", "options"),
    [("video.mp4", "libx265", X265), ("video.mkv", "libx264", {}), ("video.webm", "libvpx", {})],
)
def test_a_variable_rate(tmp_path, name, encoder, options):
    path = write_video(tmp_path / name, UNEVEN_TIMES_MS, encoder, **options)
    assert probe_video(path).duration_s == pytest.approx(2.04, abs=0.02)
    assert [number for _, number in shown(path, 4)][:8] == [0, 2, 3, 3, 3, 5, 6, 6]


@pytest.mark.parametrize(("width", "height"), [(63, 47), (47, 63), (48, 64), (2, 64), (256, 2)])
@pytest.mark.parametrize(("name", "encoder"), [("v.mp4", "mpeg4"), ("v.webm", "libvpx-vp9")])
def test_odd_sizes_and_portrait(tmp_path, name, encoder, width, height):
    picture = np.full((height, width, 3), 120, np.uint8)
    path = write_video(tmp_path / name, even_times_ms(3), encoder, pictures=[picture] * 3)
    info = probe_video(path)
    assert (info.width, info.height) == (width, height)
    frames = [frame for _, frame in read_frames(path, 25)]
    assert [frame.shape for frame in frames] == [(height, width, 3)] * 3
    assert np.abs(frames[0] - 120.0).max() < 12
    [*_, (_, small)] = read_frames(path, 25, max_side=32)
    assert max(small.shape) == min(32, max(width, height))


def test_a_video_that_changes_its_size_is_read_in_its_first_one(tmp_path):
    grey, white = np.full((48, 64, 3), 60, np.uint8), np.full((96, 80, 3), 200, np.uint8)
    later_ms = [240 + time_ms for time_ms in even_times_ms(6)]
    first = write_video(tmp_path / "first.ts", even_times_ms(6), pictures=[grey] * 6, bf="0")
    second = write_video(tmp_path / "second.ts", later_ms, pictures=[white] * 6, bf="0")
    both = tmp_path / "both.ts"
    both.write_bytes(first.read_bytes() + second.read_bytes())
    frames = [frame for _, frame in read_frames(both, 25)]
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 12
    assert [round(frame.mean() / 20) for frame in frames] == [3] * 6 + [10] * 6


def test_an_animated_gif(tmp_path):
    """Each picture stays for its own time, the last one too; transparent parts are white."""
    images = [Image.fromarray(np.full((48, 64, 3), 20 * k, np.uint8)) for k in range(5)]
    images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:], duration=[100, 40, 300, 40, 200])
    info = probe_video(tmp_path / "a.gif")
    assert (info.width, info.height, info.has_sound) == (64, 48, False)
    assert info.duration_s == pytest.approx(0.68)
    assert [number for _, number in shown(tmp_path / "a.gif", 10)] == [0, 1, 2, 2, 2, 4, 4]
    see_through = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    see_through.paste((10, 20, 30, 255), (0, 0, 4, 8))
    see_through.save(tmp_path / "b.gif")
    [(_, frame)] = read_frames(tmp_path / "b.gif", 1)
    np.testing.assert_array_equal(frame[:, 4:], 255)
    assert np.abs(frame[:, :4].astype(int) - [10, 20, 30]).max() <= 30


@pytest.mark.parametrize("level", [0.0, 0.5])
@pytest.mark.parametrize(("name", "encoder"), [("v.mp4", "libx264"), ("v.webm", "libvpx")])
def test_sound_is_seen_and_does_not_lengthen_the_picture(tmp_path, name, encoder, level):
    path = write_video(tmp_path / name, even_times_ms(6), encoder, sound=np.full(96_000, level, np.float32))
    info = probe_video(path)
    assert info.has_sound
    assert info.duration_s == pytest.approx(0.24, abs=0.01)
    assert info.missing_s == 0
    assert len(shown(path, 25)) == 6


def test_several_sound_tracks_before_the_picture(tmp_path):
    path = tmp_path / "v.mkv"
    with av.open(path, "w") as container:
        tracks = [container.add_stream("aac", rate=48_000, layout=layout) for layout in ("mono", "stereo")]
        stream = container.add_stream("libx264", rate=25, width=64, height=48)
        for track, layout in zip(tracks, ("mono", "stereo"), strict=True):
            silence = np.zeros((1 + (layout == "stereo"), 4_800), np.float32)
            samples = av.AudioFrame.from_ndarray(silence, format="fltp", layout=layout)
            samples.sample_rate, samples.pts = 48_000, 0
            container.mux(track.encode(samples) + track.encode(None))
        for k in range(6):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * k, np.uint8))
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert probe_video(path).has_sound
    assert probe_video(path).duration_s == pytest.approx(0.24, abs=0.002)
    assert shown(path, 25) == [(k / 25, k) for k in range(6)]


def test_a_header_without_duration(tmp_path):
    path = write_video(tmp_path / "live.webm", even_times_ms(12), "libvpx", container_options={"live": "1"})
    with av.open(path) as container:
        assert container.duration is None
    assert probe_video(path).duration_s == pytest.approx(0.48, abs=0.01)
    assert probe_video(path).missing_s == 0
    assert len(shown(path, 25)) == 12


@pytest.mark.parametrize("claimed_s", [0, 0.1, 3600])
@pytest.mark.parametrize(("name", "encoder"), [("v.mp4", "libx264"), ("v.webm", "libvpx")])
def test_a_header_with_a_wrong_duration(tmp_path, name, encoder, claimed_s):
    path = write_video(tmp_path / name, even_times_ms(12), encoder)
    content = bytearray(path.read_bytes())
    if name == "v.mp4":  # the film's, the track's and the medium's duration, each in units of its own clock
        units_hz = [struct.unpack_from(">I", content, content.index(box) + 16)[0] for box in (b"mvhd", b"mdhd")]
        for box, offset, unit_hz in (
            (b"mvhd", 20, units_hz[0]),
            (b"tkhd", 24, units_hz[0]),
            (b"mdhd", 20, units_hz[1]),
        ):
            struct.pack_into(">I", content, content.index(box) + offset, round(claimed_s * unit_hz))
    else:
        struct.pack_into(">d", content, content.index(b"\x44\x89\x88") + 3, claimed_s * 1000)
    path.write_bytes(content)
    info = probe_video(path)
    assert info.duration_s == pytest.approx(0.48, abs=0.02)
    assert len(shown(path, 25)) == 12
    if name == "v.webm":  # of an MP4 FFmpeg reads the times of all frames, which are in its header too
        assert info.missing_s == pytest.approx(3599.5 if claimed_s == 3600 else 0, abs=0.1)


@pytest.mark.parametrize("name", ["12:30:05.mp4", "concat:a.mp4", "100%03d.mp4", "-i.mp4", "ü [1] *.mp4"])
def test_names_that_look_like_addresses_and_patterns(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "v.mp4", even_times_ms(3)).rename(name)
    assert len(list(read_frames(name, 25))) == 3
