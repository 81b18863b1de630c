from itertools import islice

import pytest
import torch

from networks import Sampling, sample_codes, stream_columns
from networks.prior.best_of_n import class_evidence, stream_best_columns
from tests.helpers.tiny_networks import tiny_prior

SAMPLING = Sampling()
LABELS = torch.tensor([2, 0])
SEEDS = [[1, 2, 3, 4], [5, 6, 7, 8]]


def evidence_of_one(prior, codes, label):
    """As `class_evidence`, written out for one sequence, by Bayes' rule over the codes one after the other."""
    posterior = torch.ones(prior.num_classes, dtype=torch.double) / prior.num_classes
    for place in range(len(codes)):
        for each in range(prior.num_classes):
            logits = prior(codes[None, : place + 1], torch.tensor([each]))[0, place]
            posterior[each] *= logits.double().softmax(0)[codes[place]]
        posterior /= posterior.sum()
    return torch.log(posterior[label] / (posterior.sum() - posterior[label])) + torch.log(
        torch.tensor(prior.num_classes - 1.0)
    )


@torch.no_grad()
def test_evidence_is_the_log_odds_of_the_class():
    prior = tiny_prior()
    codes = torch.randint(11, (10, 16), generator=torch.Generator().manual_seed(0))
    labels = torch.arange(10) % 3
    expected = [evidence_of_one(prior, row, label) for row, label in zip(codes, labels, strict=True)]
    found = class_evidence(prior, codes, labels) + torch.log(torch.tensor(2.0))
    torch.testing.assert_close(found, torch.stack(expected).float(), atol=1e-3, rtol=1e-4)


def test_codes_that_say_nothing_of_the_class_have_even_odds():
    prior = tiny_prior(num_classes=2)
    prior.class_embedding.weight.data[1] = prior.class_embedding.weight.data[0]
    codes = torch.randint(11, (3, 16))
    torch.testing.assert_close(class_evidence(prior, codes, torch.tensor([0, 1, 1])), torch.zeros(3))


def test_sampled_codes_speak_for_their_class():
    prior = tiny_prior()
    labels = torch.arange(30) % 3
    codes = sample_codes(prior, labels, 4, list(range(30)), SAMPLING)
    assert class_evidence(prior, codes, labels).mean() > class_evidence(prior, codes, (labels + 1) % 3).mean() + 1


def test_the_candidate_with_the_most_evidence_is_kept_and_goes_on():
    prior = tiny_prior()
    found = torch.stack(list(islice(stream_best_columns(prior, LABELS, SEEDS, SAMPLING), 11)), dim=1)
    for row, label in enumerate(LABELS.tolist()):
        alone = [
            torch.stack(list(islice(stream_columns(prior, LABELS[row : row + 1], [seed], SAMPLING), 11)), dim=1)
            for seed in SEEDS[row]
        ]
        windows = torch.cat([columns[:, :4].flatten(1) for columns in alone])
        best = class_evidence(prior, windows, torch.full((4,), label)).argmax()
        assert torch.equal(found[row], alone[best][0])


def test_a_row_is_chosen_as_it_is_alone():
    prior = tiny_prior()
    together = torch.stack(list(islice(stream_best_columns(prior, LABELS, SEEDS, SAMPLING), 4)))
    alone = torch.stack(list(islice(stream_best_columns(prior, LABELS[1:], SEEDS[1:], SAMPLING), 4)))
    assert torch.equal(together[:, 1:], alone)


@pytest.mark.parametrize(("num_classes", "seeds"), [(1, [[3, 4]]), (3, [[3]])], ids=["one class", "one candidate"])
def test_where_there_is_nothing_to_choose_the_first_is_taken(num_classes, seeds):
    prior, label = tiny_prior(num_classes=num_classes), torch.tensor([0])
    found = torch.stack(list(islice(stream_best_columns(prior, label, seeds, SAMPLING), 9)))
    expected = torch.stack(list(islice(stream_columns(prior, label, [3], SAMPLING), 9)))
    assert torch.equal(found, expected)
