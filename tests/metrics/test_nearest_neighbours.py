import numpy as np
import pytest
import torch

from metrics import Estimate, NearestNeighbourDistance

DIMENSIONS = 6


def sounds(num: int, seed: int) -> torch.Tensor:
    return torch.randn(num, DIMENSIONS, generator=torch.Generator().manual_seed(seed))


def figures(generated: torch.Tensor, train=None, test=None) -> dict[str, Estimate]:
    parts = {"train": sounds(80, 0) if train is None else train, "test": sounds(60, 1) if test is None else test}
    metric = NearestNeighbourDistance()
    for part, embeddings in (parts | {"generated": generated}).items():
        metric.update(embeddings, [f"{part}{index}" for index in range(len(embeddings))], part)
    return metric.compute()


def cosine_distance(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return 1 - torch.nn.functional.cosine_similarity(left[:, None].double(), right[None].double(), dim=-1)


def test_the_values_are_those_of_plain_distances():
    generated = sounds(50, 2)
    found = figures(generated)
    nearest = cosine_distance(generated, sounds(80, 0)).min(dim=1).values.numpy()
    assert found["generated_to_train"].value == pytest.approx(np.median(nearest))
    assert found["generated_to_train_5th"].value == pytest.approx(np.quantile(nearest, 0.05))
    among = cosine_distance(generated, generated)[~torch.eye(50, dtype=torch.bool)]
    assert found["generated_spread"].value == pytest.approx(among.mean().item())
    assert found["generated_spread"].num_sounds == 50
    assert found["test_spread"].num_sounds == 60


def test_a_copier_is_found_out():
    found = figures(3 * sounds(80, 0)[:50])  # louder copies
    assert found["ratio"].value == pytest.approx(0, abs=1e-9)
    assert found["ratio"].high < 1e-9
    assert found["spread_ratio"].value == pytest.approx(1, abs=0.1), "its sounds are as varied as real ones"


def test_who_copies_now_and_then_is_found_out_by_the_5th_percentile():
    found = figures(torch.cat([sounds(80, 0)[:10], sounds(50, 2)]))
    assert found["ratio_5th"].value == pytest.approx(0, abs=1e-9)
    assert found["ratio"].value > 0.6


def test_a_fresh_sample_is_as_far_off_as_real_sounds():
    found = figures(sounds(60, 2))
    for name in ("ratio", "spread_ratio"):
        assert found[name].value == pytest.approx(1, abs=0.25)
        assert found[name].low < 1 < found[name].high


def test_a_model_that_knows_one_sound_is_found_out():
    found = figures(sounds(1, 2).expand(40, -1) + 0.01 * sounds(40, 3))
    assert found["spread_ratio"].high < 0.01
    assert found["ratio"].value > 0.3, "which does not show in the distance to training"


def test_pairs_of_one_recording_do_not_count_as_lack_of_variety():
    metric = NearestNeighbourDistance()
    metric.update(sounds(80, 0), [str(index) for index in range(80)], "train")
    metric.update(sounds(30, 1).repeat(2, 1), [f"test{index}" for index in range(30)] * 2, "test")
    metric.update(sounds(30, 1), [f"generated{index}" for index in range(30)], "generated")
    assert metric.compute()["spread_ratio"].value == pytest.approx(1)


def test_test_sounds_among_the_training_sounds_give_figures_that_are_finite():
    found = figures(sounds(40, 2), test=sounds(80, 0)[:20])
    assert all(np.isfinite([e.value, e.low, e.high]).all() for e in found.values())
    assert found["test_to_train"].value == 0
    assert found["ratio"].value > 1e6


def test_few_recordings_are_remarked_on_where_they_matter():
    found = figures(sounds(10, 2))
    assert "only 10 recordings" in found["generated_to_train"].remark
    assert "only 10 recordings" in found["ratio"].remark
    assert found["test_to_train"].remark == ""


def test_unknown_parts_are_named():
    with pytest.raises(ValueError, match="found 'val'"):
        NearestNeighbourDistance().update(sounds(1, 0), ["a"], "val")
