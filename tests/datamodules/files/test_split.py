import json
from itertools import groupby

import numpy as np
import pytest

from datamodules.files.data_root import natural_key
from datamodules.files.split import PARTS, assign_split, decide_split, split_path


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


def test_a_new_class_is_divided_anew():
    old = assign_split(sounds("cat", 10))
    split = assign_split(sounds("cat", 10) | sounds("dog", 10), old)
    assert split == old | assign_split(sounds("dog", 10))


def test_a_part_whose_files_are_gone_is_an_error():
    weights = sounds("cat", 10)
    old = assign_split(weights)
    with pytest.raises(ValueError, match="No file of class 'cat' is left for val"):
        assign_split({name: weights[name] for name in weights if old[name] != "val"}, old)


def test_one_json_keeps_both_kinds_and_what_is_absent(tmp_path):
    cache_dir = str(tmp_path / "cache")
    weights = sounds("cat", 20)
    split = decide_split("data", cache_dir, "sounds", weights)
    decide_split("data", cache_dir, "photos", {f"cat/{number}.png": 1.0 for number in range(5)})
    absent = "cat/cat_0.wav"
    decide_split("data", cache_dir, "sounds", {name: weights[name] for name in weights if name != absent})
    stored = json.loads(split_path("data", cache_dir).read_text())
    assert stored["sounds"] == split
    assert len(stored["photos"]) == 5
    assert [path.name for path in split_path("data", cache_dir).parent.iterdir()] == ["split.json"]


def test_the_json_decides_when_files_are_added(tmp_path):
    first = decide_split("data", str(tmp_path), "sounds", sounds("cat", 20))
    more = decide_split("data", str(tmp_path), "sounds", sounds("cat", 60))
    assert first.items() <= more.items()
    assert more != assign_split(sounds("cat", 60))
    assert decide_split("data", str(tmp_path), "sounds", sounds("cat", 60)) == more


def test_the_split_of_a_checkpoint_wins_over_the_json_and_leaves_it_alone(tmp_path):
    weights = sounds("cat", 20)
    decide_split("data", str(tmp_path), "sounds", weights)
    before = split_path("data", str(tmp_path)).read_text()
    stored = dict(zip(weights, ["test"] * 5 + ["val"] * 5 + ["train"] * 10, strict=True))
    assert decide_split("data", str(tmp_path), "sounds", weights, stored) == stored
    assert split_path("data", str(tmp_path)).read_text() == before
