import pytest
import torch
from torch.nn import functional as F

from lightning_modules import VQVAE
from networks import VQVAE2
from networks.code_grid import flatten_codes
from tests.lightning_modules.tiny import (
    BOTTOM_LENGTH,
    CLASSES,
    GEOMETRY,
    NUM_CODES,
    TOP_LENGTH,
    fitted,
    fitted_vqvae,
    sound_data,
    tiny_sounds,
    tiny_trainer,
    tiny_vqvae,
)


@pytest.fixture(scope="module")
def vqvae() -> VQVAE:
    return fitted_vqvae()


@torch.no_grad()
def test_encoding_then_decoding_is_the_network(vqvae):
    waveform = tiny_sounds()["waveform"]
    output = vqvae.network(vqvae.spectrogram(waveform))
    top_codes, bottom_codes = vqvae.encode(waveform)
    assert top_codes.shape == (8, TOP_LENGTH)
    assert bottom_codes.shape == (8, BOTTOM_LENGTH)
    assert torch.equal(top_codes, flatten_codes(output.top.codes))
    assert len(top_codes.unique()) > 4
    torch.testing.assert_close(vqvae.decode(top_codes, bottom_codes), output.reconstruction)


@torch.no_grad()
def test_codes_of_any_length_are_decoded(vqvae):
    top_codes, bottom_codes = vqvae.encode(tiny_sounds()["waveform"])
    frames = GEOMETRY.num_frames
    three, five = (vqvae.decode(top_codes.repeat(1, n), bottom_codes.repeat(1, n)) for n in (3, 5))
    assert five.shape == (8, 1, GEOMETRY.num_bins, 5 * frames)
    torch.testing.assert_close(three[..., frames : 2 * frames], five[..., 2 * frames : 3 * frames])


@torch.no_grad()
def test_a_coarse_picture_needs_top_codes_only(vqvae):
    output = vqvae.network(vqvae.spectrogram(tiny_sounds()["waveform"]))
    nothing = torch.zeros_like(output.bottom.vectors)
    torch.testing.assert_close(
        vqvae.decode_coarsely(flatten_codes(output.top.codes)), vqvae.network.decode(output.top.vectors, nothing)
    )


def test_the_loss_is_the_error_and_the_weighted_commitment_of_both_levels():
    for weight in (0.0, 0.25, 4.0):
        torch.manual_seed(0)
        system = tiny_vqvae(commitment_weight=weight, learning_rate=0.0)
        before = {name: value.clone() for name, value in system.state_dict().items()}
        trainer = fitted(system, sound_data(), max_steps=1)
        figures = trainer.callback_metrics
        system.load_state_dict(before)
        system.train()
        first_four = {name: values[:4] for name, values in tiny_sounds().items()}
        with torch.no_grad():
            spectrogram = system.spectrogram(first_four["waveform"])
            output = system.network(spectrogram)
        mse = F.mse_loss(output.reconstruction, spectrogram)
        commitment = output.top.commitment_loss + output.bottom.commitment_loss
        assert commitment > 0
        assert figures["train/mse"] == pytest.approx(mse.item(), rel=1e-4)
        assert figures["train/commitment"] == pytest.approx(commitment.item(), rel=1e-4)
        assert figures["train/loss"] == pytest.approx((mse + weight * commitment).item(), rel=1e-4)


def test_gradients_reach_every_weight_of_both_levels():
    system = tiny_vqvae()
    system.trainer = tiny_trainer()
    spectrogram = system.spectrogram(tiny_sounds()["waveform"])
    loss, _, _ = system._losses(spectrogram, system.network(spectrogram))
    loss.backward()
    assert not [name for name, parameter in system.named_parameters() if parameter.grad is None]


def test_held_out_figures_are_those_of_all_codes_at_once(vqvae):
    (figures,) = tiny_trainer().validate(vqvae, sound_data(), verbose=False)
    spectrogram = vqvae.spectrogram(tiny_sounds()["waveform"])
    with torch.no_grad():
        output = vqvae.network(spectrogram)
    for level in ("top", "bottom"):
        counts = torch.bincount(getattr(output, level).codes.flatten(), minlength=NUM_CODES).double()
        frequencies = counts[counts > 0] / counts.sum()
        assert figures[f"val/{level}_perplexity"] == pytest.approx(
            torch.exp(-(frequencies * frequencies.log()).sum()).item(), rel=1e-5
        )
        assert figures[f"val/{level}_codes_in_use"] == (counts > 0).sum()
    assert figures["val/mse"] == pytest.approx(F.mse_loss(output.reconstruction, spectrogram).item(), rel=1e-4)


def test_predictions_are_reconstructions_of_each_sound(vqvae):
    (first, second) = tiny_trainer().predict(vqvae, sound_data())
    predictions = first + second
    assert [p.name for p in predictions] == [f"reconstruction_{CLASSES[i % 2]}_{i:04d}" for i in range(8)]
    assert [p.label for p in predictions] == CLASSES * 4
    original = vqvae.spectrogram(tiny_sounds()["waveform"])
    for index, prediction in enumerate(predictions):
        assert prediction.waveform.shape == (GEOMETRY.window_samples,)
        (_, left), (_, right) = prediction.pictures
        assert torch.equal(left, original[index, 0])
        assert not torch.equal(left, right)


def test_strides_that_differ_from_the_geometrys_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 16\) in the network, \(4, 8\) in the geometry"):
        VQVAE(VQVAE2(top_stride=16), GEOMETRY)
