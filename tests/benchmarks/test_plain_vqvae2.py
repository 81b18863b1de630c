import pytest
import torch

from benchmarks.plain_vqvae2 import OneHotQuantizer, PlainVQVAE2
from networks import VQVAE2, EMAQuantizer


@pytest.fixture
def pair() -> tuple[EMAQuantizer, OneHotQuantizer]:
    """Ours and the baseline's, with one codebook."""
    torch.manual_seed(0)
    ours, plain = EMAQuantizer(16, 8, decay=0.9, revive_below=0.0), OneHotQuantizer(16, 8, decay=0.9)
    plain.codebook.copy_(ours.codebook.T)
    return ours, plain


def test_codes_are_the_nearest_and_equal_ours(pair):
    ours, plain = (quantizer.eval() for quantizer in pair)
    vectors = torch.randn(2, 8, 5, 6)
    found, expected = plain(vectors), ours(vectors)
    assert torch.equal(found.codes, expected.codes)
    torch.testing.assert_close(found.vectors, expected.vectors)
    torch.testing.assert_close(found.commitment_loss, expected.commitment_loss)
    distances = torch.cdist(vectors.movedim(1, -1).flatten(0, 2), plain.codebook.T)
    assert torch.equal(found.codes.flatten(), distances.argmin(dim=1))


def test_gradients_pass_straight_through(pair):
    vectors = torch.randn(2, 8, 5, 6, requires_grad=True)
    pair[1].eval()(vectors).vectors.sum().backward()
    torch.testing.assert_close(vectors.grad, torch.ones_like(vectors))


def test_the_codebook_follows_the_mean_of_its_vectors(pair):
    plain = pair[1].train()
    centres = 10 * torch.randn(16, 8)
    plain.codebook.copy_(centres.T + 0.1)
    for _ in range(200):
        vectors = centres[torch.randint(16, (2, 10, 10))].movedim(-1, 1)
        plain(vectors)
    torch.testing.assert_close(plain.codebook.T, centres, atol=0.02, rtol=0.01)


@pytest.mark.parametrize("bottom_stride", [4, 8])
def test_its_sizes_are_those_of_ours(bottom_stride):
    ours = VQVAE2(bottom_stride=bottom_stride, top_stride=2 * bottom_stride)
    plain = PlainVQVAE2(**ours.describe()["init_args"]).eval()
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in (ours, plain)]
    assert counts[0] == counts[1]
    spectrogram = torch.randn(1, 1, 4 * bottom_stride, 6 * bottom_stride)
    assert plain(spectrogram).reconstruction.shape == spectrogram.shape
    codes = [plain.quantize_top.codebook.shape[1], plain.quantize_bottom.codebook.shape[1]]
    assert codes == [128, 128]


def test_it_computes_what_ours_computes():
    """With the weights and codebooks of ours, layer by layer, the reconstruction is the same."""
    torch.manual_seed(0)
    ours, plain = VQVAE2().eval(), PlainVQVAE2().eval()
    weights = list(ours.parameters())
    with torch.no_grad():
        for parameter, weight in zip(plain.parameters(), weights, strict=True):
            parameter.copy_(weight)
    for level in ("quantize_top", "quantize_bottom"):
        getattr(plain, level).codebook.copy_(getattr(ours, level).codebook.T)
    spectrogram = torch.randn(2, 1, 16, 24)
    with torch.no_grad():
        found, expected = (network(spectrogram).reconstruction for network in (plain, ours))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_it_learns():
    torch.manual_seed(0)
    plain = PlainVQVAE2(width=16, residual_width=8, embedding_dim=8, num_codes=16)
    optimizer = torch.optim.Adam(plain.parameters(), lr=1e-2)
    spectrogram = torch.rand(4, 1, 8, 8).repeat_interleave(4, 2).repeat_interleave(4, 3)
    losses = []
    for _ in range(60):
        loss = plain.loss(spectrogram)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


def test_its_tensors_are_channels_first_and_none_of_its_layers_is_ours_alone():
    plain = PlainVQVAE2()
    assert all(weight.is_contiguous() for weight in plain.parameters())
    kinds = {type(module).__name__ for module in plain.modules()}
    assert not kinds & {"EMAQuantizer", "_JoiningConv2d"}
