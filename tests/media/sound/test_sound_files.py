import io

import av
import numpy as np
import pytest
import soundfile

from media.sound.sound_files import UnreadableSound, mix_to_mono, read_sound, write_wav

RATE_HZ = 16_000


def sine(frequency_hz: float, rate_hz: int, duration_s: float = 1.0, amplitude: float = 0.5) -> np.ndarray:
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def write_sound_track(path, channels: np.ndarray, rate_hz: int, encoder: str = "aac", **options: str) -> None:
    """channels: float32 (num_channels, num_samples), one or two channels."""
    layout = "mono" if len(channels) == 1 else "stereo"
    with av.open(path, "w", container_options=options) as container:
        stream = container.add_stream(encoder, rate=rate_hz, layout=layout)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels), format="fltp", layout=layout)
        frame.sample_rate, frame.pts = rate_hz, 0
        container.mux(stream.encode(frame) + stream.encode(None))


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".ogg", ".mp3"])
@pytest.mark.parametrize("file_rate_hz", [44_100, 16_000, 8_000])
def test_any_format_and_rate_gives_the_same_sine(tmp_path, suffix, file_rate_hz):
    path = tmp_path / f"sound{suffix}"
    soundfile.write(path, sine(440, file_rate_hz), file_rate_hz)
    sound = read_sound(path, RATE_HZ)
    assert sound.dtype == np.float32
    assert sound.shape == (RATE_HZ,)
    inner = slice(2_000, -2_000)
    np.testing.assert_allclose(sound[inner], sine(440, RATE_HZ)[inner], atol=0.07)  # MP3 is coarse


def test_resampling_keeps_what_fits_and_removes_what_does_not(tmp_path):
    path = tmp_path / "sound.wav"
    soundfile.write(path, sine(7_000, 44_100), 44_100, subtype="FLOAT")
    kept = read_sound(path, RATE_HZ)
    soundfile.write(path, sine(9_000, 44_100), 44_100, subtype="FLOAT")
    removed = read_sound(path, RATE_HZ)
    assert kept[2_000:-2_000].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.01)
    assert removed[2_000:-2_000].std() < 1e-4


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "sound.wav"
    left, right = sine(440, RATE_HZ), sine(880, RATE_HZ)
    soundfile.write(path, np.stack([left, right], axis=1), RATE_HZ, subtype="FLOAT")
    np.testing.assert_allclose(read_sound(path, RATE_HZ), (left + right) / 2, atol=1e-6)


@pytest.mark.parametrize("format", ["WAV", "OGG"])
@pytest.mark.parametrize("num_channels", [2, 6])
def test_channels_that_cancel_each_other_give_the_loudest(tmp_path, format, num_channels):
    path, tone = tmp_path / "sound.any", 0.3 * sine(440, RATE_HZ) / 0.5
    channels = np.stack([tone, -tone * 0.999] * (num_channels // 2), axis=1)
    soundfile.write(path, channels, RATE_HZ, format=format)
    assert np.abs(read_sound(path, RATE_HZ)).max() == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize("num_channels", [2, 8])
def test_channels_that_do_not_cancel_each_other_are_averaged(num_channels):
    unrelated = np.random.default_rng(0).normal(0, 0.1, (RATE_HZ, num_channels)).astype(np.float32)
    one_sided = unrelated * (np.arange(num_channels) == 1)
    for channels in (unrelated, one_sided, one_sided * 0):
        np.testing.assert_array_equal(mix_to_mono(channels), channels.mean(axis=1))


@pytest.mark.parametrize("suffix", [".m4a", ".mka", ".mov"])
def test_a_stereo_sound_track_is_as_loud_as_its_channels(tmp_path, suffix):
    path = tmp_path / f"track{suffix}"
    tone = sine(440, 48_000)
    write_sound_track(path, np.stack([tone, tone]), 48_000)
    assert read_sound(path, RATE_HZ)[2_000:14_000].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.02)
    write_sound_track(path, np.stack([tone, 0 * tone]), 48_000)
    assert read_sound(path, RATE_HZ)[2_000:14_000].std() == pytest.approx(0.25 / np.sqrt(2), rel=0.02)


def test_integer_sound_tracks_are_scaled(tmp_path):
    path = tmp_path / "track.mkv"
    write_sound_track(path, sine(440, RATE_HZ)[np.newaxis], RATE_HZ, encoder="pcm_s16le")
    np.testing.assert_allclose(read_sound(path, RATE_HZ), sine(440, RATE_HZ), atol=1e-4)


def test_an_mp3_file_without_its_length(tmp_path):
    path = tmp_path / "sound.mp3"
    write_sound_track(path, sine(440, 44_100)[np.newaxis], 44_100, encoder="libmp3lame", write_xing="0")
    assert len(read_sound(path, RATE_HZ)) == pytest.approx(RATE_HZ, abs=1_600)


def test_the_length_of_mp3_in_a_wav_file_is_an_estimate(tmp_path):
    """As the header tells it here, more samples than there are."""
    path = tmp_path / "sound.wav"
    write_sound_track(path, sine(440, 44_100)[np.newaxis], 44_100, encoder="libmp3lame")
    content = path.read_bytes()
    place = content.index(b"fact") + 8
    path.write_bytes(content[:place] + (60_000).to_bytes(4, "little") + content[place + 4 :])
    assert soundfile.info(path).frames > 44_100 + 2 * 1_152
    assert len(read_sound(path, RATE_HZ)) == pytest.approx(RATE_HZ, abs=1_000)


def test_a_wav_file_whose_header_was_never_completed_is_read_to_its_end(tmp_path):
    path = tmp_path / "sound.wav"
    content = as_file(NOISE, "WAV")
    for length in (b"\0" * 4, b"\xff" * 4, (36).to_bytes(4, "little")):
        path.write_bytes(content[:4] + length + content[8:40] + b"\0" * 4 + content[44:])
        np.testing.assert_allclose(read_sound(path, RATE_HZ), NOISE, atol=1e-4)


def test_silence_is_a_sound(tmp_path):
    soundfile.write(tmp_path / "silence.wav", np.zeros(100), RATE_HZ)
    np.testing.assert_array_equal(read_sound(tmp_path / "silence.wav", RATE_HZ), np.zeros(100, np.float32))


def picture_only() -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as container:
        stream = container.add_stream("mpeg4", rate=10, width=32, height=32)
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        container.mux(stream.encode(frame) + stream.encode(None))
    return file.getvalue()


def as_file(samples: np.ndarray, format: str, **options) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, RATE_HZ, format=format, **options)
    return file.getvalue()


def tagged(wav: bytes) -> bytes:
    """With a chunk of text after the samples, and the header that belongs to it."""
    content = wav + b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0Lavf59.27.100\0"
    return content[:4] + (len(content) - 8).to_bytes(4, "little") + content[8:]


NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, 30_000)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("text.wav", b"no sound " * 100, "not a readable sound"),
        ("empty.wav", b"", "not a readable sound"),
        ("headerless.raw", bytes(100), "sound"),
        ("no_sound.mp4", picture_only(), "no sound track"),
        ("no_samples.wav", as_file(NOISE[:0], "WAV"), "zero samples"),
        ("not_finite.wav", as_file(np.array([0, np.nan]), "WAV", subtype="FLOAT"), "not a number"),
        ("cut.flac", as_file(NOISE, "FLAC")[:20_000], "damaged"),
        ("integers.wav", as_file(NOISE * 2**15, "WAV", subtype="FLOAT"), "samples up to 16384, expected -1 to 1"),
        ("tagged.wav", tagged(as_file(NOISE[:0], "WAV")), "zero samples"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_a_broken_file_is_named_with_the_reason(tmp_path, name, content, reason):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(UnreadableSound, match=reason) as error:
        read_sound(path, RATE_HZ)
    assert str(path) in str(error.value)


def test_damage_within_a_sound_track_is_an_error(tmp_path):
    path = tmp_path / "track.m4a"
    write_sound_track(path, NOISE[np.newaxis].astype(np.float32), RATE_HZ)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :][:300] = b"\xff" * 300
    content[len(content) // 3 : len(content) // 2] = b"\xff" * (len(content) // 2 - len(content) // 3)
    path.write_bytes(content)
    with pytest.raises(UnreadableSound, match="not a readable sound"):
        read_sound(path, RATE_HZ)


def test_a_wav_file_that_was_cut_short_gives_the_part_that_is_there(tmp_path):
    path = tmp_path / "cut.wav"
    path.write_bytes(as_file(NOISE, "WAV")[: 44 + 2 * 10_000])
    np.testing.assert_allclose(read_sound(path, RATE_HZ), NOISE[:10_000], atol=1e-4)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.wav"):
        read_sound(tmp_path / "nothing.wav", RATE_HZ)
    with pytest.raises(FileNotFoundError):
        read_sound(tmp_path, RATE_HZ)


def test_a_written_wav_is_read_back(tmp_path):
    path = tmp_path / "made" / "here" / "sound.wav"
    waveform = np.append(sine(440, RATE_HZ), [1.0, -1.0]).astype(np.float32)
    write_wav(path, waveform, RATE_HZ)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.channels, info.samplerate) == ("WAV", "PCM_16", 1, RATE_HZ)
    np.testing.assert_allclose(read_sound(path, RATE_HZ), waveform, atol=1 / 2**14)
    assert [file.name for file in path.parent.iterdir()] == ["sound.wav"]


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        (np.array([0.0, 1.01]), "peak is 1.01"),
        (np.array([0.0, np.nan]), "not a number"),
        (np.array([0.0, -np.inf]), "infinite"),
        (np.zeros(0), "at least one sample"),
        (np.zeros((1, 100)), r"\(1, 100\)"),
    ],
)
def test_a_wrong_waveform_is_refused_and_the_old_file_stays(tmp_path, waveform, reason):
    path = tmp_path / "sound.wav"
    path.write_bytes(b"old")
    with pytest.raises(ValueError, match=reason):
        write_wav(path, waveform, RATE_HZ)
    assert path.read_bytes() == b"old"


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "sound.wav"
    path.write_bytes(b"old")

    def fail(temporary, *_, **__):
        temporary.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(soundfile, "write", fail)
    with pytest.raises(OSError, match="disk full"):
        write_wav(path, np.zeros(10), RATE_HZ)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
