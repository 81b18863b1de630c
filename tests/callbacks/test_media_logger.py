from pathlib import Path

import lightning
import numpy as np
import pytest
import soundfile
from lightning.pytorch.loggers import WandbLogger

from callbacks import MediaLogger
from tests.helpers.tiny import (
    GEOMETRY,
    code_data,
    fitted,
    photo_data,
    saved_vqvae,
    sound_data,
    tiny_bottom,
    tiny_classifier,
    tiny_top,
    tiny_vqvae,
)


def names_after_fit(folder: Path, system, data, **options) -> list[str]:
    """Names of the files of a fit of four epochs, of two steps and a validation each."""
    logger = MediaLogger(folder=str(folder), **options)
    fitted(system, data, max_steps=8, limit_val_batches=1.0, callbacks=[logger])
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_vqvaes_pictures_and_sounds_go_to_files_without_wandb(tmp_path):
    names = names_after_fit(tmp_path, tiny_vqvae(), sound_data(), every_n_validations=4, num_examples=2)
    assert names == ["cat_0_000002.wav", "dog_1_000002.wav", "spectrograms_000002.png"]
    info = soundfile.info(tmp_path / "cat_0_000002.wav")
    assert (info.frames, info.samplerate) == (GEOMETRY.window_samples, GEOMETRY.sample_rate_hz)


def test_every_nth_validation_is_shown_from_the_first_on(tmp_path):
    names = names_after_fit(tmp_path, tiny_top(codec=saved_vqvae()), code_data(), every_n_validations=2, num_examples=1)
    assert names == ["spectrograms_000002.png", "spectrograms_000006.png"]


def test_zero_switches_it_off(tmp_path):
    assert names_after_fit(tmp_path, tiny_top(), code_data(), every_n_validations=0) == []


def test_a_bottom_prior_is_heard(tmp_path):
    names = names_after_fit(
        tmp_path, tiny_bottom(codec=saved_vqvae()), code_data(), every_n_validations=9, num_examples=1
    )
    assert names == ["cat_0_000002.wav", "spectrograms_000002.png"]


def test_a_classifier_shows_the_confusion_matrix_of_each_validation(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        "callbacks.media_logger.draw_confusion_matrix",
        lambda matrix, classes: drawn.append((matrix.sum().item(), classes)) or np.zeros((2, 2, 3), np.uint8),
    )
    names = names_after_fit(tmp_path, tiny_classifier(), photo_data(), every_n_validations=2)
    assert names == ["confusion_matrix_000002.png", "confusion_matrix_000006.png"]
    assert drawn == [(8, ["cat", "dog"])] * 2


def test_a_confusion_matrix_is_that_of_its_own_validation(tmp_path, monkeypatch):
    drawn, system = [], tiny_classifier(learning_rate=0.1, warmup_steps=0)
    compute = type(system).compute_figures
    computed = []

    def remember(self, metrics):
        figures = compute(self, metrics)
        computed.append(self.confusion_matrix)
        return figures

    monkeypatch.setattr(type(system), "compute_figures", remember)
    monkeypatch.setattr(MediaLogger, "_log_picture", lambda self, *args: None)
    monkeypatch.setattr("callbacks.media_logger.draw_confusion_matrix", lambda matrix, classes: drawn.append(matrix))
    names_after_fit(tmp_path, system, photo_data(), every_n_validations=1)
    assert len(drawn) == len(computed) == 4
    assert all(shown is made for shown, made in zip(drawn, computed, strict=True))


def test_a_resumed_fit_continues_the_count():
    logger, resumed = MediaLogger(every_n_validations=5), MediaLogger(every_n_validations=5)
    logger.num_validations = 7
    assert logger.state_dict() == {"num_validations": 7}
    resumed.load_state_dict(logger.state_dict())
    assert resumed.num_validations == 7


def test_validating_alone_shows_nothing(tmp_path):
    logger = MediaLogger(folder=str(tmp_path / "media"))
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_progress_bar=False, enable_checkpointing=False, callbacks=[logger]
    )
    trainer.validate(tiny_vqvae(), sound_data(), verbose=False)
    assert not (tmp_path / "media").exists()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_with_wandb_they_go_to_the_run(tmp_path, monkeypatch):
    logged = []
    monkeypatch.setattr(WandbLogger, "__init__", lambda self: None)
    monkeypatch.setattr(WandbLogger, "log_image", lambda self, key, images, step: logged.append((key, step)))
    monkeypatch.setattr(
        WandbLogger, "log_audio", lambda self, key, audios, step, sample_rate: logged.append((key, step, sample_rate))
    )
    for name in ("log_metrics", "log_hyperparams", "log_graph", "save", "finalize", "after_save_checkpoint"):
        monkeypatch.setattr(WandbLogger, name, lambda self, *args, **kwargs: None)
    for name, value in (("name", "x"), ("version", "0"), ("save_dir", str(tmp_path))):
        monkeypatch.setattr(WandbLogger, name, value)
    callback = MediaLogger(num_examples=1, folder=str(tmp_path / "media"))
    fitted(tiny_vqvae(), sound_data(), max_steps=2, limit_val_batches=1.0, callbacks=[callback], logger=WandbLogger())
    assert logged == [("media/spectrograms", 2), ("media/cat_0", 2, [GEOMETRY.sample_rate_hz])]
    assert not (tmp_path / "media").exists()
