import heapq
import math

import numpy as np
import pytest
import torch

from media import Geometry
from media.sound.griffin_lim import griffin_lim
from media.sound.phase_gradient import _slopes, gradient_phase, random_phase

GEOMETRY = Geometry()
HOP_SAMPLES = GEOMETRY.hop_samples


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def gliding_tone(num_samples=16_000):
    time_s = torch.arange(num_samples) / GEOMETRY.sample_rate_hz
    return 0.5 * torch.sin(2 * torch.pi * (600 * time_s + 800 * time_s**2))


def harmonics(num_samples=16_000):
    phase = 2 * torch.pi * 437 * torch.arange(num_samples) / GEOMETRY.sample_rate_hz
    return 0.2 * sum(torch.sin(number * phase) / number for number in range(1, 9))


def click(num_samples=16_000):
    waveform = torch.zeros(num_samples)
    waveform[num_samples // 2 + 33] = 1
    return waveform


def stft(waveform):
    window = torch.hann_window(GEOMETRY.n_fft)
    return torch.stft(waveform, GEOMETRY.n_fft, HOP_SAMPLES, window=window, return_complex=True)


def convergence_db(magnitude, phase):
    """How well the magnitudes of the waveform with these phases fit: 0 dB is silence, lower is better."""
    waveform = griffin_lim(magnitude, HOP_SAMPLES, 0, 0.0, phase)
    difference = (stft(waveform).abs() - magnitude).norm() / magnitude.norm()
    return 20 * math.log10(difference)


@pytest.mark.parametrize(
    ("sound", "best_db"), [(gliding_tone, -20), (harmonics, -18), (click, -15)], ids=["glide", "harmonics", "click"]
)
def test_the_phases_fit_each_other(sound, best_db):
    magnitude = stft(sound()[None]).abs()
    found = convergence_db(magnitude, gradient_phase(magnitude, HOP_SAMPLES, generator()))
    assert found < best_db
    assert found < convergence_db(magnitude, random_phase(magnitude, generator())) - 10


def test_what_is_known_stays_and_the_rest_goes_on_from_it():
    spectrum = stft(harmonics()[None])
    magnitude, num_known = spectrum.abs(), 20
    found = gradient_phase(magnitude, HOP_SAMPLES, generator(), spectrum.angle()[:, :, :num_known])
    torch.testing.assert_close(
        torch.polar(magnitude, found)[:, :, :num_known], spectrum[:, :, :num_known], atol=1e-3, rtol=0
    )
    is_loud = magnitude[0, :, num_known] > 0.1 * magnitude.max()
    alone = gradient_phase(magnitude, HOP_SAMPLES, generator())
    off, off_alone = ((phase - spectrum.angle())[0, is_loud, num_known] for phase in (found, alone))
    assert off.cos().min() > 0.8
    assert off_alone.cos().mean() < 0.5


def test_what_is_below_the_tolerance_has_random_phases():
    magnitude = torch.full((1, 240, 20), 1e-3)
    magnitude[:, 100:120] = 100.0
    found, drawn = gradient_phase(magnitude, HOP_SAMPLES, generator(3)), random_phase(magnitude, generator(3))
    weak = magnitude < 1
    torch.testing.assert_close(found[weak], drawn.expand_as(found)[weak])
    assert torch.isclose(found, drawn.expand_as(found))[~weak].sum() <= 1  # where the path begins


def test_the_generator_decides():
    magnitude = stft(harmonics()[None]).abs()
    first = gradient_phase(magnitude, HOP_SAMPLES, generator(1))
    assert torch.equal(gradient_phase(magnitude, HOP_SAMPLES, generator(1)), first)
    assert (gradient_phase(magnitude, HOP_SAMPLES, generator(2)) - first).abs().mean() > 0.1


def test_silence_has_phases_too():
    found = gradient_phase(torch.zeros(2, 240, 8), HOP_SAMPLES, generator())
    assert found.shape == (2, 240, 8)
    assert found.isfinite().all()


@pytest.mark.parametrize("num_frames", [1, 2, 3])
def test_short_sounds(num_frames):
    found = gradient_phase(stft(harmonics())[None, :, :num_frames].abs(), HOP_SAMPLES, generator())
    assert found.shape == (1, 240, num_frames)
    assert found.dtype == torch.float32
    assert 0 <= found.min() <= found.max() < 6.3


def test_rows_are_independent():
    magnitude = stft(torch.stack([harmonics(), gliding_tone(), click()])).abs()
    together = gradient_phase(magnitude, HOP_SAMPLES, generator())
    for row, found in zip(magnitude, together, strict=True):
        assert torch.equal(gradient_phase(row[None], HOP_SAMPLES, generator())[0], found)


@pytest.mark.parametrize("sound", [harmonics, gliding_tone])
def test_it_is_as_good_as_the_heap_of_the_paper(sound):
    noise = 0.01 * torch.randn(8_000, generator=generator())
    magnitude = stft((sound(8_000) + noise)[None]).abs()
    expected = torch.from_numpy(_integrate_with_heap(magnitude[0].double().numpy())).float()[None]
    found = gradient_phase(magnitude, HOP_SAMPLES, generator())
    assert convergence_db(magnitude, found) < convergence_db(magnitude, expected) + 1


def _integrate_with_heap(magnitude):
    """Algorithm 1 of the paper, for a picture that nowhere falls to silence."""
    over_bins, over_frames = _slopes(np.log(magnitude), HOP_SAMPLES)
    start = np.unravel_index(magnitude.argmax(), magnitude.shape)
    phases, heap = {start: 0.0}, [(-magnitude[start], start)]
    while heap:
        _, (row, column) = heapq.heappop(heap)
        for down, right in ((-1, 0), (1, 0), (0, -1), (0, 1)):
            there = row + down, column + right
            if 0 <= there[0] < magnitude.shape[0] and 0 <= there[1] < magnitude.shape[1] and there not in phases:
                slope = over_bins if down else over_frames
                phases[there] = phases[row, column] + (down + right) * (slope[row, column] + slope[there]) / 2
                heapq.heappush(heap, (-magnitude[there], there))
    return np.array([[phases[row, column] for column in range(magnitude.shape[1])] for row in range(len(magnitude))])
