import json
from dataclasses import replace
from itertools import groupby

import numpy as np
import pytest

from datamodules.files.data_root import DataRoot, natural_key
from datamodules.files.split import PARTS, assign_split, decide_split, split_of_kind


def sounds(class_name: str, num: int, seed: int = 0) -> dict[str, float]:
    seconds = np.random.default_rng(seed).uniform(1, 18, num)
    return {f"{class_name}/{class_name}_{number}.wav": seconds[number] for number in range(num)}


def test_parts_are_shares_of_the_seconds_of_each_class():
    weights = sounds("cat", 100) | sounds("dog", 60, seed=1)
    split = assign_split(weights)
    assert split.keys() == weights.keys()
    for class_name in ("cat", "dog"):
        total = sum(seconds for name, seconds in weights.items() if name.startswith(class_name))
        for part, share in zip(PARTS, (0.7, 0.15, 0.15), strict=True):
            seconds = sum(weights[name] for name in split if split[name] == part and name.startswith(class_name))
            assert seconds / total == pytest.approx(share, abs=0.03)


def test_parts_are_weighed_not_counted():
    weights = {f"cat/{number}.wav": 10.0 if number < 5 else 1.0 for number in range(55)}
    num_train = sum(part == "train" for part in assign_split(weights).values())
    assert num_train == 5 + 20  # 70 of 100 seconds


def test_parts_are_contiguous_in_natural_order():
    split = assign_split(sounds("cat", 40))
    parts = [split[name] for name in sorted(split, key=natural_key)]
    assert [part for part, _ in groupby(parts)] == ["train", "val", "test"]


@pytest.mark.parametrize(
    "seconds", [[1, 1, 1], [100, 1, 1], [1, 1, 100], [1, 100, 1], [50, 50, 1, 1], [1, 1, 1, 1, 99]]
)
def test_no_part_lacks_a_class(seconds):
    split = assign_split({f"cat/{number}.wav": weight for number, weight in enumerate(seconds)} | sounds("dog", 30))
    for class_name in ("cat", "dog"):
        assert {part for name, part in split.items() if name.startswith(class_name)} == set(PARTS)


def test_a_class_of_two_files_is_an_error():
    with pytest.raises(ValueError, match="'dog' has 2 readable files, expected at least 3"):
        assign_split(sounds("cat", 10) | sounds("dog", 2))


def test_new_files_join_their_neighbours_and_old_ones_stay():
    old = assign_split({f"cat/cat_{number}.wav": 1.0 for number in range(10, 50, 2)})
    new = {f"cat/cat_{number}.wav": 1.0 for number in range(5, 60)}
    split = assign_split(new, old)
    assert {name: split[name] for name in old} == old
    for number in range(10, 49, 2):
        assert split[f"cat/cat_{number + 1}.wav"] == old[f"cat/cat_{number}.wav"]
    assert split["cat/cat_5.wav"] == "train"  # nothing stored before it: as the one after it
    assert split["cat/cat_59.wav"] == "test"


def test_a_new_class_is_divided_again():
    old = assign_split(sounds("cat", 10))
    split = assign_split(sounds("cat", 10) | sounds("dog", 10), old)
    assert split == old | assign_split(sounds("dog", 10))


def test_a_part_whose_files_are_gone_is_an_error():
    weights = sounds("cat", 10)
    old = assign_split(weights)
    with pytest.raises(ValueError, match="No file of class 'cat' is left for val"):
        assign_split({name: weights[name] for name in weights if old[name] != "val"}, old)


@pytest.fixture
def root(tmp_path) -> DataRoot:
    return DataRoot("data", str(tmp_path / "cache"))


def test_one_json_keeps_each_kind_and_what_is_absent(root):
    weights = sounds("cat", 20)
    split = decide_split(root, "sounds", weights)
    decide_split(root, "photos", {f"cat/{number}.png": 1.0 for number in range(5)})
    absent = "cat/cat_0.wav"
    decide_split(root, "sounds", {name: weights[name] for name in weights if name != absent})
    stored = json.loads((root.cache / "split.json").read_text())
    assert stored["sounds"] == split
    assert len(stored["photos"]) == 5
    assert [path.name for path in root.cache.iterdir()] == ["split.json"]


def test_files_of_one_name_and_two_kinds_have_a_part_each(root):
    weights = {f"cat/{number}": 1.0 for number in range(10)}
    photos = decide_split(root, "photos", weights)
    sounds = decide_split(root, "sounds", {name: 100.0 if name == "cat/0" else 1.0 for name in weights})
    assert (photos["cat/5"], sounds["cat/5"]) == ("train", "test")
    assert split_of_kind(json.loads((root.cache / "split.json").read_text()), "photos") == photos


def test_the_json_decides_when_files_are_added(root):
    first = decide_split(root, "sounds", sounds("cat", 20))
    more = decide_split(root, "sounds", sounds("cat", 60))
    assert first.items() <= more.items()
    assert more != assign_split(sounds("cat", 60))
    assert decide_split(root, "sounds", sounds("cat", 60)) == more


@pytest.mark.parametrize("form", ["of one kind", "by kind"])
def test_the_split_of_a_checkpoint_wins_over_the_json_and_leaves_it_alone(root, form):
    weights = sounds("cat", 20)
    decide_split(root, "sounds", weights)
    before = (root.cache / "split.json").read_text()
    stored = dict(zip(weights, ["test"] * 5 + ["val"] * 5 + ["train"] * 10, strict=True))
    given = replace(root, stored_split=stored if form == "of one kind" else {"sounds": stored, "photos": {}})
    assert decide_split(given, "sounds", weights) == stored
    assert (root.cache / "split.json").read_text() == before


def test_an_old_split_knows_its_files_in_any_unicode_form():
    assert split_of_kind({"me\u0301sange/e\u0301.wav": "val"}, "sounds") == {"m\u00e9sange/e\u0301.wav": "val"}
    assert split_of_kind({}, "sounds") == split_of_kind({"photos": {"cat/1.png": "val"}}, "sounds") == {}


def parts_of_groups(split: dict[str, str], groups: dict[str, str]) -> dict[str, set[str]]:
    return {group: {split[name] for name in groups if groups[name] == group} for group in groups.values()}


def test_groups_stay_in_one_part_and_parts_keep_their_shares():
    weights = sounds("cat", 100)
    groups = {name: f"take {number // 7}" for number, name in enumerate(weights)}
    split = assign_split(weights, groups=groups)
    assert all(len(parts) == 1 for parts in parts_of_groups(split, groups).values())
    for part, share in zip(PARTS, (0.7, 0.15, 0.15), strict=True):
        own = sum(weights[name] for name in split if split[name] == part)
        assert own / sum(weights.values()) == pytest.approx(share, abs=0.08)
    assert split != assign_split(weights)


def test_scattered_groups_stay_together_and_single_files_are_their_own():
    names = [f"cat/{number}.wav" for number in range(40)]
    groups = {name: f"breed {number % 5}" for number, name in enumerate(names[:20])}
    split = assign_split(dict.fromkeys(names, 1.0), groups=groups)
    assert all(len(parts) == 1 for parts in parts_of_groups(split, groups).values())
    assert set(split.values()) == set(PARTS)


def test_a_group_of_several_classes_is_on_one_side_of_all():
    names = [f"{instrument}/{pitch}.wav" for instrument in ("flute", "organ") for pitch in range(30, 60)]
    weights = {name: 1.0 if name.startswith("flute") else float(number) for number, name in enumerate(names)}
    groups = {name: name.split("/")[1] for name in names}
    split = assign_split(weights, groups=groups)
    assert all(split[f"flute/{pitch}.wav"] == split[f"organ/{pitch}.wav"] for pitch in range(30, 60))
    assert split["organ/30.wav"] == "train"


def test_a_class_whose_groups_are_all_in_training_is_an_error():
    groups = {f"{name}/{number}.wav": str(number) for name in ("cat", "dog") for number in range(20)}
    weights = {
        name: 1.0 for name in groups if name.startswith("cat") or name in ("dog/1.wav", "dog/2.wav", "dog/3.wav")
    }
    with pytest.raises(
        ValueError,
        match=r"'dog' has 0 readable files, expected at least 2: .* val, test.* 3 groups that other classes share",
    ):
        assign_split(weights, groups=groups)


def test_too_few_groups_are_an_error():
    weights = sounds("cat", 20)
    with pytest.raises(
        ValueError, match=r"'cat' has 2 readable files, expected at least 3.*Files of a group count as one"
    ):
        assign_split(weights, groups={name: str(number % 2) for number, name in enumerate(weights)})


def test_stored_files_keep_their_part_and_new_ones_join_their_group():
    old = assign_split(sounds("cat", 20))
    new = sounds("cat", 23)
    in_val = next(name for name in old if old[name] == "val")
    groups = {in_val: "a", "cat/cat_20.wav": "a", "cat/cat_21.wav": "b", "cat/cat_22.wav": "b"}
    split = assign_split(new, old, groups)
    assert old.items() <= split.items()
    assert [split[f"cat/cat_{number}.wav"] for number in (20, 21, 22)] == ["val", "test", "test"]


def test_a_group_that_an_earlier_split_tore_is_named(root, capsys):
    weights = sounds("cat", 20)
    decide_split(root, "sounds", weights)
    decide_split(replace(root, group_pattern=r"cat_\d*(\d)\."), "sounds", weights)
    [message] = capsys.readouterr().out.splitlines()
    assert "groups of sounds/ are in several parts" in message
