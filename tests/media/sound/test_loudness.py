import math

import numpy as np
import pytest
from scipy.signal import butter, resample_poly, sosfilt

from media.sound.loudness import Loudness, measure_loudness, to_lufs

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


# EBU Tech 3341, "Loudness metering", table 1: tones of 1 kHz on both channels, in dBFS and seconds (here a quarter of
# the standard's), and the integrated loudness.
CASES = {
    "1": ([(-23, 5)], -23),
    "2": ([(-33, 5)], -33),
    "3": ([(-36, 2.5), (-23, 15), (-36, 2.5)], -23),
    "4": ([(-72, 2.5), (-36, 2.5), (-23, 15), (-36, 2.5), (-72, 2.5)], -23),
    "5": ([(-26, 5), (-20, 5.025), (-26, 5)], -23),
}


@pytest.mark.parametrize(("parts", "expected_lufs"), CASES.values(), ids=CASES)
def test_the_cases_of_the_ebu(parts, expected_lufs):
    stereo = [np.repeat(tone(1_000, duration_s, 10 ** (level_db / 20)), 2, axis=0) for level_db, duration_s in parts]
    assert measure_loudness(stereo, RATE_HZ).integrated_lufs == pytest.approx(expected_lufs, abs=0.1)
    if min(level_db for level_db, _ in parts) > -60:  # of these the absolute gate of mono leaves out the same
        mono = [part[:1] for part in stereo]
        assert measure_loudness(mono, RATE_HZ).integrated_lufs == pytest.approx(expected_lufs - 3.01, abs=0.1)


@pytest.mark.parametrize(("divisor", "phase_deg"), [(4, 0), (4, 45), (6, 60), (8, 67.5)])
def test_the_true_peaks_of_the_ebu(divisor, phase_deg):
    """Cases 15 to 18: -6 dBTP, of which -0.4 to +0.2 dB is allowed."""
    sound = tone(RATE_HZ / divisor, 1, 0.5, phase=np.radians(phase_deg))
    sound *= np.minimum(1, np.minimum(np.arange(RATE_HZ), np.arange(RATE_HZ)[::-1]) / 480).astype(np.float32)
    assert -0.4 < measure_loudness([sound], RATE_HZ).true_peak_dbtp + 6 < 0.2


def reference_lufs(sound: np.ndarray) -> float:
    """By the filters that BS.1770 prints for 48 kHz, and its two gates; a sound under 0.4 s is one block."""
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    squares = np.square(sosfilt([shelf, high_pass], sound, axis=1)).sum(axis=0)
    length = min(len(squares), 19_200)
    starts = range(0, len(squares) - length + 1, 4_800)
    energies = np.array([squares[start : start + length].mean() for start in starts])
    energies = energies[energies > 10 ** ((-70 + 0.691) / 10)]
    return to_lufs(energies[energies > energies.mean() / 10].mean())


@pytest.mark.parametrize("num_channels", [1, 2])
@pytest.mark.parametrize("gain_db", [0, -30])
@pytest.mark.parametrize("duration_s", [0.06, 0.15, 0.39, 0.4, 0.55, 7.77])
def test_noise_that_swells_and_pauses_is_as_loud_as_by_the_formulas(duration_s, gain_db, num_channels):
    generator = np.random.default_rng(num_channels)
    envelope = np.repeat(generator.uniform(0, 1, 20) ** 3, round(duration_s * RATE_HZ) // 20)
    noise = generator.normal(0, 1, (num_channels, envelope.size))
    noise = sosfilt(butter(2, 2_000, fs=RATE_HZ, output="sos"), noise, axis=1)
    sound = (10 ** (gain_db / 20) * 0.3 * envelope * noise).astype(np.float32)
    found = measure_loudness([sound], RATE_HZ)
    assert found.integrated_lufs == pytest.approx(reference_lufs(sound), abs=0.03)
    expected_peak = np.abs(resample_poly(sound, 16, 1, axis=1)).max()
    assert 10 ** (found.true_peak_dbtp / 20) == pytest.approx(expected_peak, rel=0.012, abs=0.0006)


def test_a_sound_below_the_gate_has_no_loudness_but_a_peak():
    for duration_s in (1, 0.1):
        quiet = measure_loudness([tone(997, duration_s, 10 ** (-75 / 20))], RATE_HZ)
        assert quiet.integrated_lufs == -math.inf
        assert quiet.true_peak_dbtp == pytest.approx(-75, abs=0.1)
