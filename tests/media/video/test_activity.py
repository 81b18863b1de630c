import sys

import numpy as np
import pytest

from benchmarks.moving_animal import DISTRACTIONS, frames, sample_film, without_animal_motion, write_film
from media.video.activity import Activity, ActivityMeter, ActivitySettings
from media.video.video_files import read_frames
from metrics.event_timing import Recording, match_events, measure_timing

GRID_HZ = 25


def activity_of(pictures, regions=None, frames_per_second: float = GRID_HZ, **settings) -> Activity:
    meter = ActivityMeter(frames_per_second, ActivitySettings(**settings))
    for number, picture in enumerate(pictures):
        meter.add(picture, None if regions is None else regions[number])
    return meter.finish()


def activity_of_film(film, with_region: bool = True) -> Activity:
    pictures, regions = zip(*frames(film, GRID_HZ), strict=True)
    return activity_of(pictures, regions if with_region else None)


def room(seed: int = 0) -> np.ndarray:
    """A textured picture, uint8 (108, 192, 3)."""
    coarse = np.random.default_rng(seed).integers(40, 200, (14, 24, 3)).astype(np.uint8)
    return coarse.repeat(8, axis=0).repeat(8, axis=1)[:108]


def with_mouth(picture: np.ndarray, opening: float, left: int = 90) -> np.ndarray:
    """The picture with a dark mouth that is open by so much, 0 to 1."""
    spoken = picture.copy()
    spoken[50 : 50 + round(16 * opening), left : left + 24] = 10
    return spoken


def speaking(picture: np.ndarray, opened_frames: list[int], num_frames: int) -> list[np.ndarray]:
    """A mouth that opens within three frames, stays open for three and closes within three."""
    shape = [1 / 3, 2 / 3, 1, 1, 1, 1, 2 / 3, 1 / 3]
    openings = np.zeros(num_frames)
    for start in opened_frames:
        openings[start : start + len(shape)] = shape
    return [with_mouth(picture, opening) for opening in openings]


def test_a_mouth_that_opens_is_an_onset_and_one_that_closes_is_none():
    found = activity_of(speaking(room(), [30, 55, 80], 125))
    np.testing.assert_allclose(found.onsets_s, [1.2, 2.2, 3.2], atol=0.05)
    assert ((found.strengths > 0) & (found.strengths <= 1)).all()
    assert len(found.strengths) == 3
    np.testing.assert_allclose(found.times_s, np.arange(125) / GRID_HZ)
    assert found.curve.shape == (125,)
    assert 0 <= found.curve.min() < 0.05
    assert 0.5 < found.curve.max() <= 1
    assert len(found.cuts_s) == 0


def test_its_numbers_are_settings():
    film = speaking(room(), [30, 55, 80], 125)
    usual = activity_of(film)
    assert not len(activity_of(film, min_surprise=9.0).onsets_s)
    np.testing.assert_allclose(activity_of(film, half=1.0).curve, (c := usual.curve) / (c + 5 * (1 - c)), atol=1e-9)
    with pytest.raises(ValueError, match="block is -1, expected a number above 0"):
        ActivitySettings(block=-1)


@pytest.mark.parametrize("noise", [0, 6])
def test_a_still_video_has_a_flat_curve(noise):
    rng = np.random.default_rng(0)
    pictures = [(room() + rng.normal(0, noise, (108, 192, 3))).clip(0, 255).astype(np.uint8) for _ in range(100)]
    found = activity_of(pictures)
    assert len(found.onsets_s) == len(found.strengths) == len(found.cuts_s) == 0
    assert found.curve.max() < (0.2 if noise else 1e-6)


def test_a_cut_is_a_cut_and_no_onset():
    found = activity_of([room(0)] * 50 + [room(1)] * 50 + [np.zeros_like(room())] * 50 + [room(2)] * 50)
    np.testing.assert_allclose(found.cuts_s, [2, 4, 6])
    assert len(found.onsets_s) == 0
    assert found.curve.max() < 1e-6


def test_a_mouth_that_opens_after_a_cut_is_found():
    found = activity_of(speaking(room(0), [30], 60) + speaking(room(1), [30], 60))
    np.testing.assert_allclose(found.cuts_s, [2.4])
    np.testing.assert_allclose(found.onsets_s, [1.2, 3.6], atol=0.05)


def test_a_flash_is_neither_cut_nor_onset():
    pictures = [room()] * 100
    for start in (30, 60):
        pictures[start : start + 2] = [np.full_like(room(), 250)] * 2
    found = activity_of(pictures)
    assert len(found.cuts_s) == len(found.onsets_s) == 0


@pytest.mark.parametrize("distraction", [name for name in DISTRACTIONS if name != "cuts"])
def test_what_distracts_is_hardly_ever_an_onset(distraction):
    films = [without_animal_motion(sample_film(seed, frozenset([distraction]))) for seed in (102, 106)]
    activities = [activity_of_film(film) for film in films]
    num_onsets = sum(len(activity.onsets_s) for activity in activities)
    assert num_onsets <= 0.2 * sum(film.duration_s for film in films)
    assert not any(len(activity.cuts_s) for activity in activities)


def test_cuts_between_films_of_one_kind_are_all_found():
    film = sample_film(100, frozenset(["cuts", "shake", "flicker"]))
    found = activity_of_film(film)
    assert len(film.cuts_s) == len(found.cuts_s) == len(match_events(film.cuts_s, found.cuts_s, 0.05))


def test_only_what_moves_within_the_region_counts():
    left, right = np.zeros((7, 7)), np.zeros((7, 7))
    left[:, :3], right[:, 3:] = 1, 1
    pictures = speaking(room(), [30, 55], 80)
    assert len(activity_of(pictures, [right] * 80).onsets_s) == 2
    assert len(activity_of(pictures, [left] * 80).onsets_s) == 0
    assert len(activity_of(pictures, [left] * 40 + [right] * 40).onsets_s) == 1


@pytest.mark.parametrize("rate", [15, 30, 60])
def test_films_of_other_rates_are_seen_on_the_grid(rate):
    film = sample_film(100, frozenset(), frames_per_second=rate)
    found = activity_of_film(film)
    figures = measure_timing([Recording(film.events_s, found.onsets_s, film.duration_s)], num_shifts=0)
    assert figures.f1 > 0.8


def test_most_events_of_distracting_films_are_found_and_far_more_than_by_chance():
    films = [sample_film(seed) for seed in (102, 103, 105, 114)]
    recordings = [Recording(film.events_s, activity_of_film(film).onsets_s, film.duration_s) for film in films]
    figures = measure_timing(recordings)
    assert figures.num_events > 25
    assert figures.median_distance_s < 0.08
    assert figures.f1 > 0.6
    assert figures.f1 > 2.5 * figures.shifted_f1
    assert figures.p_value < 0.01


def test_a_film_from_a_file(tmp_path):
    film = sample_film(109, frozenset(["shake"]), frames_per_second=30)
    write_film(film, tmp_path / "film.mp4")
    found = activity_of(picture for _, picture in read_frames(tmp_path / "film.mp4", GRID_HZ))
    figures = measure_timing([Recording(film.events_s, found.onsets_s, film.duration_s)])
    assert figures.f1 > 0.7
    assert figures.f1 > 2.5 * figures.shifted_f1


def test_memory_does_not_grow_with_the_video():
    rng = np.random.default_rng(0)
    meter = ActivityMeter(GRID_HZ)
    sizes = []
    for number in range(300):
        meter.add(rng.integers(0, 40, (60, 80, 3), dtype=np.uint8) + room()[:60, :80])
        if number in (99, 299):
            sizes.append(held_bytes(meter))
    assert sizes[1] - sizes[0] < 200 * 16
    assert sizes[1] < 4e6


def held_bytes(thing: object) -> int:
    """Bytes of an object and all it holds."""
    if isinstance(thing, np.ndarray):
        return thing.nbytes
    size = sys.getsizeof(thing)
    if isinstance(thing, (list, tuple)) or hasattr(thing, "appendleft"):
        return size + sum(map(held_bytes, thing))
    return size + sum(map(held_bytes, vars(thing).values())) if hasattr(thing, "__dict__") else size


@pytest.mark.parametrize("num_frames", [0, 1, 2])
def test_a_video_of_hardly_any_frames(num_frames):
    found = activity_of([room(number) for number in range(num_frames)])
    assert found.times_s.shape == found.curve.shape == (num_frames,)
    assert found.onsets_s.shape == found.strengths.shape == found.cuts_s.shape == (0,)


def test_frames_of_any_size_and_a_change_of_size():
    wide, tall = room()[:20], np.rot90(room())
    found = activity_of([wide] * 5 + [tall] * 5 + [np.full((1, 1, 3), 7, np.uint8)] * 3)
    assert len(found.onsets_s) == 0


@pytest.mark.parametrize("rate", [0, -1, float("nan")])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(ValueError, match="expected a positive number"):
        ActivityMeter(rate)
