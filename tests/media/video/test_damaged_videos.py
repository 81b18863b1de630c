"""What is not a video, or no longer a whole one: read as far as it goes, or refused with a line that names it."""

import os
import tracemalloc
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from media.sound.sound_files import write_wav
from media.video.video_files import UnreadableVideo, probe_video, read_frames
from tests.helpers.muxing import mux_waveform
from tests.media.video.test_video_files import even_times_ms, shown, write_video

NOISE = np.random.default_rng(0).integers(0, 255, (50, 48, 64, 3), np.uint8)
READERS = pytest.mark.parametrize("read", [probe_video, lambda path: list(read_frames(path, 2))])
EVERY_FRAME_ALONE = {"g": "1", "lag-in-frames": "0"}


def write_noise(path: Path, encoder: str = "libx264", **options) -> Path:
    return write_video(path, even_times_ms(len(NOISE)), encoder, pictures=list(NOISE), **options)


@pytest.mark.parametrize(
    ("name", "encoder", "options", "has_length"),
    [
        ("v.mp4", "libx264", {"container_options": {"movflags": "faststart"}}, True),
        ("v.mp4", "libx264", {"container_options": {"movflags": "frag_keyframe+empty_moov"}}, False),
        ("v.mkv", "libx265", {"x265-params": "log-level=none"}, True),
        ("v.webm", "libvpx-vp9", {}, True),
        ("v.avi", "mpeg4", {}, False),
        ("v.flv", "libx264", {}, True),
        ("v.ts", "libx264", {}, False),
    ],
)
def test_a_video_that_breaks_off_ends_there(tmp_path, name, encoder, options, has_length):
    whole = write_noise(tmp_path / name, encoder, **options)
    frames = [frame for _, frame in read_frames(whole, 25)]
    cut = tmp_path / f"cut_{name}"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    info = probe_video(cut)
    assert 0.4 < info.duration_s < 1.6
    if has_length:
        assert info.missing_s == pytest.approx(2 - info.duration_s, abs=0.15)
    beginning = [frame for _, frame in read_frames(cut, 25)]
    assert len(beginning) == round(info.duration_s * 25)
    for k in range(len(beginning) - 8):  # the last ones may lean on frames that are missing
        np.testing.assert_array_equal(beginning[k], frames[k])
    output = tmp_path / f"out{'.mp4' if name in ('v.avi', 'v.flv', 'v.ts') else whole.suffix}"
    mux_waveform(cut, np.zeros(480, np.float32), 48_000, output)
    assert probe_video(output).duration_s == pytest.approx(info.duration_s, abs=0.02)


@pytest.mark.parametrize("number", [0, 3, 11])
def test_in_place_of_a_damaged_frame_its_neighbour_is_shown(tmp_path, number):
    path = write_video(tmp_path / "v.webm", even_times_ms(12), "libvpx-vp9", **EVERY_FRAME_ALONE)
    damage(path, [number])
    expected = [k if k != number else abs(k - 1) for k in range(12)]
    assert shown(path, 25) == [(k / 25, expected[k]) for k in range(12)]
    mux_waveform(path, np.zeros(480, np.float32), 48_000, tmp_path / "out.webm")
    assert shown(tmp_path / "out.webm", 25) == shown(path, 25)


def damage(path: Path, numbers: list[int]) -> None:
    """Overwrites some frames of a video."""
    content = bytearray(path.read_bytes())
    with av.open(path) as container:
        sizes = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    for number in numbers:
        start = content.index(sizes[number])
        content[start : start + len(sizes[number])] = b"\xff" * len(sizes[number])
    path.write_bytes(content)


def test_more_damage_than_picture_is_an_error(tmp_path):
    path = write_video(tmp_path / "v.webm", even_times_ms(12), "libvpx-vp9", **EVERY_FRAME_ALONE)
    damage(path, list(range(2, 12)))
    with pytest.raises(UnreadableVideo, match=r"v\.webm is damaged: \d+ of its 12 frames cannot be decoded"):
        list(read_frames(path, 25))
    damage(path, [0, 1])
    with pytest.raises(UnreadableVideo, match=r"v\.webm has no frame that can be decoded"):
        list(read_frames(path, 25))


@READERS
@pytest.mark.parametrize("content", [b"", b"no video " * 100, np.random.default_rng(0).bytes(9_999)])
def test_what_is_no_video_is_named(tmp_path, content, read):
    path = tmp_path / "fake.mp4"
    with pytest.raises(FileNotFoundError, match=r"fake\.mp4"):
        read(path)
    path.write_bytes(content)
    with pytest.raises(UnreadableVideo, match=r"fake\.mp4 is not a readable video"):
        read(path)


@READERS
def test_a_folder_is_no_video(tmp_path, read):
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(FileNotFoundError, match=r"folder\.mp4 is not a file"):
        read(tmp_path / "folder.mp4")


@READERS
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="everything is permitted to root")
def test_a_video_without_permission_is_named(tmp_path, read):
    path = write_video(tmp_path / "v.mp4", [0, 40])
    path.chmod(0)
    with pytest.raises(UnreadableVideo, match=r"v\.mp4 is not a readable video: Permission denied"):
        read(path)


@READERS
def test_an_address_in_a_file_is_not_followed(tmp_path, read):
    write_video(tmp_path / "other.ts", even_times_ms(3))
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://localhost:9/v.ts\n")
    with pytest.raises(UnreadableVideo, match=r"list\.mp4"):
        read(tmp_path / "list.mp4")


@READERS
def test_a_video_that_lost_its_index_is_named(tmp_path, read):
    path = write_noise(tmp_path / "v.mp4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UnreadableVideo, match=r"v\.mp4 is not a readable video"):
        read(path)


@READERS
def test_sound_alone_is_no_video(tmp_path, read):
    write_wav(tmp_path / "sound.wav", np.zeros(800, np.float32), 16_000)
    (tmp_path / "sound.wav").rename(tmp_path / "sound.mp4")
    with pytest.raises(UnreadableVideo, match=r"sound\.mp4 holds no moving picture"):
        read(tmp_path / "sound.mp4")


@READERS
def test_a_sound_with_a_cover_picture_is_no_video(tmp_path, read):
    path = tmp_path / "song.mp3"
    with av.open(path, "w") as container:
        track = container.add_stream("libmp3lame", rate=44_100, layout="mono")
        cover = container.add_stream("png", width=32, height=32, pix_fmt="rgb24")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 44_100), np.float32), format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 44_100, 0
        picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        container.mux(cover.encode(picture) + cover.encode(None) + track.encode(samples) + track.encode(None))
    with pytest.raises(UnreadableVideo, match=r"song\.mp3 holds no moving picture"):
        read(path)


@READERS
def test_a_video_of_no_frames_is_named(tmp_path, read):
    path = tmp_path / "none.mp4"
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=25, width=64, height=48)
        sound = container.add_stream("aac", rate=48_000, layout="mono")
        samples = av.AudioFrame.from_ndarray(np.zeros((1, 4_800), np.float32), format="fltp", layout="mono")
        samples.sample_rate, samples.pts = 48_000, 0
        container.mux(sound.encode(samples) + sound.encode(None) + stream.encode(None))
    with pytest.raises(UnreadableVideo, match=r"none\.mp4"):
        read(path)


def test_a_wrong_suffix_does_not_matter(tmp_path):
    path = write_video(tmp_path / "v.webm", even_times_ms(3), "libvpx").rename(tmp_path / "v.avi")
    assert len(shown(path, 25)) == 3
    Image.fromarray(NOISE[0]).save(tmp_path / "photo.png")
    path = (tmp_path / "photo.png").rename(tmp_path / "photo.mp4")
    [(_, frame)] = read_frames(path, 25)
    np.testing.assert_array_equal(frame, NOISE[0])


@READERS
def test_enormous_pictures_are_refused(tmp_path, read):
    Image.fromarray(NOISE[0]).save(tmp_path / "v.gif")
    content = bytearray((tmp_path / "v.gif").read_bytes())
    content[6:10] = 2 * (30_000).to_bytes(2, "little")
    (tmp_path / "v.gif").write_bytes(content)
    with pytest.raises(UnreadableVideo, match=r"v\.gif has no frame that .* has at most 67108864 pixels"):
        read(tmp_path / "v.gif")


def test_enormous_pictures_that_no_header_announces_are_not_decoded(tmp_path, monkeypatch):
    small = write_video(tmp_path / "small.webm", even_times_ms(6), "libvpx")
    large_pictures = [np.full((192, 256, 3), 200, np.uint8)] * 3
    later_ms = [240 + time_ms for time_ms in even_times_ms(3)]
    large = write_video(tmp_path / "large.webm", later_ms, "libvpx", pictures=large_pictures)
    with av.open(tmp_path / "both.webm", "w") as both, av.open(small) as first, av.open(large) as second:
        copy = both.add_stream_from_template(first.streams.video[0])
        for packet in [*first.demux(video=0), *second.demux(video=0)]:
            if packet.size:
                packet.stream = copy
                both.mux(packet)
    assert [number for _, number in shown(tmp_path / "both.webm", 25)] == [0, 1, 2, 3, 4, 5, 10, 10, 10]
    monkeypatch.setattr("media.video.packets.MAX_PIXELS", 20_000)
    assert [number for _, number in shown(tmp_path / "both.webm", 25)] == [0, 1, 2, 3, 4, 5, 5, 5, 5]


@READERS
def test_more_than_a_day_is_refused(tmp_path, read):
    path = write_video(tmp_path / "v.webm", [0, 40, 25 * 3_600_000], "libvpx", **{"lag-in-frames": "0"})
    with pytest.raises(UnreadableVideo, match=r"v\.webm is 25\.0 hours long; expected at most 24"):
        read(path)


def peak_bytes(path: Path) -> int:
    tracemalloc.start()
    num_frames = sum(1 for _ in read_frames(path, 25))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert num_frames == pytest.approx(probe_video(path).duration_s * 25)
    return peak


def write_repeated(path: Path, num_frames: int) -> Path:
    """One and the same tiny picture, encoded once."""
    frame = av.VideoFrame.from_ndarray(np.full((16, 16, 3), 120, np.uint8))
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    with av.open(path, "w") as container:
        stream = container.add_stream("libvpx", rate=25, width=16, height=16)
        [packet] = stream.encode(frame) + stream.encode(None)
        for k in range(num_frames):
            packet.pts = packet.dts = k
            packet.time_base, packet.stream = Fraction(1, 25), stream
            container.mux(packet)
    return path


def test_memory_does_not_grow_with_the_length(tmp_path):
    short, long = (write_repeated(tmp_path / f"{n}.mkv", n) for n in (250, 5_000))
    peak_bytes(short)  # what is made once in a process does not count
    assert peak_bytes(long) < peak_bytes(short) + 20_000
