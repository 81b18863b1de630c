from itertools import pairwise

import numpy as np
import pytest

from media.video.scenes import Scene, SceneSettings, describe_scene, find_scenes

CAT, DOG, NOTHING = (0.95, 0.05), (0.05, 0.95), (0.5, 0.5)


def scenes_of(
    frames, step_s=0.25, duration_s=None, threshold=0.6, smoothing_s=0.0, min_scene_s=0.75, **options
) -> list[Scene]:
    times_s = step_s * np.arange(len(frames))
    duration_s = step_s * len(frames) if duration_s is None else duration_s
    settings = SceneSettings(threshold, smoothing_s, min_scene_s)
    return find_scenes(times_s, np.array(frames, np.float32), duration_s, settings, **options)


def labels(scenes: list[Scene]) -> list[int | None]:
    return [scene.label for scene in scenes]


def test_a_cut_is_where_the_class_changes():
    cat, dog = scenes_of([CAT] * 8 + [DOG] * 8)
    assert (cat.start_s, cat.end_s, cat.label, cat.likeliest) == (0.0, 2.0, 0, 0)
    assert (dog.start_s, dog.end_s, dog.label, dog.likeliest) == (2.0, 4.0, 1, 1)
    assert cat.confidence == pytest.approx(0.95)


@pytest.mark.parametrize("change", range(8, 14))
def test_smoothing_moves_a_cut_by_a_frame_at_most(change):
    cat, dog = scenes_of([CAT] * change + [DOG] * (22 - change), smoothing_s=1.0)
    assert (cat.label, dog.label) == (0, 1)
    assert cat.end_s == dog.start_s == pytest.approx(0.25 * change, abs=0.25)


def test_a_class_that_fails_the_threshold_is_silence_and_the_likeliest_is_told():
    (scene,) = scenes_of([(0.55, 0.45)] * 8)
    assert scene == Scene(0.0, 2.0, None, pytest.approx(0.55), likeliest=0)
    assert labels(scenes_of([(0.55, 0.45)] * 8, threshold=0.55 - 1e-6)) == [0]
    assert labels(scenes_of([CAT] * 4 + [NOTHING] * 4 + [CAT] * 4)) == [0, None, 0]


@pytest.mark.parametrize("frames", [[CAT] * 5 + [DOG] * 2 + [CAT] * 5, [DOG] * 2 + [CAT] * 10, [CAT] * 10 + [DOG] * 2])
def test_a_short_flicker_vanishes_wherever_it_is(frames):
    (scene,) = scenes_of(frames)
    assert (scene.start_s, scene.end_s, scene.label) == (0.0, 3.0, 0)


def test_a_short_stretch_joins_the_one_before_it():
    cat, dog = scenes_of([CAT] * 4 + [NOTHING] * 2 + [DOG] * 6)
    assert (cat.label, cat.end_s) == (0, 1.5)
    assert (dog.label, dog.start_s) == (1, 1.5)


def test_smoothing_outvotes_single_frames_before_anything_is_cut():
    frames = [CAT, CAT, CAT, DOG] * 5
    assert len(scenes_of(frames, min_scene_s=0.0)) == 10
    assert labels(scenes_of(frames, smoothing_s=2.0, min_scene_s=0.0, threshold=0.5)) == [0]


@pytest.mark.parametrize("frames_per_second", [4, 10, 12.5, 30])
@pytest.mark.parametrize("num_frames", [3, 5])
def test_a_stretch_of_exactly_the_minimum_stays_wherever_it_begins(frames_per_second, num_frames):
    for start in range(num_frames, 60):
        frames = [CAT] * start + [DOG] * num_frames + [CAT] * num_frames
        times_s = np.array([number / frames_per_second for number in range(len(frames))])
        settings = SceneSettings(0.6, 0.0, num_frames / frames_per_second)
        scenes = find_scenes(times_s, np.array(frames), len(frames) / frames_per_second, settings)
        assert labels(scenes) == [0, 1, 0], start


def test_a_single_frame_is_one_scene_of_any_length():
    assert scenes_of([DOG], duration_s=2.39, smoothing_s=1.0) == [Scene(0.0, 2.39, 1, pytest.approx(0.95), 1)]
    assert labels(scenes_of([DOG], duration_s=0.04)) == [1]


def test_a_video_shorter_than_the_shortest_scene_is_one_scene():
    (scene,) = scenes_of([CAT, DOG])
    assert (scene.start_s, scene.end_s) == (0.0, 0.5)


def test_the_last_scene_ends_with_the_video_not_with_its_last_frame():
    assert scenes_of([CAT] * 8, duration_s=1.9)[-1].end_s == 1.9


@pytest.mark.parametrize("seed", range(30))
def test_scenes_cover_any_video_without_gaps_and_neighbours_differ(seed):
    generator = np.random.default_rng(seed)
    num_frames = int(generator.integers(1, 60))
    frames = generator.dirichlet([0.4] * 3, size=num_frames)
    duration_s = 0.25 * num_frames - 0.1
    min_scene_s, smoothing_s = generator.choice([0.0, 0.5, 0.75, 2.0]), generator.choice([0.0, 1.0])
    scenes = scenes_of(frames, duration_s=duration_s, smoothing_s=smoothing_s, min_scene_s=min_scene_s)
    assert scenes[0].start_s == 0.0
    assert scenes[-1].end_s == duration_s
    for before, after in pairwise(scenes):
        assert before.end_s == after.start_s
        assert before.label != after.label
    assert len(scenes) == 1 or all(scene.end_s - scene.start_s >= min_scene_s - 1e-9 for scene in scenes)


def spans(scenes: list[Scene]) -> list[tuple[float, float, int | None]]:
    return [(scene.start_s, scene.end_s, scene.label) for scene in scenes]


def test_a_cut_divides_what_looks_the_same():
    assert spans(scenes_of([CAT] * 12, cuts_s=[0.9])) == [(0.0, 0.9, 0), (0.9, 3.0, 0)]


def test_nothing_is_smoothed_over_a_cut_and_no_short_shot_joins_another():
    frames = [CAT] * 8 + [DOG] * 2 + [CAT] * 8
    scenes = scenes_of(frames, smoothing_s=2.0, cuts_s=[1.9, 2.4])
    assert spans(scenes) == [(0.0, 1.9, 0), (1.9, 2.4, 1), (2.4, 4.5, 0)]
    assert [scene.confidence for scene in scenes] == pytest.approx([0.95] * 3)


def test_a_shot_without_a_frame_that_was_looked_at_is_no_scene():
    scenes = scenes_of([CAT] * 4 + [DOG] * 4, cuts_s=[0.0, 0.93, 0.96, 0.99, 5.0])
    assert spans(scenes) == [(0.0, 0.99, 0), (0.99, 2.0, 1)]


def test_only_allowed_classes_are_heard():
    scenes = scenes_of([CAT] * 8 + [DOG] * 8, allowed=[0])
    assert spans(scenes) == [(0.0, 2.0, 0), (2.0, 4.0, None)]
    assert scenes[1].likeliest == 1
    assert labels(scenes_of([CAT] * 8, allowed=[])) == [None]


def test_a_scene_unlike_the_training_photos_is_unknown():
    """One frame that looks unlike them does not cut a scene, as scores are smoothed."""
    times_s, probabilities = np.arange(16) / 4, np.tile([0.1, 0.9], (16, 1))
    familiarity = np.array([0.8] * 3 + [0.3] + [0.8] * 4 + [0.2] * 8)
    settings = SceneSettings(smoothing_s=1.0, min_familiarity=0.5)
    first, second = find_scenes(times_s, probabilities, 4.0, settings, familiarity=familiarity)
    assert (first.label, second.label) == (1, None)
    assert first.end_s == second.start_s == pytest.approx(2.0, abs=0.26)
    assert second.familiarity < 0.5 < first.familiarity
    assert "dog (on average 0.90)" in describe_scene(first, ["cat", "dog"], settings)
    assert "silence, unlike the training photos (familiarity 0.2" in describe_scene(second, ["cat", "dog"], settings)


def test_a_scenes_description_names_the_class_or_the_likeliest_one():
    classes, settings = ["cat", "dog"], SceneSettings()
    assert describe_scene(Scene(0, 1.5, 1, 0.93, 1), classes, settings) == "0.00 to 1.50 s: dog (on average 0.93)"
    described = describe_scene(Scene(0, 1.5, None, 0.41, 0), classes, settings)
    assert "silence, no class reaches 0.6 for long (likeliest: cat, on average 0.41)" in described
    described = describe_scene(Scene(0, 1.5, None, 0.9, 0), classes, settings, ["dog"])
    assert "cat is not among the allowed classes" in described
