import logging
import re
from pathlib import Path

import pytest

from datamodules.files.data_root import (
    check_num_classes,
    leave_out_unreadable,
    list_classes,
    list_files,
    natural_key,
    root_key,
)


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_natural_order_counts():
    names = ["cat_10.wav", "cat_2.wav", "Cat_1.wav", "cat.wav", "cat_2b.wav", "10.wav", "9.wav"]
    expected = ["9.wav", "10.wav", "cat.wav", "Cat_1.wav", "cat_2.wav", "cat_2b.wav", "cat_10.wav"]
    assert sorted(names, key=natural_key) == expected


def test_files_are_listed_by_class_in_natural_order_without_hidden_ones(tmp_path):
    touch(tmp_path, "sounds/dog/b.wav", "sounds/cat/c_10.wav", "sounds/cat/c_9.wav", "sounds/cat/.DS_Store")
    touch(tmp_path, "sounds/.hidden/x.wav", "sounds/README.txt")
    assert list_classes(tmp_path, "sounds") == ["cat", "dog"]
    assert list_files(tmp_path, "sounds") == ["cat/c_9.wav", "cat/c_10.wav", "dog/b.wav"]


def test_each_kind_stands_alone(tmp_path):
    assert list_classes(touch(tmp_path / "a", "sounds/cat/1.wav"), "sounds") == ["cat"]
    assert list_classes(touch(tmp_path / "b", "photos/cat/1.png"), "photos") == ["cat"]


@pytest.mark.parametrize("kind", ["sounds", "photos"])
def test_unequal_classes_are_both_shown(tmp_path, kind):
    touch(tmp_path, "sounds/cat/1.wav", "sounds/dog/1.wav", "photos/cat/1.png", "photos/dogs/1.png")
    with pytest.raises(ValueError, match=re.escape("'dog']")) as error:
        list_classes(tmp_path, kind)
    assert "['cat', 'dogs']" in str(error.value)


def test_missing_folders_say_what_was_expected_and_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*Expected <root>/sounds/<class>"):
        list_classes(tmp_path / "nowhere", "sounds")
    touch(tmp_path, "nested/sounds/cat/1.wav")
    with pytest.raises(FileNotFoundError, match=r"no sounds/ in .*only \['nested'\]"):
        list_classes(tmp_path, "sounds")
    touch(tmp_path, "photos/loose.png")
    with pytest.raises(FileNotFoundError, match=r"no folder of a class, only \['loose.png'\]"):
        list_classes(tmp_path, "photos")


def test_an_empty_class_and_a_folder_within_a_class_are_named(tmp_path):
    touch(tmp_path, "sounds/cat/1.wav")
    (tmp_path / "sounds/dog").mkdir()
    with pytest.raises(FileNotFoundError, match=r"dog.* is empty"):
        list_files(tmp_path, "sounds")
    touch(tmp_path, "sounds/dog/more/1.wav")
    with pytest.raises(ValueError, match=r"dog.*\['more'\]"):
        list_files(tmp_path, "sounds")


def test_num_classes_must_be_that_of_the_folders():
    check_num_classes(2, ["cat", "dog"])
    with pytest.raises(ValueError, match=r"num_classes is 3, but the data has 2 classes: \['cat', 'dog'\]"):
        check_num_classes(3, ["cat", "dog"])


def test_unreadable_files_are_named_once_and_left_out(caplog):
    names = [f"cat/{number}.wav" for number in range(10)]
    with caplog.at_level(logging.WARNING):
        assert leave_out_unreadable(names, {"cat/3.wav": "not a sound"}) == names[:3] + names[4:]
    [message] = caplog.messages
    assert "1 unreadable" in message
    assert "cat/3.wav: not a sound" in message


def test_more_than_a_tenth_unreadable_is_an_error_that_names_them():
    names = [f"cat/{number}.wav" for number in range(100)] + [f"dog/{number}.wav" for number in range(19)]
    with pytest.raises(ValueError, match="2 of the 19 files of class 'dog'") as error:
        leave_out_unreadable(names, {"dog/3.wav": "torn", "dog/4.wav": "empty", "cat/5.wav": "torn"})
    assert "dog/3.wav: torn\n  dog/4.wav: empty" in str(error.value)
    assert "cat/5.wav" not in str(error.value)


def test_roots_of_the_same_name_have_different_keys(tmp_path, monkeypatch):
    keys = {root_key(tmp_path / "a/data"), root_key(tmp_path / "b/data")}
    assert len(keys) == 2
    assert all(key.startswith("data-") for key in keys)
    monkeypatch.chdir(tmp_path)
    assert root_key("a/data") in keys
