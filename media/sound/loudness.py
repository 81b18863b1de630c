"""Loudness and true peak of a sound."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from media.sound.frames import as_frames, filter_frames

SILENCE_LUFS = -70.0  # the absolute gate of EBU R 128, the highest level of silence
NUM_STEPS = 4  # steps of 0.1 s in one gating block


@dataclass(frozen=True)
class Loudness:
    """Loudness and true peak of a sound, both -inf for silence.

    A full-scale tone of 1 kHz has -3.01 LUFS in mono, and 0 LUFS on both channels in stereo.
    """

    integrated_lufs: float  # of the whole without pauses
    true_peak_dbtp: float  # highest absolute value, also between samples, in dB relative to full scale


def measure_loudness(blocks: Iterable[np.ndarray], sample_rate_hz: int) -> Loudness:
    """Measures a sound of any length by FFmpeg's `ebur128`; less than 0.4 s count as one gating block.

    Args:
        blocks: (channels, samples) in [-1, 1], one or two channels, of any length.
        sample_rate_hz: sample rate of all blocks.

    Source: ITU-R BS.1770-5, annexes 1 (loudness) and 2 (true peak).
    """
    step_samples = sample_rate_hz // 10
    num_samples, peak = 0, 0.0

    def padded() -> Iterator[np.ndarray]:
        """Yields the blocks and silence to the end of a step, and one step more, in which the last peak appears."""
        nonlocal num_samples, peak
        for block in blocks:
            if block.size:
                num_samples += block.shape[1]
                peak = max(peak, float(np.abs(block).max()))
                yield block
        if num_samples:
            missing = max(NUM_STEPS * step_samples - num_samples, -num_samples % step_samples)
            yield np.zeros((len(block), missing + step_samples), np.float32)

    momentary, integrated, true_peak = _measure_steps(padded(), sample_rate_hz)
    if not num_samples:
        return Loudness(-math.inf, -math.inf)
    if num_samples < NUM_STEPS * step_samples:
        found_lufs = momentary[NUM_STEPS - 1] + 10 * math.log10(NUM_STEPS * step_samples / num_samples)
    else:
        found_lufs = integrated[num_samples // step_samples - 1]
    peak = max(peak, true_peak[-1])  # FFmpeg rounds to 0.001
    return Loudness(
        found_lufs if found_lufs > SILENCE_LUFS else -math.inf, 20 * math.log10(peak) if peak > 0 else -math.inf
    )


def to_lufs(energy: np.ndarray | float) -> np.ndarray:
    """Converts a mean square, summed over the channels, to loudness."""
    with np.errstate(divide="ignore"):
        return -0.691 + 10 * np.log10(energy)


def _measure_steps(blocks: Iterable[np.ndarray], sample_rate_hz: int) -> list[list[float]]:
    """Measures momentary and integrated loudness, and the true peak so far, after each 0.1 s.

    FFmpeg writes them to a file, since PyAV before 18.1 does not read the metadata of frames.
    """
    keys = [f"lavfi.r128.{name}=" for name in ("M", "I", "true_peak")]
    with TemporaryDirectory() as folder:
        path = Path(folder, "figures.txt")
        ebur128 = ("ebur128", {"metadata": 1, "peak": "true", "framelog": "quiet"})
        to_file = ("ametadata", {"mode": "print", "file": path})
        for _ in filter_frames(as_frames(blocks, sample_rate_hz), ebur128, to_file):
            pass
        lines = path.read_text().splitlines() if path.exists() else []
    return [[float(line.removeprefix(key)) for line in lines if line.startswith(key)] for key in keys]
