import pickle

import pytest
import torch

from metrics import ClassAgreement

TAGS = ["Speech", "Animal", "Dog", "Bark", "Yip", "Howl", "Bow-wow", "Growling", "Whimper (dog)", "Cat", "Purr"]
TAGS += ["Meow", "Hiss", "Caterwaul", "Frog"]


def scores(*heard: dict[str, float]) -> torch.Tensor:
    rows = torch.full((len(heard), len(TAGS)), 0.01)
    for row, own in zip(rows, heard, strict=True):
        for name, score in own.items():
            row[TAGS.index(name)] = score
    return rows


def shares(rows, labels, groups=None, classes=("cat", "dog"), **options):
    metric = ClassAgreement(TAGS, classes, **options)
    metric.update(rows, torch.tensor(labels), groups or [str(index) for index in range(len(labels))])
    return metric.compute()


def test_the_loudest_of_a_classs_words_decides():
    rows = scores({"Meow": 0.5, "Dog": 0.4}, {"Hiss": 0.3, "Bow-wow": 0.4}, {"Howl": 0.02, "Speech": 0.9})
    found = shares(rows, [0, 0, 1])
    assert found["forced_choice"].value == pytest.approx(2 / 3)
    assert found["forced_choice/cat"].value == pytest.approx(1 / 2)
    assert found["forced_choice/dog"].value == 1
    assert found["forced_choice/cat"].num_sounds == 2


def test_heard_is_what_scores_above_a_tenth_as_itself_or_as_an_animal():
    rows = scores({"Meow": 0.11}, {"Meow": 0.1}, {"Dog": 0.9}, {"Animal": 0.2}, {"Speech": 1.0})
    found = shares(rows, [0] * 5)
    assert found["heard"].value == pytest.approx(2 / 5)
    assert found["named"].value == pytest.approx(1 / 5)
    assert found["heard/cat"] == found["heard"]


def test_classes_that_were_not_seen_have_no_figure():
    names = ("forced_choice", "named", "heard")
    assert shares(scores({"Cat": 1.0}), [0]).keys() == {*names, *(f"{name}/cat" for name in names)}


def test_where_all_agree_the_interval_still_has_doubt():
    """12 of 12 recordings: Clopper and Pearson give 0.735 to 1, and 0 to 0.265 for none."""
    groups = [f"recording {index // 2}" for index in range(24)]
    found = shares(scores(*[{"Cat": 0.5}] * 24), [0] * 24, groups)["forced_choice"]
    assert (found.value, found.low, found.high) == (1, pytest.approx(0.7354, abs=1e-4), 1)
    found = shares(scores(*[{"Dog": 0.5}] * 24), [0] * 24, groups)["forced_choice"]
    assert (found.value, found.low, found.high) == (0, 0, pytest.approx(0.2646, abs=1e-4))
    assert "only 12 recordings" in found.remark


def test_the_interval_is_that_of_a_share_of_recordings():
    rows = scores(*[{"Cat": 0.5}] * 60, *[{"Dog": 0.5}] * 40)
    found = shares(rows, [0] * 100)["forced_choice"]
    assert (found.value, found.low, found.high) == pytest.approx((0.6, 0.504, 0.696), abs=0.02)
    in_tens = shares(rows, [0] * 100, [str(index // 10) for index in range(100)])["forced_choice"]
    assert in_tens.high - in_tens.low > 2 * (found.high - found.low)


def test_words_may_be_given_or_be_the_classs_name():
    rows = scores({"Frog": 0.5}, {"Speech": 0.5})
    found = shares(rows, [0, 1], classes=("frog", "people"), words={"people": ["Speech"]})
    assert found["forced_choice"].value == 1
    assert shares(scores({"Purr": 0.5}), [0], words={"cat": ["Meow"], "dog": ["Purr"]})["forced_choice"].value == 0


def test_a_class_without_words_is_named():
    with pytest.raises(ValueError, match="no class 'goat'; name those"):
        ClassAgreement(TAGS, ["cat", "goat"])


def test_words_that_the_tagger_does_not_know_are_named():
    with pytest.raises(ValueError, match=r"class 'cat' .*\['Miaow'\]"):
        ClassAgreement(TAGS, ["cat"], {"cat": ["Meow", "Miaow"]})


def test_scores_of_another_tagger_are_refused():
    with pytest.raises(ValueError, match=r"scores \(sounds, 15\)"):
        shares(torch.zeros(2, 10), [0, 1])


def test_batches_copies_and_resets():
    rows, labels = scores({"Cat": 0.5}, {"Dog": 0.5}, {"Dog": 0.5}), torch.tensor([0, 0, 1])
    metric = ClassAgreement(TAGS, ["cat", "dog"])
    metric.update(rows[:1], labels[:1], ["0"])
    metric.update(rows[1:], labels[1:], ["1", "2"])
    assert metric.compute() == shares(rows, labels.tolist())
    assert pickle.loads(pickle.dumps(metric)).compute() == metric.clone().compute() == metric.compute()
    metric.reset()
    metric.update(rows[:1], labels[:1], ["0"])
    assert metric.compute()["forced_choice"].num_sounds == 1


def test_nothing_added_is_an_error():
    with pytest.warns(UserWarning, match="before"), pytest.raises(ValueError, match="found none"):
        ClassAgreement(TAGS, ["cat"]).compute()
