import json

import numpy as np
import pytest
import torch

from benchmarks import inverse
from benchmarks.inverse import USUAL, Way, Window, distances, measure
from media import Geometry, Spectrogram
from tests.media.sound.test_spectrogram import meow, noise

GEOMETRY = Geometry()
WAYS = (Way("random", 0.0, 4), USUAL, Way("gradient", 0.99, 64))


def windows():
    sounds = [meow(GEOMETRY), meow(GEOMETRY) + noise(GEOMETRY.window_samples, level=0.01)]
    return [Window(sound, label, f"recording {label}") for label, sound in enumerate(sounds)]


def test_the_default_inverse_is_among_the_ways():
    assert Way("gradient", 0.99, 64) in inverse.WAYS
    assert USUAL in inverse.WAYS
    spectrogram = Spectrogram(GEOMETRY)
    picture = spectrogram(meow(GEOMETRY))[None]
    found = Way("gradient", 0.99, 64).invert(spectrogram.magnitude(picture)[:, 0], GEOMETRY.hop_samples)
    torch.testing.assert_close(found, spectrogram.invert(picture)[:, : found.shape[1]])


def test_a_sound_is_at_no_distance_from_itself():
    spectrogram = Spectrogram(GEOMETRY)
    sound = noise(1, GEOMETRY.window_samples)
    assert distances(spectrogram, spectrogram(sound), sound) == (0.0, 0.0)
    distance_db, convergence = distances(spectrogram, spectrogram(sound), 0.5 * sound)
    assert distance_db == pytest.approx(20 * np.log10(2), rel=0.01)
    assert convergence == pytest.approx(0.5, abs=0.01)


def test_better_ways_have_better_figures_beside_the_usual_one():
    rows = measure(windows(), ["cat", "dog"], None, None, WAYS)
    poor, usual, good = (rows[str(way)] for way in WAYS)
    assert usual["time_ratio"] == 1
    assert poor["time_ratio"] > 0
    assert usual["distance_db_less"].value == usual["convergence_less"].value == 0
    assert poor["convergence_less"].high < 0 < good["convergence_less"].low
    for name in ("distance_db", "convergence", "original_log_spectral_distance_db"):
        assert good[name].value < usual[name].value < poor[name].value


class _Tagger:
    """Hears a dog in what is loud, else a cat."""

    sample_rate_hz = 16_000
    class_names = ("Cat", "Purr", "Meow", "Hiss", "Caterwaul", "Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling")
    class_names += ("Whimper (dog)",)

    def tag(self, waveforms):
        scores = torch.zeros(len(waveforms), len(self.class_names))
        scores[:, 0] = 0.5
        scores[:, 5] = (waveforms.abs().amax(dim=1) > 0.3).float()
        return scores


def test_what_the_tagger_hears_is_told_beside_the_originals():
    loud, quiet = (Window(level * meow(GEOMETRY), 1, name) for level, name in ((1.0, "loud"), (0.2, "quiet")))
    rows = measure([loud, quiet], ["cat", "dog"], None, _Tagger(), [USUAL])
    assert rows["originals"]["forced_choice"].value == 0.5
    assert rows[str(USUAL)]["forced_choice"].value == 0.5
    assert rows[str(USUAL)]["forced_choice_lost"].value == 0


def test_the_command_writes_a_table_and_all_figures(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(inverse, "measure", lambda *args: measure(*args, ways=WAYS))
    inverse.main(["--num_windows", "2", "--output", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "A: random, 0.99, 64" in printed
    text = (tmp_path / "inverse.md").read_text()
    assert "| gradient, 0.99, 64 |" in text
    assert "own class" not in text.partition("|")[2], "there was no tagger"
    rows = json.loads((tmp_path / "inverse.json").read_text())["results"]["exact spectrograms"]
    assert set(rows) == {str(way) for way in WAYS}
    assert rows["gradient, 0.99, 64"]["convergence"]["num_sounds"] == 2


def test_validation_sounds_of_a_root_and_their_reconstructions(chain, tmp_path, monkeypatch):
    monkeypatch.setattr(inverse, "measure", lambda *args: measure(*args, ways=(USUAL,)))
    checkpoint = chain / "checkpoints" / "vqvae" / "best.ckpt"
    arguments = ["--root", str(chain / "data"), "--vqvae", str(checkpoint), "--cache_dir", str(tmp_path / "cache")]
    inverse.main([*arguments, "--num_windows", "2", "--output", str(tmp_path)])
    results = json.loads((tmp_path / "inverse.json").read_text())["results"]
    exact, reconstructed = (
        rows["A: random, 0.99, 64"]["original_log_spectral_distance_db"]["value"] for rows in results.values()
    )
    assert exact < reconstructed
