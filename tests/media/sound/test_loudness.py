import math

import av
import numpy as np
import pytest

from media.sound.frames import as_frames, filter_frames
from media.sound.loudness import Loudness, measure_loudness

RATE_HZ = 48_000
TENTH = 10 ** (-20 / 20)


def tone(frequency_hz: float, duration_s: float, amplitude: float = TENTH, rate_hz: int = RATE_HZ, phase=0.0):
    times_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * times_s + phase)).astype(np.float32)[np.newaxis]


@pytest.mark.parametrize("rate_hz", [16_000, 32_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize(("num_channels", "expected_lufs"), [(1, -23.01), (2, -20.0)])
def test_the_standard_tone(rate_hz, num_channels, expected_lufs):
    sound = np.repeat(tone(997, 3, rate_hz=rate_hz), num_channels, axis=0)
    found = measure_loudness(np.array_split(sound, 7, axis=1), rate_hz)
    assert found.integrated_lufs == pytest.approx(expected_lufs, abs=0.05)
    assert found.true_peak_dbtp == pytest.approx(-20, abs=0.02)


def test_lows_count_less_and_highs_more():
    low, middle, high = (measure_loudness([tone(hz, 2)], RATE_HZ).integrated_lufs for hz in (30, 997, 5_000))
    assert low < middle - 6
    assert high - middle == pytest.approx(3.3, abs=0.2)  # figure 2 of the standard


def test_pauses_do_not_count():
    """Silence falls to the absolute gate, what is 10 LU below the rest to the relative one."""
    loud, quiet, silence = tone(997, 4), tone(997, 4, TENTH / 30), np.zeros((1, 8 * RATE_HZ))
    alone = measure_loudness([loud], RATE_HZ).integrated_lufs
    assert measure_loudness([silence, loud, quiet, silence], RATE_HZ).integrated_lufs == pytest.approx(alone, abs=0.35)
    nearly_as_loud = measure_loudness([loud, tone(997, 4, TENTH / 2)], RATE_HZ).integrated_lufs
    assert nearly_as_loud == pytest.approx(alone + 10 * math.log10((1 + 1 / 4) / 2), abs=0.1)


def test_a_peak_between_the_samples_is_found():
    """At a quarter of the sample rate and an eighth of a turn, all samples lie 3 dB below the peak."""
    sound = tone(RATE_HZ / 4, 1, 0.5, phase=np.pi / 4) * np.hanning(RATE_HZ).astype(np.float32)
    assert np.abs(sound).max() == pytest.approx(0.5 / np.sqrt(2), rel=1e-3)
    assert measure_loudness([sound], RATE_HZ).true_peak_dbtp == pytest.approx(20 * np.log10(0.5), abs=0.02)


@pytest.mark.parametrize("position", [0, 47, 999, 1_000, 1_999])
def test_a_peak_at_the_edge_of_a_block_or_of_the_sound(position):
    sound = np.zeros((1, 2_000))
    sound[0, position] = 0.5
    assert measure_loudness(np.split(sound, 2, axis=1), RATE_HZ).true_peak_dbtp == pytest.approx(-6.02, abs=0.01)


@pytest.mark.parametrize("blocks", [[], [np.zeros((2, 0))], [np.zeros((1, 100))], [np.zeros((2, 3 * RATE_HZ))]])
def test_silence_has_no_level(blocks):
    assert measure_loudness(blocks, RATE_HZ) == Loudness(-math.inf, -math.inf)


def test_a_sound_shorter_than_a_gating_block():
    assert measure_loudness([tone(997, 0.15)], RATE_HZ).integrated_lufs == pytest.approx(-23, abs=0.3)


def test_the_length_of_the_blocks_changes_nothing():
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (2, 3 * RATE_HZ + 77))
    whole = measure_loudness([noise], RATE_HZ)
    for num_blocks in (2, 31, 1_000):
        found = measure_loudness(np.array_split(noise, num_blocks, axis=1), RATE_HZ)
        assert found.integrated_lufs == pytest.approx(whole.integrated_lufs, abs=1e-6)
        assert found.true_peak_dbtp == pytest.approx(whole.true_peak_dbtp, abs=1e-6)


@pytest.mark.skipif(not hasattr(av.AudioFrame, "metadata"), reason="this PyAV does not give FFmpeg's figures")
@pytest.mark.parametrize("rate_hz", [16_000, 44_100, 48_000])
@pytest.mark.parametrize("num_channels", [1, 2])
def test_ffmpeg_agrees(rate_hz, num_channels):
    generator = np.random.default_rng(num_channels)
    envelope = np.repeat(generator.uniform(0, 1, 20) ** 3, rate_hz // 2)
    sound = (0.1 * envelope * generator.standard_normal((num_channels, 10 * rate_hz))).astype(np.float32)
    *_, last = filter_frames(as_frames([sound], rate_hz), ("ebur128", "metadata=1:peak=true:framelog=quiet"))
    found = measure_loudness([sound], rate_hz)
    assert found.integrated_lufs == pytest.approx(float(last.metadata["lavfi.r128.I"]), abs=0.02)
    expected_dbtp = 20 * np.log10(float(last.metadata["lavfi.r128.true_peak"]))
    assert found.true_peak_dbtp == pytest.approx(expected_dbtp, abs=0.5)  # filters differ where noise ends at Nyquist
