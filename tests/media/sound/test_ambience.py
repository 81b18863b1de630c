import numpy as np
import pytest
from scipy.signal import welch

from media.sound.ambience import Ambience


def noise(level_db: float = -50.0, seed: int = 0, pieces: tuple[int, ...] = (1 << 17,)) -> np.ndarray:
    ambience = Ambience(level_db, np.random.default_rng(seed))
    return np.concatenate([ambience.noise(length) for length in pieces])


@pytest.mark.parametrize("level_db", [-50.0, -20.0])
def test_it_is_as_loud_as_was_asked(level_db):
    assert 10 * np.log10(np.square(noise(level_db)).mean()) == pytest.approx(level_db, abs=1)


def test_pieces_are_one_sound():
    whole = noise(pieces=(5000,))
    assert whole.dtype == np.float32
    np.testing.assert_allclose(noise(pieces=(1, 999, 4000)), whole, atol=1e-9)
    assert not np.array_equal(noise(seed=1, pieces=(5000,)), whole)


def test_it_falls_by_three_decibels_an_octave():
    frequencies, power = welch(noise(), fs=16_000, nperseg=4096)
    low, high = (power[(frequencies > f) & (frequencies < 2 * f)].mean() for f in (100, 1600))
    assert 10 * np.log10(low / high) == pytest.approx(12, abs=2)
