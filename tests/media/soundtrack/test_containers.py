"""The picture of every container comes out as a player shows it: copied if that can be, else encoded again."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from media.soundtrack.containers import plan_output
from media.video.encoding import encode_picture
from media.video.video_files import UnreadableVideo, probe_video, read_frames
from tests.helpers.containers import set_edit_list, set_orientation, set_pixel_shape
from tests.helpers.muxing import mux_waveform
from tests.media.video.test_video_files import even_times_ms, shown, write_video

RATE_HZ = 48_000


def sounded(video: Path, expected_suffix: str, is_copied: bool = True) -> Path:
    """The video with a new sound, as the composite writes it."""
    suffix, reason = plan_output(video)
    assert (suffix, not reason) == (expected_suffix, is_copied)
    picture, output = video, video.with_name(f"out{suffix}")
    if reason:
        picture = video.with_name("picture.mp4")
        encode_picture(video, picture)
    mux_waveform(picture, np.zeros(round(probe_video(video).duration_s * RATE_HZ), np.float32), RATE_HZ, output)
    return output


def assert_looks_the_same(output: Path, video: Path, tolerance: float = 0.0) -> None:
    before, after = ([frame.astype(float) for _, frame in read_frames(path, 25)] for path in (video, output))
    assert len(after) == len(before)
    assert max(np.abs(old - new).mean() for old, new in zip(before, after, strict=True)) <= tolerance
    assert probe_video(output).duration_s == pytest.approx(probe_video(video).duration_s, abs=1e-3)


def display_ratio(path: Path) -> float:
    with av.open(path) as container:
        picture = container.streams.video[0]
        return picture.width * (picture.sample_aspect_ratio or 1) / picture.height


@pytest.mark.parametrize(
    ("segments_s", "numbers", "is_copied"),
    [
        ([(0, 0.52)], range(13), True),
        ([(0, 0.48)], range(12), False),  # a hidden frame is needed to decode the last two
        ([(0.4, 0.24), (0, 0.24)], [*range(10, 13), *range(3), *range(6)], False),
        ([(0.2, 0.2)], range(5, 10), True),
        ([(0, 0.08), (0, 0.08), (0, 0.08)], [0, 1] * 3, False),
    ],
)
def test_an_edit_list_decides_what_is_shown(tmp_path, segments_s, numbers, is_copied):
    video = set_edit_list(write_video(tmp_path / "v.mp4", even_times_ms(25), bf="2", b_strategy="0"), segments_s)
    assert [number for _, number in shown(video, 25)] == list(numbers)
    output = sounded(video, ".mp4", is_copied)
    assert [number for _, number in shown(output, 25)] == list(numbers)
    assert_looks_the_same(output, video, tolerance=0 if is_copied else 2)
    with av.open(output) as container:
        assert container.duration / 1e6 == pytest.approx(len(numbers) / 25, abs=0.03)


def test_what_cannot_be_copied_is_refused_in_words(tmp_path):
    video = set_edit_list(write_video(tmp_path / "v.mp4", even_times_ms(25), bf="2"), [(0.2, 0.2), (0, 0.2)])
    assert plan_output(video) == (".mp4", "shows parts of its picture only, by an edit list")
    with pytest.raises(UnreadableVideo, match=r"v\.mp4 shows parts of its picture only, by an edit list; its pict"):
        mux_waveform(video, np.zeros(480), RATE_HZ, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


@pytest.mark.parametrize(("name", "encoder"), [("v.mp4", "libx264"), ("v.mov", "mpeg4"), ("v.mkv", "libx264")])
def test_the_shape_of_pixels_survives(tmp_path, name, encoder):
    plain = write_video(tmp_path / "plain.mp4", even_times_ms(5), encoder)
    video = set_pixel_shape(plain, tmp_path / name, Fraction(3, 2))
    assert display_ratio(video) == 2
    output = sounded(video, ".mov" if name == "v.mov" else ".mp4")
    assert display_ratio(output) == 2
    assert_looks_the_same(output, video)


def test_a_stretched_picture_that_no_mp4_carries_is_encoded_again(tmp_path):
    plain = write_video(tmp_path / "plain.webm", even_times_ms(5), "libvpx")
    video = set_pixel_shape(plain, tmp_path / "v.mkv", Fraction(3, 2))
    output = sounded(video, ".mp4", is_copied=False)
    assert display_ratio(output) == 2
    assert_looks_the_same(output, video, tolerance=2)


@pytest.mark.parametrize("is_mirrored", [False, True])
@pytest.mark.parametrize("clockwise_deg", [0, 90, 180, 270])
def test_all_eight_orientations_survive(tmp_path, clockwise_deg, is_mirrored):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = [200, 0, 0]
    video = write_video(tmp_path / "v.mp4", even_times_ms(25), pictures=[picture] * 25, bf="2")
    set_orientation(video, clockwise_deg, is_mirrored)
    assert_looks_the_same(sounded(video, ".mp4"), video)
    set_edit_list(video, [(0.2, 0.2), (0, 0.2)])
    assert_looks_the_same(sounded(video, ".mp4", is_copied=False), video, tolerance=4)


@pytest.mark.parametrize("has_sound", [False, True])
def test_a_clock_that_starts_again_resumes(tmp_path, has_sound):
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, 28_800).astype(np.float32) if has_sound else None
    parts = [write_video(tmp_path / name, even_times_ms(15), sound=sound) for name in ("a.ts", "b.ts")]
    video = tmp_path / "v.ts"
    video.write_bytes(b"".join(path.read_bytes() for path in parts))
    assert probe_video(video).duration_s == pytest.approx(1.2, abs=0.05 if has_sound else 1e-6)
    numbers = [number for _, number in shown(video, 25)]
    assert numbers[:15] == [k % 13 for k in range(15)]
    assert numbers[-14:] == [k % 13 for k in range(1, 15)]
    output = sounded(video, ".mp4")
    assert probe_video(output).start_s == 0
    assert_looks_the_same(output, video)
    with av.open(output) as container:
        assert sum(packet.size > 0 for packet in container.demux(video=0)) == 30


@pytest.mark.parametrize(
    ("encoder", "size", "suffix", "is_copied"),
    [("rawvideo", (48, 64), ".mp4", False), ("dvvideo", (576, 720), ".mov", True)],
)
def test_pictures_of_old_recorders(tmp_path, encoder, size, suffix, is_copied):
    pictures = [np.full((*size, 3), 40 * k, np.uint8) for k in range(4)]
    video = write_video(tmp_path / "v.avi", even_times_ms(4), encoder, pictures=pictures)
    assert_looks_the_same(sounded(video, suffix, is_copied), video, tolerance=0 if is_copied else 2)


def test_a_gif_is_encoded_as_no_player_knows_its_packets_elsewhere(tmp_path):
    images = [Image.new("RGB", (64, 48), (shade, shade, shade)) for shade in (0, 100, 200)]
    images[0].save(tmp_path / "v.gif", save_all=True, append_images=images[1:], duration=200)
    assert_looks_the_same(sounded(tmp_path / "v.gif", ".mp4", is_copied=False), tmp_path / "v.gif", tolerance=3)
