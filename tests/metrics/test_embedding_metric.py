import pickle

import pytest
import torch

from metrics import FrechetAudioDistance, KernelAudioDistance, NearestNeighbourDistance

METRICS = [FrechetAudioDistance, KernelAudioDistance]


def sounds(num: int = 20, seed: int = 0) -> tuple[torch.Tensor, list[str]]:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num, 4, generator=generator), [f"{seed}/{index // 2}" for index in range(num)]


def filled(metric):
    metric.update(*sounds(seed=0), is_reference=True)
    metric.update(*sounds(seed=1), is_reference=False)
    return metric


@pytest.mark.parametrize("kind", METRICS)
def test_neither_the_division_into_batches_nor_their_order_of_parts_matters(kind):
    whole, parts = filled(kind()), kind()
    for start, end in ((0, 1), (1, 20)):
        for seed in (1, 0):
            embeddings, groups = sounds(seed=seed)
            parts.update(embeddings[start:end], groups[start:end], is_reference=seed == 0)
    assert parts.compute() == whole.compute()


@pytest.mark.parametrize("kind", METRICS)
def test_copies_and_pickles_go_on_where_the_original_was(kind):
    metric = filled(kind())
    expected = metric.compute()
    for copy in (metric.clone(), pickle.loads(pickle.dumps(metric))):
        assert copy.compute() == expected
        copy.update(*sounds(seed=2), is_reference=False)
        assert copy.compute().num_sounds == 40


@pytest.mark.parametrize("kind", METRICS)
def test_processes_put_their_sounds_together(kind):
    """The second process has no reference sounds."""
    first, second, alone = kind(), kind(), kind()
    first.update(*sounds(seed=0), is_reference=True)
    for metric, seed in ((first, 1), (second, 2)):
        metric.update(*sounds(seed=seed), is_reference=False)
    for is_reference, seed in ((True, 0), (False, 1), (False, 2)):
        alone.update(*sounds(seed=seed), is_reference=is_reference)
    others = iter([second.embeddings[0], second.groups[0], second.parts_of[0]])
    first.dist_sync_fn = lambda state, group: [state, next(others)]
    first.distributed_available_fn = lambda: True
    assert first.compute() == alone.compute()


@pytest.mark.parametrize("kind", METRICS)
def test_a_reset_forgets_and_what_is_missing_is_named(kind):
    metric = filled(kind())
    metric.compute()
    metric.reset()
    metric.update(*sounds(), is_reference=True)
    with pytest.raises(ValueError, match="evaluated sounds of at least 2 recordings, found 0"):
        metric.compute()


def test_nothing_added_is_told_apart_from_something():
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="train sounds of at least 1 "):
        NearestNeighbourDistance().compute()


@pytest.mark.parametrize(
    ("embeddings", "groups", "message"),
    [
        (torch.zeros(4), ["a"] * 4, "Expected embeddings"),
        (torch.zeros(4, 2), ["a"] * 3, "a group for each sound, found .4, 2. and 3 groups"),
        (torch.full((1, 2), torch.nan), ["a"], "finite embeddings"),
    ],
)
def test_what_does_not_fit_is_refused(embeddings, groups, message):
    with pytest.raises(ValueError, match=message):
        KernelAudioDistance().update(embeddings, groups, is_reference=True)


def test_what_is_kept_has_no_gradient():
    metric = KernelAudioDistance()
    metric.update(torch.ones(2, 2, requires_grad=True), ["a", "b"], is_reference=True)
    assert not metric.embeddings[0].requires_grad
