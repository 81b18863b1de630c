import pytest
import torch

from metrics import CodeUsage


def usage_of(*batches: torch.Tensor, num_codes: int = 8) -> dict[str, float]:
    metric = CodeUsage(num_codes)
    for codes in batches:
        metric.update(codes)
    return {name: value.item() for name, value in metric.compute().items()}


def test_codes_in_equal_use_have_their_number_as_perplexity():
    assert usage_of(torch.arange(8)) == pytest.approx({"perplexity": 8.0, "codes_in_use": 8.0})
    assert usage_of(torch.tensor([0, 3, 3, 0])) == pytest.approx({"perplexity": 2.0, "codes_in_use": 2.0})


def test_uneven_use_follows_the_closed_form():
    half_and_quarters = torch.tensor([0, 0, 1, 2])
    assert usage_of(half_and_quarters)["perplexity"] == pytest.approx(2**1.5)


def test_a_collapsed_codebook_has_perplexity_one():
    assert usage_of(torch.full((2, 3, 4), 5)) == {"perplexity": 1.0, "codes_in_use": 1.0}


def test_neither_the_division_into_batches_nor_the_shape_matters():
    codes = torch.randint(8, (6, 5, 4), generator=torch.Generator().manual_seed(0))
    assert usage_of(codes) == usage_of(codes[:1], codes[1:4], codes[4:]) == usage_of(codes.flatten())


def test_a_reset_forgets():
    metric = CodeUsage(4)
    metric.update(torch.arange(4))
    metric.reset()
    metric.update(torch.zeros(3, dtype=torch.long))
    assert metric.compute()["codes_in_use"] == 1
