import copy

import pytest
import torch
from torch.nn import functional as F

from networks.prior.transformer import CausalTransformer, windowed_attention
from tests.helpers.tiny_networks import strengthened

WIDTH, LENGTH = 16, 12


def transformer(**overrides):
    options = {
        "width": WIDTH,
        "num_layers": 2,
        "num_heads": 2,
        "feedforward_width": 32,
        "dropout": 0.0,
        "rotary_base": 1000.0,
    }
    return strengthened(CausalTransformer(**options | overrides)).eval()


@pytest.fixture
def inputs():
    return torch.randn(2, LENGTH, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def columns():
    return torch.arange(LENGTH) // 3


@torch.no_grad()
def test_a_position_sees_itself_and_what_lies_before(inputs, columns):
    network = transformer()
    before = network(inputs, columns)
    for position in range(LENGTH):
        changed = inputs.clone()
        changed[:, position] *= -1
        difference = (network(changed, columns) - before).abs().amax(dim=(0, 2))
        assert (difference[:position] < 1e-6).all()
        assert (difference[position:] > 1e-4).all()


@torch.no_grad()
@pytest.mark.parametrize("window", [1, 2, 3, 5, 6, 11, 12, 20])
@pytest.mark.parametrize("length", [1, 5, 6, 12])
def test_windowed_attention_is_attention_with_a_mask(window, length):
    queries, keys, values = torch.randn(3, 2, 4, length, 8, generator=torch.Generator().manual_seed(0))
    is_seen = torch.ones(length, length).tril().triu(1 - window).bool()
    expected = F.scaled_dot_product_attention(queries, keys, values, attn_mask=is_seen)
    torch.testing.assert_close(windowed_attention(queries, keys, values, window), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("window", [1, 4])
def test_a_window_is_as_wide_as_it_says(inputs, columns, window):
    network = transformer(num_layers=1, attention_window=window)
    before = network(inputs, columns)
    for position in range(LENGTH):
        changed = inputs.clone()
        changed[:, position] *= -1
        is_changed = (network(changed, columns) - before).abs().amax(dim=(0, 2)) > 1e-5
        assert is_changed.nonzero().flatten().tolist() == list(range(position, min(position + window, LENGTH)))


@torch.no_grad()
def test_only_distances_in_time_count(inputs, columns):
    network = transformer()
    expected = network(inputs, columns)
    for shift in (1, 100, 1000):
        torch.testing.assert_close(network(inputs, columns + shift), expected, atol=2e-4, rtol=0)
    assert not torch.allclose(network(inputs, 2 * columns), expected, atol=1e-2)


@torch.no_grad()
def test_positions_are_exact_in_half_precision(inputs, columns):
    network = transformer().to(torch.bfloat16)
    inputs = inputs.to(torch.bfloat16)
    near, far = network(inputs, columns), network(inputs, columns + 1001)
    torch.testing.assert_close(far, near, atol=0.15, rtol=0)


def test_activation_checkpointing_gives_the_same_gradients(inputs, columns):
    results = []
    for activation_checkpointing in (False, True):
        network = transformer(dropout=0.3, activation_checkpointing=activation_checkpointing).train()
        torch.manual_seed(0)
        loss = network(inputs, columns).square().mean()
        loss.backward()
        results.append((loss, {name: parameter.grad for name, parameter in network.named_parameters()}))
    torch.testing.assert_close(*results)


def test_the_branches_start_small():
    """Pre-norm networks train without warm-up trouble when each branch begins as a small correction."""
    torch.manual_seed(0)
    network = CausalTransformer(64, 4, 4, 128, 0.0, 1000.0)
    inputs = torch.randn(1, LENGTH, 64)
    with torch.no_grad():
        output = network(inputs, torch.arange(LENGTH))
    torch.testing.assert_close(output, network.norm(inputs), atol=0.2, rtol=0)


def test_copies_share_nothing(inputs, columns):
    network = transformer()
    with torch.no_grad():
        expected = network(inputs, columns)
        copy.deepcopy(network).blocks[0].expand.weight.zero_()
        assert torch.equal(network(inputs, columns), expected)


def test_a_width_that_heads_cannot_share_is_refused():
    with pytest.raises(ValueError, match="width = 16 must be a multiple of twice num_heads = 3"):
        transformer(num_heads=3)
