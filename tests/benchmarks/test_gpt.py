import pytest
import torch
from torch.nn import functional as F

import cli
from benchmarks import generating
from benchmarks.generating import CachedGenerator, RecomputedGenerator
from benchmarks.gpt import GPT, gpt_loss, gpt_sizes, with_class_token, written_out_attention
from tests.helpers.tiny_benchmarks import tiny_gpt
from tests.helpers.tiny_networks import tiny_prior

LABELS = torch.tensor([0, 2])


@pytest.fixture
def codes() -> torch.Tensor:
    return torch.randint(11, (2, 16), generator=torch.Generator().manual_seed(0))


@torch.no_grad()
@pytest.mark.parametrize("stores_matrix", [False, True])
def test_a_position_sees_what_lies_before_it_and_nothing_else(codes, stores_matrix):
    gpt = tiny_gpt(stores_matrix=stores_matrix)
    tokens = with_class_token(gpt, codes, LABELS)
    changed = tokens.clone()
    changed[:, 8] = (changed[:, 8] + 1) % 11
    before, after = gpt(tokens), gpt(changed)
    torch.testing.assert_close(after[:, :8], before[:, :8])
    assert ((after[:, 8:] - before[:, 8:]).abs().amax(dim=(0, 2)) > 1e-4).all()


@torch.no_grad()
def test_the_class_is_seen_everywhere(codes):
    gpt = tiny_gpt()
    difference = gpt(with_class_token(gpt, codes, LABELS)) - gpt(with_class_token(gpt, codes, LABELS.flip(0)))
    assert (difference.abs().amax(dim=(0, 2)) > 1e-4).all()


@torch.no_grad()
@pytest.mark.parametrize("num_known", [0, 1, 7])
def test_a_cache_gives_the_logits_of_recomputation(codes, num_known):
    gpt = tiny_gpt()
    tokens = with_class_token(gpt, codes, LABELS)
    cache = gpt.empty_cache(2)
    if num_known:
        gpt.hidden(tokens[:, :num_known], cache)
    found = [gpt.hidden(tokens[:, [i]], cache, start=i)[:, 0] for i in range(num_known, 17)]
    torch.testing.assert_close(gpt.to_logits(torch.stack(found, dim=1)), gpt(tokens)[:, num_known:])


def test_the_matrix_changes_nothing_but_the_memory(codes):
    plain, written_out = tiny_gpt(), tiny_gpt(stores_matrix=True)
    tokens = with_class_token(plain, codes, LABELS)
    torch.testing.assert_close(written_out(tokens), plain(tokens))
    heads = torch.randn(3, 2, 2, 5, 4)
    found = written_out_attention(*heads, is_causal=False)
    torch.testing.assert_close(found, F.scaled_dot_product_attention(*heads))


@torch.inference_mode()
def test_both_ways_of_sampling_draw_the_same_codes(monkeypatch, codes):
    likeliest = []
    monkeypatch.setattr(generating, "draw", lambda logits: likeliest.append(logits.argmax(1, True)) or likeliest[-1])
    gpt = tiny_gpt()
    drawn = []
    for generator in (CachedGenerator(gpt, 2), RecomputedGenerator(gpt, 2)):
        generator.tokens = with_class_token(gpt, codes, LABELS)
        generator.begin(5)
        for _ in range(8):
            generator.step()
        drawn.append(torch.cat(likeliest, dim=1))
        likeliest.clear()
    assert torch.equal(*drawn)
    assert drawn[0].unique().numel() > 2


def test_the_loss_is_that_of_every_code(codes):
    gpt = tiny_gpt()
    expected = gpt(with_class_token(gpt, codes, LABELS))[:, :-1].log_softmax(dim=-1).gather(2, codes[..., None])
    torch.testing.assert_close(gpt_loss(gpt, codes, LABELS), -expected.mean())


@pytest.mark.parametrize(("level", "tolerance"), [("top", 0.02), ("bottom", 0.05)])
def test_its_sizes_are_those_of_a_prior(level, tolerance):
    """But for the table of positions, which the priors do not have."""
    prior = cli.main(["--config", f"{level}.yaml"], run=False).model.network
    gpt = GPT(**gpt_sizes(prior))
    assert gpt.num_positions == prior.sequence_length
    num_ours = sum(parameter.numel() for parameter in prior.parameters())
    num_theirs = sum(parameter.numel() for parameter in gpt.parameters()) - gpt.positions.weight.numel()
    assert num_theirs == pytest.approx(num_ours, rel=tolerance)


def test_sizes_come_from_the_prior():
    sizes = gpt_sizes(tiny_prior())
    assert sizes == {
        "num_codes": 11,
        "num_classes": 3,
        "num_positions": 17,
        "width": 16,
        "num_layers": 2,
        "num_heads": 2,
        "feedforward_width": 32,
        "dropout": 0.1,
    }
