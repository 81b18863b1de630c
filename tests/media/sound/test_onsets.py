import librosa
import numpy as np
import pytest

from media.sound.onsets import SoundOnsetSettings, find_sound_onsets
from metrics.event_timing import match_events

SETTINGS = SoundOnsetSettings()
RATE_HZ = SETTINGS.sample_rate_hz


def knocks(seed: int, duration_s: float = 8.0, noise: float = 0.003) -> tuple[np.ndarray, np.ndarray]:
    """Knocks of random strength and length in noise, and their times."""
    rng = np.random.default_rng(seed)
    sound = noise * rng.normal(size=round(duration_s * RATE_HZ))
    times_s = np.cumsum(rng.uniform(0.15, 0.9, 40))
    times_s = times_s[times_s < duration_s - 0.3]
    for time_s in times_s:
        seconds = np.arange(RATE_HZ // 4) / RATE_HZ
        knock = rng.normal(size=len(seconds)) * np.exp(-seconds / rng.uniform(0.01, 0.06))
        sound[round(time_s * RATE_HZ) :][: len(seconds)] += rng.uniform(0.05, 0.3) * knock
    return sound.astype(np.float32), times_s


def librosas_onsets(sound: np.ndarray) -> np.ndarray:
    strength = librosa.onset.onset_strength(
        y=sound, sr=RATE_HZ, hop_length=SETTINGS.hop, n_fft=SETTINGS.window, n_mels=SETTINGS.num_mels
    )
    options = {"sr": RATE_HZ, "hop_length": SETTINGS.hop, "normalize": False, "delta": SETTINGS.min_rise}
    onsets_s = librosa.onset.onset_detect(onset_envelope=strength, units="time", **options)
    return onsets_s[onsets_s >= SETTINGS.start_s]


@pytest.mark.parametrize("seed", range(5))
def test_the_onsets_are_those_of_librosa(seed):
    sound, _ = knocks(seed)
    np.testing.assert_allclose(find_sound_onsets(sound, SETTINGS), librosas_onsets(sound), atol=0.011)


def test_knocks_are_found_within_a_frame_of_video():
    sound, times_s = knocks(7)
    found_s = find_sound_onsets(sound, SETTINGS)
    assert len(match_events(times_s, found_s, 0.03)) >= 0.95 * max(len(times_s), len(found_s))


def test_steady_noise_and_silence_have_none():
    noise = np.random.default_rng(0).normal(0, 0.1, 5 * RATE_HZ)
    assert len(find_sound_onsets(noise, SETTINGS)) == 0
    assert len(find_sound_onsets(np.zeros(RATE_HZ), SETTINGS)) == 0
    assert len(find_sound_onsets(np.zeros(0), SETTINGS)) == 0


def test_the_start_of_the_sound_itself_is_none():
    sound = np.random.default_rng(0).normal(0, 0.1, RATE_HZ)
    assert len(find_sound_onsets(sound, SETTINGS)) == 0


def test_settings_that_are_not_positive_are_refused():
    with pytest.raises(ValueError, match="min_rise is 0"):
        SoundOnsetSettings(min_rise=0)
