import json

import numpy as np
import pytest
import torch

from metrics import MelStatistics
from pipelines.evaluation.figures import NO_PHOTOS, NO_TAGGER, Evaluation
from pipelines.evaluation.rows import ROWS
from pipelines.evaluation.sound_store import SoundStore
from pipelines.evaluation.tables import markdown
from pipelines.generator import Generator
from pipelines.sound_generator import SoundGenerator
from tests.helpers.colours import SYSTEMS
from tests.helpers.evaluating import NUM_SOUNDS, evaluated, evaluation, half
from tests.helpers.tiny import GEOMETRY, tiny_classifier


@pytest.fixture(autouse=True)
def a_classifier_with_weights(monkeypatch):
    monkeypatch.setitem(SYSTEMS, "classifier", tiny_classifier().eval())


def speak(monkeypatch, waveforms) -> None:
    """Gives the generator its sounds, whatever the models are."""
    monkeypatch.setattr(SoundGenerator, "windows", lambda generator, label, seeds: waveforms(label).numpy())


class Echo:
    """Hears cats in test sounds of the first class and dogs in all others; counts how often it is asked."""

    name, sample_rate_hz, num_dimensions, class_names = "echo", 8000, 128, ["Dog", "Cat", "Meow"]

    def __init__(self) -> None:
        self.cats = half(2, 0)
        self.num_passes = 0

    def tag(self, waveforms):
        return self.embed_and_tag(waveforms)[1]

    def embed(self, waveforms):
        return self.embed_and_tag(waveforms)[0]

    def embed_and_tag(self, waveforms):
        self.num_passes += 1
        is_cat = torch.cdist(waveforms, self.cats).amin(dim=1) < 1e-3
        scores = torch.stack([~is_cat, torch.zeros(len(is_cat)), is_cat], dim=1).float()
        return MelStatistics(8000).embed(waveforms), scores


def test_a_model_that_gives_real_sounds_scores_like_real(monkeypatch):
    speak(monkeypatch, lambda label: half(2, label))
    rows = evaluated(evaluation(monkeypatch))["rows"]
    for scope in ("cat", "dog"):
        real, generated = rows["real"][scope], rows["generated"][scope]
        assert generated.keys() == real.keys()
        for name in ("fad", "kad", "to_train_ratio", "spread_ratio"):
            assert generated[name]["value"] == pytest.approx(real[name]["value"], rel=1e-6)
        assert generated["num_sounds"] == NUM_SOUNDS


def test_a_model_that_copies_its_training_sounds_is_found_out(monkeypatch):
    speak(monkeypatch, lambda label: half(0, label))
    figures = evaluated(evaluation(monkeypatch))["rows"]["generated"]
    assert all(figures[scope]["to_train_ratio"]["value"] == pytest.approx(0, abs=1e-6) for scope in ("cat", "dog"))


def test_a_model_that_gives_hums_scores_worse(monkeypatch):
    time_s = torch.arange(GEOMETRY.window_samples) / GEOMETRY.sample_rate_hz
    pitches = torch.linspace(200, 300, NUM_SOUNDS)[:, None]
    speak(monkeypatch, lambda label: 0.5 * torch.sin(2 * torch.pi * pitches * time_s))
    rows = evaluated(evaluation(monkeypatch))["rows"]
    for scope in ("cat", "dog"):
        for name in ("fad", "kad"):
            assert rows["generated"][scope][name]["low"] > rows["real"][scope][name]["high"]


def test_training_sounds_show_what_a_copy_of_them_would_reach(monkeypatch):
    speak(monkeypatch, lambda label: half(0, label))
    rows = evaluated(evaluation(monkeypatch))["rows"]
    for scope in ("cat", "dog"):
        copied, training = rows["generated"][scope], rows["training"][scope]
        assert training.keys() == {"num_sounds", "fad", "kad"}
        for name in ("fad", "kad"):
            assert training[name]["value"] == pytest.approx(copied[name]["value"], rel=1e-6)


def test_only_rows_with_an_original_have_distances_to_it(monkeypatch):
    speak(monkeypatch, lambda label: half(2, label))
    rows = evaluated(evaluation(monkeypatch))["rows"]
    paired = {row for row in ROWS if "log_spectral_distance_db" in rows[row]["cat"]}
    assert paired == {"inverted", "reconstructed"}
    inverted, reconstructed = (rows[row]["dog"]["spectral_convergence"] for row in ("inverted", "reconstructed"))
    assert inverted["value"] < reconstructed["value"]


def test_the_tagger_and_the_embedding_may_be_one(monkeypatch):
    speak(monkeypatch, lambda label: half(2, 1 - label))
    words = {"cat": ["Cat", "Meow"], "dog": ["Dog"]}
    shared = evaluation(monkeypatch, embedding=Echo(), tagger=Echo(), words=words)
    rows = evaluated(shared)["rows"]
    assert (shared.judges.embedding.num_passes, shared.judges.tagger.num_passes) == (20, 0)
    for row, share in (("real", 1.0), ("generated", 0.0)):
        assert all(rows[row][scope]["forced_choice"]["value"] == share for scope in ("cat", "dog"))
    alone = evaluation(monkeypatch, tagger=Echo(), words=words)
    assert evaluated(alone)["rows"]["real"]["dog"]["forced_choice"]["value"] == 1.0
    with pytest.raises(ValueError, match="Woof"):
        evaluation(monkeypatch, tagger=Echo(), words={"cat": ["Cat"], "dog": ["Woof"]})


class Second:
    """Tells the real sounds of the first class from all others."""

    name, sample_rate_hz, num_dimensions = "second", 8000, 5

    def embed(self, waveforms):
        nearest = torch.stack([torch.cdist(waveforms, half(part, 0)).amin(dim=1) for part in range(3)]).amin(dim=0)
        is_cat = (nearest < 1e-3).float()
        return torch.stack([*[is_cat] * 4, waveforms.std(dim=1)], dim=1)


def test_a_second_listener_learns_the_classes_and_is_compared_with_the_tagger(monkeypatch):
    speak(monkeypatch, lambda label: half(2, 1 - label))
    words = {"cat": ["Cat", "Meow"], "dog": ["Dog"]}
    results = evaluated(evaluation(monkeypatch, tagger=Echo(), words=words, listener=Second()))
    assert results["listener"] == "second"
    shares = {
        (row, scope): tuple(results["rows"][row][scope][name]["value"] for name in ("second_choice", "disagree"))
        for row in ("real", "generated", "training")
        for scope in ("cat", "dog")
    }
    assert {shares["real", scope] for scope in ("cat", "dog")} == {(1.0, 0.0)}
    assert {shares["generated", scope] for scope in ("cat", "dog")} == {(0.0, 0.0)}
    assert shares["training", "cat"] == (1.0, 1.0)  # which the tagger takes for dogs
    disagree = results["rows"]["training"]["cat"]["disagree"]
    assert 0.5 < disagree["low"] < disagree["high"] == 1.0
    alone = evaluated(evaluation(monkeypatch, embedding=Second()))["rows"]["generated"]["dog"]
    for name in ("fad", "kad"):
        assert results["rows"]["generated"]["dog"][f"second_{name}"] == alone[name]


def test_a_second_listener_alone_has_its_figures_without_a_tagger(monkeypatch):
    speak(monkeypatch, lambda label: half(2, label))
    results = evaluated(evaluation(monkeypatch, listener=Second()))
    figures = results["rows"]["generated"]["cat"]
    assert figures["second_choice"]["value"] == 1.0
    assert not {"disagree", "forced_choice"} & figures.keys()
    assert "own class, 2nd ↑" in markdown(results, {}, [])


def test_a_second_listener_without_training_recordings_of_all_classes_is_reported(monkeypatch):
    alone = Evaluation(Hum(), 1, ["cat", "dog"], {}, MelStatistics(), listener=Second())
    monkeypatch.setattr("tests.helpers.evaluating.NUM_SOUNDS", 1)
    monkeypatch.setattr("tests.helpers.evaluating.half", lambda part, label: half(part, label)[:1])
    results = evaluated(alone, has_photos=False)
    assert any(remark.startswith("second names no classes.") for remark in results["remarks"])
    assert "second_choice" not in results["rows"]["real"]["cat"]


def test_the_models_have_the_figures_of_their_own_test(monkeypatch):
    results = evaluated(evaluation(monkeypatch))
    models = results["models"]
    assert models["vqvae"]["num_steps"] == 7
    assert models["bottom"]["num_weights"] == sum(p.numel() for p in SYSTEMS["bottom"].network.parameters())
    assert models["top"]["bits_per_code"] == pytest.approx(np.log2(models["top"]["perplexity"]), rel=1e-4)
    codes_a_second = 8 * GEOMETRY.sample_rate_hz / GEOMETRY.hop_samples / GEOMETRY.top_stride
    assert models["top"]["bits_per_second"] == pytest.approx(models["top"]["bits_per_code"] * codes_a_second)
    assert {"mse", "top_codes_in_use", "bottom_perplexity"} <= models["vqvae"].keys()
    assert 0 <= models["classifier"]["accuracy"] <= 1
    assert NO_PHOTOS not in results["remarks"]


def test_what_was_not_measured_is_said(monkeypatch):
    results = evaluated(evaluation(monkeypatch), has_photos=False)
    assert {NO_TAGGER, NO_PHOTOS} <= set(results["remarks"])
    assert results["models"]["classifier"].keys() == {"num_weights", "num_steps"}
    assert results["listener"] is None
    assert not {"forced_choice", "second_fad", "second_choice", "disagree"} & results["rows"]["real"]["cat"].keys()


def test_a_figure_that_cannot_be_computed_is_told_of_and_the_others_stay(monkeypatch):
    speak(monkeypatch, lambda label: torch.zeros(NUM_SOUNDS, GEOMETRY.window_samples))
    monkeypatch.setattr("metrics.KernelAudioDistance.compute", _no_scale)
    results = evaluated(evaluation(monkeypatch))
    assert "generated, cat: no kad. No scale." in results["remarks"]
    assert "kad" not in results["rows"]["generated"]["cat"]
    assert results["rows"]["generated"]["cat"]["fad"]["value"] > 0
    json.dumps(results, allow_nan=False)


def _no_scale(metric):
    raise ValueError("No scale.")


def test_no_sound_depends_on_the_classifier(monkeypatch):
    sounds = evaluation(monkeypatch).sounds
    assert sounds.made_with("generated")["models"].keys() == {"vqvae", "top", "bottom"}


class Hum(Generator):
    """Another family: no codes, and no model of its own that could be measured."""

    geometry = GEOMETRY

    def sound(self, label, seeds, num_samples):
        yield half(2, label)[: len(seeds), :num_samples].numpy()

    def settings(self):
        return {"num_steps": 8}


def test_another_generator_is_judged_by_the_same_rows(monkeypatch, tmp_path):
    ours = evaluated(evaluation(monkeypatch))["rows"]
    results = evaluated(Evaluation(Hum(), 1, ["cat", "dog"], {}, MelStatistics()))
    assert results["rows"].keys() == ours.keys() - {"inverted", "reconstructed", "real_top_codes", "copied"}
    for row in ("real", "training", "noise"):
        assert results["rows"][row]["cat"] == ours[row]["cat"]
    assert results["rows"]["generated"]["dog"]["fad"]["value"] == pytest.approx(ours["real"]["dog"]["fad"]["value"])
    assert results["settings"] == {"seed": 1, "num_steps": 8}
    assert "reconstructed" not in markdown(results, {}, [])


def test_with_kept_sounds_the_figures_are_the_same_and_no_model_is_asked(monkeypatch, tmp_path):
    speak(monkeypatch, lambda label: half(2, label))
    first, again = evaluation(monkeypatch), evaluation(monkeypatch)
    first.store, again.store = (SoundStore(tmp_path, GEOMETRY.sample_rate_hz) for _ in range(2))
    results = evaluated(first)
    monkeypatch.setattr("pipelines.evaluation.rows.RowSounds.make", None)
    assert evaluated(again) == results
