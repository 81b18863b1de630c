import math
import tracemalloc
from pathlib import Path

import jsonargparse
import numpy as np
import pytest
import soundfile

from media.sound.loudness import measure_loudness
from media.sound.sound_files import UnreadableSound
from media.soundtrack.mix_options import Mixing, MixSettings
from media.soundtrack.mixing import Mix
from media.soundtrack.mux import mux_sound
from media.video.video_files import probe_video
from tests.media.soundtrack.test_original_sound import (
    CLICKS_S,
    click_track,
    clicks_found_s,
    damage_sound,
    own_sound,
    write_film,
)

STEM_RATE_HZ = 16_000
RATE_HZ = 48_000
STEM_HZ, ORIGINAL_HZ = 500, 2_000


def write_stem_file(path: Path, sound: np.ndarray) -> Path:
    soundfile.write(path, sound, STEM_RATE_HZ, subtype="FLOAT")
    return path


def tone(frequency_hz: float, duration_s: float, amplitude: float = 0.1, rate_hz: int = STEM_RATE_HZ) -> np.ndarray:
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times_s)).astype(np.float32)


def barks(duration_s: float) -> np.ndarray:
    """Bursts of noise and tone, one a second."""
    generator, sound = np.random.default_rng(0), np.zeros(round(duration_s * STEM_RATE_HZ), np.float32)
    times_s = np.arange(round(0.3 * STEM_RATE_HZ)) / STEM_RATE_HZ
    for start_s in np.arange(0.2, duration_s - 0.5):
        bark = np.sin(2 * np.pi * 600 * times_s) + 0.5 * generator.standard_normal(len(times_s))
        start = round(start_s * STEM_RATE_HZ)
        sound[start : start + len(bark)] = 0.2 * bark * np.exp(-times_s / 0.08)
    return sound


def rendered(mix: Mix) -> np.ndarray:
    return np.concatenate(list(mix.blocks()), axis=1)


def strength(sound: np.ndarray, frequency_hz: float, start_s: float, end_s: float) -> float:
    """Amplitude of a frequency within a stretch."""
    piece = sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    turns = np.exp(-2j * np.pi * frequency_hz * np.arange(len(piece)) / RATE_HZ)
    return 2 * abs(np.mean(piece * np.hanning(len(piece)) * 2 * turns))


@pytest.fixture(scope="module")
def film(tmp_path_factory) -> Path:
    """Three seconds, with a steady tone on both channels."""
    sound = np.repeat(tone(ORIGINAL_HZ, 3, 0.1, RATE_HZ)[np.newaxis], 2, axis=0)
    return write_film(tmp_path_factory.mktemp("film") / "v.mp4", [sound])


@pytest.fixture
def half_stem(tmp_path) -> Path:
    """A tone from 1 to 2 s."""
    return write_stem_file(tmp_path / "stem.wav", np.pad(tone(STEM_HZ, 1), (STEM_RATE_HZ, STEM_RATE_HZ)))


@pytest.mark.parametrize(("original", "is_heard"), [("replace", False), ("keep", True), ("duck", True)])
def test_what_becomes_of_the_original(film, half_stem, original, is_heard):
    mix = Mix(half_stem, Mixing(original=original, loudness_lufs=None), 3.0, film)
    sound = rendered(mix)
    assert len(sound) == mix.num_channels == (2 if is_heard else 1)
    assert sound.shape[1] == 3 * RATE_HZ
    assert (mix.levels.original is not None) == is_heard
    pan = 1 / np.sqrt(mix.num_channels)
    assert strength(sound[0], STEM_HZ, 1.1, 1.9) == pytest.approx(0.1 * pan, rel=0.03)
    assert strength(sound[0], ORIGINAL_HZ, 0.2, 0.8) == pytest.approx(0.1 if is_heard else 0, abs=5e-3)


@pytest.mark.parametrize("duck_db", [0, 6, 20])
def test_the_original_gives_way_smoothly_where_the_new_sound_is_heard(film, half_stem, duck_db):
    mixing = Mixing(original="duck", duck_db=duck_db, loudness_lufs=None)
    sound = rendered(Mix(half_stem, mixing, 3.0, film))[0]
    kept = rendered(Mix(half_stem, Mixing(original="keep", loudness_lufs=None), 3.0, film))[0]
    starts_s = np.arange(0.1, 2.8, 0.05)
    change_db = [
        20 * math.log10(strength(sound, ORIGINAL_HZ, at, at + 0.1) / strength(kept, ORIGINAL_HZ, at, at + 0.1))
        for at in starts_s
    ]
    expected_db = np.interp(starts_s + 0.05, [0.9, 1.0, 2.3, 2.8], [0, -duck_db, -duck_db, 0])
    np.testing.assert_allclose(change_db, expected_db, atol=0.2 + 0.15 * duck_db)
    assert change_db[0] == pytest.approx(0, abs=0.1)
    assert change_db[24] == pytest.approx(-duck_db, abs=0.1)


def test_both_sounds_are_made_equally_loud(film, tmp_path):
    quiet = write_stem_file(tmp_path / "stem.wav", tone(STEM_HZ, 3, 0.01))
    mix = Mix(quiet, Mixing(original="keep"), 3.0, film)
    found = [measure_loudness([rendered(mix)], RATE_HZ).integrated_lufs, mix.levels.mixed.integrated_lufs]
    np.testing.assert_allclose(found, -16, atol=0.3)
    ratio = strength(rendered(mix)[0], STEM_HZ, 0.5, 2.5) / strength(rendered(mix)[0], ORIGINAL_HZ, 0.5, 2.5)
    assert 0.7 < ratio < 1.5


@pytest.mark.parametrize("lufs", [-28, -20, -16])
@pytest.mark.parametrize(("name", "original"), [("v.mp4", "replace"), ("v.mp4", "keep"), ("v.webm", "duck")])
@pytest.mark.parametrize("kind", ["tone", "barks"])
def test_the_written_file_is_as_loud_as_wished_and_peaks_below_the_bound(tmp_path, lufs, name, original, kind):
    noise = np.random.default_rng(1).uniform(-0.1, 0.1, (2, 4 * RATE_HZ)).astype(np.float32)
    encoder = "libopus" if name == "v.webm" else "aac"
    video = write_film(tmp_path / name, [noise], picture_start_s=0.1, encoder=encoder, duration_s=4)
    output = tmp_path / f"out_{name}"
    stem = write_stem_file(tmp_path / "stem.wav", barks(4) if kind == "barks" else tone(STEM_HZ, 4))
    mix = Mix(stem, Mixing(original=original, loudness_lufs=lufs, true_peak_dbtp=-2), 4.0, video, output)
    mux_sound(video, mix.blocks(), RATE_HZ, output)
    heard = measure_loudness([own_sound(output)], RATE_HZ)
    assert heard.true_peak_dbtp <= -2 + 0.05
    if mix.levels.remark:
        assert heard.integrated_lufs < lufs - 0.7
        assert "instead of" in mix.levels.remark
        assert "peaks reach -2 dBTP" in mix.levels.remark
    else:
        assert heard.integrated_lufs == pytest.approx(lufs, abs=1)
    assert not mix.levels.remark or kind == "barks"
    assert mix.levels.mixed.integrated_lufs == pytest.approx(heard.integrated_lufs, abs=0.3)


def test_silence_stays_silence_and_noise_is_not_blown_up(tmp_path):
    silence = Mix(write_stem_file(tmp_path / "a.wav", np.zeros(STEM_RATE_HZ)), Mixing(), 1.0)
    assert not rendered(silence).any()
    assert (silence.levels.mixed.integrated_lufs, silence.levels.remark) == (-math.inf, "")
    quiet = Mix(write_stem_file(tmp_path / "b.wav", tone(STEM_HZ, 1, 1e-3)), Mixing(), 1.0)
    assert strength(rendered(quiet)[0], STEM_HZ, 0.1, 0.9) == pytest.approx(1e-3 * 10 ** (30 / 20), rel=0.03)
    assert "too quiet" in quiet.levels.remark


def test_a_sound_below_the_bound_is_left_as_it_is(tmp_path):
    stem = write_stem_file(tmp_path / "stem.wav", tone(STEM_HZ, 1))
    sound = rendered(Mix(stem, Mixing(loudness_lufs=None, fade_s=0), 1.0))[0]
    expected = tone(STEM_HZ, 1, rate_hz=RATE_HZ)
    np.testing.assert_allclose(sound[500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("duration_s", [0.3, 2.0, 5.0])
@pytest.mark.parametrize("rate_hz", [32_000, 44_100, 48_000, 96_000])
def test_the_sound_is_as_long_as_the_picture(tmp_path, duration_s, rate_hz):
    stem = write_stem_file(tmp_path / "stem.wav", tone(STEM_HZ, 2))
    assert rendered(Mix(stem, Mixing(sample_rate_hz=rate_hz), duration_s)).shape == (1, round(duration_s * rate_hz))


@pytest.mark.parametrize("fade_s", [0.0, 0.5, 9.0])
def test_begin_and_end_are_faded(tmp_path, fade_s):
    stem = write_stem_file(tmp_path / "stem.wav", tone(STEM_HZ, 3))
    sound = rendered(Mix(stem, Mixing(loudness_lufs=None, fade_s=fade_s), 3.0))[0]
    length_s = min(fade_s, 1.5)
    for begin_s in (0.05, 0.25, 0.45, 1.2):
        gain = np.sin(np.pi / 2 * min(1, (begin_s + 0.05) / max(length_s, 1e-9))) ** 2
        for start_s in (begin_s, 3 - begin_s - 0.1):
            assert strength(sound, STEM_HZ, start_s, start_s + 0.1) == pytest.approx(0.1 * gain, abs=4e-3)


def test_the_original_stays_with_the_picture(tmp_path):
    video = write_film(tmp_path / "v.mp4", [click_track()], sound_start_s=0.2, picture_start_s=0.4)
    stem = write_stem_file(tmp_path / "stem.wav", np.zeros(9))
    duration_s = probe_video(video).duration_s
    mix = Mix(stem, Mixing(original="duck", loudness_lufs=None), duration_s, video, tmp_path / "out.mp4")
    mux_sound(video, mix.blocks(), RATE_HZ, tmp_path / "out.mp4")
    expected_s = [click_s - 0.2 for click_s in CLICKS_S]
    np.testing.assert_allclose(clicks_found_s(own_sound(tmp_path / "out.mp4")[0], RATE_HZ), expected_s, atol=5e-3)


def test_a_damaged_original_matters_only_where_it_is_heard(tmp_path, half_stem):
    video = damage_sound(write_film(tmp_path / "v.mp4", [click_track()]))
    assert Mix(half_stem, Mixing(), 3.0, video).num_channels == 1
    with pytest.raises(UnreadableSound, match=r"v\.mp4 has a sound track of its own"):
        Mix(half_stem, Mixing(original="keep"), 3.0, video)


def test_memory_does_not_grow_with_the_length(tmp_path):
    peaks = []
    for duration_s in (10, 100):
        stem = tmp_path / f"{duration_s}.wav"
        with soundfile.SoundFile(stem, "w", STEM_RATE_HZ, 1, subtype="FLOAT") as file:
            for _ in range(duration_s):
                file.write(tone(STEM_HZ, 1))
        tracemalloc.start()
        mix = Mix(stem, Mixing(sample_rate_hz=32_000), duration_s)
        assert sum(block.shape[1] for block in mix.blocks()) == 32_000 * duration_s
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 1e6


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("original", "loud", "expected one of replace, keep, duck"),
        ("stem", "mp3", "expected one of none, wav, flac"),
        ("sample_rate_hz", 22_050, "expected one of .*48000"),
        ("duck_db", -1, "expected 0 to 60"),
        ("loudness_lufs", 0, "expected -40 to -5, or none"),
        ("loudness_lufs", math.nan, "expected -40 to -5, or none"),
        ("true_peak_dbtp", 1, "expected -12 to 0"),
        ("fade_s", -0.1, "expected 0 to 60"),
        ("bit_rate", 128, "expected 64000 to 256000"),
    ],
)
def test_a_wrong_value_is_refused(option, value, reason):
    with pytest.raises(ValueError, match=f"{option} is .*, {reason}"):
        Mixing(**{option: value})


def test_a_config_sets_it():
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_argument("--mixing", type=Mixing, default=Mixing())
    found = parser.parse_args(["--mixing.original=duck", "--mixing.loudness_lufs=null", "--mixing.stem=flac"])
    assert parser.instantiate_classes(found).mixing == Mixing(original="duck", loudness_lufs=None, stem="flac")


def test_settings_bound_the_gain_and_the_ducking(tmp_path):
    stem = write_stem_file(tmp_path / "stem.wav", tone(STEM_HZ, 2, amplitude=0.01))
    mix = Mix(stem, Mixing(), 2.0, settings=MixSettings(max_gain_db=3.0))
    assert mix.levels.mixed.integrated_lufs == pytest.approx(mix.levels.stem.integrated_lufs + 3, abs=0.3)
    assert "too quiet to be raised further" in mix.levels.remark
    video = write_film(tmp_path / "film.mkv", [tone(ORIGINAL_HZ, 3, rate_hz=RATE_HZ)[np.newaxis]], encoder="flac")
    sound = np.append(tone(STEM_HZ, 1), np.zeros(2 * STEM_RATE_HZ, np.float32))
    stem = write_stem_file(tmp_path / "stem.wav", sound)
    mixing = Mixing("duck", loudness_lufs=None)
    mixes = [Mix(stem, mixing, 3.0, video, settings=MixSettings(hold_s=hold_s)) for hold_s in (0.1, 1.5)]
    soon, late = (strength(rendered(mix)[0], ORIGINAL_HZ, 1.9, 2.2) for mix in mixes)
    assert 20 * np.log10(soon / late) == pytest.approx(12, abs=0.5)
