import numpy as np
import pytest
from scipy import signal

from demo import LABELS
from demo.sounds import synthesise

NUM_SOUNDS = 40


@pytest.fixture(scope="module")
def sounds() -> list[list[np.ndarray]]:
    return [
        [synthesise(label, np.random.default_rng([1, index, number])) for number in range(NUM_SOUNDS)]
        for index, label in enumerate(LABELS)
    ]


def held_out_accuracy(features: np.ndarray) -> float:
    """Nearest class mean of standardised features (2, NUM_SOUNDS, num_features): first half seen, second half asked."""
    half = NUM_SOUNDS // 2
    seen = features[:, :half]
    features = (features - seen.mean((0, 1))) / seen.std((0, 1))
    distances = np.linalg.norm(features[:, half:, None] - features[:, :half].mean(axis=1), axis=-1)
    return (distances.argmin(axis=-1) == [[0], [1]]).mean()


def test_sounds_are_mono_float32_of_the_promised_length_and_peak(sounds):
    for sound in sounds[0] + sounds[1]:
        assert sound.dtype == np.float32
        assert sound.ndim == 1
        assert 16_000 <= len(sound) <= 64_000
        assert 0.29 < np.abs(sound).max() < 0.91


def test_a_sound_depends_on_the_generator_alone(sounds):
    np.testing.assert_array_equal(sounds[1][3], synthesise("dog", np.random.default_rng([1, 1, 3])))
    assert len({sound.tobytes() for sound in sounds[0] + sounds[1]}) == 2 * NUM_SOUNDS


def test_an_unknown_label_is_named():
    with pytest.raises(ValueError, match=r"'cow'.*'cat', 'dog'"):
        synthesise("cow", np.random.default_rng(0))


def test_the_spectrum_of_the_calls_tells_the_classes_apart(sounds):
    def bands_db(sound: np.ndarray) -> np.ndarray:
        """Levels of 32 bands in the loudest fifth of the frames, relative to their mean, and how they vary in time."""
        _, _, spectrum = signal.stft(sound, 16_000, nperseg=512)
        loudness = np.abs(spectrum).sum(axis=0)
        loudest = spectrum[1:257, loudness >= np.quantile(loudness, 0.8)]
        levels = 20 * np.log10(np.abs(loudest).reshape(32, 8, -1).mean(axis=1) + 1e-5)
        return np.concatenate([levels.mean(axis=1) - levels.mean(), levels.std(axis=1)])

    assert held_out_accuracy(np.array([[bands_db(sound) for sound in group] for group in sounds])) > 0.93


@pytest.mark.parametrize(
    "cue",
    [
        lambda sound: 20 * np.log10(sound.std()),
        lambda sound: 20 * np.log10(np.percentile(np.abs(sound), 5) + 1e-6),
        lambda sound: np.abs(sound).max(),
    ],
    ids=["level", "background", "peak"],
)
def test_loudness_and_noise_do_not_tell_the_classes_apart(sounds, cue):
    assert held_out_accuracy(np.array([[[cue(sound)] for sound in group] for group in sounds])) < 0.8


def test_meows_are_tonal_and_long_and_barks_are_short(sounds):
    def longest_call_s(sound: np.ndarray) -> float:
        level = np.sqrt(signal.convolve(sound**2, np.full(320, 1 / 320), mode="same").clip(0))
        is_loud = np.diff(np.pad(level > 0.2 * level.max(), 1).astype(int))
        return (np.flatnonzero(is_loud == -1) - np.flatnonzero(is_loud == 1)).max() / 16_000

    cats_s, dogs_s = ([longest_call_s(sound) for sound in group] for group in sounds)
    assert 0.3 < np.median(cats_s) < 1.2
    assert 0.05 < np.median(dogs_s) < 0.25
