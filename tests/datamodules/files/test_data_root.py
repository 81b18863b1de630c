import re
from pathlib import Path

import pytest

from datamodules.files.data_root import (
    DataRoot,
    check_num_classes,
    natural_key,
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
    assert DataRoot(tmp_path).list_classes("sounds") == ["cat", "dog"]
    assert list(DataRoot(tmp_path).files("sounds")) == ["cat/c_9.wav", "cat/c_10.wav", "dog/b.wav"]


def test_each_kind_stands_alone(tmp_path):
    assert DataRoot(touch(tmp_path / "a", "sounds/cat/1.wav")).list_classes("sounds") == ["cat"]
    assert DataRoot(touch(tmp_path / "b", "photos/cat/1.png")).list_classes("photos") == ["cat"]


@pytest.mark.parametrize("kinds", [("sounds", "photos"), ("photos", "sounds")])
def test_unequal_classes_of_needed_kinds_are_both_shown(tmp_path, kinds):
    touch(tmp_path, "sounds/cat/1.wav", "sounds/dog/1.wav", "photos/cat/1.png", "photos/dogs/1.png")
    with pytest.raises(ValueError, match=re.escape("'dog']")) as error:
        DataRoot(tmp_path).list_classes(*kinds)
    assert "['cat', 'dogs']" in str(error.value)


def test_a_kind_that_is_not_needed_may_have_other_classes_which_is_said(tmp_path, capsys):
    touch(tmp_path, "sounds/cat/1.wav", "sounds/dog/1.wav", "photos/cat/1.png", "photos/dogs/1.png")
    touch(tmp_path, "downloads/old/1.zip", "captions/cat/1.txt", "captions/dog/1.txt")
    assert DataRoot(tmp_path).list_classes("sounds") == ["cat", "dog"]
    [message] = capsys.readouterr().out.splitlines()
    assert "sounds/ has the classes ['cat', 'dog'] and photos/ has ['cat', 'dogs']" in message


def test_chosen_classes_are_those_of_all_kinds_in_the_order_of_the_folders(tmp_path, capsys):
    touch(tmp_path, "sounds/cat/1.wav", "sounds/cow/1.wav", "sounds/dog/1.wav", "photos/cat/1.png", "photos/dog/1.png")
    root = DataRoot(tmp_path, classes=["dog", "cat"])
    assert root.list_classes("sounds", "photos") == root.list_classes("sounds") == ["cat", "dog"]
    assert not capsys.readouterr().out
    assert list(root.files("sounds")) == ["cat/1.wav", "dog/1.wav"]
    with pytest.raises(ValueError, match=r"names \['cow'\], but photos/ in .* has the classes \['cat', 'dog'\]"):
        DataRoot(tmp_path, classes=["cat", "cow"]).list_classes("sounds", "photos")
    with pytest.raises(ValueError, match=r"classes is \[\], expected null"):
        DataRoot(tmp_path, classes=[])


def test_unicode_forms_of_a_class_are_one(tmp_path):
    touch(tmp_path, "photos/me\u0301sange/1.png", "sounds/m\u00e9sange/1.wav")
    root = DataRoot(tmp_path, classes=["me\u0301sange"])
    assert root.list_classes("photos", "sounds") == ["m\u00e9sange"]
    assert root.files("photos")["m\u00e9sange/1.png"].is_file()
    touch(tmp_path, "sounds/me\u0301sange/2.wav")
    if len(list((tmp_path / "sounds").iterdir())) == 2:  # some file systems take the two for one
        with pytest.raises(ValueError, match="two Unicode forms"):
            root.list_classes("sounds")


def test_digits_of_every_kind_are_sorted(tmp_path):
    names = ["①", "10²3.wav", "9.wav", "٣.wav", "²"]
    assert sorted(names, key=natural_key)[:3] == ["٣.wav", "9.wav", "10²3.wav"]


def test_missing_folders_say_what_was_expected_and_found(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nowhere.*Expected <root>/sounds/<class>"):
        DataRoot(tmp_path / "nowhere").list_classes("sounds")
    touch(tmp_path, "nested/sounds/cat/1.wav")
    with pytest.raises(FileNotFoundError, match=r"no sounds/ in .*only \['nested'\]"):
        DataRoot(tmp_path).list_classes("sounds")
    touch(tmp_path, "photos/loose.png")
    with pytest.raises(FileNotFoundError, match=r"no folder of a class, only \['loose.png'\]"):
        DataRoot(tmp_path).list_classes("photos")


def test_an_empty_class_and_a_folder_within_a_class_are_named(tmp_path):
    touch(tmp_path, "sounds/cat/1.wav")
    (tmp_path / "sounds/dog").mkdir()
    with pytest.raises(FileNotFoundError, match=r"dog.* is empty"):
        DataRoot(tmp_path).files("sounds")
    touch(tmp_path, "sounds/dog/more/1.wav")
    with pytest.raises(ValueError, match=r"dog.*\['more'\]"):
        DataRoot(tmp_path).files("sounds")


def test_num_classes_must_be_that_of_the_folders():
    check_num_classes(2, ["cat", "dog"])
    with pytest.raises(ValueError, match=r"num_classes is 3, but the data has 2 classes: \['cat', 'dog'\]"):
        check_num_classes(3, ["cat", "dog"])


@pytest.mark.parametrize("pattern", ["(", "cat_"])
def test_a_pattern_without_a_group_is_refused(pattern):
    with pytest.raises(ValueError, match=re.escape(repr(pattern))):
        DataRoot("data", group_pattern=pattern)


def test_roots_of_the_same_name_have_different_keys(tmp_path, monkeypatch):
    keys = {DataRoot(tmp_path / "a/data").cache.name, DataRoot(tmp_path / "b/data").cache.name}
    assert len(keys) == 2
    assert all(key.startswith("data-") for key in keys)
    monkeypatch.chdir(tmp_path)
    assert DataRoot("a/data").cache.name in keys
