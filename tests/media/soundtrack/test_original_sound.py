import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from media.sound.sound_files import UnreadableSound
from media.soundtrack.streams import count_track_channels, read_track
from media.video.video_files import probe_video

RATE_HZ = 48_000
CLICKS_S = (0.25, 1.0, 1.75, 2.5)


def click_track(clicks_s: tuple[float, ...] = CLICKS_S, num_channels: int = 1, duration_s: float = 3.0) -> np.ndarray:
    """Short bursts of noise; of two channels the second is half as loud."""
    sound = np.zeros(round(duration_s * RATE_HZ), np.float32)
    for click_s in clicks_s:
        start = round(click_s * RATE_HZ)
        sound[start : start + 240] = np.random.default_rng(0).uniform(-0.7, 0.7, 240)
    return np.stack([sound / (channel + 1) for channel in range(num_channels)])


def write_film(
    path: Path,
    tracks: list[np.ndarray],
    sound_start_s: float = 0.0,
    picture_start_s: float = 0.0,
    encoder: str = "aac",
    duration_s: float = 3.0,
) -> Path:
    """A film of 25 frames a second; each track is float32 (channels, num_samples) at 48 kHz."""
    with av.open(path, "w") as container:
        picture = container.add_stream("libvpx-vp9" if path.suffix == ".webm" else "mpeg4", rate=25)
        picture.width, picture.height = 64, 48
        picture.codec_context.time_base = Fraction(1, 1000)
        layouts = {1: "mono", 2: "stereo", 6: "5.1"}
        sounds = [container.add_stream(encoder, rate=RATE_HZ, layout=layouts[len(track)]) for track in tracks]
        packets = []
        for number in range(round(25 * duration_s)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 40, np.uint8))
            frame.pts, frame.time_base = round(1000 * picture_start_s) + 40 * number, Fraction(1, 1000)
            packets += picture.encode(frame)
        packets += picture.encode(None)
        for sound, track in zip(sounds, tracks, strict=True):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(track), format="fltp", layout=sound.layout.name)
            frame.sample_rate, frame.time_base = RATE_HZ, Fraction(1, RATE_HZ)
            frame.pts = round(sound_start_s * RATE_HZ)
            packets += sound.encode(frame) + sound.encode(None)
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            container.mux(packet)
    return path


def clicks_found_s(sound: np.ndarray, rate_hz: int) -> list[float]:
    loud = np.flatnonzero(np.abs(sound) > 0.2) / rate_hz
    return loud[np.diff(loud, prepend=-1) > 0.1].tolist()


def own_sound(path: Path, rate_hz: int = RATE_HZ) -> np.ndarray:
    return np.concatenate(list(read_track(path, probe_video(path).start_s, rate_hz)), axis=1)


FORMATS = [("v.mp4", "aac"), ("v.mov", "pcm_s16le"), ("v.mkv", "aac"), ("v.mkv", "flac"), ("v.webm", "libopus")]
FORMATS += [("v.ts", "aac"), ("v.mp4", "libmp3lame")]


@pytest.mark.parametrize(("sound_start_s", "picture_start_s"), [(0, 0), (0.3, 0), (0, 0.3), (0.12, 0.52)])
@pytest.mark.parametrize(("name", "encoder"), FORMATS)
def test_clicks_stay_with_their_picture(tmp_path, name, encoder, sound_start_s, picture_start_s):
    path = write_film(tmp_path / name, [click_track()], sound_start_s, picture_start_s, encoder)
    expected_s = [click_s + sound_start_s - picture_start_s for click_s in CLICKS_S]
    for rate_hz in (RATE_HZ, 32_000):
        found_s = clicks_found_s(own_sound(path, rate_hz)[0], rate_hz)
        np.testing.assert_allclose(found_s, [time_s for time_s in expected_s if time_s > 0], atol=5e-3)


def test_a_pause_between_packets_is_silence(tmp_path):
    """As after packets that were lost on the way."""
    path = write_film(tmp_path / "whole.mkv", [click_track()])
    with av.open(path) as whole, av.open(tmp_path / "gap.mkv", "w") as copy:
        copies = {stream: copy.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            is_lost = packet.stream.type == "audio" and packet.size and 0.5 < packet.pts * packet.time_base < 1.5
            if packet.size and not is_lost:
                packet.stream = copies[packet.stream]
                copy.mux(packet)
    np.testing.assert_allclose(
        clicks_found_s(own_sound(tmp_path / "gap.mkv")[0], RATE_HZ), [0.25, 1.75, 2.5], atol=5e-3
    )


@pytest.mark.parametrize(("num_channels", "expected"), [(1, 1), (2, 2), (6, 2)])
def test_mono_stays_mono_and_stereo_stereo(tmp_path, num_channels, expected):
    path = write_film(tmp_path / "v.mp4", [click_track(num_channels=num_channels)])
    sound = own_sound(path)
    assert count_track_channels(path) == len(sound) == expected
    if num_channels == 2:
        assert np.abs(sound[1]).max() == pytest.approx(np.abs(sound[0]).max() / 2, rel=0.1)


def test_the_default_track_is_heard_or_else_the_first(tmp_path):
    first, second = click_track((0.5,)), click_track((1.5,))
    path = write_film(tmp_path / "v.mkv", [first, second], encoder="flac")
    np.testing.assert_allclose(clicks_found_s(own_sound(path)[0], RATE_HZ), [0.5], atol=5e-3)
    with av.open(path) as tracks, av.open(tmp_path / "marked.mkv", "w") as copy:
        copies = {stream: copy.add_stream_from_template(stream) for stream in tracks.streams}
        copies[tracks.streams.audio[0]].disposition = av.stream.Disposition(0)
        copies[tracks.streams.audio[1]].disposition = av.stream.Disposition.default
        for packet in tracks.demux():
            if packet.size:
                packet.stream = copies[packet.stream]
                copy.mux(packet)
    np.testing.assert_allclose(clicks_found_s(own_sound(tmp_path / "marked.mkv")[0], RATE_HZ), [1.5], atol=5e-3)


def test_a_video_without_a_sound_track(tmp_path):
    path = write_film(tmp_path / "v.mp4", [])
    assert count_track_channels(path) == 0
    assert not list(read_track(path, 0, RATE_HZ))


def damage_sound(path: Path) -> Path:
    """Overwrites a part of each of the sound's packets but the first few."""
    with av.open(path) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(audio=0) if packet.size]
    content = bytearray(path.read_bytes())
    for position, size in places[10:]:
        content[position : position + size] = b"\xff" * size
    path.write_bytes(content)
    return path


def test_a_damaged_track_is_an_error_and_no_silence(tmp_path):
    path = damage_sound(write_film(tmp_path / "v.mp4", [click_track()]))
    with pytest.raises(UnreadableSound, match=r"v\.mp4 has a sound track of its own that cannot be decoded"):
        own_sound(path)
    (tmp_path / "text.mp4").write_bytes(b"no video")
    with pytest.raises(UnreadableSound, match=r"text\.mp4"):
        count_track_channels(tmp_path / "text.mp4")


def test_a_truncated_video_gives_the_sound_that_is_there(tmp_path):
    whole = write_film(tmp_path / "v.mkv", [click_track()])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    found_s = clicks_found_s(own_sound(cut)[0], RATE_HZ)
    assert 1 <= len(found_s) < len(CLICKS_S)
    np.testing.assert_allclose(found_s, CLICKS_S[: len(found_s)], atol=5e-3)


@pytest.mark.skipif("V2A_REAL_DATA" not in os.environ, reason="needs a folder of real videos, V2A_REAL_DATA")
def test_real_videos():
    for path in sorted((Path(os.environ["V2A_REAL_DATA"]) / "videos").iterdir()):
        num_channels = count_track_channels(path)
        assert num_channels == 0 or own_sound(path).shape[0] == num_channels
