import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lightning_modules import Moments, VideoToAudio
from media.sound.events import Event
from media.video.activity import Activity, ActivityMeter, ActivitySettings
from media.video.stabilisation import StabilisationSettings
from networks import MomentNetwork, Sampling
from pipelines.outputs import FailedInput
from pipelines.sound_generator import SoundGenerator
from pipelines.video_output import VideoPrediction
from tests.helpers.colours import GREEN, GREY, RED, SYSTEMS, ColourClip, composite
from tests.helpers.tiny import (
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


@torch.no_grad()
def predict(clip, **options) -> tuple[VideoPrediction, list[torch.Tensor]]:
    """The prediction, and the waveform of each variant."""
    (prediction,) = composite(**options).predict_step(clip, 0)
    assert isinstance(prediction, VideoPrediction), prediction
    return prediction, [torch.from_numpy(soundfile.read(v.stem, dtype="float32")[0]) for v in prediction.variants]


def is_silent(waveform: torch.Tensor) -> bool:
    return bool((waveform == 0).all())


@pytest.mark.parametrize("duration_s", [0.05, 0.25, 0.2481, 0.8])
def test_the_sound_is_exactly_as_long_as_the_picture(duration_s):
    prediction, (waveform,) = predict(ColourClip(RED, duration_s=duration_s))
    assert waveform.shape == (round(duration_s * RATE),)
    assert prediction.scenes == [(0.0, duration_s, "cat")]
    assert not is_silent(waveform)


def test_a_video_longer_than_a_window_has_sound_to_its_end():
    assert GEOMETRY.window_s < 0.25
    prediction, (waveform,) = predict(ColourClip(*[GREEN] * 4))
    chunks = waveform[: 4 * 2000].view(16, 500)
    assert (chunks.abs().amax(dim=1) > 1e-3).all()
    assert prediction.scenes == [(0.0, 1.0, "dog")]


def test_where_nothing_known_is_seen_there_is_silence():
    prediction, (waveform,) = predict(ColourClip(*[RED] * 3, *[GREY] * 3, *[GREEN] * 3))
    assert [label for *_, label in prediction.scenes] == ["cat", "silence", "dog"]
    cat, silence, dog = waveform.chunk(3)
    assert is_silent(silence)
    assert not is_silent(cat)
    assert not is_silent(dog)
    assert is_silent(predict(ColourClip(RED, RED), threshold=1.0)[1][0])


def test_or_there_is_ambience_at_its_level():
    clip = ColourClip(*[RED] * 3, *[GREY] * 5)
    _, (waveform,) = predict(clip, ambience_db=-40.0, fade_s=0.0)
    level_db = 20 * waveform[6000:].square().mean().sqrt().log10()
    assert level_db == pytest.approx(-40, abs=1)
    assert torch.equal(waveform[:6000], predict(clip, fade_s=0.0)[1][0][:6000])


def test_only_allowed_classes_are_heard():
    prediction, (waveform,) = predict(ColourClip(*[RED] * 3, *[GREEN] * 3), classes=["dog"])
    assert [label for *_, label in prediction.scenes] == ["silence", "dog"]
    assert is_silent(waveform[:6000])
    assert not is_silent(waveform[6000:])


def test_scenes_fade_in_and_out():
    clip = ColourClip(*[RED] * 3, *[GREEN] * 3)
    _, (waveform,) = predict(clip, fade_s=0.1)
    _, (unfaded,) = predict(clip, fade_s=0.0)
    cut, fade = 6000, 800
    for start in (0, cut):
        scene, whole = (samples[start : start + cut] for samples in (waveform, unfaded))
        assert scene[0] == scene[-1] == 0
        torch.testing.assert_close(scene[fade:-fade], whole[fade:-fade])
        torch.testing.assert_close(scene[:fade], whole[:fade] * torch.linspace(0, 1, fade))
        torch.testing.assert_close(scene[-fade:], whole[-fade:] * torch.linspace(1, 0, fade))


def test_a_fade_fits_into_the_shortest_scene():
    assert predict(ColourClip(RED, duration_s=0.005), fade_s=0.1)[1][0].shape == (40,)


def test_the_same_seed_gives_the_same_sound_and_another_seed_another():
    clip = ColourClip(RED, RED)
    first, again, other = (predict(clip, seed=seed)[1][0] for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.allclose(first, other, atol=1e-3)


def test_scenes_of_one_class_sound_different():
    _, (waveform,) = predict(ColourClip(*[RED] * 3, *[GREY] * 3, *[RED] * 3))
    first, _, second = waveform.chunk(3)
    assert not torch.allclose(first, second, atol=1e-3)


@pytest.mark.parametrize("onsets_s", [[], [0.1, 0.3]])
def test_a_variant_of_a_batch_is_the_single_run_with_its_seed(onsets_s, monkeypatch):
    see_onsets(monkeypatch, onsets_s)
    clip = ColourClip(RED, RED)
    prediction, waveforms = predict(clip, seed=5, num_variants=3)
    assert [variant.seed for variant in prediction.variants] == [5, 6, 7]
    for variant, waveform in zip(prediction.variants, waveforms, strict=True):
        single, (alone,) = predict(clip, seed=variant.seed)
        torch.testing.assert_close(waveform, alone, atol=1e-4, rtol=1e-3)
        assert single.variants[0].events_s == variant.events_s
        assert len(variant.events_s) == len(onsets_s)


def see_onsets(monkeypatch, onsets_s: list[float], cuts_s: list[float] = ()) -> None:
    """Something happens at these times, whatever is seen; and the generator has two events."""

    def finish(meter) -> Activity:
        times_s = np.arange(4) / 4
        return Activity(times_s, np.zeros(4), np.array(onsets_s), np.ones(len(onsets_s)), np.array(cuts_s))

    def events(generator, label, seeds, settings):
        tone = np.sin(np.arange(800) / (3 + label)).astype(np.float32)
        return [[Event(tone, 80, 20.0), Event(-tone, 80, 15.0)] for _ in seeds]

    monkeypatch.setattr(ActivityMeter, "finish", finish)
    monkeypatch.setattr(SoundGenerator, "events", events)


def test_events_are_placed_where_something_happens(monkeypatch):
    see_onsets(monkeypatch, [0.2, 0.6])
    prediction, (waveform,) = predict(ColourClip(*[RED] * 4))
    assert prediction.variants[0].events_s == [pytest.approx((0.19, 0.29)), pytest.approx((0.59, 0.69))]
    loud = waveform.view(-1, 80).abs().amax(dim=1) > 0.1
    assert loud.nonzero()[:, 0].tolist() == [*range(19, 29), *range(59, 69)]
    assert not is_silent(predict(ColourClip(*[RED] * 4), sync="none")[1][0][:800])


def test_no_sound_bleeds_over_a_cut(monkeypatch):
    see_onsets(monkeypatch, [0.45], cuts_s=[0.5])
    prediction, (waveform,) = predict(ColourClip(*[RED] * 2, *[GREY] * 2), min_scene_s=0.0)
    assert prediction.scenes == [(0.0, 0.5, "cat"), (0.5, 1.0, "silence")]
    assert not is_silent(waveform[3600:4000])
    assert is_silent(waveform[4000:])


def test_a_photo_gets_one_window_or_what_is_asked_for():
    prediction, (waveform,) = predict(ColourClip(RED, is_photo=True))
    assert prediction.is_photo
    assert len(waveform) == GEOMETRY.window_samples
    assert len(predict(ColourClip(RED, is_photo=True), photo_s=0.6)[1][0]) == 4800


def test_what_cannot_be_read_is_told_of():
    class Damaged(ColourClip):
        def frames(self, max_side: int):
            raise ValueError("clip.mp4 is damaged.")

    (failed,) = composite().predict_step(Damaged(RED), 0)
    assert failed == FailedInput(Path("clip.mp4"), "clip", "clip.mp4 is damaged.")
    unreadable = FailedInput(Path("clip.mp4"), "clip", "It is no video.")
    assert composite().predict_step(unreadable, 0) == [FailedInput(Path("clip.mp4"), "clip", "It is no video.")]


@pytest.mark.parametrize(
    ("error", "reason"), [(AttributeError("no codec"), "AttributeError: no codec"), (OSError("lost"), "lost")]
)
def test_an_error_of_any_kind_stays_with_its_input(error, reason):
    class Odd(ColourClip):
        def frames(self, max_side: int):
            raise error

    assert composite().predict_step(Odd(RED), 0) == [FailedInput(Path("clip.mp4"), "clip", reason)]


def test_a_full_memory_ends_the_call():
    class Large(ColourClip):
        def frames(self, max_side: int):
            raise MemoryError

    with pytest.raises(MemoryError):
        composite().predict_step(Large(RED), 0)


def test_the_settings_are_all_arguments_that_a_sound_depends_on():
    names = set(inspect.signature(VideoToAudio).parameters)
    settings = composite(threshold=0.5, sampling=Sampling(top_k=3), activity=ActivitySettings(block=7)).settings()
    left_out = {"vqvae", "top", "bottom", "classifier", "moments", "embedding", "tagger", "words", "listener"}
    assert settings.keys() == names - left_out | {"checkpoints"}
    assert (settings["threshold"], settings["sampling"]["top_k"], settings["activity"]["block"]) == (0.5, 3, 7)
    assert settings["classes"] == CLASSES
    assert composite(classes=["dog"]).settings()["classes"] == ["dog"]
    assert json.loads(json.dumps(settings)) == settings


def test_the_numbers_of_the_search_for_activity_are_options(monkeypatch):
    given = {"activity": ActivitySettings(block=7), "stabilisation": StabilisationSettings(num_kept=3)}
    meters, start = [], ActivityMeter.__init__
    monkeypatch.setattr(ActivityMeter, "__init__", lambda self, *args: meters.append(args) or start(self, *args))
    predict(ColourClip(RED), **given)
    assert meters == [(ColourClip.frames_per_second, *given.values())]


def test_a_network_of_moments_gives_the_onsets_and_is_among_the_settings():
    torch.manual_seed(0)
    moments = Moments(MomentNetwork(width=4, hidden=8)).eval()
    torch.nn.init.zeros_(moments.network.head.bias)  # probabilities around one half
    clip = ColourClip(*[RED, GREEN, RED, RED] * 6, duration_s=6.0)
    clip.frames_per_second = 25.0
    without = composite().predict_step(clip, 0)[0].perception.activity
    model = composite()
    model.moments = moments
    found = model.predict_step(clip, 0)[0].perception.activity
    assert len(found.onsets_s) == len(found.strengths) > 0
    assert found.onsets_s.tolist() != without.onsets_s.tolist()
    assert len(model.settings()["moments"]) == 16
    moments.network.threshold.fill_(0.99)
    assert not len(model.predict_step(clip, 0)[0].perception.activity.onsets_s)


def test_a_network_of_moments_needs_the_rate_of_its_fit():
    model = composite()
    model.moments = Moments(MomentNetwork(width=4, hidden=8)).eval()
    (failed,) = model.predict_step(ColourClip(RED), 0)
    assert "frames_per_second is 4, but networks of moments are fitted on 25" in failed.reason


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
    assert model.settings()["checkpoints"].keys() == paths.keys()
    with pytest.raises(ValueError, match="do not know cow; they know cat, dog"):
        VideoToAudio(**paths, classes=["cow"]).setup("predict")

    other = tmp_path / "other.ckpt"
    fitted(tiny_top(), code_data(fitted_vqvae(seed=3))).save_checkpoint(other)
    with pytest.raises(ValueError, match=r"codebooks is .*vqvae.ckpt, and .*other.ckpt.*--config top.yaml"):
        VideoToAudio(**paths | {"top": str(other)}).setup("predict")
    with pytest.raises(FileNotFoundError, match=r"missing.ckpt.*fit --config bottom.yaml"):
        VideoToAudio(**paths | {"bottom": str(tmp_path / "missing.ckpt")}).setup("predict")
