import pytest
import torch

from metrics import ClassHead

NUM_SOUNDS = 60


def sounds(num_classes: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, list[str]]:
    """Clouds, one a class, of very different scales; two sounds of each recording."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(NUM_SOUNDS) * num_classes // NUM_SOUNDS
    points = torch.randn(NUM_SOUNDS, 4, generator=generator)
    points[torch.arange(NUM_SOUNDS), labels] += 4.0
    return points * torch.tensor([1e-3, 1.0, 1e3, 0.0]), labels, [f"recording {n // 2}" for n in range(NUM_SOUNDS)]


def test_new_sounds_are_named_and_the_scores_are_probabilities():
    head = ClassHead(*sounds())
    points, labels, _ = sounds(seed=1)
    scores = head.score(points, ["new"] * NUM_SOUNDS)
    assert scores.shape == (NUM_SOUNDS, 3)
    assert torch.allclose(scores.sum(dim=1), torch.ones(NUM_SOUNDS, dtype=torch.float64))
    assert (scores.argmax(dim=1) == labels).double().mean() > 0.9


def test_a_rare_class_counts_as_much_as_a_frequent_one():
    """Both classes are one cloud, so that only their numbers of sounds could decide."""
    points = torch.randn(80, 2, generator=torch.Generator().manual_seed(0))
    labels = (torch.arange(80) >= 70).long()
    scores = ClassHead(points, labels, [str(number) for number in range(80)]).score(points, ["new"] * 80)
    assert scores[:, 1].mean() == pytest.approx(0.5, abs=0.1)


def test_no_sound_is_scored_by_a_regression_that_knows_its_recording():
    """Each recording has a dimension of its own, so that it is named only if it is known."""
    points, labels, groups = torch.eye(20), torch.arange(20) % 2, [f"recording {number}" for number in range(20)]
    head = ClassHead(points, labels, groups)
    as_new = head.score(points, ["new"] * 20)
    assert torch.equal(as_new.argmax(dim=1), labels)
    own = head.score(points, groups).gather(1, labels[:, None])[:, 0]
    assert (own < 0.5 + 1e-6).all()


@pytest.mark.parametrize(
    ("labels", "num_recordings", "found"),
    [([0] * 6, 6, r"\[6\]"), ([0, 0, 0, 1, 1, 1], 1, r"\[1, 1\]"), ([0, 0, 0, 2, 2, 2], 6, r"\[3, 0, 3\]")],
)
def test_too_few_classes_or_recordings_are_refused(labels, num_recordings, found):
    groups = [f"{label} {number % num_recordings}" for number, label in enumerate(labels)]
    with pytest.raises(ValueError, match=f"2 or more recordings of each of 2 or more classes, found {found}"):
        ClassHead(torch.randn(6, 3), torch.tensor(labels), groups)
