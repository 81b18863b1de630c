import copy

import pytest
import torch

from tests.helpers.tiny_networks import tiny_vqvae


def spectrograms(num_bins=32, num_frames=32, batch_size=2, seed=0):
    return torch.randn(batch_size, 1, num_bins, num_frames, generator=torch.Generator().manual_seed(seed)).clamp(-1, 1)


@pytest.fixture
def network():
    """After one training step, which starts the codebooks from what the encoder gives."""
    torch.manual_seed(0)
    network = tiny_vqvae()
    with torch.no_grad():
        network(spectrograms())
    return network.eval()


@torch.no_grad()
def test_decoding_the_codes_equals_the_forward_pass(network):
    output = network(spectrograms())
    assert output.top.codes.unique().numel() > 4
    torch.testing.assert_close(network.decode_codes(output.top.codes, output.bottom.codes), output.reconstruction)


@torch.no_grad()
@pytest.mark.parametrize("precision", ["autocast", "cast"])
def test_codes_decode_in_half_precision_too(network, precision):
    spectrogram = spectrograms()
    if precision == "cast":
        network, spectrogram = network.to(torch.bfloat16), spectrogram.to(torch.bfloat16)
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "autocast"):
        output = network(spectrogram)
        decoded = network.decode_codes(output.top.codes, output.bottom.codes)
    torch.testing.assert_close(decoded, output.reconstruction)


@torch.no_grad()
def test_both_levels_are_heard(network):
    output = network(spectrograms())
    top, bottom = output.top.codes, output.bottom.codes
    for changed in (((top + 1) % 16, bottom), (top, (bottom + 1) % 16)):
        assert not torch.allclose(network.decode_codes(*changed), output.reconstruction, atol=1e-4)


@torch.no_grad()
def test_the_bottom_codes_are_conditioned_on_the_top(network):
    before = network.encode(spectrograms())[1].codes
    network.quantize_top.codebook += 10
    assert not torch.equal(network.encode(spectrograms())[1].codes, before)


def test_every_weight_gets_a_gradient():
    network = tiny_vqvae()
    output = network(spectrograms())
    loss = (output.reconstruction - spectrograms()).square().mean()
    (loss + output.top.commitment_loss + output.bottom.commitment_loss).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad.abs().sum() > 0, name


def test_it_learns_to_copy_a_batch():
    torch.manual_seed(0)
    network = tiny_vqvae()
    frames = torch.arange(32) / 32
    stripes = (
        torch.stack([torch.sin(2 * torch.pi * k * frames) for k in (1, 2)]).view(2, 1, 1, 32).expand(-1, -1, 32, -1)
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    errors = []
    for _ in range(80):
        output = network(stripes)
        error = (output.reconstruction - stripes).square().mean()
        (error + 0.25 * (output.top.commitment_loss + output.bottom.commitment_loss)).backward()
        optimizer.step()
        optimizer.zero_grad()
        errors.append(error.item())
    assert errors[-1] < 0.5 * errors[0]


@torch.no_grad()
@pytest.mark.parametrize(("bottom_stride", "top_stride"), [(2, 4), (4, 8), (4, 16), (16, 32)])
def test_strides_decide_the_shapes_of_the_grids(bottom_stride, top_stride):
    network = tiny_vqvae(bottom_stride=bottom_stride, top_stride=top_stride).eval()
    output = network(spectrograms(num_bins=64, num_frames=96))
    assert output.top.codes.shape == (2, 64 // top_stride, 96 // top_stride)
    assert output.bottom.codes.shape == (2, 64 // bottom_stride, 96 // bottom_stride)
    assert output.reconstruction.shape == (2, 1, 64, 96)


@torch.no_grad()
def test_a_longer_sound_is_decoded_in_one_piece(network):
    spectrogram = spectrograms(num_frames=512)
    output = network(spectrogram)
    assert output.reconstruction.shape == spectrogram.shape
    top, bottom = output.top.codes, output.bottom.codes
    beginning = network.decode_codes(top[..., :32], bottom[..., :64])
    # what is far from the cut does not depend on how much follows
    torch.testing.assert_close(output.reconstruction[..., :200], beginning[..., :200])


@torch.no_grad()
def test_rows_of_a_batch_are_independent(network):
    together = network(spectrograms(batch_size=3))
    alone = network(spectrograms(batch_size=3)[1:2])
    assert torch.equal(alone.bottom.codes[0], together.bottom.codes[1])
    torch.testing.assert_close(alone.reconstruction[0], together.reconstruction[1])


def test_evaluation_leaves_the_codebooks_alone(network):
    before = copy.deepcopy(network.state_dict())
    network(spectrograms(seed=1))
    for name, value in network.state_dict().items():
        assert torch.equal(value, before[name]), name


@pytest.mark.parametrize(("num_bins", "num_frames"), [(32, 36), (36, 32)])
def test_a_size_that_does_not_divide_is_refused(network, num_bins, num_frames):
    with pytest.raises(ValueError, match=rf"\({num_bins}, {num_frames}\).*multiples of top_stride = 8"):
        network(spectrograms(num_bins, num_frames))


@pytest.mark.parametrize(
    ("bottom_stride", "top_stride"), [(4, 4), (8, 4), (4, 12), (4, 9), (3, 6), (1, 2)], ids="{}".format
)
def test_strides_that_no_halving_gives_are_refused(bottom_stride, top_stride):
    with pytest.raises(ValueError, match="power of two"):
        tiny_vqvae(bottom_stride=bottom_stride, top_stride=top_stride)


@torch.no_grad()
def test_where_the_bottom_level_is_withheld_the_top_codes_alone_are_decoded():
    torch.manual_seed(0)
    network = tiny_vqvae(bottom_dropout=0.5, revive_below=0.0, decay=1.0)
    network(spectrograms())
    batch = spectrograms(batch_size=16)
    output = network.train()(batch)
    alone = network.decode_top_codes(output.top.codes)
    both = network.decode_codes(output.top.codes, output.bottom.codes)
    is_alone = torch.isclose(output.reconstruction, alone, atol=1e-5).flatten(1).all(dim=1)
    is_both = torch.isclose(output.reconstruction, both, atol=1e-5).flatten(1).all(dim=1)
    assert 0 < is_alone.sum() < 16
    assert torch.equal(is_alone, ~is_both)
    output = network.eval()(batch)
    torch.testing.assert_close(output.reconstruction, both)


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_a_bottom_dropout_outside_its_range_is_refused(value):
    with pytest.raises(ValueError, match=rf"bottom_dropout is {value}, expected from 0 to below 1"):
        tiny_vqvae(bottom_dropout=value)
