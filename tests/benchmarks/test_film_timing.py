import re
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks import timing
from benchmarks.film_timing import (
    find_activity_onsets,
    find_sound_onsets,
    list_films,
    measure_films,
    summary_table,
)
from benchmarks.moving_animal import Film, sample_film, write_film
from media.sound.onsets import SoundOnsetSettings
from media.video.activity import ActivitySettings
from media.video.stabilisation import StabilisationSettings
from metrics.event_timing import match_events
from networks import MomentNetwork
from tests.helpers.muxing import mux_waveform

RATE_HZ = 22_050


def bark(film: Film, barks: np.ndarray) -> np.ndarray:
    """Noise that barks at given times."""
    rng = np.random.default_rng(film.seed)
    sound = 0.003 * rng.normal(size=round(film.duration_s * RATE_HZ))
    decay = np.exp(-np.arange(RATE_HZ // 5) / (0.05 * RATE_HZ))
    for bark_s in barks:
        start = round(bark_s * RATE_HZ)
        one = (0.2 * rng.normal(size=len(decay)) * decay)[: len(sound) - start]
        sound[start : start + len(one)] += one
    return sound.clip(-1, 1)


@pytest.fixture(scope="module")
def films(tmp_path_factory):
    """A folder of two animals that bark when they open their mouths, and of one in steady noise."""
    folder = tmp_path_factory.mktemp("films")
    write_film(film := sample_film(100, frozenset(), 25), silent := folder.parent / "silent.mp4")
    for name, barks in (("bark_1", film.events_s), ("bark_2", film.events_s), ("rain", ())):
        mux_waveform(silent, bark(film, barks), RATE_HZ, folder / f"{name}.mp4")
    return folder, film


def test_the_sound_has_onsets_at_its_barks_and_none_in_noise(films):
    folder, film = films
    found_s = find_sound_onsets(folder / "bark_1.mp4", SoundOnsetSettings())
    assert len(found_s) == len(match_events(film.events_s, found_s, 0.03)) == len(film.events_s)
    assert len(find_sound_onsets(folder / "rain.mp4", SoundOnsetSettings())) == 0
    assert len(find_sound_onsets(folder.parent / "silent.mp4", SoundOnsetSettings())) == 0


def test_a_film_without_onsets_in_its_sound_is_named_and_left_out(films):
    def find_onsets(path):
        return find_activity_onsets(path, ActivitySettings(), StabilisationSettings())

    measured, left_out = measure_films(list_films([films[0]]), find_onsets, SoundOnsetSettings())
    assert left_out == ["rain.mp4"]
    assert [one.name for one in measured] == ["bark_1.mp4", "bark_2.mp4"]
    assert (measured[0].lifts > 0.4).all()
    assert measured[0].figures[0].f1 <= measured[0].figures[2].f1
    with pytest.raises(ValueError, match="'meow'"):
        summary_table(measured, ["meow"])


def test_onsets_at_other_times_have_no_lift(films):
    folder, film = films
    late_s = film.events_s + 0.17
    (one, *_), _ = measure_films([folder / "bark_1.mp4"], lambda path: late_s, SoundOnsetSettings())
    assert (one.lifts[:2] < 0.05).all()


def test_the_command_prints_a_row_for_each_film_and_kind(films, capsys):
    timing.main(["--videos", str(films[0]), "--kinds", "bark_1", "bark"])
    printed = capsys.readouterr().out
    assert re.search(r"^ *bark_1\.mp4 ", printed, re.MULTILINE)
    assert re.search(r"^ *2 bark ", printed, re.MULTILINE)
    assert re.search(r"^ *1 bark_1 ", printed, re.MULTILINE)
    assert "fewer than 2 onsets: rain.mp4." in printed


def test_a_network_of_moments_can_be_measured_instead(films, capsys, monkeypatch):
    network = MomentNetwork(width=4, hidden=8).eval()
    network.threshold.fill_(0.99)  # it finds nothing
    monkeypatch.setattr(timing, "load", lambda path: SimpleNamespace(network=network))
    timing.main(["--videos", str(films[0]), "--moments", "best.ckpt"])
    assert re.search(r"^ *bark_1\.mp4 +\d+ +0 +none ", capsys.readouterr().out, re.MULTILINE)


def test_a_folder_without_videos_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no video"):
        list_films([tmp_path])
