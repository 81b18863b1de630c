import numpy as np
import pytest

from lightning_modules import voice as voice_module
from lightning_modules.voice import MAX_WINDOWS, WINDOWS_AT_ONCE, Voice
from media.calls import CallPool
from networks import Sampling
from tests.lightning_modules.tiny import GEOMETRY, fitted_vqvae, tiny_bottom, tiny_top

SYSTEMS = fitted_vqvae(), tiny_top().eval(), tiny_bottom().eval()


def voice() -> Voice:
    return Voice(*SYSTEMS, Sampling(), num_iterations=2)


def joined(pieces) -> np.ndarray:
    return np.concatenate(list(pieces), axis=1)


@pytest.mark.parametrize("num_samples", [1, GEOMETRY.window_samples, 3 * GEOMETRY.window_samples + 17])
def test_sound_is_as_long_as_was_asked(num_samples):
    sound = joined(voice().sound(0, [(1, 0), (2, 0)], num_samples))
    assert sound.shape == (2, num_samples)
    assert sound.dtype == np.float32


def test_a_row_sounds_as_it_does_alone():
    together = joined(voice().sound(1, [(1, 0), (1, 1), (2, 0)], 2000))
    np.testing.assert_allclose(together[2:], joined(voice().sound(1, [(2, 0)], 2000)), atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=1e-3)


class CountingPool(CallPool):
    """Is content with so many windows; gives their number in place of calls."""

    num_wanted_windows: int
    num_windows = 0

    def add(self, sound: np.ndarray) -> None:
        assert len(sound) == GEOMETRY.window_samples
        self.num_windows += 1
        super().add(0 * sound)

    @property
    def is_enough(self) -> bool:
        return self.num_windows >= self.num_wanted_windows or super().is_enough

    def best(self) -> list:
        return [self.num_windows]


@pytest.mark.parametrize(("num_wanted", "num_drawn"), [(1, 4), (5, 8), (1000, MAX_WINDOWS)])
def test_windows_are_drawn_until_there_are_calls_to_choose_from(monkeypatch, num_wanted, num_drawn):
    monkeypatch.setattr(voice_module, "CallPool", CountingPool)
    monkeypatch.setattr(CountingPool, "num_wanted_windows", num_wanted, raising=False)
    assert WINDOWS_AT_ONCE == 4
    assert voice().calls(0, [1, 2]) == [[num_drawn], [num_drawn]]


def test_a_seed_has_the_same_calls_alone():
    together = voice().calls(0, [3, 4])
    for seed, calls in zip((3, 4), together, strict=True):
        (alone,) = voice().calls(0, [seed])
        assert [len(call.waveform) for call in calls] == [len(call.waveform) for call in alone]
