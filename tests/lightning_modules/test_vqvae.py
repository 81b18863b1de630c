import pytest
import torch
from torch.nn import functional as F

from lightning_modules import VQVAE
from networks import VQVAE2
from tests.helpers.tiny import (
    CLASSES,
    GEOMETRY,
    NUM_CODES,
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
    loss, _ = system.loss(tiny_sounds())
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


@torch.no_grad()
def test_validation_tells_how_much_grain_is_missing():
    vqvae = tiny_vqvae()
    tiny_trainer().test(vqvae, sound_data(), verbose=False)
    assert not vqvae.residual_db.any(), "the test part is only measured"
    tiny_trainer().validate(vqvae, sound_data(), verbose=False)
    spectrogram = vqvae.spectrogram(tiny_sounds()["waveform"])
    decoded = vqvae.eval().network(spectrogram).reconstruction
    error_db = (decoded - spectrogram) * GEOMETRY.dynamic_range_db / 2
    torch.testing.assert_close(vqvae.residual_db, error_db.square().mean(dim=(0, 1, 3)).sqrt())
    (smooth,), (half,), (full,) = (
        vqvae.codec.with_grain([decoded], range(len(decoded)), strength) for strength in (0.0, 0.5, 1.0)
    )
    torch.testing.assert_close(smooth, decoded)
    assert 0 < (half - decoded).std() < (full - decoded).std()


def test_strides_that_differ_from_the_geometrys_are_refused():
    with pytest.raises(ValueError, match=r"\(4, 16\) in the network, \(4, 8\) in the geometry"):
        VQVAE(VQVAE2(top_stride=16), GEOMETRY)
