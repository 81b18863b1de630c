import json

import numpy as np
import pytest
import soundfile
import torch

from pipelines.evaluation.jobs import SoundJob
from pipelines.evaluation.rows import ABOUT_VIDEOS, ROWS, RowSounds, SoundStore, made_with
from tests.helpers.colours import composite
from tests.helpers.tiny import GEOMETRY, tiny_sounds

RATE = GEOMETRY.sample_rate_hz
WAVEFORM = tiny_sounds()["waveform"][:3] / 2


def job(row: str, numbers: list[int], label: int = 0, waveform: torch.Tensor | None = WAVEFORM) -> SoundJob:
    return SoundJob(row, label, numbers, [], "", waveform)


@torch.inference_mode()
def made(row: str, numbers: list[int], seed: int = 1, **options) -> np.ndarray:
    return RowSounds(composite().make_generator(), seed).make(job(row, numbers, **options))


@pytest.mark.parametrize("row", ROWS)
def test_a_row_gives_a_window_for_each_number(row):
    waveforms = made(row, [0, 1, 2], waveform=None if row == "generated" else WAVEFORM)
    assert waveforms.shape == (3, GEOMETRY.window_samples)
    assert waveforms.dtype == np.float32
    assert 1e-3 < np.abs(waveforms).max() <= 1
    assert np.array_equal(waveforms, WAVEFORM.numpy()) == (row == "real")


@pytest.mark.parametrize("row", ["generated", "real_top_codes", "noise"])
def test_a_drawn_sound_is_a_function_of_seed_class_and_number(row):
    def sound(number: int, **options) -> np.ndarray:
        return made(row, [number], waveform=None if row == "generated" else WAVEFORM[:1], **options)[0]

    same = made(row, [3, 4], waveform=None if row == "generated" else WAVEFORM[[0, 0]])
    np.testing.assert_allclose(same[1], sound(4), atol=1e-4)
    for other in (sound(5), sound(4, seed=2), sound(4, label=1)):
        assert np.abs(other - sound(4)).max() > 1e-2


@pytest.mark.parametrize("row", ROWS)
def test_what_comes_from_codes_has_grain(row):
    def sound(grain: float) -> np.ndarray:
        generator = composite(grain=grain).make_generator()
        with torch.inference_mode():
            return RowSounds(generator, 1).make(job(row, [0], waveform=None if row == "generated" else WAVEFORM[:1]))

    assert np.array_equal(sound(0.0), sound(1.0)) == (row in ("real", "inverted", "noise"))


def test_a_copy_is_a_reconstruction_of_a_training_sound():
    assert np.array_equal(made("copied", [0, 1, 2]), made("reconstructed", [0, 1, 2]))


def test_noise_is_as_loud_at_each_frequency_and_nothing_else_of_its_sound():
    click = torch.zeros(1, GEOMETRY.window_samples)
    click[0, 100:104] = 0.9
    noise = made("noise", [0], waveform=click)
    loudness, real = (np.abs(np.fft.rfft(sound))[0, 1:-1] for sound in (noise, click))
    np.testing.assert_allclose(loudness, real, atol=1e-4)
    spread = np.abs(noise[0]) > 0.1 * np.abs(noise).max()
    assert spread[: GEOMETRY.window_samples // 2].mean() > 0.3 < spread[GEOMETRY.window_samples // 2 :].mean()


def test_a_sound_that_would_clip_is_scaled_down_as_a_whole():
    waveforms = made("real", [0, 1], waveform=torch.stack([3 * WAVEFORM[0], WAVEFORM[1]]))
    assert np.abs(waveforms[0]).max() == 1
    assert np.array_equal(waveforms[1], WAVEFORM[1].numpy())


def test_a_row_depends_on_its_own_settings_and_models_alone():
    settings, marks = composite().settings(), dict.fromkeys(("vqvae", "top", "bottom", "classifier"), "0123")

    def rows_that_change(settings_then: dict, marks_then: dict) -> set[str]:
        return {row for row in ROWS if made_with(row, settings, marks) != made_with(row, settings_then, marks_then)}

    assert settings.keys() >= ABOUT_VIDEOS
    assert rows_that_change(settings | {"threshold": 0.1, "mixing": {}}, marks | {"classifier": "4567"}) == set()
    assert rows_that_change(settings, marks | {"top": "4567"}) == {"generated"}
    assert rows_that_change(settings, marks | {"vqvae": "4567"}) == set(ROWS) - {"real", "inverted", "noise"}
    assert rows_that_change(settings | {"seed": 9}, marks) == set(ROWS) - {"real", "inverted"}
    assert rows_that_change(settings | {"grain": 0.5}, marks) == set(ROWS) - {"real", "inverted", "noise"}
    assert rows_that_change(settings | {"num_candidates": 9}, marks) == {"generated"}
    assert rows_that_change(settings | {"sampling": {}}, marks) == {"real_top_codes", "generated"}
    assert rows_that_change(settings | {"num_iterations": 9}, marks) == set(ROWS) - {"real", "noise"}


def test_the_sounds_depend_on_the_program(monkeypatch):
    settings, marks = composite().settings(), dict.fromkeys(("vqvae", "top", "bottom"), "0123")
    before = made_with("inverted", settings, marks)
    monkeypatch.setattr("pipelines.evaluation.rows.MAKERS", ("networks/*.py",))
    assert made_with("inverted", settings, marks)["program"] != before["program"]
    assert made_with("real", settings, marks) == {}


class Maker:
    """Counts how often it makes sounds."""

    def __init__(self, value: float = 0.5) -> None:
        self.value, self.num_calls = value, 0

    def __call__(self) -> np.ndarray:
        self.num_calls += 1
        return np.full((2, 100), self.value, np.float32)


def ask(folder, make: Maker, made_with: dict | None = None, numbers=(0, 1)) -> np.ndarray:
    """As a new session does."""
    return SoundStore(folder, RATE).sounds("generated/cat", numbers, made_with or {"seed": 1}, make)


def test_sounds_are_made_once_and_read_from_then_on(tmp_path):
    first, again = Maker(), Maker(0.1)
    waveforms = ask(tmp_path, first)
    np.testing.assert_allclose(waveforms, 0.5, atol=1e-4)
    assert np.array_equal(ask(tmp_path, again), waveforms)
    assert (first.num_calls, again.num_calls) == (1, 0)
    names = {path.name for path in (tmp_path / "generated/cat").iterdir()}
    assert names == {"0000.flac", "0001.flac", "made_with.json"}
    assert soundfile.info(tmp_path / "generated/cat/0001.flac").samplerate == RATE


def test_more_sounds_are_added_to_those_that_are_there(tmp_path):
    ask(tmp_path, Maker())
    more = Maker(0.25)
    ask(tmp_path, more, numbers=(2, 3))
    assert more.num_calls == 1
    assert len(ask(tmp_path, Maker(), numbers=(0, 1, 2, 3))) == 4


@pytest.mark.parametrize("damage", ["gone", "empty", "garbage"])
def test_a_sound_that_cannot_be_read_is_made_anew(tmp_path, damage):
    ask(tmp_path, Maker())
    path = tmp_path / "generated/cat/0001.flac"
    path.unlink() if damage == "gone" else path.write_bytes(b"" if damage == "empty" else b"no sound at all" * 99)
    again = Maker(0.25)
    np.testing.assert_allclose(ask(tmp_path, again), 0.25, atol=1e-4)
    assert again.num_calls == 1


def test_where_it_does_not_fit_it_is_made_anew_and_that_is_said(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("pipelines.evaluation.rows.rank_zero_info", said.append)
    ask(tmp_path, Maker(), {"checkpoints": {"top": "0123"}})
    ask(tmp_path, Maker(), {"checkpoints": {"top": "0123"}}, numbers=(2, 3))
    assert said == []
    np.testing.assert_allclose(ask(tmp_path, Maker(0.25), {"checkpoints": {"top": "4567"}}), 0.25, atol=1e-4)
    assert len(said) == 1
    assert "generated/cat are made anew: checkpoints.top: 0123 → 4567" in said[0].replace("\\", "/")
    assert json.loads((tmp_path / "generated/cat/made_with.json").read_text()) == {"checkpoints": {"top": "4567"}}
    assert not (tmp_path / "generated/cat/0002.flac").exists()
    (tmp_path / "generated/cat/made_with.json").unlink()
    ask(tmp_path, Maker(), {"checkpoints": {"top": "4567"}})
    assert "does not say how they were made" in said[1]
