from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from lightning_modules import VideoToAudio
from lightning_modules.checkpoint import fingerprint
from lightning_modules.video_to_audio import check_fit
from media.scenes import Scene
from tests.lightning_modules.tiny import (
    CLASSES,
    GEOMETRY,
    code_data,
    fitted,
    fitted_vqvae,
    photo_data,
    sound_data,
    tiny_bottom,
    tiny_classifier,
    tiny_top,
    tiny_vqvae,
)

RATE = GEOMETRY.sample_rate_hz
RED, GREEN, GREY = (0.9, 0.1, 0.1), (0.1, 0.9, 0.1), (0.5, 0.5, 0.5)
VQVAE = fitted_vqvae()
SYSTEMS = {
    "vqvae": VQVAE,
    "top": tiny_top().eval(),
    "bottom": tiny_bottom().eval(),
    "classifier": tiny_classifier().eval(),
}


class ColourSense(nn.Module):
    """Red is class 0, green is class 1, grey may be either."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return 8 * images.mean(dim=(2, 3))[:, :2]


SYSTEMS["classifier"].network = ColourSense()
SYSTEMS["classifier"].facts = {"classes": CLASSES, "image_size": 16}


class ColourClip:
    """A clip of plain colours, four frames a second, in batches of three."""

    path = Path("clip.mp4")

    def __init__(self, *colours, duration_s: float | None = None, is_photo: bool = False) -> None:
        self.colours = colours
        self.duration_s = None if is_photo else duration_s or 0.25 * len(colours)

    def image_batches(self, image_size: int):
        for start in range(0, len(self.colours), 3):
            colours = torch.tensor(self.colours[start : start + 3])
            times_s = [0.25 * (start + i) for i in range(len(colours))]
            yield times_s, colours[:, :, None, None].expand(-1, -1, image_size, image_size)


def composite(**options) -> VideoToAudio:
    model = VideoToAudio(**{"num_iterations": 2, "smoothing_s": 0.0} | options).eval()
    for name, system in SYSTEMS.items():
        setattr(model, name, system)
    model.classes, model.geometry = CLASSES, GEOMETRY
    return model


@torch.no_grad()
def predict(clip, **options) -> list:
    return composite(**options).predict_step(clip, 0)


def is_silent(waveform: torch.Tensor) -> bool:
    return bool((waveform == 0).all())


@pytest.mark.parametrize("duration_s", [0.05, 0.25, 0.2481, 0.8])
def test_the_sound_is_exactly_as_long_as_the_picture(duration_s):
    (prediction,) = predict(ColourClip(RED, duration_s=duration_s))
    assert prediction.waveform.shape == (round(duration_s * RATE),)
    assert prediction.scenes == [(0.0, duration_s, "cat")]
    assert not is_silent(prediction.waveform)
    assert prediction.waveform.abs().max() <= 1


def test_a_video_longer_than_a_window_has_sound_to_its_end():
    assert GEOMETRY.window_s < 0.25
    (prediction,) = predict(ColourClip(*[GREEN] * 4))
    chunks = prediction.waveform[: 4 * 2000].view(16, 500)
    assert (chunks.abs().amax(dim=1) > 1e-3).all()
    assert prediction.scenes == [(0.0, 1.0, "dog")]


def test_where_nothing_known_is_seen_there_is_silence():
    (prediction,) = predict(ColourClip(*[RED] * 3, *[GREY] * 3, *[GREEN] * 3))
    assert [label for *_, label in prediction.scenes] == ["cat", "silence", "dog"]
    cat, silence, dog = prediction.waveform.chunk(3)
    assert is_silent(silence)
    assert not is_silent(cat)
    assert not is_silent(dog)
    (prediction,) = predict(ColourClip(RED, RED), threshold=1.01)
    assert is_silent(prediction.waveform)


def test_scenes_fade_in_and_out():
    (prediction,) = predict(ColourClip(*[RED] * 3, *[GREEN] * 3), fade_s=0.1)
    (unfaded,) = predict(ColourClip(*[RED] * 3, *[GREEN] * 3), fade_s=0.0)
    cut, fade = 6000, 800
    for start in (0, cut):
        scene, whole = (p.waveform[start : start + cut] for p in (prediction, unfaded))
        assert scene[0] == scene[-1] == 0
        torch.testing.assert_close(scene[fade:-fade], whole[fade:-fade])
        torch.testing.assert_close(scene[:fade], whole[:fade] * torch.linspace(0, 1, fade))
        torch.testing.assert_close(scene[-fade:], whole[-fade:] * torch.linspace(1, 0, fade))


def test_a_fade_fits_into_the_shortest_scene():
    (prediction,) = predict(ColourClip(RED, duration_s=0.005), fade_s=0.1)
    assert prediction.waveform.shape == (40,)


def test_the_same_seed_gives_the_same_sound_and_another_seed_another():
    clip = ColourClip(RED, RED)
    first, again, other = (predict(clip, seed=seed)[0].waveform for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_scenes_of_one_class_sound_different():
    (prediction,) = predict(ColourClip(*[RED] * 3, *[GREY] * 3, *[RED] * 3))
    first, _, second = prediction.waveform.chunk(3)
    assert not torch.allclose(first, second, atol=1e-3)


def test_a_variant_of_a_batch_is_the_single_run_with_its_seed():
    clip = ColourClip(RED, RED)
    variants = predict(clip, seed=5, num_variants=3)
    assert [(p.variant, p.seed) for p in variants] == [(0, 5), (1, 6), (2, 7)]
    for prediction in variants:
        (single,) = predict(clip, seed=prediction.seed)
        torch.testing.assert_close(prediction.waveform, single.waveform, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(prediction.spectrogram, single.spectrogram, atol=1e-2, rtol=1e-2)


def test_a_photo_gets_one_window_or_what_is_asked_for():
    (prediction,) = predict(ColourClip(RED, is_photo=True))
    assert prediction.is_photo
    assert len(prediction.waveform) == GEOMETRY.window_samples
    assert len(predict(ColourClip(RED, is_photo=True), photo_s=0.6)[0].waveform) == 4800


def test_every_frame_is_looked_at_once_and_in_order():
    times_s, probabilities = composite().look(ColourClip(RED, GREEN, GREEN, RED, RED))
    assert np.allclose(times_s, 0.25 * np.arange(5))
    assert probabilities.argmax(axis=1).tolist() == [0, 1, 1, 0, 0]
    assert np.allclose(probabilities[:, :2].sum(axis=1), 1)


def test_a_scenes_description_names_the_class_or_the_likeliest_one():
    model = composite()
    assert model._describe("a.mp4", Scene(0, 1.5, 1, 0.93, 1)) == "a.mp4: 0.00 to 1.50 s: dog (0.93)"
    described = model._describe("a.mp4", Scene(0, 1.5, None, 0.41, 0))
    assert "silence" in described
    assert "likeliest: cat, 0.41" in described


PATHS = {name: f"{name}.ckpt" for name in SYSTEMS}


def matching(**changes: dict) -> dict:
    """Four systems that fit, but for the changed facts of some."""
    facts = {"classes": CLASSES, "geometry": GEOMETRY.as_dict(), "codebooks": fingerprint(VQVAE.codebooks())}
    systems = {name: SimpleNamespace(facts=facts | changes.get(name, {})) for name in ("top", "bottom", "classifier")}
    return systems | {"vqvae": VQVAE}


def test_systems_that_belong_together_fit():
    check_fit(matching(), PATHS)
    check_fit(matching(classifier={"geometry": None, "codebooks": None}), PATHS)


@pytest.mark.parametrize(
    ("name", "fact", "value"),
    [
        *[(name, "classes", ["cat", "cow"]) for name in ("top", "bottom", "classifier")],
        *[(name, "classes", ["dog", "cat"]) for name in ("top", "classifier")],
        *[(name, "geometry", GEOMETRY.as_dict() | {"hop_samples": 63}) for name in ("top", "bottom")],
        *[(name, "codebooks", "0123456789abcdef") for name in ("top", "bottom")],
        ("top", "codebooks", None),
    ],
)
def test_a_system_that_does_not_fit_is_refused_with_both_values_and_files(name, fact, value):
    with pytest.raises(ValueError, match=f"{fact} is .*vqvae.ckpt, and .*{name}.ckpt.*--config {name}.yaml") as error:
        check_fit(matching(**{name: {fact: value}}), PATHS)
    expected = {"classes": CLASSES, "geometry": GEOMETRY.as_dict(), "codebooks": fingerprint(VQVAE.codebooks())}
    assert str(expected[fact]) in str(error.value)
    assert str(value) in str(error.value)


def test_it_is_built_from_four_checkpoints_alone(tmp_path):
    paths = {name: str(tmp_path / f"{name}.ckpt") for name in SYSTEMS}
    vqvae = tiny_vqvae()
    fitted(vqvae, sound_data()).save_checkpoint(paths["vqvae"])
    data = code_data(vqvae.eval())
    for name, system, its_data in (
        ("top", tiny_top(), data),
        ("bottom", tiny_bottom(), data),
        ("classifier", tiny_classifier(), photo_data()),
    ):
        fitted(system, its_data).save_checkpoint(paths[name])
    model = VideoToAudio(**paths, num_iterations=2, threshold=0.0).eval()
    model.setup("predict")
    assert (model.classes, model.geometry) == (CLASSES, GEOMETRY)
    with torch.no_grad():
        (prediction,) = model.predict_step(ColourClip(RED), 0)
    assert len(prediction.waveform) == 2000

    other = tmp_path / "other.ckpt"
    fitted(tiny_top(), code_data(fitted_vqvae(seed=3))).save_checkpoint(other)
    with pytest.raises(ValueError, match=r"codebooks is .*vqvae.ckpt, and .*other.ckpt.*--config top.yaml"):
        VideoToAudio(**paths | {"top": str(other)}).setup("predict")
    with pytest.raises(FileNotFoundError, match=r"missing.ckpt.*fit --config bottom.yaml"):
        VideoToAudio(**paths | {"bottom": str(tmp_path / "missing.ckpt")}).setup("predict")
