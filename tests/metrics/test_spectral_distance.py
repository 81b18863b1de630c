import math
import pickle

import pytest
import torch

from metrics import Estimate, SpectralDistance

RATE_HZ = 16_000


def noise(num: int = 3, num_samples: int = 8000, seed: int = 0) -> torch.Tensor:
    return 0.1 * torch.randn(num, num_samples, generator=torch.Generator().manual_seed(seed))


def sine(amplitude: float) -> torch.Tensor:
    return amplitude * torch.sin(2 * math.pi * 1000 * torch.arange(8192) / RATE_HZ)[None]


def figures(estimates, references, groups=None, **options) -> dict[str, Estimate]:
    metric = SpectralDistance(**options)
    metric.update(estimates, references, groups)
    return metric.compute()


def test_equal_sounds_are_0_apart():
    found = figures(noise(), noise())
    assert found["log_spectral_distance_db"].value == 0
    assert found["spectral_convergence"].value == 0
    assert found["spectral_convergence"].num_sounds == 3


def test_a_change_of_level_is_found_in_db_and_as_a_share():
    found = figures(10 ** (-6 / 20) * noise(), noise())
    assert found["log_spectral_distance_db"].value == pytest.approx(6, abs=0.05)
    assert found["spectral_convergence"].value == pytest.approx(1 - 10 ** (-6 / 20), abs=1e-5)


def test_phases_do_not_count():
    found = figures(-noise(), noise())
    assert found["log_spectral_distance_db"].value == pytest.approx(0, abs=1e-4)


def test_silence_instead_of_the_sound_has_convergence_1_and_the_level_above_the_floor():
    found = figures(torch.zeros(3, 8000), noise())
    assert found["spectral_convergence"].value == pytest.approx(1)
    assert 20 < found["log_spectral_distance_db"].value < 80


def test_what_lies_80_db_below_full_scale_is_silence():
    silence = torch.zeros(1, 8192)
    assert figures(sine(0.9e-4), silence)["log_spectral_distance_db"].value == 0
    assert figures(sine(2e-4), silence)["log_spectral_distance_db"].value > 0
    both = figures(silence, silence)
    assert both["spectral_convergence"].value == 0


def test_the_distance_is_the_root_mean_square_over_frequencies():
    """A sine at a frequency of the transform has three lines under a Hann window: 0, -6 and -6 dB."""
    expected = math.sqrt((80**2 + 2 * (80 - 20 * math.log10(2)) ** 2) / 513)
    found = figures(sine(1.0), torch.zeros(1, 8192), n_fft=1024)
    assert found["log_spectral_distance_db"].value == pytest.approx(expected, rel=0.01)


def test_the_longer_sound_is_cut():
    assert figures(noise(), noise()[:, :5000])["log_spectral_distance_db"].value == 0
    assert figures(noise()[:, :5000], noise())["log_spectral_distance_db"].value == 0


def test_frames_can_be_set():
    ends_differ = noise()
    ends_differ[:, 512:] = 0
    at_the_start = figures(ends_differ, noise(), n_fft=512, hop_samples=8000)
    assert at_the_start["log_spectral_distance_db"].value == 0
    assert figures(ends_differ, noise())["log_spectral_distance_db"].value > 1


def test_sounds_of_one_recording_are_drawn_together():
    sounds, references = noise(40, seed=1), noise(40)
    sounds[:20] *= 0.5
    alone = figures(sounds, references)["spectral_convergence"]
    together = figures(sounds, references, [str(index // 10) for index in range(40)])["spectral_convergence"]
    assert together.value == alone.value
    assert together.high - together.low > 2 * (alone.high - alone.low)
    assert "only 4 recordings" in together.remark
    assert alone.remark == ""


@pytest.mark.parametrize(
    ("estimates", "references", "groups", "message"),
    [
        (noise(2), noise(3), None, "Expected pairs of waveforms"),
        (noise(2), noise(2), ["a"], "a group for each"),
        (noise(1)[0], noise(1)[0], None, "Expected pairs of waveforms"),
        (noise(1), noise(1, 100), None, "at least 1024 samples, found 100"),
    ],
)
def test_what_does_not_fit_is_refused(estimates, references, groups, message):
    with pytest.raises(ValueError, match=message):
        figures(estimates, references, groups)


def test_batches_copies_and_resets():
    metric = SpectralDistance()
    for start, end in ((0, 1), (1, 3)):
        metric.update(noise(seed=1)[start:end], noise()[start:end])
    expected = figures(noise(seed=1), noise())
    found = metric.compute()
    for name, estimate in expected.items():
        assert (found[name].value, found[name].low) == pytest.approx((estimate.value, estimate.low), rel=1e-5)
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.clone().compute() == found
    metric.reset()
    metric.update(noise(1), noise(1))
    assert metric.compute()["spectral_convergence"].num_sounds == 1


def test_nothing_added_is_an_error():
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="found none"):
        SpectralDistance().compute()
