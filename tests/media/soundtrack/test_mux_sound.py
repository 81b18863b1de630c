import tracemalloc

import av
import numpy as np
import pytest

from media.soundtrack.mux import encode_and_decode, mux_sound
from media.video.video_files import probe_video
from tests.media.soundtrack.test_mux import assert_refused, picture_packets
from tests.media.soundtrack.test_original_sound import click_track, clicks_found_s, own_sound, write_film
from tests.media.soundtrack.test_streams import full_disk

RATE_HZ = 48_000


def tones(duration_s: float, rate_hz: int = RATE_HZ, frequencies_hz: tuple[int, ...] = (440, 1_000)) -> np.ndarray:
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return np.stack([0.3 * np.sin(2 * np.pi * hz * times_s) for hz in frequencies_hz]).astype(np.float32)


@pytest.mark.parametrize("name", ["v.mp4", "v.mov", "v.mkv", "v.webm"])
@pytest.mark.parametrize("rate_hz", [32_000, 44_100, 48_000])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_blocks_become_the_sound(tmp_path, name, rate_hz, num_channels):
    video, output = write_film(tmp_path / name, []), tmp_path / f"out_{name}"
    sound = tones(3, rate_hz)[:num_channels]
    mux_sound(video, iter(np.array_split(sound, 7, axis=1)), rate_hz, output)
    with av.open(output) as container:
        track = container.streams.audio[0]
        assert (track.channels, track.rate) == (num_channels, RATE_HZ if name == "v.webm" else rate_hz)
    heard = own_sound(output, rate_hz)
    for channel in range(num_channels):
        middle = slice(rate_hz, 2 * rate_hz)
        assert np.corrcoef(heard[channel, middle], sound[channel, middle])[0, 1] > 0.98
    assert picture_packets(output) == picture_packets(video)


@pytest.mark.parametrize("num_excess", [0, 1, 50, 63, 64, 500, 1_023])
@pytest.mark.parametrize("picture_start_s", [0, 0.1])
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.webm"])
def test_the_sound_is_as_long_as_the_picture_within_20_ms(tmp_path, name, picture_start_s, num_excess):
    """Both for who believes the file's header and for who decodes all there is."""
    video, output = write_film(tmp_path / name, [], picture_start_s=picture_start_s), tmp_path / f"out_{name}"
    num_samples = 140 * 1024 + num_excess - round(picture_start_s * RATE_HZ)
    mux_sound(video, [tones(1), np.zeros((2, num_samples - RATE_HZ), np.float32)], RATE_HZ, output)
    duration_s = num_samples / RATE_HZ
    assert own_sound(output).shape[1] / RATE_HZ == pytest.approx(duration_s, abs=0.0201)
    with av.open(output) as container:
        track = container.streams.audio[0]
        if track.duration:  # Matroska has none
            found_s = float(track.duration * track.time_base)
            assert found_s == pytest.approx(duration_s + picture_start_s, abs=2e-3)


def test_more_bits_make_a_larger_file(tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3 * RATE_HZ)).astype(np.float32)
    for name in ("v.mp4", "v.webm"):
        video, sizes = write_film(tmp_path / name, []), []
        for bit_rate in (64_000, 128_000, 192_000):
            mux_sound(video, [noise], RATE_HZ, tmp_path / f"out_{name}", bit_rate=bit_rate)
            sizes.append((tmp_path / f"out_{name}").stat().st_size - video.stat().st_size)
        np.testing.assert_allclose(np.array(sizes) * 8 / 3, [64_000, 128_000, 192_000], rtol=0.15)


@pytest.mark.parametrize("picture_start_s", [0, 0.3])
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.webm", "v.ts"])
@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_what_will_be_heard_is_known_before(tmp_path, name, rate_hz, picture_start_s):
    encoder = "libopus" if name == "v.webm" else "aac"
    video = write_film(tmp_path / name, [click_track()], picture_start_s=picture_start_s, encoder=encoder)
    output, sound = tmp_path / f"out{name[1:].replace('.ts', '.mp4')}", click_track(num_channels=2)
    expected = np.concatenate(list(encode_and_decode(video, [sound], rate_hz, output, 96_000)), axis=1)
    mux_sound(video, [sound], rate_hz, output, bit_rate=96_000)
    heard = own_sound(output, RATE_HZ if name == "v.webm" else rate_hz)
    length = min(heard.shape[1], expected.shape[1])
    assert abs(heard.shape[1] - expected.shape[1]) < 1_024
    if name in ("v.mp4", "v.ts"):  # Matroska rounds times to milliseconds
        np.testing.assert_array_equal(heard[:, : length - 2_048], expected[:, : length - 2_048])
    clicks_s = [clicks_found_s(sound[0], RATE_HZ) for sound in (heard, expected)]
    np.testing.assert_allclose(*clicks_s, atol=1.1e-3)


@pytest.mark.parametrize(
    ("blocks", "reason"),
    [
        ([], "no block"),
        ([np.zeros((1, 9)), np.zeros((2, 9))], r"expected \(1, num_samples\)"),
        ([np.zeros((1, 9)), np.zeros(9)], r"expected \(1, num_samples\)"),
        ([np.zeros((1, 9)), np.full((1, 9), np.nan)], "not a number"),
        ([np.zeros((1, 9)), np.full((1, 9), 1.5)], "peak is 1.5"),
    ],
)
def test_wrong_blocks_are_refused(tmp_path, blocks, reason):
    video = write_film(tmp_path / "v.mp4", [], duration_s=0.2)
    assert_refused(tmp_path, ValueError, reason, video, blocks, RATE_HZ, tmp_path / "out.mp4")


@pytest.mark.parametrize("num_bytes", [0, 10_000, 40_000])
@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.webm"])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, name, num_bytes):
    video = write_film(tmp_path / name, [], duration_s=5)
    blocks = [np.random.default_rng(0).uniform(-0.5, 0.5, (1, 5 * RATE_HZ)).astype(np.float32)]
    with full_disk(num_bytes):
        assert_refused(
            tmp_path, OSError, rf"out_{name} could not be written", video, blocks, RATE_HZ, tmp_path / f"out_{name}"
        )


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    video = write_film(tmp_path / "v.mp4", [], duration_s=0.2)
    output = tmp_path / "v.mp4" / "out.mp4"
    assert_refused(tmp_path, OSError, r"v\.mp4", video, [np.zeros((1, 9))], RATE_HZ, output)


def test_a_truncated_video_is_copied_as_far_as_it_goes(tmp_path):
    whole = write_film(tmp_path / "whole.mkv", [click_track()])
    video, output = tmp_path / "v.mkv", tmp_path / "out.mkv"
    video.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    duration_s = probe_video(video).duration_s
    assert 0.5 < duration_s < 2.5
    mux_sound(video, [tones(duration_s)], RATE_HZ, output)
    assert probe_video(output).duration_s == pytest.approx(duration_s, abs=2e-3)
    assert picture_packets(output) == picture_packets(whole)[: len(picture_packets(output))]


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = []
    for duration_s in (5, 60):
        video = write_film(tmp_path / f"{duration_s}.mp4", [], duration_s=duration_s)
        blocks = (np.zeros((1, RATE_HZ), np.float32) for _ in range(duration_s))
        tracemalloc.start()
        mux_sound(video, blocks, RATE_HZ, tmp_path / "out.mp4")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 5e5
