import numpy as np
import pytest

from demo import contacts
from demo.contact_things import bounce, open_and_close, strike
from demo.contacts import KINDS, draw_frames, make_sound, sample_contacts, write_film
from media.sound.onsets import SoundOnsetSettings, find_sound_onsets
from media.video.video_files import probe_video
from metrics.event_timing import match_events


def test_the_same_seed_draws_the_same_film():
    one, other = ([*draw_frames(sample_contacts(101))] for _ in range(2))
    assert all(np.array_equal(first, second) for first, second in zip(one, other, strict=True))
    assert len(one) == round(sample_contacts(101).duration_s * sample_contacts(101).frames_per_second)
    assert one[0].shape == (96, 128, 3)


@pytest.mark.parametrize("seed", range(8))
def test_events_are_inside_the_film_and_all_kinds_come_in_turn(seed):
    film = sample_contacts(seed)
    assert film.kind == KINDS[seed % 4]
    assert len(film.events_s) == len(film.strengths) > 0
    assert (np.diff(film.events_s) > 0).all()
    assert film.events_s[-1] < film.duration_s


@pytest.mark.parametrize("move", [strike, bounce])
def test_contact_is_at_height_zero_after_a_fall(move):
    motion = move(np.random.default_rng(3), 8.0)
    for event_s in motion.events_s:
        assert motion.value(event_s) == pytest.approx(0, abs=1e-6)
        assert motion.value(event_s - 0.03) > 0.005


def test_a_mouth_starts_to_open_at_its_events():
    motion = open_and_close(np.random.default_rng(3), 8.0)
    assert all(motion.value(event_s) == 0 and motion.value(event_s + 0.04) > 0.1 for event_s in motion.events_s)


def test_heights_stay_between_contact_and_the_top():
    for move in (strike, bounce, open_and_close):
        motion = move(np.random.default_rng(0), 8.0)
        heights = [motion.value(time_s) for time_s in np.arange(0, 8, 0.01)]
        assert min(heights) >= 0
        assert max(heights) <= 1


def test_the_sound_starts_at_the_events():
    film = sample_contacts(100)
    sound = make_sound(film, 22_050)
    assert len(sound) == round(film.duration_s * 22_050)
    found_s = find_sound_onsets(sound.astype(np.float32), SoundOnsetSettings())
    assert len(match_events(film.events_s, found_s, 0.03)) >= 0.8 * len(film.events_s)


def test_a_written_film_has_picture_and_sound(tmp_path):
    film = sample_contacts(103)
    write_film(tmp_path / "film.mp4", film)
    info = probe_video(tmp_path / "film.mp4")
    assert info.has_sound
    assert info.duration_s == pytest.approx(film.duration_s, abs=0.1)


def test_the_command_writes_missing_films_by_kind(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(contacts, "write_film", lambda path, film: written.append(film.seed) or path.write_bytes(b"x"))
    for num_films in (2, 4):
        contacts.main([str(tmp_path), "--num_films", str(num_films), "--first_seed", "8"])
    assert written == [8, 9, 10, 11]
    assert (tmp_path / "videos" / "stick" / "00008.mp4").exists()
