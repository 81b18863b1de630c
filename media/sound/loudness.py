"""How loud a sound is to a listener, and how high it swings between its samples."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.signal import firwin, sosfilt, upfirdn

ABSOLUTE_GATE_LUFS = -70.0  # what is quieter counts as silence
RELATIVE_GATE_LU = -10.0
STEP_S = 0.1  # of the gating blocks, each as long as four steps
NUM_STEPS = 4
TAPS_PER_PHASE = 48


@dataclass(frozen=True)
class Loudness:
    """Two figures of a sound; both are -inf for silence.

    Attributes:
        integrated_lufs: loudness of the whole, without its pauses. A full-scale tone of 1 kHz has -3.01 LUFS in mono
            and 0 LUFS on both channels of a stereo sound.
        true_peak_dbtp: highest absolute value of the waveform between its samples, in dB of full scale.
    """

    integrated_lufs: float
    true_peak_dbtp: float


def measure_loudness(blocks: Iterable[np.ndarray], sample_rate_hz: int) -> Loudness:
    """Measures a sound of any length in blocks; what is kept for long is one number for each 0.1 s.

    A sound shorter than a gating block of 0.4 s is taken for one block.

    Args:
        blocks: each (channels, samples) in [-1, 1], one or two channels, of any length.
        sample_rate_hz: of all blocks.

    Source: ITU-R BS.1770-5, annexes 1 (loudness) and 2 (true peak). The filters, which the standard gives for 48 kHz
        only, are computed for any rate by B. De Man, "Evaluation of Implementations of the EBU R128 Loudness
        Measurement", AES Convention e-Brief 2018.
    """
    sections = _k_weighting(sample_rate_hz)
    step_samples = round(STEP_S * sample_rate_hz)
    oversampling = 4 if sample_rate_hz < 96_000 else 2
    interpolator = oversampling * firwin(oversampling * TAPS_PER_PHASE + 1, 1 / oversampling, window=("kaiser", 9.0))
    state = history = None
    energies, rest, peak = [], np.zeros(0), 0.0
    for block in (block for block in blocks if block.size):
        if state is None:
            state = np.zeros((len(sections), len(block), 2))
            history = np.zeros((len(block), TAPS_PER_PHASE))
        weighted, state = sosfilt(sections, block, axis=1, zi=state)
        rest = np.append(rest, np.square(weighted).sum(axis=0))
        whole = len(rest) // step_samples * step_samples
        energies.extend(rest[:whole].reshape(-1, step_samples).mean(axis=1).tolist())
        rest = rest[whole:]
        history = np.append(history, block, axis=1)
        peak = max(peak, _true_peak(history, interpolator, oversampling))
        history = history[:, -TAPS_PER_PHASE:]
    if history is not None:
        end = np.append(history, np.zeros_like(history), axis=1)
        peak = max(peak, _true_peak(end, interpolator, oversampling))
    if len(energies) >= NUM_STEPS:
        gating_blocks = np.convolve(energies, np.full(NUM_STEPS, 1 / NUM_STEPS), mode="valid")
    else:
        total = sum(energies) * step_samples + rest.sum()
        gating_blocks = np.array([total / max(1, len(energies) * step_samples + len(rest))])
    return Loudness(_gated_lufs(gating_blocks), 20 * math.log10(peak) if peak > 0 else -math.inf)


def lufs(energy: np.ndarray | float) -> np.ndarray:
    """Loudness of a mean square, summed over the channels."""
    with np.errstate(divide="ignore"):
        return -0.691 + 10 * np.log10(energy)


def _gated_lufs(energies: np.ndarray) -> float:
    for gate_lufs in (lambda _: ABSOLUTE_GATE_LUFS, lambda kept: lufs(kept.mean()) + RELATIVE_GATE_LU):
        energies = energies[lufs(energies) > gate_lufs(energies)]
        if not energies.size:
            return -math.inf
    return float(lufs(energies.mean()))


def _true_peak(samples: np.ndarray, interpolator: np.ndarray, oversampling: int) -> float:
    """The peak wherever the interpolator has all its samples, and on the samples themselves."""
    fine = upfirdn(interpolator, samples, up=oversampling, axis=1)[:, len(interpolator) - 1 : -len(interpolator) + 1]
    return float(max(np.abs(samples).max(), np.abs(fine).max(initial=0.0)))


def _k_weighting(sample_rate_hz: int) -> np.ndarray:
    """A high shelf (the head) and a high-pass (the ear's insensitivity to lows) as second-order sections."""
    tangent, quality = math.tan(math.pi * 1681.974450955533 / sample_rate_hz), 0.7071752369554196
    high = 10 ** (3.999843853973347 / 20)
    band = high**0.4996667741545416
    numerator = [
        high + band * tangent / quality + tangent**2,
        2 * (tangent**2 - high),
        high - band * tangent / quality + tangent**2,
    ]
    first, *rest = _denominator(tangent, quality)
    shelf = [coefficient / first for coefficient in (*numerator, first, *rest)]
    tangent, quality = math.tan(math.pi * 38.13547087602444 / sample_rate_hz), 0.5003270373238773
    first, *rest = _denominator(tangent, quality)
    high_pass = [1.0, -2.0, 1.0, 1.0, rest[0] / first, rest[1] / first]  # the standard leaves its numerator as it is
    return np.array([shelf, high_pass])


def _denominator(tangent: float, quality: float) -> tuple[float, float, float]:
    return 1 + tangent / quality + tangent**2, 2 * (tangent**2 - 1), 1 - tangent / quality + tangent**2
