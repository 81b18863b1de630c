import pytest
import torch
from torch.nn import functional as F

from lightning_modules import TopPrior, load
from networks import CodePrior, Sampling
from tests.helpers.tiny import (
    BOTTOM_LENGTH,
    CLASSES,
    GEOMETRY,
    code_data,
    fitted,
    fitted_vqvae,
    saved_vqvae,
    tiny_bottom,
    tiny_codes,
    tiny_top,
    tiny_trainer,
)


@pytest.fixture(scope="module")
def data():
    return code_data(fitted_vqvae())


@pytest.fixture(params=["top", "bottom"])
def prior(request):
    return tiny_top() if request.param == "top" else tiny_bottom()


@torch.no_grad()
def nats_by_hand(prior) -> torch.Tensor:
    """-log p of each code, (8, length)."""
    batch = tiny_codes()
    if prior.level == "top":
        codes, logits = batch["top_codes"], prior.network(batch["top_codes"], batch["label"])
    else:
        codes = batch["bottom_codes"]
        logits = prior.network(codes, batch["label"], batch["top_codes"])
    return -logits.softmax(dim=-1).gather(2, codes[..., None])[..., 0].log()


def test_the_training_loss_is_the_cross_entropy_per_code(prior, data):
    expected = nats_by_hand(prior)[:4].mean().item()  # the first batch
    figures = fitted(prior, data).callback_metrics
    assert figures["train/loss"] == pytest.approx(expected, rel=1e-4)
    assert figures["train/perplexity"] == pytest.approx(torch.tensor(expected).exp().item(), rel=1e-3)


def test_held_out_figures_carry_the_names_of_the_classes(prior, data):
    nats, labels = nats_by_hand(prior), tiny_codes()["label"]
    (figures,) = tiny_trainer().validate(prior, data, verbose=False)
    assert figures["val/loss"] == pytest.approx(nats.mean().item(), rel=1e-4)
    for label, name in enumerate(CLASSES):
        assert figures[f"val/perplexity/{name}"] == pytest.approx(nats[labels == label].mean().exp().item(), rel=1e-3)
    assert {"val/perplexity", "val/unigram_perplexity", "val/bits_gained", "val/codes_in_use"} < figures.keys()


def test_a_grid_that_is_not_the_vqvaes_is_refused(data):
    network = CodePrior(2, 8, 8, 16, 16, num_layers=1, num_heads=2, feedforward_width=32)
    with pytest.raises(ValueError, match=r"top prior .*: \(num_rows, num_columns\) is \(8, 8\), expected \(8, 4\)"):
        fitted(TopPrior(network, codec=saved_vqvae()), data)


def test_a_number_of_codes_that_is_not_the_vqvaes_is_refused(data):
    network = CodePrior(2, 8, 4, 32, 16, num_layers=1, num_heads=2, feedforward_width=32)
    with pytest.raises(ValueError, match=r"num_codes is 32, expected 16"):
        fitted(TopPrior(network, codec=saved_vqvae()), data)


@pytest.mark.parametrize(
    ("options", "both"), [({"scale": 4}, ("4", "2")), ({"context_codes": 8}, ("8", "16"))], ids=["scale", "num_codes"]
)
def test_a_context_that_is_not_made_for_the_vqvaes_top_grid_is_refused(data, options, both):
    with pytest.raises(ValueError) as error:
        fitted(tiny_bottom(codec=saved_vqvae(), **options), data)
    assert all(value in str(error.value) for value in both)


def test_the_bottom_prior_sees_the_top_codes():
    prior = tiny_bottom().eval()
    before = nats_by_hand(prior)
    batch = tiny_codes()
    with torch.no_grad():
        logits = prior.network(batch["bottom_codes"], batch["label"], batch["top_codes"].flip(1))
    after = F.cross_entropy(logits.transpose(1, 2), batch["bottom_codes"], reduction="none")
    assert not torch.allclose(before, after, atol=0.1)


def test_the_codec_is_no_part_of_a_priors_checkpoint(data):
    prior = tiny_top(codec=saved_vqvae())
    fitted(prior, data)
    assert prior.codec.fingerprint() == fitted_vqvae().codec.fingerprint()
    assert {name.split(".")[0] for name in prior.state_dict()} == {"network"}


def test_a_prior_is_loaded_and_resumed_where_its_codec_is_gone_or_elsewhere(data, tmp_path):
    path = tmp_path / "top.ckpt"
    prior = tiny_top(codec=saved_vqvae())
    fitted(prior, data, max_steps=2).save_checkpoint(path)
    stored = torch.load(path, weights_only=True)
    stored["video2audio"]["system"]["init_args"]["codec"] = "gone.ckpt"
    torch.save(stored, path)
    assert torch.equal(nats_by_hand(load(path)), nats_by_hand(prior.eval()))
    resumed = tiny_trainer(max_steps=4, limit_val_batches=0)
    resumed.fit(tiny_top(codec=saved_vqvae()), data, ckpt_path=path, weights_only=True)
    assert resumed.global_step == 4
    del stored["video2audio"]["system"]["init_args"]["codec"]  # as before priors knew their codec
    torch.save(stored, path)
    assert torch.equal(nats_by_hand(load(path)), nats_by_hand(prior))


def test_a_codec_of_other_codebooks_than_the_codes_is_refused(data):
    with pytest.raises(ValueError, match=r"vqvae.ckpt: the fingerprint of the codebooks is \w{16}, expected \w{16}"):
        fitted(tiny_top(codec=saved_vqvae(seed=3)), data)


def test_what_is_to_be_heard_needs_a_codec(data):
    with pytest.raises(ValueError, match="bottom prior has no codec"):
        tiny_trainer().predict(tiny_bottom(), data)


def test_top_predictions_are_new_codes_of_the_same_classes(data):
    prior = tiny_top(codec=saved_vqvae())
    first, second = tiny_trainer().predict(prior, data)
    again, _ = tiny_trainer().predict(prior, data)
    assert [p.label for p in first + second] == CLASSES * 4
    assert [p.name for p in first] == ["top_cat_0000", "top_dog_0001", "top_cat_0002", "top_dog_0003"]
    assert all(p.codes.shape == GEOMETRY.top_shape for p in first)
    assert not torch.equal(first[0].codes, first[2].codes)
    assert torch.equal(first[0].codes, again[0].codes)


def test_bottom_predictions_are_sounds_beside_their_reconstructions(data):
    prior = tiny_bottom(sampling=Sampling(temperature=0.5), codec=saved_vqvae())
    predictions = tiny_trainer().predict(prior, data)[0]
    batch = tiny_codes()
    real = fitted_vqvae().codec.decode(batch["top_codes"], batch["bottom_codes"])
    for index, prediction in enumerate(predictions):
        assert prediction.waveform.shape == (GEOMETRY.window_samples,)
        assert prediction.sample_rate_hz == GEOMETRY.sample_rate_hz
        torch.testing.assert_close(prediction.pictures[0][1], real[index, 0])
        assert not torch.allclose(prediction.pictures[1][1], real[index, 0], atol=1e-3)


def test_the_bottom_prior_models_the_bottom_codes():
    codes, given = tiny_bottom().sequences(tiny_codes())
    assert codes.shape == (8, BOTTOM_LENGTH)
    assert torch.equal(given, tiny_codes()["top_codes"])
