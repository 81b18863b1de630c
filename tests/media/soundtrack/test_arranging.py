import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage, signal

from media.sound.events import Event, EventPool
from media.soundtrack.arranging import ArrangingSettings, arrange, plan_events
from tests.media.sound.test_events import RATE_HZ, sound_with_events


def clicks(*lengths_s: float, lead_s: float = 0.02) -> list[Event]:
    """Events whose numbers can be read from their samples: event i is 0.1 (i + 1) all through."""
    lead = round(lead_s * RATE_HZ)
    return [
        Event(np.full(lead + round(length_s * RATE_HZ), 0.1 * (number + 1), np.float32), lead, 20.0)
        for number, length_s in enumerate(lengths_s)
    ]


def sound_of(events, onsets_s, duration_s, strengths=None, seed=0) -> tuple[np.ndarray, list]:
    strengths = np.ones(len(onsets_s)) if strengths is None else np.array(strengths)
    num_samples = round(duration_s * RATE_HZ)
    placements = plan_events(events, np.array(onsets_s), strengths, num_samples, RATE_HZ, seed)
    blocks = list(arrange(events, placements, num_samples, RATE_HZ))
    assert all(len(block) == RATE_HZ for block in blocks[:-1])
    assert all(block.dtype == np.float32 for block in blocks)
    sound = np.concatenate(blocks)
    assert len(sound) == num_samples
    return sound, placements


def test_the_onset_of_a_call_falls_on_the_seen_one_to_the_sample():
    ramp = np.concatenate([np.full(500, 0.1), [0.5], np.full(3000, 0.2)]).astype(np.float32)
    onsets_s = [0.5, 0.98, 1.70003, 2.25]  # one event crosses the border of two blocks
    sound, placements = sound_of([Event(ramp, 500, 20.0)], onsets_s, 3.1)
    expected = [round(onset_s * RATE_HZ) for onset_s in onsets_s]
    assert np.flatnonzero(sound > 0.4).tolist() == expected
    assert [placement.onset_sample for placement in placements] == expected
    assert not sound[: expected[0] - 500].any()


def test_no_call_follows_itself_and_all_are_used():
    events = clicks(0.1, 0.1, 0.1)
    _, placements = sound_of(events, np.arange(0.2, 60, 0.3), 60)
    numbers = [placement.event for placement in placements]
    assert all(one != other for one, other in pairwise(numbers))
    assert min(np.bincount(numbers)) > 0.2 * len(numbers)
    _, placements = sound_of(events[:1], np.arange(0.2, 60, 0.3), 60)
    assert {placement.event for placement in placements} == {0}


def test_events_that_fit_are_preferred():
    _, placements = sound_of(clicks(0.1, 1.4, 0.1, 1.4, 0.1), np.arange(0.2, 60, 0.3), 60)
    assert {placement.event for placement in placements[:-1]} == {0, 2, 4}


def test_the_seed_decides():
    events, onsets_s = clicks(0.1, 0.1, 0.1), np.arange(0.2, 20, 0.5)
    first, again, other = (sound_of(events, onsets_s, 20, seed=seed)[0] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_loudness_follows_strength():
    sound, placements = sound_of(clicks(0.2), [0.5, 1.5, 2.5, 3.5], 4, strengths=[8, 4, 0.01, 0])
    assert [placement.level_db for placement in placements] == pytest.approx([0, -6.02, -12, -12], abs=0.01)
    levels = sound[(np.array([0.6, 1.6, 2.6, 3.6]) * RATE_HZ).astype(int)]
    assert levels == pytest.approx(0.1 * np.array([1, 0.5, 0.251, 0.251]), abs=1e-3)


def test_onsets_that_are_too_close_are_one_at_the_strongest():
    _, placements = sound_of(clicks(0.1), [1.0, 1.1, 0.9, 1.119, 2.0, 2.13], 3, strengths=[1, 3, 1, 1, 1, 2])
    onsets_s = [placement.onset_sample / RATE_HZ for placement in placements]
    assert onsets_s == pytest.approx([0.9, 1.1, 2.0, 2.13], abs=1e-4)  # 0.9 is too close only to what is gone


def test_an_earlier_call_has_faded_out_when_the_next_begins():
    loud = Event(np.full(RATE_HZ, 0.5, np.float32), 0, 20.0)
    sound, placements = sound_of([loud], [0.5, 0.9], 2)
    border = round(0.9 * RATE_HZ)
    assert placements[0].end_sample == border
    assert sound[border - round(0.031 * RATE_HZ)] == pytest.approx(0.5)
    assert sound[border - round(0.015 * RATE_HZ)] == pytest.approx(0.25, abs=0.01)
    assert sound[border - 1] == sound[border] == pytest.approx(0, abs=1e-3)


def test_nothing_is_heard_outside_of_a_scene():
    lead = clicks(1.0, lead_s=0.1)
    sound, placements = sound_of(lead, [0.01, 1.8, 1.99, -0.5, 2.5], 2)
    assert [placement.onset_sample for placement in placements] == [160, 28_800]  # 1.99 is too late to be heard
    assert placements[0].start_sample == 0
    assert placements[-1].end_sample == len(sound)
    assert sound[0] == sound[-1] == 0
    assert np.abs(np.diff(sound)).max() < 0.005  # no edge clicks


def test_without_onsets_there_is_silence_and_without_events_no_plan():
    sound, placements = sound_of([], [], 1.5)
    assert placements == []
    assert not sound.any()
    with pytest.raises(ValueError, match="1 onsets and no events"):
        sound_of([], [0.5], 1.5)


def test_a_long_scene_needs_little_memory():
    rng = np.random.default_rng(0)
    events = clicks(0.2, 0.3)
    num_samples = 1200 * RATE_HZ
    onsets_s = rng.uniform(0, 1200, 3000)
    tracemalloc.start()
    placements = plan_events(events, onsets_s, np.ones(3000), num_samples, RATE_HZ, 0)
    num_heard = sum(len(block) for block in arrange(events, placements, num_samples, RATE_HZ))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert num_heard == num_samples
    assert peak_bytes < 5e6  # the sound has 77e6


def flux_onsets_s(sound: np.ndarray) -> np.ndarray:
    """Another way to hear onsets: sudden rises of the magnitudes in bands, summed; a glide from band to band is none.

    Source: Böck and Widmer, "Maximum filter vibrato suppression for onset detection", DAFx 2013.
    """
    hop = RATE_HZ // 100
    bins_hz, _, spectrum = signal.stft(sound, RATE_HZ, nperseg=512, noverlap=512 - hop)
    bands = np.digitize(bins_hz, np.geomspace(150, 8000, 25))
    magnitude = np.stack([np.abs(spectrum[bands == band]).sum(axis=0) for band in np.unique(bands)[1:]])
    logarithmic = np.log1p(magnitude / (0.1 * magnitude.max()))
    before = ndimage.maximum_filter1d(logarithmic, 3, axis=0)
    flux = np.maximum(logarithmic[:, 3:] - before[:, :-3], 0).sum(axis=0)
    peaks, _ = signal.find_peaks(flux, height=0.12 * flux.max(), distance=12)
    return (peaks + 1.5) * hop / RATE_HZ


def f1(wanted_s: np.ndarray, heard_s: np.ndarray, reach_s: float = 0.08) -> float:
    """Each heard onset counts for one wanted one at most."""
    left, num_hits = list(heard_s), 0
    for time_s in wanted_s:
        near = [heard for heard in left if abs(heard - time_s) <= reach_s]
        if near:
            left.remove(near[0])
            num_hits += 1
    return 2 * num_hits / (len(wanted_s) + len(heard_s))


@pytest.mark.parametrize("label", ["dog", "cat"])
@pytest.mark.parametrize("contrast_db", [12, 25])
def test_from_a_noisy_sound_to_onsets_that_are_heard(label, contrast_db):
    """A hundred onsets in ten scenes, found again by an ear that knows nothing of how they were made."""
    rng = np.random.default_rng(5)
    pool = EventPool(RATE_HZ)
    sound, _ = sound_with_events(label, contrast_db, 0.5, seconds=30)
    for part in np.array_split(sound, 10):
        pool.add(part)
    events = pool.best()
    distances_s, hits, shifted_hits = [], [], []
    for scene in range(10):
        wanted_s = np.cumsum(rng.dirichlet(np.ones(11))[:10] * 5 + 0.45)
        heard_s = flux_onsets_s(sound_of(events, wanted_s, 10, rng.uniform(0.3, 1, 10), seed=scene)[0])
        distances_s += np.abs(wanted_s[:, None] - heard_s).min(axis=1).tolist()
        hits.append(f1(wanted_s, heard_s))
        shifted_hits += [f1(np.sort((wanted_s + shift_s) % 10), heard_s) for shift_s in (2.3, 4.1, 6.7)]
    assert np.median(distances_s) < 0.03
    assert np.mean(hits) > 0.9
    assert np.mean(shifted_hits) < 0.35


def test_settings_decide_how_events_are_placed():
    onsets_s, strengths = np.array([0.2, 0.5, 1.0]), np.array([1.0, 0.5, 0.001])
    settings = ArrangingSettings(min_gap_s=0.4, weakest_db=-30.0, shortest_event_s=0.6)
    placements = plan_events(clicks(0.1), onsets_s, strengths, round(1.5 * RATE_HZ), RATE_HZ, 0, settings)
    assert [placement.onset_sample for placement in placements] == [round(0.2 * RATE_HZ)]
    settings = ArrangingSettings(weakest_db=-30.0)
    placements = plan_events(clicks(0.1), onsets_s, strengths, round(1.5 * RATE_HZ), RATE_HZ, 0, settings)
    assert [placement.level_db for placement in placements] == pytest.approx([0, -6.02, -30], abs=0.01)
