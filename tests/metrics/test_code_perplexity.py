import math

import pytest
import torch
from torchmetrics.text import Perplexity

from metrics import CodePerplexity

NUM_CODES, NUM_CLASSES, LENGTH = 8, 3, 5


def random_batch(num: int = 12):
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(num, LENGTH, NUM_CODES, generator=generator)
    codes = torch.randint(NUM_CODES, (num, LENGTH), generator=generator)
    return logits, codes, torch.randint(NUM_CLASSES, (num,), generator=generator)


def figures_of(*batches, num_classes: int = NUM_CLASSES) -> dict[str, float]:
    metric = CodePerplexity(NUM_CODES, num_classes)
    for batch in batches:
        metric.update(*batch)
    return {name: value.item() for name, value in metric.compute().items()}


def test_perplexity_is_torchmetrics_for_all_and_for_each_class():
    logits, codes, labels = random_batch()
    figures = figures_of((logits, codes, labels))
    everything = Perplexity()
    assert figures["perplexity"] == pytest.approx(everything(logits, codes).item(), rel=1e-5)
    assert figures["loss"] == pytest.approx(math.log(figures["perplexity"]), rel=1e-5)
    assert figures["bits_per_code"] == pytest.approx(math.log2(figures["perplexity"]), rel=1e-5)
    for label in range(NUM_CLASSES):
        own = Perplexity()
        chosen = labels == label
        assert figures[f"perplexity/{label}"] == pytest.approx(own(logits[chosen], codes[chosen]).item(), rel=1e-5)


def test_the_division_into_batches_does_not_matter():
    batch = random_batch()
    whole = figures_of(batch)
    parts = figures_of(*[[values[start:end] for values in batch] for start, end in ((0, 1), (1, 8), (8, 12))])
    assert parts == pytest.approx(whole, rel=1e-6)


def test_a_prior_that_knows_nothing_has_the_codebooks_size():
    codes = torch.arange(NUM_CODES).expand(2, -1)
    figures = figures_of((torch.zeros(2, NUM_CODES, NUM_CODES), codes, torch.tensor([0, 1])))
    assert figures["perplexity"] == pytest.approx(NUM_CODES)
    assert figures["unigram_perplexity"] == pytest.approx(NUM_CODES)
    assert figures["bits_gained"] == pytest.approx(0.0, abs=1e-6)


def test_a_prior_that_knows_all_gains_every_bit():
    codes = torch.arange(NUM_CODES)[None]
    logits = 100 * torch.nn.functional.one_hot(codes, NUM_CODES).float()
    figures = figures_of((logits, codes, torch.tensor([2])))
    assert figures["perplexity"] == pytest.approx(1.0)
    assert figures["bits_gained"] == pytest.approx(3.0)
    assert figures["codes_in_use"] == NUM_CODES


def test_the_codes_frequencies_alone_gain_nothing():
    codes = torch.tensor([[0, 0, 1, 2]])
    log_frequencies = torch.tensor([0.5, 0.25, 0.25] + [1e-30] * 5).log()
    figures = figures_of((log_frequencies.expand(1, 4, -1), codes, torch.tensor([0])))
    assert figures["perplexity"] == pytest.approx(2**1.5)
    assert figures["bits_gained"] == pytest.approx(0.0, abs=1e-6)


def test_a_collapsed_codebook_has_perplexity_one_and_nothing_to_gain():
    codes = torch.full((2, 4), 3)
    logits = 100 * torch.nn.functional.one_hot(codes, NUM_CODES).float()
    figures = figures_of((logits, codes, torch.tensor([0, 0])))
    assert figures["perplexity"] == pytest.approx(1.0)
    assert figures["unigram_perplexity"] == pytest.approx(1.0)
    assert figures["bits_gained"] == pytest.approx(0.0, abs=1e-6)
    assert figures["codes_in_use"] == 1


def test_classes_that_were_not_seen_have_no_figure():
    logits, codes, _ = random_batch(2)
    figures = figures_of((logits, codes, torch.tensor([2, 2])))
    assert [name for name in figures if "/" in name] == ["perplexity/2"]


def test_logits_in_half_precision_count_as_in_full():
    logits, codes, labels = random_batch()
    logits = logits.bfloat16()
    assert figures_of((logits, codes, labels)) == pytest.approx(figures_of((logits.float(), codes, labels)))


def test_no_state_is_kept_in_double_precision():
    """Apple's GPUs have none."""
    assert all(state.dtype != torch.double for state in CodePerplexity(4, 2).metric_state.values())
