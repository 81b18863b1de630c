import numpy as np
import pytest
from scipy import ndimage

from demo.sounds import _synthesise_bark, _synthesise_meow
from media.sound.events import EventPool, EventSettings, cut_event, find_events

RATE_HZ = 16_000


def noise(num_samples: int, rng: np.random.Generator, slope: float = 0.0) -> np.ndarray:
    """Steady noise of level 1: white (slope 0), pink (0.5) or brown (1)."""
    bins_hz = np.fft.rfftfreq(num_samples, 1 / RATE_HZ)
    coloured = np.fft.irfft(np.fft.rfft(rng.normal(size=num_samples)) * (bins_hz + 50) ** -slope, num_samples)
    return coloured / coloured.std()


def loudest(samples: np.ndarray) -> float:
    """Root mean square of the loudest 20 ms."""
    return float(np.sqrt(ndimage.uniform_filter1d(samples**2, RATE_HZ // 50).max()))


def sound_with_events(label: str, contrast_db: float, slope: float = 0.0, seed: int = 0, seconds: int = 12):
    """Barks or meows in noise, and when the clean events pass 8 dB under their loudest 10 ms."""
    rng = np.random.default_rng(seed)
    clean, onsets_s, start = np.zeros(seconds * RATE_HZ), [], 0.4 * RATE_HZ
    while start < len(clean) - 1.6 * RATE_HZ:
        if label == "dog":
            event = _synthesise_bark(rng, rng.uniform(270, 480), 1.0, RATE_HZ)
        else:
            event = _synthesise_meow(rng, 1.0, RATE_HZ)
        event *= rng.uniform(0.6, 1) / loudest(event)
        clean[int(start) : int(start) + len(event)] += event
        envelope = np.sqrt(ndimage.uniform_filter1d(event**2, RATE_HZ // 100))
        onsets_s.append((int(start) + np.argmax(envelope > envelope.max() * 10**-0.4)) / RATE_HZ)
        start += len(event) + rng.uniform(0.15, 0.6) * RATE_HZ
    heard = clean + loudest(clean) * 10 ** (-contrast_db / 20) * noise(len(clean), rng, slope)
    return (0.3 * heard / np.abs(heard).max()).astype(np.float32), np.array(onsets_s)


@pytest.mark.parametrize("label", ["cat", "dog"])
@pytest.mark.parametrize(("contrast_db", "slope"), [(60, 0.0), (60, 1.0), (25, 0.5), (15, 0.0), (15, 1.0), (12, 0.0)])
def test_events_are_found_where_they_begin(label, contrast_db, slope):
    distances_s, num_extra = [], 0
    for seed in range(4):
        sound, true_s = sound_with_events(label, contrast_db, slope, seed)
        found_s = np.array([event.onset_sample for event in find_events(sound, RATE_HZ)]) / RATE_HZ
        apart_s = np.abs(true_s[:, None] - found_s)
        distances_s += apart_s.min(axis=1).tolist()
        num_extra += int((apart_s.min(axis=0) > 0.15).sum())
    assert np.median(distances_s) < 0.02
    assert np.mean(np.array(distances_s) < 0.1) > 0.95
    assert num_extra <= 0.05 * len(distances_s)


@pytest.mark.parametrize("rate_hz", [16_000, 44_100])
def test_a_call_has_its_attack_and_its_decay_and_no_more(rate_hz):
    time_s = np.arange(2 * rate_hz) / rate_hz
    burst = np.where(time_s >= 0.7, np.exp(-(time_s - 0.7) / 0.1), 0) * np.sin(2 * np.pi * 600 * time_s)
    (event,) = find_events(burst.astype(np.float32), rate_hz)
    assert event.onset_sample == pytest.approx(0.7 * rate_hz, abs=0.008 * rate_hz)
    assert 0.015 <= (event.onset_sample - event.start_sample) / rate_hz <= 0.05
    assert 0.3 < (event.end_sample - event.onset_sample) / rate_hz < 0.45  # 30 dB take 0.345 s
    assert event.level_db == pytest.approx(10 * np.log10(0.5 * (1 - np.exp(-1)) / 1), abs=0.5)


def test_a_call_ends_where_the_next_begins():
    time_s = np.arange(3 * RATE_HZ) / RATE_HZ
    decay_s = np.select([time_s >= 1.2, time_s >= 1.0], [time_s - 1.2, time_s - 1.0], np.inf)
    sound = (np.exp(-decay_s / 0.1) * np.sin(2 * np.pi * 600 * time_s)).astype(np.float32)
    first, second = find_events(sound, RATE_HZ)
    assert first.end_sample == second.start_sample < second.onset_sample
    assert second.onset_sample == pytest.approx(1.2 * RATE_HZ, abs=0.008 * RATE_HZ)


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(4))
def test_steady_noise_has_no_events(slope, seed):
    sound = noise(8 * RATE_HZ, np.random.default_rng(seed), slope)
    assert find_events((0.1 * sound).astype(np.float32), RATE_HZ) == []


def test_silence_a_steady_tone_and_next_to_nothing_have_no_events():
    tone = np.sin(np.arange(4 * RATE_HZ) * 0.2)
    for sound in (np.zeros(4 * RATE_HZ), tone, np.ones(50), np.zeros(0)):
        assert find_events(sound.astype(np.float32), RATE_HZ) == []


def test_a_call_in_which_the_sound_starts_or_ends_is_left_out():
    sound, onsets_s = sound_with_events("dog", 40)
    third = round(onsets_s[2] * RATE_HZ)
    inside = find_events(sound[third + RATE_HZ // 20 : round(onsets_s[6] * RATE_HZ)], RATE_HZ)
    found_s = [(event.onset_sample + third) / RATE_HZ + 0.05 for event in inside]
    assert found_s == pytest.approx(onsets_s[3:6], abs=0.03)


def test_a_texture_gives_its_most_sudden_stretches():
    rng = np.random.default_rng(0)
    gain_db = np.zeros(6 * RATE_HZ)
    for second, rise_db in ((1, 3.5), (2, 5), (3, 3.5), (4, 5), (5, 5)):
        gain_db[second * RATE_HZ : round((second + 0.2) * RATE_HZ)] = rise_db
    sound = (0.05 * noise(len(gain_db), rng) * 10 ** (gain_db / 20)).astype(np.float32)
    events = find_events(sound, RATE_HZ)
    assert 1 <= len(events) <= 3
    assert {round(event.onset_sample / RATE_HZ) for event in events} <= {2, 4, 5}
    assert all(
        event.onset_sample / RATE_HZ == pytest.approx(round(event.onset_sample / RATE_HZ), abs=0.05) for event in events
    )


def test_cut_events_are_equally_loud():
    sound, _ = sound_with_events("dog", 30)
    for scale in (0.01, 1):
        cut = [cut_event(scale * sound, event) for event in find_events(scale * sound, RATE_HZ)]
        levels = [np.sqrt(ndimage.uniform_filter1d(event.waveform**2, RATE_HZ // 20).max()) for event in cut]
        assert max(levels) / min(levels) < 1.5
        assert 0.1 < max(levels) < 0.2
        assert all(event.waveform.dtype == np.float32 and np.abs(event.waveform).max() < 0.901 for event in cut)


def test_a_pool_has_enough_before_its_sounds_are_used_up():
    sound, _ = sound_with_events("dog", 20, seconds=30)
    pool = EventPool(RATE_HZ, num_wanted=8, max_s=60)
    num_sounds = 0
    for part in np.array_split(sound, 10):
        if pool.is_enough:
            break
        pool.add(part)
        num_sounds += 1
    assert pool.is_enough
    assert num_sounds < 8
    best = pool.best()
    assert len(best) == 8
    every_event = [event for part in np.array_split(sound, 10)[:num_sounds] for event in find_events(part, RATE_HZ)]
    assert {len(event.waveform) for event in best} <= {event.end_sample - event.start_sample for event in every_event}


def test_a_pool_leaves_faint_events_and_clicks_aside():
    clear, _ = sound_with_events("dog", 25, seed=1)
    num_clear = len(find_events(clear, RATE_HZ))
    faint, _ = sound_with_events("dog", 25, seed=2)
    faint *= 0.05
    faint[RATE_HZ // 4] += 0.1  # a click
    pool = EventPool(RATE_HZ, num_wanted=100, max_s=20)
    pool.add(faint)
    pool.add(clear)
    assert pool.is_enough
    assert 0.8 * num_clear <= len(pool.best()) <= num_clear


def test_a_pool_without_events_ends_empty():
    pool = EventPool(RATE_HZ, max_s=4)
    assert not pool.is_enough
    pool.add(np.zeros(3 * RATE_HZ, np.float32))
    assert not pool.is_enough
    pool.add((0.1 * noise(2 * RATE_HZ, np.random.default_rng(0))).astype(np.float32))
    assert pool.is_enough
    assert pool.best() == []


def test_settings_decide_what_is_an_event():
    sound, _ = sound_with_events("dog", 30)
    usual = find_events(sound, RATE_HZ)
    strict = find_events(sound, RATE_HZ, EventSettings(loudness_range_db=1.0))
    assert 1 <= len(strict) < len(usual)
    assert {event.onset_sample for event in strict} <= {event.onset_sample for event in usual}
    short = find_events(sound, RATE_HZ, EventSettings(max_event_s=0.1))
    assert max(event.end_sample - event.start_sample for event in short) <= 0.1 * RATE_HZ
    pool = EventPool(RATE_HZ, settings=EventSettings(cut_level_db=-40.0))
    pool.add(sound)
    loudest = [np.sqrt(ndimage.uniform_filter1d(event.waveform**2, RATE_HZ // 20).max()) for event in pool.best()]
    np.testing.assert_allclose(20 * np.log10(loudest), -40, atol=0.1)
