from types import SimpleNamespace

import numpy as np
import pytest

from media.sound.events import Event
from media.soundtrack.arranging import ArrangingSettings
from media.video.activity import Activity
from media.video.scenes import Scene
from pipelines.scene_renderer import SceneSound

RATE_HZ, NUM_SAMPLES = 1000, 2000
RUNNING_ON, EVENT = 0.25, 0.5


class FakeGenerator:
    """Events of a quarter of a second, and sound that runs on, told apart by their level."""

    geometry = SimpleNamespace(sample_rate_hz=RATE_HZ)

    def events(self, label, seeds, settings):
        return [[Event(np.full(250, EVENT, np.float32), 0, 20.0)] for _ in seeds]

    def sound(self, label, chances, num_samples):
        yield np.full((len(chances), num_samples), RUNNING_ON, np.float32)


def heard(onsets_s: list[float], **settings) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """The sound of a scene from 1 s to 3 s, and the events that are placed."""
    nothing = np.zeros(0)
    activity = Activity(nothing, nothing, np.array(onsets_s), np.ones(len(onsets_s)), nothing)
    sound = SceneSound(FakeGenerator(), [1], activity, fade_s=0.0, ambience_db=None, **settings)
    pieces = sound.pieces(0, Scene(1.0, 3.0, 0, 0.9, 0), RATE_HZ, NUM_SAMPLES)
    return np.concatenate([samples for _, samples in pieces]), sound.placed_s[0]


def test_events_stand_at_the_onsets_of_the_scene_and_nothing_between_them():
    samples, placed_s = heard([0.5, 1.5, 2.0, 3.5])
    assert [start for start, _ in placed_s] == [1.5, 2.0]
    assert samples[600] == pytest.approx(EVENT)
    assert not samples[:500].any()


@pytest.mark.parametrize("onsets_s", [[], [2.95]])
def test_where_no_onset_leaves_time_for_a_call_the_sound_runs_on(onsets_s):
    samples, placed_s = heard(onsets_s)
    assert not placed_s
    assert samples == pytest.approx(np.full(NUM_SAMPLES, RUNNING_ON))


def test_a_call_that_the_end_of_a_scene_would_cut_to_a_click_is_left_out():
    _, placed_s = heard([1.5, 2.95])
    assert placed_s == [(1.5, 1.75)]


def test_events_are_placed_by_the_settings():
    _, placed_s = heard([1.5, 1.8], arranging=ArrangingSettings(min_gap_s=0.5))
    assert len(placed_s) == 1
    _, placed_s = heard([1.5, 2.0, 2.5], arranging=ArrangingSettings(shortest_event_s=0.7))
    assert [start for start, _ in placed_s] == [1.5, 2.0]
