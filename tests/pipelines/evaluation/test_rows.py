import numpy as np
import pytest
import torch

from media.soundtrack.mixing import Mixing
from networks import Sampling
from pipelines.evaluation.jobs import SoundJob
from pipelines.evaluation.rows import ROWS, RowSounds
from pipelines.generator import Generator
from tests.helpers.colours import composite
from tests.helpers.tiny import GEOMETRY, tiny_sounds

WAVEFORM = tiny_sounds()["waveform"][:3] / 2


def job(row: str, numbers: list[int], label: int = 0, waveform: torch.Tensor | None = WAVEFORM) -> SoundJob:
    return SoundJob(row, label, numbers, [], "", waveform)


def row_sounds(seed: int = 1, fingerprints: dict | None = None, **options) -> RowSounds:
    model = composite(**options)
    return RowSounds(model.make_generator(), seed, fingerprints or model.fingerprints)


@torch.inference_mode()
def made(row: str, numbers: list[int], seed: int = 1, **options) -> np.ndarray:
    return row_sounds(seed).make(job(row, numbers, **options))


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
        with torch.inference_mode():
            return row_sounds(grain=grain).make(job(row, [0], waveform=None if row == "generated" else WAVEFORM[:1]))

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
    marks = dict.fromkeys(("vqvae", "top", "bottom"), "0123")

    def rows_that_change(marks_then: dict | None = None, **options) -> set[str]:
        before, after = row_sounds(1, marks), row_sounds(options.pop("seed", 1), marks_then or marks, **options)
        return {row for row in ROWS if before.made_with(row) != after.made_with(row)}

    assert rows_that_change(threshold=0.1, mixing=Mixing(fade_s=1.0)) == set()
    assert rows_that_change(marks | {"top": "4567"}) == {"generated"}
    assert rows_that_change(marks | {"vqvae": "4567"}) == {"reconstructed", "real_top_codes", "generated", "copied"}
    assert rows_that_change(seed=9) == set(ROWS) - {"real", "inverted"}
    assert rows_that_change(grain=0.5) == set(ROWS) - {"real", "inverted", "noise"}
    assert rows_that_change(num_candidates=9) == {"generated"}
    assert rows_that_change(sampling=Sampling(top_k=3)) == {"real_top_codes", "generated"}
    assert rows_that_change(num_iterations=9) == set(ROWS) - {"real", "noise"}


def test_the_sounds_depend_on_the_program(monkeypatch):
    before = {row: row_sounds().made_with(row) for row in ROWS}
    monkeypatch.setattr("pipelines.evaluation.rows._program", lambda module: f"another, with {module}")
    after = {row: row_sounds().made_with(row) for row in ROWS}
    assert {row for row in ROWS if before[row] != after[row]} == set(ROWS) - {"real"}
    assert after["noise"]["program"] == "another, with pipelines.sound_generator"


class Flow(Generator):
    """Makes sound in another way: it knows no codes, and nothing of real sounds."""

    geometry = GEOMETRY

    def sound(self, label, seeds, num_samples):
        yield np.stack([np.random.default_rng(seed).uniform(-0.5, 0.5, num_samples) for seed in seeds])

    def settings(self):
        return {"num_steps": 8}


def test_a_generator_without_codes_has_the_rows_that_need_none():
    sounds = RowSounds(Flow(), 1, {"flow": "0123"})
    assert sounds.rows == ["real", "generated", "noise"]
    assert sounds.make(job("generated", [0, 1], waveform=None)).shape == (2, GEOMETRY.window_samples)
    assert sounds.make(job("noise", [0, 1, 2])).shape == WAVEFORM.shape
    made_with = sounds.made_with("generated")
    assert made_with | {"program": ""} == {"seed": 1, "num_steps": 8, "models": {"flow": "0123"}, "program": ""}
