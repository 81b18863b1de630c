"""The defaults are the reference configuration: its sizes are what the published results are compared with."""

import pytest
import torch

from media import Geometry
from networks import VQVAE2, CodePrior, ResNet50, TopContext


def num_parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.fixture(scope="module")
def reference():
    with torch.device("meta"):  # counted without being filled
        return {
            "vqvae": VQVAE2(),
            "top": CodePrior(2, *Geometry().top_shape),
            "bottom": CodePrior(2, *Geometry().bottom_shape, top_context=TopContext()),
            "classifier": ResNet50(2),
        }


@pytest.mark.parametrize(
    ("name", "expected", "tolerance"),
    [("vqvae", 580_641, 0.02), ("top", 5_341_084, 0.02), ("bottom", 5_341_084, 0.03), ("classifier", 23_512_130, 0)],
)
def test_number_of_weights(reference, name, expected, tolerance):
    assert num_parameters(reference[name]) == pytest.approx(expected, rel=tolerance)


def test_sequences_are_a_class_token_and_the_grid(reference):
    assert reference["top"].sequence_length == 901
    assert reference["bottom"].sequence_length == 3601


def test_the_bottom_prior_sees_the_top_at_the_scale_of_the_geometry(reference):
    geometry = Geometry()
    assert reference["bottom"].top_context.scale == geometry.top_stride // geometry.bottom_stride


def test_codebooks_are_stored_but_not_trained_by_gradients(reference):
    trained = dict(reference["vqvae"].named_parameters())
    stored = reference["vqvae"].state_dict()
    for level in ("quantize_top", "quantize_bottom"):
        assert stored[f"{level}.codebook"].shape == (128, 64)
        assert not any(name.startswith(level) for name in trained)


def test_one_window_becomes_the_two_grids_of_the_geometry():
    geometry = Geometry()
    network = VQVAE2().eval()
    with torch.no_grad():
        output = network(torch.zeros(1, 1, geometry.num_bins, geometry.num_frames))
    assert output.reconstruction.shape == (1, 1, 240, 240)
    assert output.top.codes.shape == (1, *geometry.top_shape) == (1, 30, 30)
    assert output.bottom.codes.shape == (1, *geometry.bottom_shape) == (1, 60, 60)
