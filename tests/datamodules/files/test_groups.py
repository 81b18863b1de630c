import re
from dataclasses import replace
from pathlib import Path

import pytest

from datamodules.files.data_root import DataRoot
from datamodules.files.groups import find_groups

NAMES = ["cat/abyssinian_1.jpg", "cat/abyssinian_2.jpg", "cat/bengal_1.jpg", "dog/m\u00e9sange_1.jpg"]


@pytest.fixture
def root(tmp_path) -> DataRoot:
    return DataRoot(str(tmp_path))


def write(root: DataRoot, *lines: str, encoding: str = "utf-8") -> None:
    Path(root.path, "groups.csv").write_text("\n".join(lines) + "\n", encoding=encoding)


def test_without_a_list_or_a_pattern_there_is_no_group(root):
    assert find_groups(root, "photos", NAMES) == {}


def test_the_first_group_of_the_pattern_is_the_group(root):
    root = replace(root, group_pattern=r"^([a-z]+)_(\d)")
    assert find_groups(root, "photos", NAMES) == dict.fromkeys(NAMES[:2], "abyssinian") | {NAMES[2]: "bengal"}
    with pytest.raises(ValueError, match=re.escape("'x(y)' finds a group in no file of photos/, as 'cat/abyssinian_1")):
        find_groups(replace(root, group_pattern="x(y)"), "photos", NAMES)
    assert find_groups(replace(root, group_pattern="x(y)"), "photos", []) == {}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_the_list_names_files_below_the_root(root, encoding):
    lines = ["group,remark,file", "a,,photos/cat/abyssinian_1.jpg", 'b,"x, y",photos/cat/bengal_1.jpg']
    lines += ["a,,photos/dog/me\u0301sange_1.jpg", "c,,sounds/cat/abyssinian_2.jpg"]
    write(root, *lines, encoding=encoding)
    assert find_groups(root, "photos", NAMES) == {NAMES[0]: "a", NAMES[2]: "b", NAMES[3]: "a"}


def test_a_pattern_comes_before_the_list(root):
    write(root, "file,group", f"photos/{NAMES[0]},a")
    assert find_groups(replace(root, group_pattern="(bengal)"), "photos", NAMES) == {NAMES[2]: "bengal"}


def test_files_that_are_not_there_are_named(root, capsys):
    write(root, "file,group", f"photos/{NAMES[0]},a", "photos/cat/gone.jpg,a", "photos/cow/not_chosen.jpg,a")
    assert find_groups(root, "photos", NAMES) == {NAMES[0]: "a"}
    [message] = capsys.readouterr().out.splitlines()
    assert "1 files that are not among the readable files of photos/: cat/gone.jpg" in message


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["photo;group"], r"has the columns \['photo;group'\], expected file and group"),
        (
            ["file,group", "photos/cat/1.jpg,a", "cat/2.jpg,a"],
            "line 3: file is 'cat/2.jpg' and group 'a', expected <kind>",
        ),
        (["file,group", "photos/cat/1.jpg"], "line 2: .* group None"),
        (["file,group", "photos/cat/1.jpg,"], "line 2: .* group ''"),
        (["file,group", "photos/cat/1.jpg,a", "photos/cat/1.jpg,b"], "line 3: .* one group for each file"),
    ],
)
def test_a_malformed_list_is_refused_with_its_line(root, lines, message):
    write(root, *lines)
    with pytest.raises(ValueError, match=rf"groups.csv.*{message}"):
        find_groups(root, "photos", NAMES)
