import numpy as np
import pytest

from media.sound.events import EventPool, EventSettings
from networks import Sampling
from networks.prior import best_of_n
from pipelines.generator import MAX_WINDOWS, WINDOWS_AT_ONCE
from pipelines.sound_generator import SoundGenerator
from tests.helpers.tiny import GEOMETRY, fitted_vqvae, tiny_bottom, tiny_top

NETWORKS = fitted_vqvae().codec, tiny_top().network.eval(), tiny_bottom().network.eval()


def generator(num_candidates: int = 1) -> SoundGenerator:
    return SoundGenerator(*NETWORKS, Sampling(), num_iterations=2, num_candidates=num_candidates)


def joined(pieces) -> np.ndarray:
    return np.concatenate(list(pieces), axis=1)


@pytest.mark.parametrize("num_samples", [1, GEOMETRY.window_samples, 3 * GEOMETRY.window_samples + 17])
def test_sound_is_as_long_as_was_asked(num_samples):
    sound = joined(generator().sound(0, [(1, 0), (2, 0)], num_samples))
    assert sound.shape == (2, num_samples)
    assert sound.dtype == np.float32


def test_a_row_sounds_as_it_does_alone():
    together = joined(generator().sound(1, [(1, 0), (1, 1), (2, 0)], 2000))
    np.testing.assert_allclose(together[2:], joined(generator().sound(1, [(2, 0)], 2000)), atol=1e-4)
    assert not np.allclose(together[0], together[1], atol=1e-3)


class CountingPool(EventPool):
    """Is content with so many windows; gives their number in place of events."""

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
def test_windows_are_drawn_until_there_are_events_to_choose_from(monkeypatch, num_wanted, num_drawn):
    monkeypatch.setattr("pipelines.generator.EventPool", CountingPool)
    monkeypatch.setattr(CountingPool, "num_wanted_windows", num_wanted, raising=False)
    assert WINDOWS_AT_ONCE == 4
    assert generator().events(0, [1, 2], EventSettings()) == [[num_drawn], [num_drawn]]


def test_a_seed_has_the_same_events_alone():
    together = generator().events(0, [3, 4], EventSettings())
    for seed, events in zip((3, 4), together, strict=True):
        (alone,) = generator().events(0, [seed], EventSettings())
        assert [len(event.waveform) for event in events] == [len(event.waveform) for event in alone]


SEEDS = [(5, 0), (5, 1), (6, 0)]
WINDOW = GEOMETRY.window_samples


@pytest.mark.parametrize("num_samples", [40, WINDOW, 3 * WINDOW])
def test_of_several_beginnings_that_with_the_most_evidence_is_kept(monkeypatch, num_samples):
    """Whoever judges: here the codes' mean. The seeds of the other candidates are other sounds."""
    judged = []

    def evidence(prior, codes, labels):
        judged.append(codes.float().mean(dim=1))
        return judged[-1]

    monkeypatch.setattr(best_of_n, "class_evidence", evidence)
    best = joined(generator(3).sound(0, SEEDS, num_samples))
    assert best.shape == (3, num_samples)
    kept = judged[0].view(3, 3).argmax(dim=1)
    assert (kept > 0).any(), "these seeds prove nothing"
    first = joined(generator().sound(0, SEEDS, num_samples))
    for row, candidate in enumerate(kept.tolist()):
        assert np.allclose(best[row], first[row], atol=1e-4) == (candidate == 0)


def test_windows_do_not_depend_on_how_many_are_drawn_at_once(monkeypatch):
    together = generator(3).windows(0, SEEDS)
    assert together.shape == (3, WINDOW)
    one_by_one = generator(3)
    one_by_one.rows_at_once = 1
    np.testing.assert_allclose(one_by_one.windows(0, SEEDS), together, atol=1e-4)
    assert generator().rows_at_once == 3 * generator(3).rows_at_once + 1


def test_events_are_cut_out_of_the_best_windows(monkeypatch):
    asked = []
    chosen = generator(2)
    monkeypatch.setattr(chosen, "windows", lambda label, seeds: asked.append(seeds) or np.zeros((len(seeds), WINDOW)))
    assert chosen.events(1, [7], EventSettings()) == [[]]
    assert [seed for seeds in asked for seed in seeds] == [(7, 1, window) for window in range(MAX_WINDOWS)]
