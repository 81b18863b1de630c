import math

import pytest
import torch

from metrics import MelStatistics

RATE_HZ = 16_000


def sine(frequency_hz: float, amplitude: float = 0.5, num_samples: int = RATE_HZ) -> torch.Tensor:
    return amplitude * torch.sin(2 * math.pi * frequency_hz * torch.arange(num_samples) / RATE_HZ)


def test_there_is_one_vector_a_sound_whatever_its_length():
    embedding = MelStatistics()
    for num_samples in (600, RATE_HZ):
        vectors = embedding.embed(torch.randn(3, num_samples, generator=torch.Generator().manual_seed(0)))
        assert vectors.shape == (3, embedding.num_dimensions)
        assert vectors.dtype == torch.float32
        assert vectors.isfinite().all()


def test_means_tell_of_pitch_and_loudness_and_deviations_of_change():
    steady_low, steady_high, quiet = sine(300), sine(3000), sine(300, amplitude=0.05)
    swelling = steady_low * torch.linspace(0, 1, RATE_HZ)
    vectors = MelStatistics().embed(torch.stack([steady_low, steady_high, quiet, swelling]))
    means, deviations = vectors[:, :64], vectors[:, 64:]
    assert means[0].argmax() < means[1].argmax()
    band = means[0].argmax()
    assert (means[0] - means[2])[band] == pytest.approx(math.log(100), rel=0.01)
    assert deviations[3, band] > 5 * deviations[0, band]


def test_silence_is_a_vector_like_any_other_and_noise_below_80_db_is_silence():
    faint = 1e-6 * torch.randn(RATE_HZ, generator=torch.Generator().manual_seed(0))
    silence, almost = MelStatistics().embed(torch.stack([torch.zeros(RATE_HZ), faint]))
    assert silence.isfinite().all()
    assert torch.allclose(silence, almost, atol=0.05)


@pytest.mark.parametrize("sample_rate_hz", [8_000, 22_050, 48_000])
def test_other_sample_rates_work(sample_rate_hz):
    embedding = MelStatistics(sample_rate_hz)
    assert embedding.sample_rate_hz == sample_rate_hz
    assert embedding.embed(torch.rand(1, sample_rate_hz)).isfinite().all()
