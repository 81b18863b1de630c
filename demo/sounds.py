"""Synthesised meows and barks: a voiced source and noise, filtered by moving formants, in a small noisy room."""

import numpy as np
from scipy import fft, interpolate, signal

from demo import check_label

MAX_DURATION_S = 4.0
SOURCE_FALL_DB = 40.0  # fall of the voiced source's spectrum from 0 Hz to the Nyquist frequency


def synthesise(label: str, rng: np.random.Generator, sample_rate_hz: int = 16_000) -> np.ndarray:
    """Synthesises one to three meows, or two to six barks and sometimes a growl, with pauses, quiet noise and echoes.

    Why: this gives two clearly different classes without a download. Level, noise and room have the same distribution
    for both, so that only the voices distinguish them.

    Returns:
        Mono, float32, 1 to 4 s long, with its peak between 0.3 and 0.9.

    Raises:
        ValueError: if the label is neither 'cat' nor 'dog'.
    """
    check_label(label)
    if label == "cat":
        size = rng.uniform(0.85, 1.2)
        cries = [_synthesise_meow(rng, size, sample_rate_hz) for _ in range(rng.integers(1, 4))]
        pauses_s = rng.uniform(0.15, 0.5, len(cries))
    else:
        size = rng.uniform(0.8, 1.25)
        cries = [_synthesise_growl(rng, size, sample_rate_hz)] if rng.random() < 0.15 else []
        pitch_hz = rng.uniform(270, 480) / size
        cries += [_synthesise_bark(rng, pitch_hz, size, sample_rate_hz) for _ in range(rng.integers(2, 7))]
        pauses_s = rng.uniform(0.1, 0.45) * rng.uniform(0.8, 1.25, len(cries))
    pieces = [np.zeros(int(rng.uniform(0.03, 0.3) * sample_rate_hz))]
    for cry, pause_s in zip(cries, pauses_s, strict=True):
        pieces += [cry * rng.uniform(0.6, 1), np.zeros(int(pause_s * sample_rate_hz))]
    dry = np.concatenate(pieces)[: int(MAX_DURATION_S * sample_rate_hz)]
    dry = np.pad(dry, (0, max(0, sample_rate_hz - len(dry))))
    fade = sample_rate_hz // 50
    dry[-fade:] *= np.linspace(1, 0, fade)
    wet = _add_room(dry / np.abs(dry).max(), rng, sample_rate_hz)
    return (wet * rng.uniform(0.3, 0.9) / np.abs(wet).max()).astype(np.float32)


def _synthesise_meow(rng: np.random.Generator, size: float, sample_rate_hz: int) -> np.ndarray:
    """Synthesises a pitch that rises and falls while the mouth moves from closed (m) over wide (e) to round (ow)."""
    num_samples = int(rng.uniform(0.4, 1.2) * sample_rate_hz)
    time_s = np.arange(num_samples) / sample_rate_hz
    peak_hz = rng.uniform(480, 800) / size
    knots = (0, rng.uniform(0.2, 0.45), rng.uniform(0.6, 0.8), 1)
    pitch = _interpolate(knots, (rng.uniform(0.6, 0.8), 1, rng.uniform(0.8, 0.95), rng.uniform(0.5, 0.75)), num_samples)
    vibrato = 1 + rng.uniform(0, 0.025) * np.sin(2 * np.pi * rng.uniform(4, 9) * time_s + rng.uniform(0, 6))
    pitch_hz = np.clip(peak_hz * pitch * vibrato, 280, 820)
    loudness = _interpolate((0, 0.12, knots[1], knots[2], 1), (0, 0.3, 1, rng.uniform(0.5, 0.8), 0), num_samples)
    voiced = _synthesise_voice(pitch_hz, sample_rate_hz)
    breath = rng.normal(0, rng.uniform(0.01, 0.06), num_samples)
    open_hz = (rng.uniform(800, 1100), rng.uniform(1900, 2500), rng.uniform(3300, 3900), 5200)
    formants_hz = np.array([(350, 1100, 2900, 5000), open_hz, open_hz, (550, 1050, 3000, 5000)]) / size
    mouth = interpolate.PchipInterpolator((0, knots[1], 0.5 * (knots[1] + knots[2]), 1), formants_hz)
    return _filter_by_formants((voiced + breath) * loudness, mouth, rng.uniform(0.18, 0.26), sample_rate_hz)


def _synthesise_bark(rng: np.random.Generator, pitch_hz: float, size: float, sample_rate_hz: int) -> np.ndarray:
    """Synthesises a noisy burst: an unsteady, distorted voice and its formants rise quickly and fall."""
    num_samples = int(rng.uniform(0.11, 0.25) * sample_rate_hz)
    peak = rng.uniform(0.2, 0.4)
    arch = _interpolate((0, peak, 1), (rng.uniform(0.5, 0.7), 1, rng.uniform(0.4, 0.6)), num_samples)
    jitter = signal.lfilter([1], [1, -0.98], rng.normal(size=num_samples))
    arch *= 1 + rng.uniform(0.06, 0.2) * jitter / jitter.std()
    voiced = _synthesise_voice(np.clip(pitch_hz * rng.uniform(0.9, 1.1) * arch, 120, 560), sample_rate_hz)
    noise = rng.normal(0, rng.uniform(0.1, 0.4), num_samples)
    harsh = signal.lfilter([0.2], [1, -0.8], np.tanh(3 * (voiced + noise)))
    loudness = _interpolate((0, peak, 0.6, 1), (0, 1, rng.uniform(0.25, 0.5), 0), num_samples)
    wide_hz = np.array((rng.uniform(600, 800), rng.uniform(1200, 1700), 2600, 3900)) / size
    mouth = interpolate.PchipInterpolator((0, peak, 1), (0.65 * wide_hz, wide_hz, 0.6 * wide_hz))
    return _filter_by_formants(harsh * loudness, mouth, rng.uniform(0.16, 0.26), sample_rate_hz)


def _synthesise_growl(rng: np.random.Generator, size: float, sample_rate_hz: int) -> np.ndarray:
    """Synthesises a low and rough voice, quieter than a bark."""
    num_samples = int(rng.uniform(0.4, 0.8) * sample_rate_hz)
    pitch_hz = rng.uniform(65, 110) / size * _interpolate((0, 0.5, 1), rng.uniform(0.8, 1.2, 3), num_samples)
    rattle = 1 + 0.8 * np.sin(2 * np.pi * rng.uniform(20, 32) * np.arange(num_samples) / sample_rate_hz)
    noise = rng.normal(0, 0.3, num_samples)
    loudness = 0.4 * _interpolate((0, 0.3, 0.8, 1), (0, 1, 0.8, 0), num_samples)
    mouth = interpolate.PchipInterpolator((0, 1), np.array(((400, 1000, 2200), (500, 1200, 2400))) / size)
    growl = (_synthesise_voice(pitch_hz, sample_rate_hz) + noise) * rattle * loudness
    return _filter_by_formants(growl, mouth, 0.4, sample_rate_hz)


def _interpolate(knots: tuple[float, ...], values: tuple[float, ...], num_samples: int) -> np.ndarray:
    """Interpolates (num_samples,) smoothly between values at knots from 0 to 1, without overshoot."""
    return interpolate.PchipInterpolator(knots, values)(np.linspace(0, 1, num_samples))


def _synthesise_voice(pitch_hz: np.ndarray, sample_rate_hz: int) -> np.ndarray:
    """Sums the harmonics of a changing pitch, Σ rᵏ cos kφ, with the same slope in dB per kHz at each pitch."""
    ratio = 10 ** (-SOURCE_FALL_DB / 20 * pitch_hz / (sample_rate_hz / 2))
    cosine = np.cos(2 * np.pi * np.cumsum(pitch_hz) / sample_rate_hz)
    return (ratio * cosine - ratio**2) / (1 - 2 * ratio * cosine + ratio**2)


def _filter_by_formants(
    source: np.ndarray, mouth: interpolate.PchipInterpolator, bandwidth: float, sample_rate_hz: int
) -> np.ndarray:
    """Filters the source by moving resonances and normalises it to a peak of 1.

    `mouth` gives their frequencies in Hz from 0 (start) to 1 (end); `bandwidth` is their width over their frequency.
    """
    bins_hz, times_s, spectrum = signal.stft(source.astype(np.float32), sample_rate_hz, nperseg=256)
    formants_hz = mouth(np.minimum(times_s * sample_rate_hz / len(source), 1)).T[:, None]
    ratio = np.square(bins_hz[:, None] / formants_hz, dtype=np.float32)
    gain = (bandwidth**2 * ratio / ((1 - ratio) ** 2 + bandwidth**2 * ratio)).sum(axis=0)
    _, cry = signal.istft(spectrum * gain, sample_rate_hz, nperseg=256)
    cry = cry[: len(source)]
    return cry / np.abs(cry).max()


def _add_room(dry: np.ndarray, rng: np.random.Generator, sample_rate_hz: int) -> np.ndarray:
    """Adds a decaying echo of 0.1 to 0.4 s and, 30 to 60 dB below the peak, noise between white and brown."""
    decay_samples = int(rng.uniform(0.1, 0.4) * sample_rate_hz)
    echo = rng.normal(0, 1, decay_samples) * 10 ** (-3 * np.linspace(0, 1, decay_samples))
    echo *= rng.uniform(0.05, 0.4) / np.sqrt((echo**2).sum())
    echo[0] = 1
    num_samples = fft.next_fast_len(len(dry) + decay_samples, real=True)
    wet = fft.irfft(fft.rfft(dry, num_samples) * fft.rfft(echo, num_samples), num_samples)[: len(dry)]
    bins_hz = fft.rfftfreq(num_samples, 1 / sample_rate_hz).astype(np.float32)
    white = rng.standard_normal(2 * len(bins_hz), dtype=np.float32).view(np.complex64)
    noise = fft.irfft(white * (bins_hz + 50) ** -np.float32(rng.uniform(0, 1)), num_samples)[: len(dry)]
    return wet + noise / noise.std() * 10 ** (rng.uniform(-60, -30) / 20) * np.abs(wet).max()
