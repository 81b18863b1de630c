import os
from contextlib import contextmanager

import numpy as np
import pytest
import soundfile

from media.sound.sound_files import UnreadableSound
from media.soundtrack.streams import pad_to, read_blocks, write_sound, write_stem

RATE_HZ = 16_000


@contextmanager
def full_disk(num_bytes: int):
    """No file may grow beyond this size, which to a writer looks like a full disk."""
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def noise(num_samples: int, num_channels: int = 1, peak: float = 0.5) -> np.ndarray:
    return np.random.default_rng(0).uniform(-peak, peak, (num_channels, num_samples)).astype(np.float32)


@pytest.mark.parametrize("suffix", [".wav", ".flac", ".WAV"])
@pytest.mark.parametrize(("num_channels", "bits"), [(1, 16), (2, 16), (2, 24)])
def test_blocks_are_written_one_after_another(tmp_path, suffix, num_channels, bits):
    path, sound = tmp_path / "new" / f"sound{suffix}", noise(3_000, num_channels)
    write_sound(path, np.array_split(sound, 7, axis=1), RATE_HZ, bits, comment="seed=7")
    with soundfile.SoundFile(path) as file:
        assert (file.samplerate, file.format, file.subtype) == (RATE_HZ, suffix[1:].upper(), f"PCM_{bits}")
        assert file.comment == "seed=7"
        np.testing.assert_allclose(file.read(always_2d=True).T, sound, atol=2 / 2**bits)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "blocks", "reason"),
    [
        ("a.mp3", [noise(9)], r"expected the suffix \.wav or \.flac"),
        ("a.wav", [], "not one block"),
        ("a.wav", [noise(9), noise(9, 2)], r"expected \(1, num_samples\)"),
        ("a.wav", [noise(9), noise(9)[0]], r"expected \(1, num_samples\)"),
        ("a.wav", [noise(9), 3 * noise(9)], "peak is"),
        ("a.flac", [noise(9), noise(9) * np.nan], "not a number"),
    ],
)
def test_wrong_blocks_are_refused_and_the_old_file_stays(tmp_path, name, blocks, reason):
    (tmp_path / name).write_bytes(b"old")
    with pytest.raises(ValueError, match=reason):
        write_sound(tmp_path / name, blocks, RATE_HZ)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


@pytest.mark.parametrize("name", ["sound.wav", "sound.flac"])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, name):
    with full_disk(50_000), pytest.raises(OSError, match=rf"{name} could not be written"):
        write_sound(tmp_path / name, [noise(RATE_HZ)] * 5, RATE_HZ)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError, match="file"):
        write_sound(tmp_path / "file" / "sound.wav", [noise(9)], RATE_HZ)
    if os.name == "posix" and os.geteuid():  # nothing is forbidden to root
        tmp_path.chmod(0o500)
        with pytest.raises(OSError, match=r"sound\.wav"):
            write_sound(tmp_path / "sound.wav", [noise(9)], RATE_HZ)


@pytest.mark.parametrize("peak", [0.5, 1.0, 4.0])
def test_a_stem_is_kept_as_it_is_or_divided_by_its_peak(tmp_path, peak):
    stem, sound = tmp_path / "stem.wav", noise(2 * RATE_HZ + 77, peak=peak)
    soundfile.write(stem, sound[0], RATE_HZ, subtype="FLOAT")
    write_stem(stem, tmp_path / "kept.flac", comment="seed=3")
    kept, rate_hz = soundfile.read(tmp_path / "kept.flac", dtype="float32")
    np.testing.assert_allclose(kept, sound[0] / max(1, np.abs(sound).max()), atol=1e-6)
    assert rate_hz == RATE_HZ
    with soundfile.SoundFile(tmp_path / "kept.flac") as file:
        assert file.comment == "seed=3"


@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_a_sound_file_in_blocks_of_a_second(tmp_path, rate_hz, num_channels):
    times_s = np.arange(round(2.5 * RATE_HZ)) / RATE_HZ
    tones = np.stack([np.sin(2 * np.pi * 440 * times_s), np.zeros_like(times_s)])[:num_channels] / 2
    soundfile.write(tmp_path / "a.wav", tones.T, RATE_HZ, subtype="FLOAT")
    blocks = list(read_blocks(tmp_path / "a.wav", rate_hz))
    assert [block.shape for block in blocks[:2]] == [(1, rate_hz)] * 2
    sound = np.concatenate(blocks, axis=1)[0]
    assert len(sound) == pytest.approx(2.5 * rate_hz, abs=2)
    expected = np.sin(2 * np.pi * 440 * np.arange(len(sound)) / rate_hz) / 2 / num_channels
    np.testing.assert_allclose(sound[100:-100], expected[100:-100], atol=2e-3)


def test_a_broken_sound_file_is_named(tmp_path):
    (tmp_path / "text.wav").write_bytes(b"no sound " * 100)
    soundfile.write(tmp_path / "nan.wav", np.array([0, np.nan]), RATE_HZ, subtype="FLOAT")
    for name in ("text.wav", "nan.wav", "missing.wav"):
        with pytest.raises(UnreadableSound, match=name):
            list(read_blocks(tmp_path / name, RATE_HZ))


@pytest.mark.parametrize("num_samples", [1, 10, 25, 30, 47])
def test_blocks_are_cut_or_filled_up(num_samples):
    sound = np.arange(25.0)[np.newaxis]
    blocks = list(pad_to(iter(np.split(sound, [10, 20], axis=1)), num_samples, 10, 1))
    assert [block.shape[1] for block in blocks[:-1]] == [10] * (len(blocks) - 1)
    np.testing.assert_array_equal(np.concatenate(blocks, axis=1), np.pad(sound, ((0, 0), (0, 22)))[:, :num_samples])
